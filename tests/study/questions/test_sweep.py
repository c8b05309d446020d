"""A sweep's file: what is trained and how often, what a line keeps, schedules stretched to another length."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch

import lrsched
from study.core.errors import InputError
from study.loops.recording import mark_of
from study.questions.grids import OPTIMIZERS, QUESTIONS, default_values
from study.questions.outlook import outlook
from study.questions.rescaling import rescaled
from study.questions.sweep import Cell, Results, read_results, to_train
from study.questions.trained import Batch, batches, remove_ended
from study.tuning.space import Space
from tests.making import config_of
from tests.study.questions.made import results_of, run_of, sweep_of

#: These move once an epoch, however long the run is: equal only where they have made the same way.
ROUGH = {"plateau", "factor"}


@pytest.mark.parametrize("factor", [0.1, 3.0])
@pytest.mark.parametrize("family", sorted(n for n, c in lrsched.REGISTRY.items() if c.searchable()))
def test_a_stretched_schedule_says_the_same_later(family: str, factor: float) -> None:
    """rescaled(s, k)(k * t) == s(t), for whatever a search may draw of any family."""
    space = Space((family,), 30)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    times = np.linspace(0, 31, 200)
    for _ in range(10):
        schedule = space.suggest(study.ask()).schedule
        longer = rescaled(schedule, factor)
        assert lrsched.from_json(longer.to_json()) == longer
        if family not in ROUGH:
            assert longer(factor * times) == pytest.approx(schedule(times), abs=1e-9)


def test_a_factor_an_epoch_makes_the_same_way_by_the_end() -> None:
    """With a drop an epoch, more and smaller ones: equal at each whole epoch of the shorter run."""
    schedule = lrsched.Factor(factor=0.8, floor=0.01)
    times = np.arange(30.0)
    assert rescaled(schedule, 3.0)(3.0 * times) == pytest.approx(schedule(times), abs=1e-9)


def test_patience_is_stretched_to_whole_epochs() -> None:
    plateau = lrsched.Warmup(lrsched.Plateau(factor=0.5, patience=5), length=2.0)
    assert rescaled(plateau, 0.5) == lrsched.Warmup(lrsched.Plateau(factor=0.5, patience=2), length=1.0)


@pytest.mark.parametrize(
    ("question", "points", "lengths"),
    [
        ("warmup", 6 * 3, {30}),
        ("exponent", 5 * 3, {30}),
        ("rate", 8 + 1, {30}),
        ("horizon", 4 * 2 * 3, {3, 10, 30, 90}),
        ("optimizer", 4 * 2 * 3, {30}),
    ],
)
def test_every_question_has_its_grid(question: str, points: int, lengths: set[int]) -> None:
    """All places differ, all that is trained differs, and schedules are as long as their runs."""
    cells = QUESTIONS[question].cells(sweep_of(question))
    assert len(cells) == points
    assert len({json.dumps(cell.place, sort_keys=True) for cell in cells}) == points
    assert len({cell.key(1) for cell in cells}) == points
    assert {cell.epochs for cell in cells} == lengths
    for cell in cells:
        if "linear" in str(cell.place.get("schedule")):
            assert cell.schedule.duration == pytest.approx(cell.epochs)


def test_a_sweep_of_another_optimizer_trains_with_it() -> None:
    cells = QUESTIONS["optimizer"].cells(sweep_of("optimizer"))
    found = {(str(c.place["optimizer"]), c.optimizer, c.weight_decay) for c in cells}
    assert found == {(title, name, decay) for title, (name, decay, _) in OPTIMIZERS.items()}


def test_times_shrink_with_the_run_and_rates_lie_where_the_optimizers_do() -> None:
    short = config_of(epochs=15)
    assert default_values("warmup", short) == (0.0, 0.5, 1.0, 1.5, 2.5, 4.0)
    assert default_values("horizon", short) == (2.0, 5.0, 15.0, 45.0)
    assert default_values("horizon", config_of(epochs=2)) == (1.0, 2.0, 6.0)
    assert default_values("rate", short) == QUESTIONS["rate"].values
    own = config_of(problem="mine", optimizer="own", base_rate=(1e-4, 1e-1))
    rates = default_values("rate", own)
    assert (rates[0], rates[-1], len(rates)) == (1e-4, 1e-1, 8)
    assert np.diff(np.log(rates)) == pytest.approx(math.log(1e3) / 7, rel=0.05)


def test_a_problem_of_the_users_is_trained_by_its_own_optimizer() -> None:
    config = config_of(problem="mine", optimizer="own")
    for question in sorted(set(QUESTIONS) - {"optimizer"}):
        sweep = replace(sweep_of(question), config=config)
        assert {(c.optimizer, c.weight_decay) for c in QUESTIONS[question].cells(sweep)} == {("own", 0.0)}


def test_what_has_its_line_is_not_trained_again() -> None:
    """Whatever a place is called; more seeds add theirs; long runs may have fewer."""
    cells = QUESTIONS["horizon"].cells(sweep_of("horizon"))
    runs = [run_of(replace(cell, place={"renamed": "yes"}), 1, 0.9) for cell in cells]
    trained = Results(Path("made.jsonl"), sweep_of("horizon"), tuple(runs))
    assert to_train(cells, 1, trained) == []
    pending = to_train(cells, 4, trained, long_seeds=2)
    assert {seed for _, seed in pending} == {2, 3, 4}
    assert {seed for cell, seed in pending if cell.epochs == 90} == {2}
    assert len(to_train([*cells, *cells], 2, trained)) == len(cells)


def test_batches_hold_what_can_train_side_by_side() -> None:
    """One seed, one length, one optimizer each; nothing lost; earlier seeds first, so that a cut leaves whole seeds."""
    cells = [
        *QUESTIONS["horizon"].cells(sweep_of("horizon")),
        *QUESTIONS["optimizer"].cells(sweep_of("optimizer")),
    ]
    pending = to_train(cells, 3, Results(Path("made.jsonl"), sweep_of("horizon"), ()))
    found = list(batches(pending, 4))
    assert sorted(c.key(b.seed) for b in found for c in b.cells) == sorted(c.key(s) for c, s in pending)
    assert all(len(b.cells) <= 4 for b in found)
    assert all(len({(c.epochs, c.optimizer, c.weight_decay) for c in b.cells}) == 1 for b in found)
    assert [b.seed for b in found] == sorted(b.seed for b in found)


def test_a_file_says_what_it_was_given(tmp_path: Path) -> None:
    """The sweep, and each run, a diverged one too; lines that are there stay as they are."""
    sweep = sweep_of("warmup")
    first, second = QUESTIONS["warmup"].cells(sweep)[:2]
    path = tmp_path / "new" / "warmup.jsonl"
    results = Results(path, sweep, ()).with_runs([run_of(first, 1, 0.9), run_of(second, 1, math.nan)])
    before = path.read_text("utf-8")
    assert "NaN" not in before
    found = read_results(path)
    assert found.sweep == sweep
    assert found.runs[0] == results.runs[0]
    assert math.isnan(found.runs[1].test) and math.isnan(found.runs[1].validation[-1])  # noqa: PT018 - NaN equals nothing
    assert [run.key for run in found.runs] == [run.key for run in results.runs]
    found.with_runs([run_of(first, 2, 0.8)])
    assert path.read_text("utf-8").startswith(before)
    assert len(path.read_text("utf-8").splitlines()) == 4


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"version":2}', "not json", '{"version":9}'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "warmup.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"is damaged, or no sweep of ours|is of version 9"):
        read_results(path)


def test_a_cell_is_told_by_all_that_it_trains() -> None:
    cell = Cell({"a": 1.0}, "constant", lrsched.Constant(), 0.1, 3, "sgd", 0.0)
    others = [
        replace(cell, family="schedule_free"), replace(cell, schedule=lrsched.Cosine(T_max=3.0)),
        replace(cell, base_rate=0.2), replace(cell, epochs=4), replace(cell, optimizer="adamw"),
        replace(cell, weight_decay=0.1),
    ]  # fmt: skip
    assert len({one.key(1) for one in (cell, *others)} | {cell.key(2)}) == len(others) + 2


def test_the_outlook_is_by_what_runs_have_taken() -> None:
    """Kept runs took 45 s for 30 epochs; of an optimizer that none was trained with nothing is foretold."""
    results = results_of("optimizer", lambda _cell, _seed: 0.9, seeds=1)
    cells = QUESTIONS["optimizer"].cells(results.sweep)
    pending = to_train(cells, 2, results)
    said = outlook(results, len(cells), 2, pending)
    assert said == (
        "optimizer: 24 points, 2 seeds; 24 runs of 720 epochs to train, 24 are in made.jsonl; about 18 minutes"
    )
    first = replace(results, runs=results.runs[:1])
    assert outlook(first, len(cells), 2, pending).endswith("; how long, the first epochs will tell")
    assert outlook(results, len(cells), 1, []).endswith("; 0 runs of 0 epochs to train, 24 are in made.jsonl")


def test_a_checkpoint_goes_once_all_its_runs_have_lines_whichever_batches_trained_them(
    tmp_path: Path,
) -> None:
    """With its mark; that of a batch with a run to train stays, and so does what is no checkpoint."""
    sweep = sweep_of("warmup")
    cells = QUESTIONS["warmup"].cells(sweep)[:4]
    results = Results(tmp_path / "warmup.jsonl", sweep, tuple(run_of(cell, 1, 0.9) for cell in cells[:3]))
    kept = {}
    for name, seed, members in (
        ("ended", 1, cells[1:3]),
        ("one is left", 1, cells[2:]),
        ("other seed", 2, cells[:1]),
    ):
        one = Batch(seed, tuple(members)).passing(sweep, tmp_path)
        torch.save({"asked": json.dumps([run.to_json() for run in one.runs])}, one.checkpoint)
        mark_of(one.checkpoint).touch()
        kept[name] = {one.checkpoint, mark_of(one.checkpoint)}
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(b"no checkpoint")
    remove_ended(tmp_path, results)
    assert set(tmp_path.iterdir()) == {damaged, *kept["one is left"], *kept["other seed"]}

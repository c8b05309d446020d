"""A confirmation's laws: paired fresh seeds, a plan that stays, losers dropped, the same end whatever stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from study.core.errors import InputError
from study.core.records import StudyConfig, TrialSpec
from study.loops.confirmation import FRESH, Confirmation, Standing, confirm
from study.loops.recording import Limit
from study.loops.searching.search_loop import initial_seed
from study.loops.validation_runs import ValidationRuns, train_validated
from study.problems.fashion_mnist import Split
from study.stats.leaderboard import Finalist
from study.stats.verdict import Plan, Verdict
from study.store.tracking.mlflow_tracking import Tracker
from study.training.evaluation import Examination, Scores, score_examples
from study.training.lanes import Lanes
from study.training.lenet import lenet
from study.training.side_by_side import SideBySide

Make = Callable[..., TrialSpec]
PLAN = Plan((2, 3, 4), level=0.6, margin=0.0)
EPOCHS = 6


@pytest.fixture
def confirmation(config: StudyConfig, spec: Make, tmp_path: Path) -> Confirmation:
    """Two finalists that learn something on few images, and one whose rate is nothing."""
    finalists = (
        Finalist("cosine #4", spec(4, epochs=EPOCHS, base_rate=0.1), 0.7),
        Finalist("cosine #1", spec(1, epochs=EPOCHS, base_rate=0.2), 0.6),
        Finalist("cosine #7", spec(7, epochs=EPOCHS, base_rate=1e-6), 0.1),
    )
    config = replace(config, epochs=EPOCHS, batch_size=8)
    return Confirmation(config, finalists, PLAN, tmp_path / "checkpoints")


@pytest.fixture
def training(few: Split) -> Examination:
    """LeNet's lanes on a few images, judged on a few others."""
    split = Split(few.train, None, few.checksums)

    def score(lanes: SideBySide) -> dict[int, Scores]:
        assert few.evaluation is not None
        return score_examples(lanes, few.evaluation)

    return Examination(
        len(few.train), len(few.train), lambda **how: Lanes(split, **how), score, lambda: few.checksums
    )


def lanes_of(split: Split) -> Callable[..., Lanes]:
    return lambda **how: Lanes(split, **how)


class Cut(BaseException):
    """Ends a process where it stands."""


def run(
    confirmation: Confirmation,
    training: Examination,
    tracker: Tracker,
    show: Callable[[Standing], None] = lambda _: None,
    limit: Limit | None = None,
) -> tuple[Verdict | None, np.ndarray]:
    return confirm(confirmation, training, tracker, show, limit or Limit())


@pytest.fixture
def tracker(uri: str, config: StudyConfig) -> Tracker:
    return Tracker.open(uri, config, attributes={}, key="k", kind="confirm")


def test_seeds_pair_the_finalists(confirmation: Confirmation) -> None:
    """In a pass all finalists share one seed, their trials keep their numbers; no seed is one of a search's."""
    passes = [confirmation.pass_of(seed, confirmation.names) for seed in (1, 2)]
    for seed, one in enumerate(passes, start=1):
        assert [run.seed for run in one.runs] == [FRESH + seed] * 3
        assert [(run.number, run.base_rate, run.lanes) for run in one.runs] == [
            (4, 0.1, 3),
            (1, 0.2, 3),
            (7, 1e-6, 3),
        ]
    narrow = confirmation.pass_of(3, ("cosine #7", "cosine #4"))
    assert [(run.number, run.lanes) for run in narrow.runs] == [(4, 2), (7, 2)]
    drawn = {initial_seed(s, n) for s in range(5) for n in range(1000)}
    assert not drawn & set(range(FRESH, FRESH + 1000))


def test_every_confirmation_has_its_own_folder(confirmation: Confirmation) -> None:
    """Other settings or finalists lie elsewhere; the plan is kept within."""
    others = [
        replace(confirmation, config=replace(confirmation.config, train_images=100)),
        replace(confirmation, finalists=confirmation.finalists[::-1]),
        replace(confirmation, finalists=confirmation.finalists[:2]),
    ]
    assert len({c.place for c in [confirmation, *others]}) == 4
    assert replace(confirmation, plan=Plan((3, 9))).place == confirmation.place


def test_a_plan_stays_once_the_test_set_was_opened(confirmation: Confirmation) -> None:
    changed = replace(confirmation, plan=replace(PLAN, looks=(2, 3, 8)))
    changed.check_plan()  # nothing was judged yet
    confirmation.keep_plan()
    confirmation.keep_plan()
    with pytest.raises(
        InputError, match=r"were judged by looks 2,3,4, .* again by looks 2,3,8, .*keep the plan"
    ):
        changed.check_plan()


@pytest.mark.slow
def test_a_confirmation_cut_off_anywhere_reaches_the_same_end(
    confirmation: Confirmation,
    training: Examination,
    few: Split,
    uri: str,
    config: StudyConfig,
    tmp_path: Path,
) -> None:
    """Cut off after every seventh epoch or look, it ends with the same verdict, each run closed once in MLflow."""
    whole = replace(confirmation, folder=tmp_path / "whole")
    undisturbed = Tracker.open(uri, config, attributes={}, key="whole", kind="confirm", name="confirm whole")
    seen: list[Standing] = []
    judged, table = run(whole, training, undisturbed, seen.append)
    assert judged is not None
    assert judged.final
    assert len(judged.looks) > 1
    assert judged.looks[0].dropped == ("cosine #7",)
    assert np.isnan(table[2:, 2]).all()
    assert seen[-1].done == seen[-1].total == EPOCHS * int(np.isfinite(table).sum())
    assert [s.done for s in seen] == sorted(s.done for s in seen)
    assert {name for s in seen for name in s.last} == {*confirmation.names}

    cuts = 0
    tracker = Tracker.open(uri, config, attributes={}, key="cut", kind="confirm", name="confirm cut")
    while True:
        shown: list[Standing] = []

        def cut(standing: Standing, shown: list[Standing] = shown) -> None:
            shown.append(standing)
            if len(shown) == 7:
                raise Cut

        try:
            again, repeated = run(confirmation, training, tracker, cut)
            break
        except Cut:
            cuts += 1
            tracker = Tracker.open(  # closes what was left open
                uri, config, attributes={}, key="cut", kind="confirm"
            )
    assert cuts > 2
    assert again == judged
    np.testing.assert_array_equal(repeated, table)

    runs = MlflowClient(uri).search_runs(
        [tracker.experiment_id], f"tags.`mlflow.parentRunId` = '{tracker.run_id}'"
    )
    finished = sorted(
        (r.data.tags["confirm_seed"], r.data.tags["trial"]) for r in runs if r.info.status == "FINISHED"
    )
    there = np.argwhere(np.isfinite(table)).tolist()
    assert finished == sorted((str(row + 1), "417"[f]) for row, f in there)
    assert {r.data.tags["state"] for r in runs} == {"finished", "interrupted"}


@pytest.mark.slow
def test_accuracies_are_those_of_lone_networks_with_the_weights_kept(
    confirmation: Confirmation, training: Examination, few: Split, tracker: Tracker
) -> None:
    short = replace(confirmation, plan=Plan((2,)))
    _, table = run(short, training, tracker)
    assert few.evaluation is not None
    for seed in (1, 2):
        trained = short.lanes(training, seed)
        short.pass_of(seed, short.names).load(trained)
        for lane in range(3):
            network = lenet(0)
            network.load_state_dict(trained.weights(lane))
            with torch.no_grad():
                right = network(few.evaluation.pixels.unsqueeze(1)).argmax(1) == few.evaluation.labels
            assert table[seed - 1, lane] == pytest.approx(right.double().mean().item(), abs=1 / 300)


def test_a_diverged_run_has_no_accuracy(
    confirmation: Confirmation, training: Examination, few: Split, tracker: Tracker
) -> None:
    """Its place in the table is empty (NaN); the others keep their figures."""
    wild = replace(confirmation.finalists[1], spec=replace(confirmation.finalists[1].spec, base_rate=1e30))
    both = replace(confirmation, finalists=(confirmation.finalists[0], wild), plan=Plan((2,)))
    _, table = run(both, training, tracker)
    assert np.isnan(table[:, 1]).all()
    assert np.isfinite(table[:, 0]).all()


def test_a_limit_stops_before_a_seed_that_would_end_beyond_it(
    confirmation: Confirmation, training: Examination, few: Split, tracker: Tracker
) -> None:
    """Each seed takes 6 s by this clock; the looks before are judged, the seeds are kept, and it goes on."""
    now = [0.0]

    def pass_time(standing: Standing) -> None:
        now[0] += 1.0 if standing.last else 0.0

    judged, table = run(confirmation, training, tracker, pass_time, Limit(9.0, lambda: now[0]))
    assert (judged, len(table), now[0]) == (None, 0, 6.0)
    assert not (confirmation.place / "plan.json").exists()
    judged, _ = run(confirmation, training, tracker, pass_time, Limit(9.0, lambda: now[0]))
    assert judged is not None
    assert judged.seeds == 2


def test_other_test_data_than_at_the_first_look_is_refused(
    confirmation: Confirmation, training: Examination, tracker: Tracker
) -> None:
    """The line says which part changed; the scores kept stay as they are."""
    short = replace(confirmation, finalists=confirmation.finalists[:2], plan=Plan((2,)))
    run(short, training, tracker)
    other = replace(training, digests=lambda: {**training.digests(), "test": "changed"})
    with pytest.raises(
        InputError, match="the problem's test data has changed since these runs were first judged"
    ):
        run(short, other, tracker)


def test_damaged_or_foreign_scores_are_refused_by_name(
    confirmation: Confirmation, training: Examination, few: Split, tracker: Tracker
) -> None:
    short = replace(confirmation, finalists=confirmation.finalists[:2], plan=Plan((2,)))
    run(short, training, tracker)
    file = short.place / "seed-0001.scores.npz"
    other = short.place / "seed-0002.scores.npz"
    with np.load(other) as kept:
        fields = {**kept, "names": kept["names"][::-1]}
    np.savez(other, **fields)
    with pytest.raises(InputError, match=r"seed-0002\.scores\.npz: is of other runs; remove it"):
        run(short, training, tracker)
    file.write_bytes(b"half")
    with pytest.raises(InputError, match=r"seed-0001\.scores\.npz: damaged, or no scores of ours; remove it"):
        run(short, training, tracker)


def test_base_rates_are_multiplied_and_measured_on_the_validation_images(
    confirmation: Confirmation, few: Split, tracker: Tracker
) -> None:
    """One lane a finalist and multiple, all with a pass's seed; run again, nothing is trained."""
    runs = ValidationRuns(
        "rates", confirmation.config, confirmation.finalists[:2], 2, confirmation.folder, (0.5, 1.0)
    )
    first, second = runs.passes()
    assert [round(r.base_rate, 6) for r in first.runs] == [0.05, 0.1, 0.1, 0.2]
    assert len({r.seed for r in (*first.runs, *second.runs)}) == 2
    shown: list[tuple[int, int]] = []
    make = lanes_of(few)
    found = train_validated(runs, make, tracker, lambda done, seed: shown.append((done, seed)))
    assert found is not None
    assert shown == [(4 * n, 1 + (n > EPOCHS)) for n in range(1, 2 * EPOCHS + 1)]
    last = second.history()[-1]
    assert found["cosine #1"][1].tolist() == [last[2].val_accuracy, last[3].val_accuracy]
    again = train_validated(runs, make, tracker, lambda *_: pytest.fail("trained again"), limit=Limit(0.0))
    assert again is not None
    assert {name: table.tolist() for name, table in again.items()} == {
        name: table.tolist() for name, table in found.items()
    }


def test_no_heat_is_begun_that_would_end_beyond_the_time(
    confirmation: Confirmation, few: Split, tracker: Tracker
) -> None:
    """One of three is trained in the time of one and a half; the same command goes on with the second."""
    runs = ValidationRuns("heats", confirmation.config, confirmation.finalists, 3, confirmation.folder)
    now, begun = [0.0], []

    def pass_time(_: int, seed: int) -> None:
        now[0] += 1.0
        begun.append(seed)

    for seeds in ([1], [2], [3]):
        limit = Limit(1.5 * EPOCHS, lambda: now[0])
        found = train_validated(runs, lanes_of(few), tracker, pass_time, limit=limit)
        assert sorted(set(begun)) == list(range(1, seeds[0] + 1))
        assert (found is None) == (seeds[0] < 3)

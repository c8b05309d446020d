"""Who is confirmed: a table of studies left, the finalists right."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import lrsched
from study.core.errors import InputError
from study.core.metric import ACCURACY, Metric
from study.core.records import Outcome, StudyConfig, StudyRecord, TrialRecord, TrialSpec
from study.stats.leaderboard import Choice, Finalist, choose_finalists, through_heats


def trial(number: int, family: str, value: float | None, outcome: Outcome = "finished") -> TrialRecord:
    spec = TrialSpec(
        number, family, lrsched.schedule_class(family).example(), 0.1, {"base_rate": 0.1}, 30, 7, 5, 8
    )
    return TrialRecord(spec, (), outcome, value, {}, None, None, None)


@pytest.fixture
def record(config: StudyConfig) -> StudyRecord:
    """Three families with two finished trials each; pruned, diverged and cut-off trials beside them."""
    trials = (
        trial(0, "constant", 0.80),
        trial(1, "cosine", 0.90),
        trial(2, "linear", 0.85),
        trial(3, "constant", 0.82),
        trial(4, "cosine", 0.88),
        trial(5, "linear", 0.86),
        trial(6, "linear", None, "pruned"),
        trial(7, "cosine", None, "diverged"),
        trial(8, "cosine", None, "running"),
    )
    return StudyRecord(config, trials)


@pytest.mark.parametrize(
    ("finalists", "per_family", "baseline", "expected"),
    [
        (5, 1, "constant", [1, 5, 3]),  # fewer than asked for: a family gives no more than its share
        (2, 1, "constant", [1, 3]),  # the baseline takes the last place of better ones
        (2, 1, None, [1, 5]),
        (3, 2, None, [1, 4, 5]),
        (4, 2, "constant", [1, 4, 5, 3]),
        (6, 2, "constant", [1, 4, 5, 2, 3, 0]),
        (2, 1, "cosine", [1, 5]),  # a baseline that leads takes one place, not two
        (3, 1, "linear", [1, 5, 3]),
    ],
)
def test_finalists(
    record: StudyRecord, finalists: int, per_family: int, baseline: str | None, expected: list[int]
) -> None:
    """The best finished trial of each of the best families, best first, the baseline always among them."""
    chosen = choose_finalists(record, Choice(finalists, per_family, baseline))
    assert [f.spec.number for f in chosen] == expected
    assert [f.score for f in chosen] == sorted((f.score for f in chosen), reverse=True)
    assert [f.name for f in chosen] == [f"{f.spec.family} #{f.spec.number}" for f in chosen]


@pytest.mark.parametrize(
    ("choice", "candidates"),
    [
        (Choice(2, 1, "constant", heats=2), {0, 1, 2, 3, 4, 5}),  # thrice as many, three of a family at most
        (Choice(2, 1, "linear", heats=2), {0, 1, 2, 3, 4, 5}),
    ],
)
def test_candidates_of_heats(record: StudyRecord, choice: Choice, candidates: set[int]) -> None:
    assert {f.spec.number for f in choose_finalists(record, choice)} == candidates


def test_candidates_are_the_best_with_up_to_three_of_the_baseline(record: StudyRecord) -> None:
    more = tuple(trial(10 + n, "one_cycle", 0.91 + n / 1000) for n in range(9))
    many = StudyRecord(record.config, (*record.trials, *more))
    chosen = choose_finalists(many, Choice(2, 1, "constant", heats=1))
    assert [f.spec.number for f in chosen] == [18, 17, 16, 1, 3, 0]


def test_heats_choose_by_their_mean_and_not_by_the_search(record: StudyRecord) -> None:
    """The search's best fails with one of two further seeds: the family's other trial goes through in its place."""
    choice = Choice(2, 1, "constant", heats=2)
    candidates = choose_finalists(record, choice)
    heats = {
        "cosine #1": [0.91, math.nan], "cosine #4": [0.87, 0.88], "linear #2": [0.84, 0.84], "linear #5": [0.86, 0.9],
        "constant #3": [0.1, 0.83], "constant #0": [0.8, 0.8],
    }  # fmt: skip
    values = {name: np.array(row)[:, None] for name, row in heats.items()}
    through = through_heats(candidates, values, choice, ACCURACY)
    assert [f.name for f in through] == ["linear #5", "constant #0"]
    assert [f.heats for f in through] == [(0.86, 0.9), (0.8, 0.8)]
    three = through_heats(candidates, values, replace(choice, finalists=3), ACCURACY)
    assert [f.name for f in three] == ["linear #5", "cosine #4", "constant #0"]


def test_a_loss_is_least_in_the_heats_that_it_wins(record: StudyRecord) -> None:
    loss = Metric("loss", "minimize", chance=2.3)
    choice = Choice(2, 1, None, heats=1)
    candidates = choose_finalists(record, choice)
    values = {f.name: np.array([[float(f.spec.number)]]) for f in candidates}
    assert [f.name for f in through_heats(candidates, values, choice, loss)] == ["constant #0", "cosine #1"]


def test_a_baseline_that_was_not_searched_is_refused(record: StudyRecord) -> None:
    with pytest.raises(InputError, match="`baseline` polynomial: study 'small' has no finished trial of it"):
        choose_finalists(record, Choice(3, 1, "polynomial"))


@pytest.mark.parametrize("kept", [0, 1])
def test_nothing_to_compare_is_refused(record: StudyRecord, kept: int) -> None:
    few = StudyRecord(record.config, (*record.trials[1 : 1 + kept], *record.trials[6:]))
    with pytest.raises(InputError, match=f"has {kept} finished trials to compare; two are needed"):
        choose_finalists(few, Choice(3, 2, None))


def test_a_finalists_run_differs_in_seed_and_place_only(record: StudyRecord) -> None:
    """Same trial, schedule, rate and length; a fresh seed, this pass's lanes, the data order from its beginning."""
    spec = record.trials[1].spec
    assert spec is not None
    run = Finalist("cosine #1", spec, 0.9).run(seed=1_000_003, lanes=3)
    assert (run.number, run.seed, run.offset, run.lanes) == (spec.number, 1_000_003, 0, 3)
    assert (run.family, run.schedule, run.base_rate, run.epochs) == (
        spec.family,
        spec.schedule,
        spec.base_rate,
        spec.epochs,
    )

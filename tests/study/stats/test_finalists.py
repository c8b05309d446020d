"""Who is confirmed: a table of studies left, the finalists right."""

from __future__ import annotations

import pytest

import lrsched
from study.core.errors import InputError
from study.core.records import Outcome, StudyConfig, StudyRecord, TrialRecord, TrialSpec
from study.stats.leaderboard import Finalist, choose_finalists


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
    chosen = choose_finalists(record, finalists=finalists, per_family=per_family, baseline=baseline)
    assert [f.spec.number for f in chosen] == expected
    assert [f.score for f in chosen] == sorted((f.score for f in chosen), reverse=True)
    assert [f.name for f in chosen] == [f"{f.spec.family} #{f.spec.number}" for f in chosen]


def test_a_baseline_that_was_not_searched_is_refused(record: StudyRecord) -> None:
    with pytest.raises(InputError, match="`baseline` polynomial: study 'small' has no finished trial of it"):
        choose_finalists(record, finalists=3, per_family=1, baseline="polynomial")


@pytest.mark.parametrize("kept", [0, 1])
def test_nothing_to_compare_is_refused(record: StudyRecord, kept: int) -> None:
    few = StudyRecord(record.config, (*record.trials[1 : 1 + kept], *record.trials[6:]))
    with pytest.raises(InputError, match=f"has {kept} finished trials to compare; two are needed"):
        choose_finalists(few, finalists=3, per_family=2, baseline=None)


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

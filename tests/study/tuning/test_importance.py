"""Laws of the importances: the parameter that decides comes first, and too few trials give no number."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import lrsched
from study.core.records import StudyConfig, StudyRecord, TrialRecord, TrialSpec
from study.tuning.importance import ALL, FEWEST_RANKED, FEWEST_TRIALS, importances
from study.tuning.space import Space

FAMILIES = ("cosine", "linear")

Maker = Callable[..., StudyRecord]


@pytest.fixture
def study(config_of: Callable[..., StudyConfig]) -> Maker:
    """Makes a study whose accuracies follow one parameter; nobody trained it."""

    def make(
        trials: int, *, decides: str, families: tuple[str, ...] = FAMILIES, equal: bool = False
    ) -> StudyRecord:
        space, rng = Space(families, 30), np.random.default_rng(0)
        records = []
        for number in range(trials):
            family = families[number % len(families)]
            params: dict[str, str | float] = {"schedule": family}
            for name, distribution in space.distributions(family).items():
                low, high = distribution.low, distribution.high  # type: ignore[attr-defined]  # floats all
                params[name] = float(rng.uniform(low, high))
            level = float(params[decides]) if decides in params else float(family == families[0])
            value = 0.9 if equal else 0.8 + 0.01 * float(level) + float(rng.normal(0, 1e-4))
            spec = TrialSpec(
                number, family, lrsched.Constant(), float(params["base_rate"]), params, 30, 0, 0, 1
            )
            records.append(TrialRecord(spec, (), "finished", value, {}, None, None, None))
        return StudyRecord(config_of(schedules=families), tuple(records))

    return make


@pytest.mark.parametrize("decides", ["base_rate", "warmup"])
def test_the_parameter_that_decides_comes_first_everywhere(study: Maker, decides: str) -> None:
    for row in importances(study(80, decides=decides)):
        assert row.shares is not None
        assert max(row.shares, key=lambda name: row.shares[name]) == decides  # type: ignore[index]
        assert sum(row.shares.values()) == pytest.approx(1)


def test_the_family_is_weighed_over_all_families_only(study: Maker) -> None:
    first, *others = importances(study(80, decides="nothing but the family"))
    assert first.family == ALL
    assert first.shares is not None
    assert max(first.shares, key=first.shares.__getitem__) == "schedule"
    assert all(row.shares is not None and "schedule" not in row.shares for row in others)


def test_below_the_fewest_trials_there_is_no_number(study: Maker) -> None:
    rows = importances(study(2 * FEWEST_TRIALS - 1, decides="base_rate"))
    assert [(row.trials, row.shares is None) for row in rows] == [
        (2 * FEWEST_TRIALS - 1, False),
        (FEWEST_TRIALS, False),
        (FEWEST_TRIALS - 1, True),
    ]


def test_equal_accuracies_explain_nothing(study: Maker) -> None:
    assert all(row.shares is None for row in importances(study(60, decides="base_rate", equal=True)))


@pytest.mark.parametrize("change", [{"base_rate": 50.0}, {"warmup": None}], ids=["range", "field"])
def test_trials_of_an_older_space_are_left_out(study: Maker, change: dict[str, float | None]) -> None:
    """A range that was narrowed, or a field that was renamed, since a study was searched."""
    record = study(80, decides="base_rate")
    old = [
        dataclasses.replace(t, spec=dataclasses.replace(t.spec, params=_changed(t.spec.params, change)))
        for t in record.trials[:20]
    ]
    rows = importances(dataclasses.replace(record, trials=(*old, *record.trials[20:])))
    assert rows == importances(dataclasses.replace(record, trials=record.trials[20:]))
    assert [row.trials for row in rows] == [60, 30, 30]


def _changed(params: Mapping[str, Any], change: Mapping[str, float | None]) -> dict[str, Any]:
    return {name: value for name, value in {**params, **change}.items() if value is not None}


def test_an_empty_study_and_a_single_family_have_their_rows(study: Maker) -> None:
    assert [row.trials for row in importances(study(0, decides="base_rate"))] == [0, 0, 0]
    assert [row.family for row in importances(study(20, decides="base_rate", families=("cosine",)))] == [
        "cosine"
    ]


def few(study: Maker, decides: str, seed: int, noise: float) -> StudyRecord:
    """A study of one family of eight trials, four of them stopped, whose scores follow one parameter and noise."""
    rng = np.random.default_rng(seed)
    record = study(64, decides="base_rate", families=("cosine",))
    chosen = [record.trials[i] for i in rng.choice(64, 8, replace=False)]
    levels = np.array([float(t.spec.params.get(decides, 0.0)) for t in chosen])
    spread = float(levels.std()) or 1.0
    scores = (levels - levels.mean()) / spread + rng.normal(0, noise, 8)
    order = scores.argsort().argsort()
    trials = tuple(
        dataclasses.replace(
            t,
            outcome="finished" if place >= 4 else "pruned",
            value=0.8 + 0.01 * score if place >= 4 else None,
            reported=dict.fromkeys(range(8 + place), 0.5 + 0.01 * score),
        )
        for t, score, place in zip(chosen, scores.tolist(), order.tolist(), strict=True)
    )
    return dataclasses.replace(record, trials=trials)


def test_of_few_trials_ranks_find_what_decides_and_seldom_what_does_not(study: Maker) -> None:
    """Eight trials, four of them stopped, as a study of 100 leaves each of twelve families."""
    found = alarms = right = 0
    for seed in range(40):
        (row,) = importances(few(study, "base_rate", seed, noise=0.3))
        assert (row.shares, row.trials) == (None, 4)
        assert row.ranks is not None
        assert row.ranks.trials == 8
        found += "base_rate" in row.ranks.found
        right += max(row.ranks.correlations, key=lambda n: abs(row.ranks.correlations[n])) == "base_rate"  # type: ignore[union-attr]  # not None, see above
        (row,) = importances(few(study, "nothing", seed, noise=1.0))
        assert row.ranks is not None
        alarms += bool(row.ranks.found)
    assert found >= 32
    assert right >= 36
    assert alarms <= 6  # chance gives 2 of 40


def test_ranks_know_which_way_was_better_and_need_trials_enough(study: Maker) -> None:
    (row,) = importances(few(study, "base_rate", 0, noise=0.0))
    assert row.ranks is not None
    assert row.ranks.correlations["base_rate"] == pytest.approx(1)
    assert row.ranks.found[0] == "base_rate"
    record = few(study, "base_rate", 0, noise=0.0)
    (row,) = importances(dataclasses.replace(record, trials=record.trials[: FEWEST_RANKED - 1]))
    assert (row.shares, row.ranks) == (None, None)

"""Laws of the importances: the parameter that decides comes first, and too few trials give no number."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import lrsched
from study.core.records import StudyConfig, StudyRecord, TrialRecord, TrialSpec
from study.tuning.importance import ALL, FEWEST_TRIALS, importances
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

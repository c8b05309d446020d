"""Laws of the families' table: nobody is lost, the best comes first, its parameters are what was trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import lrsched
from study.core.records import StudyRecord
from study.stats.leaderboard import leaderboard

Maker = Callable[..., StudyRecord]


def test_every_trial_is_counted_once_in_its_family(made_up: Maker) -> None:
    record = made_up(100)
    rows = leaderboard(record)
    assert {row.family for row in rows} == set(record.config.schedules)
    assert sum(row.trials for row in rows) == 100
    for row in rows:
        assert row.finished + row.pruned + row.diverged == row.trials


def test_the_score_is_the_best_finished_value_and_sorts_the_table(made_up: Maker) -> None:
    record = made_up(100)
    rows = leaderboard(record)
    for row in rows:
        values = [t.value for t in record.trials if t.family == row.family and t.value is not None]
        assert row.score == max(values, default=None)
        assert row.best is None or row.best.value == row.score
    scores = [row.score for row in rows if row.score is not None]
    assert scores == sorted(scores, reverse=True)


def test_a_family_without_a_finished_trial_comes_last_without_a_score(made_up: Maker) -> None:
    record = made_up(100)
    trials = tuple(
        dataclasses.replace(t, outcome="pruned", value=None) if t.family == "cosine" else t
        for t in record.trials
    )
    last = leaderboard(dataclasses.replace(record, trials=trials))[-1]
    assert (last.family, last.score, last.best, last.parameters) == ("cosine", None, None, {})


def test_parameters_are_base_rate_warm_up_and_what_was_drawn_of_the_schedule(made_up: Maker) -> None:
    trial = next(t for t in made_up(100).trials if t.outcome == "finished")
    inner = lrsched.MultiStep((3.0, 7.5), 0.5)
    spec = dataclasses.replace(
        trial.spec,
        family="multi_step",
        base_rate=0.3,
        params={
            "schedule": "multi_step",
            "base_rate": 0.3,
            "warmup": 2.0,
            "multi_step.milestones_1": 7.5,
            "multi_step.milestones_2": 3.0,
            "multi_step.factor": 0.5,
        },
        schedule=lrsched.Warmup(inner, 2.0),
    )
    record = dataclasses.replace(made_up(0), trials=(dataclasses.replace(trial, spec=spec),))
    row = leaderboard(record)[0]
    assert row.family == "multi_step"
    assert row.parameters == {"base_rate": 0.3, "warmup": 2.0, "milestones": (3.0, 7.5), "factor": 0.5}


def test_an_empty_study_has_its_families_and_no_scores(made_up: Maker) -> None:
    rows = leaderboard(made_up(0))
    assert [row.trials for row in rows] == [0] * 12
    assert {row.score for row in rows} == {None}

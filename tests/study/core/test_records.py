"""Laws of the records: what a study and a trial answer about themselves."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable

import pytest

from study.core.metric import Metric
from study.core.records import (
    ENDED,
    OUTCOMES,
    EpochMetrics,
    Outcome,
    StudyConfig,
    StudyRecord,
    TrialRecord,
    TrialSpec,
    best_of,
)

Maker = Callable[..., StudyRecord]


def test_a_spec_comes_back_from_json_with_its_schedule(made_up: Maker) -> None:
    for trial in made_up(24).trials:
        assert TrialSpec.from_json(json.loads(json.dumps(trial.spec.to_json()))) == trial.spec


def test_metrics_of_an_earlier_version_have_no_test_figures(made_up: Maker) -> None:
    epoch = made_up(1).trials[0].epochs[0]
    written = {key: value for key, value in epoch.to_json().items() if not key.startswith("test_")}
    assert EpochMetrics.from_json(written) == epoch
    assert epoch.test_accuracy is None


@pytest.mark.parametrize("field", ["train_loss", "val_loss", "test_loss"])
@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_an_epoch_is_finite_unless_a_loss_is_not(made_up: Maker, field: str, loss: float) -> None:
    epoch = made_up(1).trials[0].epochs[0]
    assert epoch.finite
    assert not EpochMetrics.from_json({**epoch.to_json(), field: loss}).finite


def test_the_accuracy_of_a_trial_is_its_last(made_up: Maker) -> None:
    trial = next(t for t in made_up(100).trials if t.outcome == "pruned")
    assert trial.last_accuracy == trial.epochs[-1].val_accuracy
    running = dataclasses.replace(trial, epochs=(), outcome="running", reported={0: 0.5, 1: 0.6})
    assert (running.last_accuracy, running.epochs_trained) == (0.6, 2)
    nothing = dataclasses.replace(running, reported={})
    assert (nothing.last_accuracy, nothing.epochs_trained) == (None, 0)


def test_the_best_trial_finished_and_the_earlier_one_wins_a_tie(made_up: Maker) -> None:
    trial = made_up(1).trials[0]

    def ended(number: int, outcome: Outcome, value: float | None) -> TrialRecord:
        spec = dataclasses.replace(trial.spec, number=number)
        return dataclasses.replace(trial, spec=spec, outcome=outcome, value=value)

    tied = [ended(4, "finished", 0.9), ended(2, "finished", 0.9), ended(1, "pruned", None)]
    best = best_of(tied)
    assert best is not None
    assert best.number == 2
    assert best_of(tied[2:]) is None


def test_every_trial_is_of_one_family_and_one_outcome(made_up: Maker) -> None:
    record = made_up(100)
    assert tuple(record.by_family) == record.families == record.config.schedules
    assert sorted(t.number for own in record.by_family.values() for t in own) == list(range(100))
    assert all(t.family == family for family, own in record.by_family.items() for t in own)
    assert list(record.outcomes) == list(OUTCOMES)
    assert sum(record.outcomes.values()) == 100
    assert len(record.ended) == sum(record.outcomes[outcome] for outcome in ENDED)
    assert {t.outcome for t in record.finished} == {"finished"}
    assert record.epochs_trained == sum(len(t.epochs) for t in record.trials)


def test_an_empty_study_has_its_families_and_no_best(made_up: Maker) -> None:
    record = made_up(0)
    assert record.families == record.config.schedules
    assert (record.best, record.ended, record.epochs_trained) == (None, (), 0)


def test_a_loss_ranks_by_the_smaller_value(config: StudyConfig, made_up: Maker) -> None:
    """Scores are gains: the best trial of a study that is minimised has the smallest value, and JSON keeps that."""
    loss = Metric("loss", "minimize", chance=2.3)
    kept = StudyConfig.from_json(json.loads(json.dumps(dataclasses.replace(config, metric=loss).to_json())))
    assert kept.metric == loss
    trials = [
        dataclasses.replace(trial, outcome="finished", value=value, metric=loss)
        for trial, value in zip(made_up(2).trials, (1.5, 0.5), strict=True)
    ]
    assert best_of(trials) == trials[1]
    assert [trial.learned for trial in trials] == [True, True]
    assert not dataclasses.replace(trials[0], value=2.29).learned

"""Laws of the reasons: each follows from the record, and they are those of the pruner that decided."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from statistics import median

import numpy as np
import optuna
import pytest

from study.core.metric import Metric
from study.core.records import Outcome, StudyConfig, StudyRecord, TrialRecord
from study.tuning.pruner import decide, make_pruner
from study.tuning.stops import stops
from tests.making import epochs_of, spec_of

EPOCHS, LANES = 12, 4
LOSS = Metric("loss", "minimize", chance=2.3, low=0.0)


def search(config: StudyConfig, trials: int, seed: int) -> StudyRecord:
    """Run the real pruner over made-up curves, lanes side by side, as the search's loop does; return the record."""
    rng = np.random.default_rng(seed)
    study = optuna.create_study(
        direction=config.metric.direction, sampler=optuna.samplers.RandomSampler(seed=seed)
    )
    study.pruner = make_pruner(config)
    families = config.schedules
    records: list[TrialRecord] = []
    running: list[tuple[optuna.Trial, int, list[float], list[float], int | None]] = []
    clock = asked = 0
    while asked < trials or running:
        while len(running) < LANES and asked < trials:
            trial = study.ask()
            trial.suggest_categorical("schedule", families)
            level, slope = rng.uniform(0.5, 0.95), rng.uniform(0.2, 1.5)
            curve = level * (1 - np.exp(-slope * np.arange(1, EPOCHS + 1))) + rng.normal(0, 0.01, EPOCHS)
            if not config.metric.maximized:
                curve = 2.3 - 2 * curve
            running.append((trial, clock, curve.tolist(), [], None))
            asked += 1
        for trial, offset, curve, shown, _ in running:
            shown.append(curve[clock - offset])
            trial.report(shown[-1], len(shown) - 1)
        left = []
        for trial, offset, curve, shown, spared in running:
            said = "keep" if len(shown) == EPOCHS else decide(study, trial)
            at = len(shown) - 1 if said == "reprieve" else spared
            if said == "prune" or len(shown) == EPOCHS:
                outcome: Outcome = "pruned" if said == "prune" else "finished"
                state = (
                    optuna.trial.TrialState.PRUNED if said == "prune" else optuna.trial.TrialState.COMPLETE
                )
                study.tell(trial, shown[-1] if outcome == "finished" else None, state=state)
                spec = spec_of(
                    trial.number,
                    family=trial.params["schedule"],
                    offset=offset,
                    epochs=EPOCHS,
                    params=trial.params,
                )
                records.append(
                    TrialRecord(
                        spec, tuple(epochs_of(shown)), outcome, shown[-1] if outcome == "finished" else None,
                        dict(enumerate(shown)), at, None, None, config.metric,
                    )
                )  # fmt: skip
            else:
                left.append((trial, offset, curve, shown, at))
        running, clock = left, clock + 1
    return StudyRecord(config, tuple(sorted(records, key=lambda t: t.number)))


@pytest.mark.parametrize(
    ("pruner", "metric", "seed"),
    [*itertools.product(("median", "family-median"), (Metric(low=0.0, high=1.0), LOSS), (0, 1))],
    ids=str,
)
def test_each_stop_of_the_real_pruner_follows_from_the_record(
    config_of: Callable[..., StudyConfig], pruner: str, metric: Metric, seed: int
) -> None:
    config = config_of(
        epochs=EPOCHS, pruner=pruner, n_warmup_steps=3, n_startup_trials=2, keep_best=1, reprieve=0.3, metric=metric,
        schedules=("constant", "cosine", "linear"),
    )  # fmt: skip
    record = search(config, 40, seed)
    found = stops(record)
    expected = [t.number for t in record.trials if t.outcome == "pruned" or t.reprieved_at is not None]
    assert [stop.trial.number for stop in found] == expected
    assert len(expected) > 5
    assert any(stop.trial.outcome == "finished" for stop in found)
    for stop in found:
        assert stop.follows, stop
        shown = list(stop.trial.reported.values())[: stop.epochs]
        assert stop.best == metric.best(shown)
        assert stop.margin > 0
        assert stop.others >= config.n_startup_trials


def test_the_median_is_that_of_the_others_at_that_epoch(config_of: Callable[..., StudyConfig]) -> None:
    config = config_of(epochs=3, pruner="median", n_warmup_steps=1, n_startup_trials=1)
    curves = ([0.5, 0.6, 0.7], [0.6, 0.7, 0.8], [0.9, 0.9, 0.9], [0.4, 0.55])
    trials = tuple(
        TrialRecord(
            spec_of(n, epochs=3), tuple(epochs_of(curve)), "finished" if len(curve) == 3 else "pruned",
            curve[-1] if len(curve) == 3 else None, dict(enumerate(curve)), None, None, None,
        )
        for n, curve in enumerate(curves)
    )  # fmt: skip
    (stop,) = stops(StudyRecord(config, trials))
    assert (stop.trial.number, stop.epochs, stop.best, stop.others) == (3, 2, 0.55, 3)
    assert stop.median == median([0.6, 0.7, 0.9])
    assert stop.margin == pytest.approx(0.15)
    later = dataclasses.replace(trials[2], spec=spec_of(2, epochs=3, offset=1))
    (stop,) = stops(StudyRecord(config, (*trials[:2], later, trials[3])))
    assert stop.others == 2  # it had not come that far when the decision was made


def test_what_does_not_follow_is_told(config_of: Callable[..., StudyConfig]) -> None:
    """Two machines count epochs each for itself: then the record may not hold what the pruner saw."""
    config = config_of(epochs=3, pruner="median", n_warmup_steps=1, n_startup_trials=1)
    alone = TrialRecord(
        spec_of(0, epochs=3), tuple(epochs_of([0.5])), "pruned", None, {0: 0.5}, None, None, None
    )
    (stop,) = stops(StudyRecord(config, (alone,)))
    assert not stop.follows


def test_without_the_median_rule_there_is_no_reason_to_give(config_of: Callable[..., StudyConfig]) -> None:
    config = config_of(pruner="none")
    assert stops(StudyRecord(config, ())) == ()

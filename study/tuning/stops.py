"""Why each trial was stopped, computed again from a study's record by the rule that stopped it.

Trials are put in time by the global epoch that each began at, as a search's process counts it. Several processes
that trained at once count each for themselves: what is said of their trials may then not follow, which is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from study.core.records import StudyRecord, TrialRecord
from study.core.rules.median_rule import MedianRule, best_so_far, standing

#: Pruners that compare with a median: that of all, and that of a trial's own family.
MEDIANS = ("median", "family-median")


@dataclass(frozen=True)
class Stop:
    """The decision to stop one trial.

    Attributes:
        trial: The trial.
        epochs: Epochs that it had trained.
        best: The best signal that it had shown, in the metric's own units.
        median: Median of where the others stood at that epoch, likewise; infinitely bad where most had been stopped before.
        others: How many trials that is.
        follows: Whether the rule, given the record, comes to the same decision.
    """

    trial: TrialRecord
    epochs: int
    best: float
    median: float
    others: int
    follows: bool

    @property
    def margin(self) -> float:
        """How far the trial was behind the median, in the metric's units; above zero where the decision follows."""
        metric = self.trial.metric
        return metric.gain(self.median) - metric.gain(self.best)


def stops(record: StudyRecord) -> tuple[Stop, ...]:
    """Return why each trial was stopped, or would have been had it not been reprieved; by the trials' numbers.

    Empty where the study's pruner is not the median rule.
    """
    config = record.config
    if config.pruner not in MEDIANS:
        return ()
    within = config.pruner == "family-median"
    rule = MedianRule(
        config.n_warmup_steps, config.interval_steps, config.n_startup_trials, config.epochs, config.keep_best
    )
    return tuple(
        _stop(record.trials, trial, epoch, rule, within=within)
        for trial in record.trials
        if (epoch := _judged_at(trial)) is not None
    )


def _judged_at(trial: TrialRecord) -> int | None:
    """Return the epoch, from 0, after which a trial was to be stopped; ``None`` where it was not."""
    if trial.outcome == "pruned":
        return trial.epochs_trained - 1
    return trial.reprieved_at


def _stop(
    trials: Iterable[TrialRecord], trial: TrialRecord, epoch: int, rule: MedianRule, *, within: bool
) -> Stop:
    metric, clock = trial.metric, trial.spec.offset + epoch
    best = best_so_far({e: metric.gain(v) for e, v in trial.reported.items() if e <= epoch})
    stood = [
        (other.family == trial.family, where)
        for other in trials
        if other.number != trial.number and (where := _stood(other, epoch, clock)) is not None
    ]
    family = [where for kin, where in stood if kin]
    others = family if within else [where for _, where in stood]
    middle = median(others) if others else math.nan
    return Stop(
        trial,
        epoch + 1,
        metric.gain(best),
        metric.gain(middle),
        len(others),
        rule.loses(best, others, family),
    )


def _stood(other: TrialRecord, epoch: int, clock: int) -> float | None:
    """Return where another trial stood at an epoch of its own, as far as it was known at a global epoch."""
    if other.outcome == "interrupted":
        return None
    last = other.spec.offset + other.epochs_trained - 1
    # Of trials that end an epoch together none is known to be pruned while the others are judged; a diverged one is.
    known = last < clock or (last == clock and other.outcome == "diverged")
    ended = other.outcome in {"pruned", "diverged"} and other.epochs_trained <= epoch and known
    shown = other.reported.get(epoch) if other.spec.offset + epoch <= clock else None
    return standing(None if shown is None else other.metric.gain(shown), ended=ended)

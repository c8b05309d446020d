"""What pruning cost a study, estimated from the trials that were reprieved by chance.

Of the trials that the pruner would have stopped, a share chosen by chance was trained to the end. Those
stand for all: of n reprieved among N stopped, each stands for N / n trials, the inverse of the share
that was really observed. Given n > 0 the estimate is unbiased, and unlike the weight 1 / (asked share)
it cannot exceed the number stopped. Its interval inverts the hypergeometric distribution, so it is
exact for however few reprieves, and never too short.

What a pruner would have done to a study that was not pruned is in ``replay.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom

from study.core.records import StudyRecord, TrialRecord

#: Name of the row that pools all families.
ALL = "all families"

#: Confidence of every interval here.
LEVEL = 0.95


@dataclass(frozen=True)
class Share:
    """An estimated share with its interval; ``value`` is None where nothing was observed."""

    value: float | None
    low: float
    high: float

    def __str__(self) -> str:
        """Return the share and its interval in per cent, or that nothing is known."""
        if self.value is None:
            return "unknown"
        return f"{100 * self.value:.0f} % ({100 * self.low:.0f} to {100 * self.high:.0f} %)"


@dataclass(frozen=True)
class Cost:
    """What pruning saved and cost in one family, or in all.

    Attributes:
        family: Name of the family, or ``ALL``.
        trials: Trials that ended.
        stopped: Trials that the pruner would have stopped: those it stopped and those reprieved.
        reprieved: Those of them that were trained to the end by chance.
        beat_family: Share of ``stopped`` that ends above every trial of the family that was not stopped.
        beat_study: The same, above every trial of the study that was not stopped.
        saved: Epochs that pruning saved.
        spent: Epochs that the reprieved trials took after they would have been stopped.
        budget: Epochs that all these trials would take untouched.
    """

    family: str
    trials: int
    stopped: int
    reprieved: int
    beat_family: Share
    beat_study: Share
    saved: int
    spent: int
    budget: int

    @property
    def sentence(self) -> str:
        """What the reprieved trials say, in words."""
        if self.stopped == 0:
            return f"Nothing was stopped in {self.family}."
        if self.reprieved == 0:
            return f"None of the {self.stopped} trials stopped in {self.family} was reprieved: the cost is unknown."
        return (
            f"Of {self.stopped} trials to be stopped in {self.family}, {self.reprieved} were reprieved by chance and "
            f"trained on: an estimated {self.beat_study} of all stopped would have ended above the study's best."
        )


def cost_of_pruning(study: StudyRecord) -> tuple[Cost, ...]:
    """Return the cost of pruning for each family in the settings' order, then for all of them.

    Trials that still run or were interrupted are left out. A reprieved trial that diverged later counts
    as one that did not end above anybody.
    """
    ended, epochs = study.ended, study.config.epochs
    best = _best_kept(ended)
    by_family = {f: [t for t in ended if t.family == f] for f in study.config.schedules}
    best_of_family = {f: _best_kept(trials) for f, trials in by_family.items()}
    rows = [_cost(f, trials, best_of_family, best, epochs) for f, trials in by_family.items()]
    return (*rows, _cost(ALL, ended, best_of_family, best, epochs))


def _best_kept(trials: Sequence[TrialRecord]) -> float:
    return max((t.score for t in trials if t.reprieved_at is None), default=-np.inf)


def _cost(
    family: str, trials: Sequence[TrialRecord], best_of: Mapping[str, float], best: float, epochs: int
) -> Cost:
    pruned = [t for t in trials if t.outcome == "pruned"]
    spared = [t for t in trials if t.reprieved_at is not None]
    ends = [(t.score, best_of[t.family]) for t in spared]
    stopped = len(pruned) + len(spared)
    return Cost(
        family=family,
        trials=len(trials),
        stopped=stopped,
        reprieved=len(spared),
        beat_family=estimate(sum(end > bar for end, bar in ends), len(spared), stopped),
        beat_study=estimate(sum(end > best for end, _ in ends), len(spared), stopped),
        saved=sum(epochs - t.epochs_trained for t in pruned),
        spent=sum(t.epochs_trained - t.reprieved_at - 1 for t in spared if t.reprieved_at is not None),
        budget=epochs * len(trials),
    )


def estimate(hits: int, observed: int, total: int, level: float = LEVEL) -> Share:
    """Return the share of ``total`` trials that would be hits, from those observed by chance.

    Args:
        hits: Hits among the observed.
        observed: Trials observed, drawn without regard to anything about them.
        total: Trials that the observed were drawn from.
        level: Confidence of the interval.

    Returns:
        ``hits / observed`` with its interval: every number of hits among ``total`` under which neither
        so few nor so many observed hits has a chance of (1 - level) / 2 or less. Nothing observed: no
        value, and the interval [0, 1].
    """
    if observed == 0:
        return Share(None, 0.0, 1.0)
    true_hits = np.arange(total + 1)
    tail = (1 - level) / 2
    many = hypergeom.sf(hits - 1, total, true_hits, observed)
    few = hypergeom.cdf(hits, total, true_hits, observed)
    possible = true_hits[(many > tail) & (few > tail)] / total
    return Share(hits / observed, float(possible.min()), float(possible.max()))

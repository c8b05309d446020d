"""What pruning cost: the estimate from reprieved trials, and the replay of pruners over whole curves.

Notation: N trials, E epochs of a whole run. Signals and accuracies are shares in [0, 1], larger is
better; regret is in accuracy points (hundredths).

*The estimate* works on any study. Of the trials that the pruner would have stopped, a share chosen by
chance was trained to the end. Those stand for all: of n reprieved among N stopped, each stands for N / n
trials, the inverse of the share that was really observed. Given n > 0 the estimate is unbiased, and
unlike the weight 1 / (asked share) it cannot exceed the number stopped. Its interval inverts the
hypergeometric distribution, so it is exact for however few reprieves; it is never too short.

*The replay* works on a study that was not pruned: it has every curve to its end, and tells what a
pruner would have stopped. The trials and their order stay as they ran; what the sampler would have
chosen after other results cannot be known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from study.records.errors import InputError
from study.records.trial import Epoch, StudyRecord, TrialRecord

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

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


def cost_of_pruning(study: StudyRecord) -> tuple[Cost, ...]:
    """Return the cost of pruning for each family in the settings' order, then for all of them.

    Trials that still run or were interrupted are left out. A reprieved trial that diverged later counts
    as one that did not end above anybody.
    """
    ended = [t for t in study.trials if t.outcome in ("finished", "pruned", "diverged") and t.asked]
    best = _best_kept(ended)
    best_of_family = {f: _best_kept(_of(ended, f)) for f in study.settings.schedules}
    rows = [
        _cost(f, _of(ended, f), best_of_family, best, study.settings.epochs) for f in study.settings.schedules
    ]
    return (*rows, _cost(ALL, ended, best_of_family, best, study.settings.epochs))


def _of(trials: Sequence[TrialRecord], family: str) -> list[TrialRecord]:
    return [t for t in trials if t.asked is not None and t.asked.family == family]


def _best_kept(trials: Sequence[TrialRecord]) -> float:
    return max((t.value for t in trials if t.value is not None and t.reprieved_at is None), default=-np.inf)


def _cost(
    family: str, trials: Sequence[TrialRecord], best_of: Mapping[str, float], best: float, epochs: int
) -> Cost:
    pruned = [t for t in trials if t.outcome == "pruned"]
    spared = [t for t in trials if t.reprieved_at is not None]
    ends = [(-np.inf if t.value is None else t.value, best_of[t.asked.family]) for t in spared if t.asked]
    stopped = len(pruned) + len(spared)
    return Cost(
        family=family,
        trials=len(trials),
        stopped=stopped,
        reprieved=len(spared),
        beat_family=estimate(sum(end > bar for end, bar in ends), len(spared), stopped),
        beat_study=estimate(sum(end > best for end, _ in ends), len(spared), stopped),
        saved=sum(epochs - _trained(t) for t in pruned),
        spent=sum(_trained(t) - t.reprieved_at - 1 for t in spared if t.reprieved_at is not None),
        budget=epochs * len(trials),
    )


def _trained(trial: TrialRecord) -> int:
    return len(trial.epochs) or 1 + max(trial.reported, default=-1)


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


@dataclass(frozen=True)
class Curves:
    """The whole curves of an unpruned study.

    Attributes:
        families: Family of each trial, length N.
        offsets: Global epoch at which each trial began, [N].
        signals: What a pruner could have seen, [N, E] each; not finite from where a trial diverged.
        final: Validation accuracy after the last epoch, [N]; minus infinity for a diverged trial.
    """

    families: tuple[str, ...]
    offsets: Ints
    signals: Mapping[str, Floats]
    final: Floats


def curves(study: StudyRecord) -> Curves:
    """Return the curves of a study for the replay.

    Raises:
        InputError: If the study was pruned, or no trial has finished.
    """
    if any(t.outcome == "pruned" for t in study.trials):
        raise InputError(
            f"study {study.settings.name!r} was pruned, so its stopped curves have no end to compare with; "
            "replay needs one that was searched with --pruner none"
        )
    ended = [(t, t.asked) for t in study.trials if t.outcome in ("finished", "diverged") and t.asked]
    if not any(t.outcome == "finished" for t, _ in ended):
        raise InputError(f"study {study.settings.name!r} has no finished trial to replay")
    seen = {
        "val": [[e.val_accuracy for e in t.epochs if _is_finite(e)] for t, _ in ended],
        "averaged": [[e.averaged_accuracy for e in t.epochs if _is_finite(e)] for t, _ in ended],
    }
    signals = {}
    for name, rows in seen.items():
        if all(value is not None for row in rows for value in row):
            signals[name] = np.full((len(ended), study.settings.epochs), -np.inf)
            for row, shown in enumerate(rows):
                signals[name][row, : len(shown)] = shown
    return Curves(
        families=tuple(asked.family for _, asked in ended),
        offsets=np.array([asked.offset for _, asked in ended]),
        signals=signals,
        final=np.array([-np.inf if t.value is None else t.value for t, _ in ended]),
    )


def _is_finite(epoch: Epoch) -> bool:
    return epoch.val_loss is not None and isfinite(epoch.train_loss) and isfinite(epoch.val_loss)


class Rule(Protocol):
    """When a pruner judges a trial, and whether the trial loses (``study.sampling.rule``)."""

    def due(self, epoch: int) -> bool:
        """Return whether a trial is judged after this epoch."""

    def loses(self, best: float, others: Any) -> bool:
        """Return whether a trial is stopped, given where the others stood at its epoch."""


def replay(signal: Floats, offsets: Ints, groups: Sequence[str], rule: Rule) -> Ints:
    """Return how many epochs each trial would have trained under a pruning rule.

    The global epoch gives the order: trial i is at its epoch ``clock - offsets[i]``. All trials that
    end an epoch at the same clock are judged together, on what was known before any of them was stopped.

    Args:
        signal: What the pruner sees, [N, E]; minus infinity from where a trial diverged.
        offsets: Global epoch at which each trial began, [N].
        groups: Trials are compared within their group, length N.
        rule: The pruning rule.

    Returns:
        Epochs trained, [N]; E for a trial that was not stopped and did not diverge.
    """
    epochs = signal.shape[1]
    trained = epochs_untouched(signal)
    best = np.maximum.accumulate(signal, axis=1)
    names = np.asarray(groups)
    peers = {name: np.flatnonzero(names == name) for name in dict.fromkeys(groups)}
    for clock in range(int(offsets.min()), int(offsets.max()) + epochs):
        at = clock - offsets
        running = np.flatnonzero((at >= 0) & (at < trained))
        losers = []
        for trial in running.tolist():
            epoch = int(at[trial])
            if rule.due(epoch):
                others = _standings(signal, trained, offsets, clock, trial, peers[groups[trial]])
                if rule.loses(float(best[trial, epoch]), others.tolist()):
                    losers.append(trial)
        trained[losers] = at[losers] + 1
    return trained


def _standings(signal: Floats, trained: Ints, offsets: Ints, clock: int, trial: int, peers: Ints) -> Floats:
    """Return where a trial's peers stood at the epoch it has reached; stopped before: minus infinity."""
    epoch = clock - offsets[trial]
    peers = peers[peers != trial]
    reached = (trained[peers] > epoch) & (offsets[peers] + epoch <= clock)
    # A trial that ends at this very clock is not known to have ended while its lane-mates are judged.
    ended = (trained[peers] <= epoch) & (offsets[peers] + trained[peers] <= clock)
    stood: Floats = np.where(ended, -np.inf, signal[peers, epoch])[reached | ended]
    return stood


@dataclass(frozen=True)
class Setting:
    """One pruner with its options, as the search's flags name them."""

    pruner: str
    prune_on: str
    prune_after: int
    prune_every: int
    prune_startup: int

    @property
    def flags(self) -> str:
        """The flags that give this setting to ``study.search``."""
        return (
            f"--pruner {self.pruner} --prune-on {self.prune_on} --prune-after {self.prune_after} "
            f"--prune-every {self.prune_every} --prune-startup {self.prune_startup}"
        )


@dataclass(frozen=True)
class Replay:
    """What one setting would have done to an unpruned study.

    Attributes:
        setting: The pruner and its options.
        stopped: Trials that it would have stopped.
        saved: Share of the epochs that it would have saved.
        winner_kept: Whether the study's best trial would have been trained to its end.
        families_kept: Families whose best trial would have been.
        families: Families that have a finished trial.
        regret: Accuracy points between the best trial and the best that was kept.
        false_prunes: Share of the family's stopped trials that would have ended above the family's best
            kept trial, by family; None where none was stopped.
    """

    setting: Setting
    stopped: int
    saved: float
    winner_kept: bool
    families_kept: int
    families: int
    regret: float
    false_prunes: Mapping[str, float | None]


def judge(setting: Setting, data: Curves, rule: Rule) -> Replay:
    """Replay one setting and measure what it saved and what it threw away."""
    signal = data.signals[setting.prune_on]
    groups = data.families if setting.pruner == "family-median" else (ALL,) * len(data.families)
    return measure(setting, data, replay(signal, data.offsets, groups, rule))


def measure(setting: Setting, data: Curves, trained: Ints) -> Replay:
    """Return what stopping each trial after ``trained`` [N] epochs saves and throws away."""
    diverged = ~np.isfinite(data.final)
    untouched = epochs_untouched(data.signals["val"])
    stopped = trained < untouched
    kept = ~stopped & ~diverged
    names = np.asarray(data.families)
    false_prunes: dict[str, float | None] = {}
    families_kept = 0
    families = [f for f in dict.fromkeys(data.families) if np.isfinite(data.final[names == f]).any()]
    for family in families:
        mine = names == family
        bar = data.final[mine & kept].max(initial=-np.inf)
        ends = data.final[mine & stopped]
        false_prunes[family] = float((ends > bar).mean()) if ends.size else None
        families_kept += bool(bar == data.final[mine].max())
    best, best_kept = data.final.max(), data.final[kept].max(initial=-np.inf)
    return Replay(
        setting=setting,
        stopped=int(stopped.sum()),
        saved=float(1 - trained.sum() / untouched.sum()),
        winner_kept=bool(best_kept == best),
        families_kept=families_kept,
        families=len(families),
        regret=float(100 * (best - best_kept)),
        false_prunes=false_prunes,
    )


def epochs_untouched(signal: Floats) -> Ints:
    """Return the epochs that each trial takes when none is stopped, [N].

    All of them; a diverged trial ends with the first whose signal, [N, E], is not finite.
    """
    finite = np.isfinite(signal)
    epochs: Ints = np.where(finite.all(axis=1), signal.shape[1], finite.argmin(axis=1) + 1)
    return epochs


def recommend(replays: Collection[Replay]) -> Replay | None:
    """Return the setting that saves most epochs among those that keep the winner; None if none does.

    Among equals, the one that keeps the best of more families, then the one that stops fewer trials.
    """
    keeping = [r for r in replays if r.winner_kept and r.saved > 0]
    return max(keeping, key=lambda r: (r.saved, r.families_kept, -r.stopped), default=None)

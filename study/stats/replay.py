"""What a pruner would have done to a study that was not pruned: it has every curve to its end.

Notation: N trials, E epochs of a whole run. Signals and final values are shares, larger is better: an accuracy as it
is, another metric as the share of the way from its chance level (see ``Metric.progress``). Regret is in
points, hundredths of that.

The trials and their order stay as they ran. What the sampler would have chosen after other results, and
how much earlier a trial would have begun in a freed lane, cannot be known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from study.core.errors import InputError
from study.core.median_rule import MedianRule
from study.core.records import CHANCE, StudyRecord

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Points that a family may lose to pruning; more is no fair comparison of families that differ by less.
TOLERATED = 1.0


@dataclass(frozen=True)
class Curves:
    """The whole curves of an unpruned study.

    Attributes:
        families: Family of each trial, length N.
        offsets: Global epoch at which each trial began, [N].
        signals: What a pruner could have seen, [N, E] each; not finite from where a trial diverged.
        final: Validation value after the last epoch, [N]; minus infinity for a diverged trial.
        chance: What a network that learned nothing scores.
    """

    families: tuple[str, ...]
    offsets: Ints
    signals: Mapping[str, Floats]
    final: Floats
    chance: float = CHANCE


def curves(study: StudyRecord) -> Curves:
    """Return the curves of a study for the replay.

    Raises:
        InputError: If the study was pruned, or no trial has finished.
    """
    if any(t.outcome == "pruned" for t in study.trials):
        raise InputError(
            f"study {study.config.name!r} was pruned, so its stopped curves have no end to compare with; "
            "replay needs a study that was not pruned (--pruner none)"
        )
    ended = study.ended
    if not study.finished:
        raise InputError(f"study {study.config.name!r} has no finished trial to replay")
    metric = study.config.metric
    seen = {
        "val": [[e.val_accuracy for e in t.epochs if e.finite] for t in ended],
        "averaged": [[e.averaged_accuracy for e in t.epochs if e.finite] for t in ended],
    }
    signals = {}
    for name, rows in seen.items():
        if all(value is not None for row in rows for value in row):
            signals[name] = np.full((len(ended), study.config.epochs), -np.inf)
            for row, shown in enumerate(rows):
                signals[name][row, : len(shown)] = [metric.progress(v) for v in shown if v is not None]
    return Curves(
        families=tuple(t.family for t in ended),
        offsets=np.array([t.spec.offset for t in ended]),
        signals=signals,
        final=np.array([-np.inf if t.value is None else metric.progress(t.value) for t in ended]),
        chance=metric.progress(metric.chance),
    )


def epochs_trained(
    signal: Floats, offsets: Ints, families: Sequence[str], rule: MedianRule, *, within: bool
) -> Ints:
    """Return how many epochs each trial would have trained under a pruning rule.

    The global epoch gives the order: trial i is at its epoch ``clock - offsets[i]``. All trials that
    end an epoch at the same clock are judged together, on what was known before any of them was stopped.

    Args:
        signal: What the pruner sees, [N, E]; minus infinity from where a trial diverged.
        offsets: Global epoch at which each trial began, [N].
        families: Each trial's family, length N.
        rule: The pruning rule.
        within: Compare each trial with its own family only.

    Returns:
        Epochs trained, [N]; E for a trial that was not stopped and did not diverge.
    """
    epochs = signal.shape[1]
    trained = epochs_untouched(signal)
    best = np.maximum.accumulate(signal, axis=1)
    names, everyone = np.asarray(families), np.arange(len(families))
    kin = {name: np.flatnonzero(names == name) for name in dict.fromkeys(families)}
    for clock in range(int(offsets.min()), int(offsets.max()) + epochs):
        at = clock - offsets
        running = np.flatnonzero((at >= 0) & (at < trained))
        losers = []
        for trial in running.tolist():
            epoch = int(at[trial])
            if rule.due(epoch):
                own = _standings(signal, trained, offsets, clock, trial, kin[families[trial]])
                others = own if within else _standings(signal, trained, offsets, clock, trial, everyone)
                if rule.loses(float(best[trial, epoch]), others.tolist(), own.tolist()):
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
    rule: MedianRule

    @property
    def flags(self) -> str:
        """The flags that give this setting to ``study.search``."""
        rule = self.rule
        return (
            f"--pruner {self.pruner} --prune-on {self.prune_on} --n-warmup-steps {rule.n_warmup_steps} "
            f"--interval-steps {rule.interval_steps} --n-startup-trials {rule.n_startup_trials} "
            f"--keep-best {rule.keep_best}"
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
        regret: Points between the best trial and the best that was kept.
        losses: The same within each family; with none kept, down to chance.
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
    losses: Mapping[str, float]
    false_prunes: Mapping[str, float | None]

    @property
    def worst_loss(self) -> float:
        """Largest loss of any family, in points."""
        return max(self.losses.values(), default=0.0)


def judge(setting: Setting, data: Curves) -> Replay:
    """Replay one setting and measure what it saved and what it threw away."""
    signal = data.signals[setting.prune_on]
    within = setting.pruner == "family-median"
    trained = epochs_trained(signal, data.offsets, data.families, setting.rule, within=within)
    return measure(setting, data, trained)


def measure(setting: Setting, data: Curves, trained: Ints) -> Replay:
    """Return what stopping each trial after ``trained`` [N] epochs saves and throws away."""
    diverged = ~np.isfinite(data.final)
    untouched = epochs_untouched(data.signals["val"])
    stopped = trained < untouched
    kept = ~stopped & ~diverged
    names = np.asarray(data.families)
    false_prunes: dict[str, float | None] = {}
    losses: dict[str, float] = {}
    families_kept = 0
    families = [f for f in dict.fromkeys(data.families) if np.isfinite(data.final[names == f]).any()]
    for family in families:
        mine = names == family
        bar = data.final[mine & kept].max(initial=-np.inf)
        ends = data.final[mine & stopped]
        false_prunes[family] = float((ends > bar).mean()) if ends.size else None
        top = data.final[mine].max()
        families_kept += bool(bar == top)
        losses[family] = float(100 * max(0.0, top - max(bar, data.chance)))
    best, best_kept = data.final.max(), data.final[kept].max(initial=-np.inf)
    return Replay(
        setting=setting,
        stopped=int(stopped.sum()),
        saved=float(1 - trained.sum() / untouched.sum()),
        winner_kept=bool(best_kept == best),
        families_kept=families_kept,
        families=len(families),
        regret=float(100 * (best - best_kept)),
        losses=losses,
        false_prunes=false_prunes,
    )


def epochs_untouched(signal: Floats) -> Ints:
    """Return the epochs that each trial takes when none is stopped, [N].

    All of them; a diverged trial ends with the first whose signal, [N, E], is not finite.
    """
    finite = np.isfinite(signal)
    epochs: Ints = np.where(finite.all(axis=1), signal.shape[1], finite.argmin(axis=1) + 1)
    return epochs


def in_other_orders(setting: Setting, data: Curves, orders: int, seed: int = 0) -> list[Replay]:
    """Replay one setting in ``orders`` shuffled orders.

    Whether one trial survives one order is little evidence. Here each family's trials change places
    among themselves: whoever came first may come last. A sampler that learned put better trials later,
    which a shuffle undoes, so what is kept in how many orders is a check on luck and no probability.
    """
    rng = np.random.default_rng(seed)
    names = np.asarray(data.families)
    replays = []
    for _ in range(orders):
        offsets = data.offsets.copy()
        for family in dict.fromkeys(data.families):
            mine = np.flatnonzero(names == family)
            offsets[mine] = rng.permutation(offsets[mine])
        replays.append(judge(setting, replace(data, offsets=offsets)))
    return replays


def recommend(replays: Collection[Replay], others: Callable[[Replay], Sequence[Replay]]) -> Replay | None:
    """Return the setting that saves most epochs among those that are harmless; None if none is.

    Harmless keeps the winner, and no family loses more than ``TOLERATED`` points, as the trials ran and in every
    other order: a pruner that is kind by luck is no recommendation.

    Args:
        replays: The settings, as the trials ran.
        others: Gives a setting's replays in other orders; asked only where it is needed.
    """
    for replay in sorted((r for r in replays if r.saved > 0), key=rank, reverse=True):
        if harmless(replay) and all(harmless(other) for other in others(replay)):
            return replay
    return None


def harmless(replay: Replay) -> bool:
    """Whether the winner is kept and no family loses more than is tolerated."""
    return replay.winner_kept and replay.worst_loss <= TOLERATED


def rank(replay: Replay) -> tuple[float, ...]:
    """Return the key by which settings are ordered, best last; among equals the more careful one."""
    rule = replay.setting.rule
    careful = (rule.keep_best, rule.n_warmup_steps, rule.interval_steps, rule.n_startup_trials)
    return (harmless(replay), replay.saved, replay.families_kept, *careful)


def leaders(replays: Collection[Replay], count: int, also: Replay | None = None) -> list[Replay]:
    """Return the ``count`` best settings of each pruner, number of trials kept, and signal, best first; and ``also``.

    Of settings that come to the same (as many trials stopped, as much saved and lost) one stands for all.
    """
    groups: dict[tuple[object, ...], dict[tuple[object, ...], Replay]] = {}
    for r in sorted(replays, key=rank, reverse=True):
        group = groups.setdefault((r.setting.pruner, r.setting.rule.keep_best, r.setting.prune_on), {})
        group.setdefault((r.stopped, r.saved, r.regret, r.worst_loss, r.families_kept), r)
    best = [r for group in groups.values() for r in list(group.values())[:count]]
    if also is not None and also not in best:
        best.append(also)
    return sorted(best, key=rank, reverse=True)

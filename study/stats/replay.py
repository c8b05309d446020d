"""What a pruner would have done to a study that was not pruned: it has every curve to its end.

Notation: N trials, E epochs of a whole run. Signals and final values are shares, larger is better: an accuracy as it
is, another metric as the share of the way from its chance level (see ``Metric.progress``). Regret is in
points, hundredths of that.

The trials and their order stay as they ran. What the sampler would have chosen after other results, and
how much earlier a trial would have begun in a freed lane, cannot be known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from study.core.errors import InputError
from study.core.metric import ACCURACY
from study.core.records import CHANCE, StudyRecord, TrialRecord
from study.core.rules.forecast import is_bounded, trial_traits
from study.core.rules.median_rule import MedianRule
from study.core.rules.predict_rule import PredictRule
from study.stats.pruning.clock import epochs_forecast, epochs_trained, epochs_untouched

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
        failed: What a trial must beat to have learned anything.
        traits: What the ends are forecast from, by signal, [N, E - 1, F] each; needed by the rule that knows the schedule.
        bounded: Whether the metric has a best possible value.
    """

    families: tuple[str, ...]
    offsets: Ints
    signals: Mapping[str, Floats]
    final: Floats
    chance: float = CHANCE
    failed: float = ACCURACY.failed
    traits: Mapping[str, Floats] = field(default_factory=dict)
    bounded: bool = True


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
        failed=metric.progress(metric.failed),
        traits={name: _traits(ended, signal, bounded=is_bounded(metric)) for name, signal in signals.items()},
        bounded=is_bounded(metric),
    )


def _traits(trials: Sequence[TrialRecord], signals: Floats, *, bounded: bool) -> Floats:
    """Return the traits of trials with their signals, [N, E]."""
    return np.stack(
        [
            trial_traits(trial.spec, [e.train_loss for e in trial.epochs], signal, bounded=bounded)
            for trial, signal in zip(trials, signals, strict=True)
        ]
    )


@dataclass(frozen=True)
class Setting:
    """One pruner with its options, as the search's flags name them."""

    pruner: str
    prune_on: str
    rule: MedianRule | PredictRule

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
    rule = setting.rule
    if isinstance(rule, PredictRule):
        told = data.signals[setting.prune_on], data.traits[setting.prune_on], data.final
        failed, bounded = data.failed, data.bounded
        trained = epochs_forecast(*told, data.offsets, data.families, rule, failed=failed, bounded=bounded)
    else:
        within = setting.pruner == "family-median"
        signal = data.signals[setting.prune_on]
        trained = epochs_trained(signal, data.offsets, data.families, rule, within=within)
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

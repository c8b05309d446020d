"""When each trial of a study would have been stopped, epoch by epoch of the clock that all trials share.

Notation: N trials, E epochs of a whole run, F traits that a trial's end is forecast from. Signals are shares, larger is better.

The global epoch gives the order: trial i is at its epoch ``clock - offsets[i]``. All trials that end an epoch at the same
clock are judged together, on what was known before any of them was stopped, by the very rules that the search uses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from study.core.rules.forecast import Forecaster
from study.core.rules.median_rule import MedianRule
from study.core.rules.predict_rule import PredictRule, hopeful

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def epochs_untouched(signal: Floats) -> Ints:
    """Return the epochs that each trial takes when none is stopped, [N].

    All of them; a diverged trial ends with the first whose signal, [N, E], is not finite.
    """
    finite = np.isfinite(signal)
    epochs: Ints = np.where(finite.all(axis=1), signal.shape[1], finite.argmin(axis=1) + 1)
    return epochs


def epochs_trained(
    signal: Floats, offsets: Ints, families: Sequence[str], rule: MedianRule, *, within: bool
) -> Ints:
    """Return how many epochs each trial would have trained under a pruning rule.

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


def epochs_forecast(
    signal: Floats,
    traits: Floats,
    final: Floats,
    offsets: Ints,
    families: Sequence[str],
    rule: PredictRule,
    *,
    failed: float,
    bounded: bool,
) -> Ints:
    """Return how many epochs each trial would have trained under the rule that knows the schedule.

    As ``epochs_trained``, but a trial that ends at a clock is known to have ended when the others are judged.

    Args:
        signal: What the pruner sees, [N, E]; minus infinity from where a trial diverged.
        traits: What ends are forecast from, [N, E - 1, F].
        final: What the trials ended at, [N]; minus infinity for a diverged one.
        offsets: Global epoch at which each trial began, [N].
        families: Each trial's family, length N.
        rule: The pruning rule.
        failed: What a trial must beat to have learned anything.
        bounded: Whether the metric has a best possible value.

    Returns:
        Epochs trained, [N].
    """
    epochs, names = signal.shape[1], np.asarray(families)
    trained, best = epochs_untouched(signal), np.maximum.accumulate(signal, axis=1)
    forecaster, finished = Forecaster(bounded=bounded), defaultdict[str, list[float]](list)
    everyone = np.arange(len(names))
    kin = {name: np.flatnonzero(names == name) for name in dict.fromkeys(families)}

    def standings(trial: int, peers: Ints) -> list[float]:
        stood: list[float] = _standings(signal, trained, offsets, clock, trial, peers).tolist()
        return stood

    def loses(trial: int, epoch: int) -> bool:
        shown, own = float(best[trial, epoch]), kin[families[trial]]
        if shown <= failed or len(forecaster) < rule.n_startup_trials:
            median = rule.fallback
            return median.due(epoch) and median.loses(
                shown, standings(trial, everyone), standings(trial, own)
            )
        bar = rule.bar(finished[families[trial]])
        if bar is None or not rule.due(epoch):
            return False
        return rule.loses(hopeful(forecaster, epoch, traits[trial]), bar, shown, standings(trial, own))

    for clock in range(int(offsets.min()), int(offsets.max()) + epochs):
        at = clock - offsets
        for trial in np.flatnonzero((at == epochs - 1) & (trained == epochs) & np.isfinite(final)).tolist():
            finished[families[trial]].append(float(final[trial]))
            if final[trial] > failed:
                forecaster.learn(traits[trial], float(final[trial]))
        running = np.flatnonzero((at >= 0) & (at < trained))
        losers = [trial for trial in running.tolist() if loses(trial, int(at[trial]))]
        trained[losers] = at[losers] + 1
    return trained

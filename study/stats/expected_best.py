"""The best score that a search of n trials would have found: how much the number of trials buys.

Dodge et al., "Show Your Work" (2019), with the draws made without replacement, which is exact for the
trials at hand (Tang et al. 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from study.core.errors import InputError
from study.core.metric import ACCURACY, Metric

Floats = NDArray[np.float64]

#: Bootstrap samples and their seed: the same scores give the same band.
DRAWS = 1000
SEED = 7
#: Points of the curve: more cannot be seen.
POINTS = 200


@dataclass(frozen=True)
class BestOf:
    """Expected best score against the number of trials; arrays of shape [points].

    Attributes:
        trials: Numbers of trials, ascending, from 1 to all.
        expected: Expected best score of that many trials drawn from those observed.
        low: Lower end of the bootstrap band.
        high: Upper end.
    """

    trials: NDArray[np.int64]
    expected: Floats
    low: Floats
    high: Floats


def expected_best(
    scores: Sequence[float | None] | Floats, *, level: float = 0.95, metric: Metric = ACCURACY
) -> BestOf:
    """Return the expected best of n trials, for n up to the trials observed, with a bootstrap band.

    With the N scores sorted upwards, ``E[best of n] = sum_i x_i C(i - 1, n - 1) / C(N, n)``: the i-th is
    the best of a draw when the other n - 1 come from the i - 1 below it. The band holds the middle
    ``level`` of the same curve over resamples of the N scores; it shows what another search of the same
    size could have given, and its upper end cannot pass the best score seen.

    Args:
        scores: Score of each trial. A trial without one (``None`` or NaN: pruned, diverged) still used up
            a trial; it is given the lowest score observed, so it is hardly ever a best.
        level: Share of the resamples within the band.
        metric: What the scores are, which says what best means.

    Raises:
        InputError: No trial has a score, or ``level`` is not in (0, 1).
    """
    x = np.array([np.nan if s is None else metric.gain(s) for s in scores], dtype=np.float64)
    if not np.isfinite(x).any():
        raise InputError(f"none of {x.size} trials has a score: the expected best needs at least one")
    if not 0 < level < 1:
        raise InputError(f"level must be in (0, 1), got {level:g}")
    x = np.where(np.isfinite(x), x, x[np.isfinite(x)].min())
    trials = np.unique(np.linspace(1, x.size, min(x.size, POINTS)).round().astype(np.int64))
    weights = best_weights(x.size, trials)
    resamples = np.random.default_rng(SEED).choice(x, size=(DRAWS, x.size))
    curves = np.sort(resamples, axis=1) @ weights.T
    low, high = np.quantile(curves, [(1 - level) / 2, (1 + level) / 2], axis=0)
    expected = weights @ np.sort(x)
    if not metric.maximized:
        return BestOf(trials=trials, expected=-expected, low=-high, high=-low)
    return BestOf(trials=trials, expected=expected, low=low, high=high)


def best_weights(size: int, trials: NDArray[np.int64]) -> Floats:
    """Return the chance that the i-th smallest of ``size`` scores is the best of n drawn.

    Args:
        size: N, scores in all.
        trials: Values of n, from 1 to N, shape [points].

    Returns:
        ``C(i - 1, n - 1) / C(N, n)``, zero for i < n; rows sum to one; shape [points, N].
    """
    i, n = np.arange(1, size + 1)[None, :], trials[:, None]

    reached = np.maximum(i, n)
    log_weight = _log_choose(reached - 1, n - 1) - _log_choose(np.array(size), n)
    return np.where(i >= n, np.exp(log_weight), 0.0)


def _log_choose(a: NDArray[np.int64], b: NDArray[np.int64]) -> Floats:
    logs: Floats = gammaln(a + 1.0) - gammaln(b + 1.0) - gammaln(a - b + 1.0)
    return logs

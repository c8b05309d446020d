"""Compare finalists over shared seeds: the arithmetic under the verdict, for many tables at once.

Notation: R tables (repetitions), S seeds, F finalists. ``y[r, s, f]`` is the accuracy of finalist f
trained with seed s; ``good[r, s, f]`` says that this run counts as a typical one. The model is
``y = seed effect + finalist effect + noise``, fitted by least squares to the good runs.

The leading axis exists so that ``benchmarks/verdict.py`` simulates thousands of confirmations through
the very code that judges one. ``docs/verdict.md`` argues for each choice and shows what it costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from study.core.records import CHANCE, FAILED_BELOW

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: A run this far below its finalist's better runs is bad: two points of accuracy, or
#: ``BAD_SPREADS`` robust standard deviations where that is more.
BAD_DROP = 0.02
BAD_SPREADS = 8.0
#: A leader with at least this share of bad runs does not win over a finalist that fails less often.
FAILS_TOO_OFTEN = 0.1
#: A finalist that failed in more than this share of its runs is out before any comparison.
HOPELESS_SHARE = 0.5
#: Variances below this are rounding: accuracies come in steps of 1e-4.
NO_VARIANCE = 1e-18


@dataclass(frozen=True)
class Comparison:
    """The leader against each finalist, in R tables. Shapes ``[R, F]`` unless said.

    Attributes:
        leader: Index of the finalist with the highest typical accuracy, ``[R]``.
        bad: Runs set aside as bad, ``[R, S, F]``.
        mean: Mean accuracy over all runs, bad ones and diverged ones (at ``CHANCE``) included.
        out: The finalist failed too often to be compared.
        comparable: At least two seeds gave a good run of the finalist and of the leader.
        difference: Typical accuracy of the leader minus that of the finalist.
        error: Standard error of the difference.
        freedom: Degrees of freedom of ``error``.
        statistic: ``(difference - margin) / error``.
        p: Two-sided p-value of ``statistic`` (1 where it is not positive).
        p_holm: The p-values corrected by Holm's step-down over the finalists compared.
        step_level: Two-sided level of the interval that agrees with Holm's step.
        excluded: Told from the leader, and neither steadier nor ahead of it in the mean over all runs.
    """

    leader: Ints
    bad: Bools
    mean: Floats
    out: Bools
    comparable: Bools
    difference: Floats
    error: Floats
    freedom: Floats
    statistic: Floats
    p: Floats
    p_holm: Floats
    step_level: Floats
    excluded: Bools

    @property
    def winner(self) -> Bools:
        """Whether a winner is named: every finalist but the leader is excluded, ``[R]``."""
        named: Bools = self.excluded.sum(1) == self.excluded.shape[1] - 1
        return named


def counted(y: Floats) -> Floats:
    """Return accuracies with each diverged run (NaN) counted as ``CHANCE``."""
    return np.where(np.isnan(y), CHANCE, y)


def bad_runs(y: Floats) -> Bools:
    """Say which runs ended far below what the same finalist does with other seeds.

    A run is bad if it diverged (NaN), ended under ``FAILED_BELOW``, or ended more than
    ``max(BAD_DROP, BAD_SPREADS * sigma)`` below the upper quartile of its finalist's runs. ``sigma``
    is one robust spread for the whole table: the median distance from the finalists' medians, scaled
    to a standard deviation by 1.4826 and by S / (S - 0.8) for few seeds (Croux and Rousseeuw 1992).
    The quartile, not the median, so that a finalist that fails in every second run is seen to.

    Args:
        y: Accuracies, ``[R, S, F]``.

    Returns:
        ``[R, S, F]``.
    """
    value = counted(y)
    seeds = y.shape[1]
    away = np.abs(value - np.median(value, axis=1, keepdims=True))
    sigma = 1.4826 * seeds / (seeds - 0.8) * np.median(away, axis=(1, 2), keepdims=True)
    drop = np.quantile(value, 0.75, axis=1, keepdims=True) - value
    bad: Bools = np.isnan(y) | (value < FAILED_BELOW) | (drop > np.maximum(BAD_DROP, BAD_SPREADS * sigma))
    return bad


@dataclass(frozen=True)
class Fit:
    """Least-squares fit of seed and finalist effects to the good runs of R tables.

    Attributes:
        effect: Finalist effects, each table's summing to zero, ``[R, F]``.
        unscaled: Covariance of the effects for noise of variance 1, ``[R, F, F]``.
        noise: Residual variance, pooled over all finalists, ``[R]``.
        freedom: Its degrees of freedom, ``[R]``.
    """

    effect: Floats
    unscaled: Floats
    noise: Floats
    freedom: Floats


def fit(y: Floats, good: Bools) -> Fit:
    """Fit ``y = seed + finalist`` to the good runs; with none missing, the two-way layout's means.

    Eliminating the seed effects leaves F normal equations a table, ``L effect = b``, with
    ``L = diag(runs per finalist) - sum_s g_s g_s' / (good runs of s)``, ``g_s`` the row of ``good``.

    Args:
        y: Accuracies, NaN allowed where not good, ``[R, S, F]``.
        good: Runs to fit, ``[R, S, F]``.

    Returns:
        The fit; ``noise`` is 0 where no degree of freedom is left.
    """
    g = good.astype(np.float64)
    value = np.where(good, y, 0.0)
    per_seed = np.maximum(g.sum(2), 1.0)
    normal = np.einsum("rsf,fk->rfk", g, np.eye(g.shape[2])) - np.einsum(
        "rsf,rsk,rs->rfk", g, g, 1 / per_seed
    )
    centred = g * (value - (value.sum(2) / per_seed)[:, :, None])
    unscaled = np.linalg.pinv(normal, hermitian=True, rcond=1e-10)
    effect = np.einsum("rfk,rk->rf", unscaled, centred.sum(1))
    seed = (g * (value - effect[:, None, :])).sum(2) / per_seed
    residual = g * (value - effect[:, None, :] - seed[:, :, None])
    freedom = g.sum((1, 2)) - (g.sum(2) > 0).sum(1) - (g.sum(1) > 0).sum(1) + 1
    noise = np.where(freedom > 0, (residual**2).sum((1, 2)) / np.maximum(freedom, 1), 0.0)
    return Fit(effect=effect, unscaled=unscaled, noise=noise, freedom=freedom)


def pair_variance(y: Floats, good: Bools, leader: Ints) -> tuple[Floats, Ints]:
    """Return the variance of (leader - finalist) over the seeds where both ran well, and their count.

    Args:
        y: Accuracies, ``[R, S, F]``.
        good: Runs to use, ``[R, S, F]``.
        leader: ``[R]``.

    Returns:
        Variance (ddof 1; 0 where fewer than two seeds are shared) and count, both ``[R, F]``.
    """
    rows = np.arange(len(y))
    both = good & good[rows, :, leader][:, :, None]
    difference = np.where(both, y[rows, :, leader][:, :, None] - y, 0.0)
    shared = both.sum(1)
    centre = difference.sum(1) / np.maximum(shared, 1)
    squares = (both * (difference - centre[:, None, :]) ** 2).sum(1)
    return squares / np.maximum(shared - 1, 1), shared


def holm(p: Floats, tested: Bools, alpha: float) -> tuple[Floats, Floats]:
    """Correct p-values by Holm's step-down within each row (Holm 1979).

    Sorted upwards, the i-th of m is multiplied by ``m - i`` (i from 0) and may not be smaller than the
    one before it.

    Args:
        p: ``[R, F]``.
        tested: Which entries are tests; the others are neither corrected nor counted.
        alpha: Level at which the steps stop.

    Returns:
        Corrected p-values (1 where not tested) and each test's own two-sided level ``alpha / (m - i)``,
        where i stops growing at the first step not rejected; both ``[R, F]``. An interval at that level
        leaves out zero exactly when the corrected p-value is below ``alpha``.
    """
    order = np.argsort(np.where(tested, p, np.inf), axis=1, kind="stable")
    count = tested.sum(1, keepdims=True)
    factor = np.maximum(count - np.arange(p.shape[1]), 1)
    ranked = np.take_along_axis(np.where(tested, p, 1.0), order, axis=1)
    stepped = np.minimum(np.maximum.accumulate(ranked * factor, axis=1), 1.0)
    # Up to and including the first failure each step has its own level; later ones keep the failure's.
    failed = stepped >= alpha
    failures_before: Ints = np.cumsum(failed, axis=1) - failed
    level = np.minimum.accumulate(np.where(failures_before == 0, factor, factor.max()), axis=1)
    corrected, levels = np.empty_like(p), np.empty_like(p)
    np.put_along_axis(corrected, order, stepped, axis=1)
    np.put_along_axis(levels, order, alpha / level, axis=1)
    return np.where(tested, corrected, 1.0), levels


def compare(y: Floats, *, level: float = 0.95, margin: float = 0.0) -> Comparison:
    """Compare the leader of each table with every other finalist.

    The leader has the highest effect in ``fit`` over the good runs. Its lead over finalist f has the
    standard error ``sqrt(v / n)``: n is the number of shared seeds (the equivalent number where runs
    are missing), and v the larger of two variances of a difference: ``own``, of this pair's differences,
    and ``pooled``, twice the residual variance of all finalists. The pooled figure lifts an ``own``
    that is small by luck, which is what costs a plain paired t-test its power: it buys that test's
    ``n - 1`` degrees of freedom up to those of the whole table, ``(n - 1) (F - 1)``. It never makes a
    noisy pair look quiet. With two finalists both are the same number, and this is the paired t-test.

    A finalist is excluded when three things hold: it is behind by more than ``margin`` beyond chance
    (Holm), or failed in most of its runs; its mean over all runs, the bad ones included, is not above
    the leader's; and the leader fails in less than ``FAILS_TOO_OFTEN`` of its runs, or no more often
    than this finalist.

    Args:
        y: Accuracies in [0, 1], NaN for a diverged run, ``[R, S, F]``, S and F at least 2.
        level: Confidence level.
        margin: Lead that does not matter, in accuracy.
    """
    bad = bad_runs(y)
    mean = counted(y).mean(1)
    fails = bad.mean(1)
    out = fails > HOPELESS_SHARE
    good: Bools = ~bad & ~out[:, None, :]
    model = fit(y, good)
    leader = np.where(out, -np.inf, model.effect).argmax(1)
    rows = np.arange(len(y))

    own, shared = pair_variance(y, good, leader)
    variance = np.maximum(own, 2 * model.noise[:, None])
    diagonal = np.einsum("rff->rf", model.unscaled)
    unit = diagonal + diagonal[rows, leader][:, None] - 2 * model.unscaled[rows, leader]
    error = np.sqrt(variance * unit / 2)
    freedom = np.broadcast_to(np.maximum(model.freedom, 1.0)[:, None], own.shape)

    difference = model.effect[rows, leader][:, None] - model.effect
    statistic = studentise(difference - margin, error)
    comparable: Bools = shared >= 2
    p = np.where(comparable, np.minimum(2 * stats.t.sf(np.maximum(statistic, 0), freedom), 1.0), 1.0)
    tested = ~out
    tested[rows, leader] = False
    p_holm, step_level = holm(p, tested, 1 - level)
    told: Bools = out | (p_holm < 1 - level)
    leader_fails = fails[rows, leader][:, None]
    steady = (leader_fails < FAILS_TOO_OFTEN) | (leader_fails <= fails)
    excluded = told & steady & (mean <= mean[rows, leader][:, None])
    excluded[rows, leader] = False
    return Comparison(
        leader=leader,
        bad=bad,
        mean=mean,
        out=out,
        comparable=comparable,
        difference=difference,
        error=error,
        freedom=freedom,
        statistic=statistic,
        p=p,
        p_holm=p_holm,
        step_level=step_level,
        excluded=excluded,
    )


def studentise(difference: Floats, error: Floats) -> Floats:
    """Return ``difference / error``; 0 / 0 is 0, and a difference without any error is infinite."""
    certain = error**2 < NO_VARIANCE
    zero = np.abs(difference) < np.sqrt(NO_VARIANCE)
    ratio: Any = difference / np.where(certain, 1.0, error)
    return np.where(certain, np.where(zero, 0.0, np.copysign(np.inf, difference)), ratio)


def share_of_best(y: Floats, *, draws: int, seed: int) -> Floats:
    """Return how often each finalist leads when the seeds are drawn again with replacement.

    Bad runs stay set aside, as judged on the whole table; equal leaders share the draw.

    Args:
        y: One table, ``[S, F]``.
        draws: Bootstrap samples.
        seed: Seed of the generator.

    Returns:
        Shares that sum to one, ``[F]``.
    """
    bad = bad_runs(y[None])[0]
    out = bad.mean(0) > HOPELESS_SHARE
    good = ~bad & ~out
    index = np.random.default_rng(seed).integers(len(y), size=(draws, len(y)))
    sample = good[index]
    effect = np.where(sample.any(1), fit(y[index], sample).effect, -np.inf)
    # A draw in which every run is set aside says nothing: the finalists that are not out share it.
    effect = np.where(sample.any((1, 2))[:, None], effect, np.where(out, -np.inf, 0.0))
    best = effect >= effect.max(1, keepdims=True) - np.sqrt(NO_VARIANCE)
    shares: Floats = (best / best.sum(1, keepdims=True)).mean(0)
    return shares

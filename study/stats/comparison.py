"""Compare finalists over shared seeds: the arithmetic under the verdict, for many tables at once.

Notation: R tables (repetitions), S seeds, F finalists. ``y[r, s, f]`` is the gain of finalist f trained with
seed s: its value of the metric, its sign turned where less is better (``Metric.gain``), so that more is better
here whatever is measured. For accuracy, gain and value are one. ``good[r, s, f]`` says that this run counts as a typical one. The model is
``y = seed effect + finalist effect + noise``, fitted by least squares to the good runs.

The leading axis exists so that ``benchmarks/verdict.py`` simulates thousands of confirmations through
the very code that judges one. ``docs/verdict.md`` argues for each choice and shows what it costs; how
several looks share one allowance for error is in ``sequential.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from study.core.metric import ACCURACY, Metric

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: A run this far below its finalist's better runs is bad: ``Metric.bad_drop``, or so many robust standard
#: deviations where that is more.
BAD_SPREADS = 8.0
#: Who has at least this share of bad runs does not lead while anybody has less, and wins over nobody who fails less often.
FAILS_TOO_OFTEN = 0.1
#: A finalist is out before any comparison that failed in more than this share of its runs, and in so many that one
#: failing in a third would do it with a chance below ``HOPELESS_P``, or in all.
HOPELESS_SHARE, HOPELESS_P = 0.5, 0.001
#: Seeds from which on a pair is judged by its own variance alone.
OWN_VARIANCE_FROM = 10
#: Variances below this share of the squared size of the values are rounding: accuracies come in steps of 1e-4.
NO_VARIANCE = 1e-18


@dataclass(frozen=True)
class Comparison:
    """The leader against each finalist, in R tables. Shapes ``[R, F]`` unless said.

    Attributes:
        leader: Index of the finalist with the highest typical gain of those that do not fail too often, ``[R]``.
        bad: Runs set aside as bad, ``[R, S, F]``.
        mean: Mean gain over all runs, bad ones and diverged ones (as ``counted`` counts them) included.
        out: The finalist failed too often to be compared.
        comparable: At least two seeds gave a good run of the finalist and of the leader.
        difference: Typical gain of the leader minus that of the finalist.
        error: Standard error of the difference.
        freedom: Degrees of freedom of ``error``.
        statistic: ``(difference - ahead_by) / error``.
        fails_p: Two-sided p-value of failing more often than the leader; NaN where that is not asked.
        p: Two-sided p-value of ``statistic`` (1 where it is not positive); where ``fails_p`` is asked for, twice the
            smaller of the two (Bonferroni).
        needed: What ``p`` had to be below, by the finalist's step of Holm's procedure.
        low: Lower end of the interval of the difference, at the two-sided level ``1 - needed``: it lies
            above ``ahead_by`` exactly when ``p`` is below ``needed`` (level and share of ``p`` are halved where
            ``fails_p`` is asked for). Minus infinity where not comparable.
        high: Its upper end.
        told: Told from the leader, in a typical run or in how often it fails; or out.
        excluded: Told, and neither steadier nor ahead of the leader in the mean over all runs.
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
    fails_p: Floats
    p: Floats
    needed: Floats
    low: Floats
    high: Floats
    told: Bools
    excluded: Bools


def counted(y: Floats, metric: Metric = ACCURACY) -> Floats:
    """Return gains with each diverged run (NaN) counted as chance, and none below ``Metric.floor``."""
    known: Floats = np.where(np.isnan(y), metric.gain(metric.chance), y)
    return np.maximum(known, metric.floor)


def bad_runs(y: Floats, metric: Metric = ACCURACY) -> Bools:
    """Say which runs ended far below what the same finalist does with other seeds.

    A run is bad if it diverged (NaN), learned nothing (``Metric.failed``), or ended more than
    ``max(Metric.bad_drop, BAD_SPREADS * sigma)`` below the upper quartile of its finalist's runs. ``sigma``
    is one robust spread for the whole table: the median distance from the finalists' medians, scaled
    to a standard deviation by 1.4826 and by S / (S - 0.8) for few seeds (Croux and Rousseeuw 1992).
    The quartile, not the median, so that a finalist that fails in every second run is seen to.

    Args:
        y: Gains, ``[R, S, F]``.
        metric: What they are gains of.

    Returns:
        ``[R, S, F]``.
    """
    value = counted(y, metric)
    seeds = y.shape[1]
    away = np.abs(value - np.median(value, axis=1, keepdims=True))
    sigma = 1.4826 * seeds / (seeds - 0.8) * np.median(away, axis=(1, 2), keepdims=True)
    drop = np.quantile(value, 0.75, axis=1, keepdims=True) - value
    failed = value < metric.gain(metric.failed)
    bad: Bools = np.isnan(y) | failed | (drop > np.maximum(metric.bad_drop, BAD_SPREADS * sigma))
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
        y: Gains, NaN allowed where not good, ``[R, S, F]``.
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
        y: Gains, ``[R, S, F]``.
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


def holm(p: Floats, tested: Bools, needed: Floats) -> tuple[Bools, Floats]:
    """Step down through the p-values of each row as Holm (1979) does, with a threshold for each step.

    The i-th smallest of m p-values (i from 0) is rejected where it and all before it are below the
    threshold for the ``m - i`` hypotheses that are then still open. For one look that threshold is
    ``alpha / (m - i)``; for several it is that share's part of the look (``sequential.Plan.needed``).

    Args:
        p: ``[R, F]``.
        tested: Which entries are tests; the others are neither rejected nor counted.
        needed: Threshold by number of open hypotheses, falling; entry 0 is not used, ``[F]``.

    Returns:
        What is rejected, and the threshold of each test: that of its own step up to and including the
        first step that fails, the failing one's beyond it; both ``[R, F]``.
    """
    order = np.argsort(np.where(tested, p, np.inf), axis=1, kind="stable")
    still_open = np.maximum(tested.sum(1, keepdims=True) - np.arange(p.shape[1]), 1)
    ranked = np.take_along_axis(np.where(tested, p, 1.0), order, axis=1)
    passed = np.logical_and.accumulate(ranked < needed[still_open], axis=1)
    first_failure = np.where(passed, 0, still_open).max(1, keepdims=True)
    steps = needed[np.where(passed, still_open, np.maximum(first_failure, 1))]
    rejected, thresholds = np.empty_like(tested), np.empty_like(p)
    np.put_along_axis(rejected, order, passed, axis=1)
    np.put_along_axis(thresholds, order, steps, axis=1)
    return rejected & tested, thresholds


def one_look(alpha: float, finalists: int) -> Floats:
    """Return Holm's thresholds ``alpha / m`` by number m of open comparisons; entry 0 is not used."""
    return alpha / np.maximum(np.arange(finalists), 1)


def hopeless(bad: Bools) -> Bools:
    """Say who failed in so many runs, ``[R, S, F]``, that it is out: not by the bad luck of a few, ``[R, F]``."""
    seeds, failed = bad.shape[1], bad.sum(1)
    chance = stats.binom.sf(failed - 1, seeds, 1 / 3)
    most: Bools = (failed > HOPELESS_SHARE * seeds) & ((chance < HOPELESS_P) | (failed == seeds))
    return most


def fails_more(bad: Bools, leader: Ints) -> Floats:
    """Return the two-sided p-value of each finalist failing more often than the leader, paired by seed.

    Of the seeds with which exactly one of the two failed, each is as likely the one as the other if they fail
    equally often: the exact sign test of McNemar (1947). 1 where the finalist fails no more often.

    Args:
        bad: ``[R, S, F]``.
        leader: ``[R]``.

    Returns:
        ``[R, F]``.
    """
    leads = bad[np.arange(len(bad)), :, leader][:, :, None]
    more, less = (bad & ~leads).sum(1), (~bad & leads).sum(1)
    p: Floats = np.minimum(2 * stats.binom.sf(more - 1, more + less, 0.5), 1.0)
    return np.where(more > less, p, 1.0)


def compare(
    y: Floats,
    needed: Floats,
    metric: Metric = ACCURACY,
    *,
    ahead_by: float = 0.0,
    own_from: int = OWN_VARIANCE_FROM,
    former: bool = False,
) -> Comparison:
    """Compare the leader of each table with every other finalist.

    The leader has the highest effect in ``fit`` over the good runs, among those that fail in less than
    ``FAILS_TOO_OFTEN`` of their runs; among all if none does. Its lead over finalist f has the
    standard error ``sqrt(v / n)``: n is the number of shared seeds (the equivalent number where runs
    are missing). From ``own_from`` seeds on, v is the variance of this pair's differences, with n - 1
    degrees of freedom: the paired t-test. With fewer, that variance is small by luck too often, and v is the
    larger of it and twice the residual variance of all finalists, with the degrees of freedom of the whole
    table, ``(n - 1) (F - 1)``: never smaller than what this pair showed.

    A finalist that fails too often, beside a leader that does not, is asked a second question: does it fail more
    often than the leader (``fails_more``)? It may be ahead in a typical run.

    A finalist is excluded when three things hold: it is behind by more than ``ahead_by`` beyond chance
    (Holm), or fails more often, likewise, or failed in most of its runs; its mean over all runs, the bad ones included, is not above
    the leader's; and the leader fails in less than ``FAILS_TOO_OFTEN`` of its runs, or no more often
    than this finalist.

    Args:
        y: Gains, NaN for a diverged run, ``[R, S, F]``, S and F at least 2.
        needed: What a two-sided p-value must be below, by number of open comparisons, ``[F]``.
        metric: What they are gains of.
        ahead_by: Lead that does not count.
        own_from: Seeds from which on a pair is judged by its own variance alone.
        former: Treat failing as the rules of versions 1 to 3 did: the best in a typical run leads, however often
            it fails; nobody is excluded for failing more often than another; and who failed in more than
            ``HOPELESS_SHARE`` of its runs is out, however few they were.
    """
    bad = bad_runs(y, metric)
    mean = counted(y, metric).mean(1)
    fails = bad.mean(1)
    out = (fails > HOPELESS_SHARE) if former else hopeless(bad)
    good: Bools = ~bad & ~out[:, None, :]
    model = fit(y, good)
    often = fails >= FAILS_TOO_OFTEN
    barred = often & ~often.all(1, keepdims=True) & (not former)
    leader = np.where(out | barred, -np.inf, model.effect).argmax(1)
    rows = np.arange(len(y))

    own, shared = pair_variance(y, good, leader)
    if y.shape[1] >= own_from:
        variance, freedom = own, np.maximum(shared - 1.0, 1.0)
    else:
        variance = np.maximum(own, 2 * model.noise[:, None])
        freedom = np.broadcast_to(np.maximum(model.freedom, 1.0)[:, None], own.shape)
    diagonal = np.einsum("rff->rf", model.unscaled)
    unit = diagonal + diagonal[rows, leader][:, None] - 2 * model.unscaled[rows, leader]
    error = np.sqrt(variance * unit / 2)

    difference = model.effect[rows, leader][:, None] - model.effect
    size = 1.0 if metric.share else np.abs(np.where(good, y, 0.0)).max((1, 2))[:, None]
    statistic = studentise(difference - ahead_by, error, size)
    comparable: Bools = shared >= 2
    behind = np.where(comparable, np.minimum(2 * stats.t.sf(np.maximum(statistic, 0), freedom), 1.0), 1.0)
    fails_p = np.where(barred & ~out, fails_more(bad, leader), np.nan)
    p = np.where(np.isnan(fails_p), behind, np.minimum(2 * np.fmin(behind, fails_p), 1.0))
    tested = ~out
    tested[rows, leader] = False
    rejected, thresholds = holm(p, tested, needed)
    share = np.where(np.isnan(fails_p), 1.0, 0.5)
    half = np.where(comparable, stats.t.isf(share * thresholds / 2, freedom) * error, np.inf)
    told: Bools = out | rejected
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
        fails_p=fails_p,
        p=p,
        needed=thresholds,
        low=difference - half,
        high=difference + half,
        told=told,
        excluded=excluded,
    )


def studentise(difference: Floats, error: Floats, size: Floats | float = 1.0) -> Floats:
    """Return ``difference / error``; 0 / 0 is 0, and a difference without any error is infinite.

    What is below a share of 1e-9 of ``size``, that of the values compared, is rounding.
    """
    least = np.maximum(NO_VARIANCE * np.square(size), np.finfo(np.float64).tiny)
    certain = error**2 < least
    zero = np.abs(difference) < np.sqrt(least)
    ratio: Any = difference / np.where(certain, 1.0, error)
    return np.where(certain, np.where(zero, 0.0, np.copysign(np.inf, difference)), ratio)

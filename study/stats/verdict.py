"""Who won, or who is in the tie: the verdict on finalists that were trained with the same fresh seeds.

``verdict(table, names)`` is the door. The arithmetic is in ``comparison.py``, what a verdict says in
``verdict_record.py``; the argument for it, its rate of false winners and its power, by simulation, are in
``docs/verdict.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from study.core.errors import InputError
from study.stats.comparison import Comparison, Floats, compare, counted, share_of_best
from study.stats.verdict_record import Difference, Finalist, Verdict

__all__ = ["Verdict", "verdict"]

#: Bootstrap samples, and the seed they are drawn with: the same table gives the same figures.
DRAWS = 2000
BOOTSTRAP_SEED = 20_000
#: Chance of a decision that ``more_seeds`` aims for, and the total beyond which it gives up.
SETTLED = 0.8
SEEDS_AT_MOST = 500


def verdict(table: ArrayLike, names: Sequence[str], *, level: float = 0.95, margin: float = 0.0) -> Verdict:
    """Name the winner among finalists that were trained with the same seeds, or the tie.

    Args:
        table: Accuracies in [0, 1], one row a seed, one column a finalist; NaN for a diverged run.
        names: The finalists' names, one a column.
        level: Confidence level: a false winner is named in at most ``1 - level`` of all confirmations.
        margin: Lead in accuracy that does not matter (0.002 is 0.2 points). A winner must be ahead by
            more; finalists within it on both sides are equal.

    Raises:
        InputError: A table that no verdict can rest on; the message says why.
    """
    level, margin = float(level), float(margin)
    y = _checked(table, names, level, margin)
    result = compare(y[None], level=level, margin=margin)
    if result.out.all():
        raise InputError("every finalist failed in most of its runs: there is nothing to choose from")
    leader = int(result.leader[0])
    others = [f for f in range(len(names)) if f != leader]
    differences = tuple(_difference(result, f, names[f], level, margin) for f in others)
    remaining = tuple(d for d in differences if not d.excluded)
    outcome: Literal["winner", "equal", "tie"] = "tie"
    if not remaining:
        outcome = "winner"
    elif all(d.equal for d in remaining):
        outcome = "equal"
    return Verdict(
        outcome=outcome,
        winner=None if remaining else names[leader],
        leader=names[leader],
        contenders=(names[leader], *(d.name for d in remaining)),
        finalists=_finalists(y, result, names, level),
        differences=differences,
        seeds=len(y),
        level=level,
        margin=margin,
        more_seeds=_more_seeds(remaining, len(y), level) if outcome == "tie" else None,
    )


def _checked(table: ArrayLike, names: Sequence[str], level: float, margin: float) -> Floats:
    """Return the table as an array of shape [seeds, finalists], or say what is wrong with it."""
    y = np.asarray(table, dtype=np.float64)
    if y.ndim != 2 or y.shape[1] != len(names):
        raise InputError(
            f"a verdict needs a table of seeds x finalists: got shape {y.shape} for {len(names)} names"
        )
    if len(set(names)) < len(names):
        raise InputError(f"finalists need different names, got {', '.join(names)}")
    if len(names) < 2:
        raise InputError(f"a verdict compares at least 2 finalists, got {len(names)}: confirm more of them")
    if len(y) < 2:
        raise InputError(f"a verdict needs at least 2 seeds, got {len(y)}: one run each cannot show chance")
    wrong = y[~np.isnan(y) & ~((y >= 0) & (y <= 1))]
    if wrong.size:
        raise InputError(f"accuracies must be in [0, 1] or NaN for a diverged run, got {wrong[0]:g}")
    if not 0.5 <= level < 1:
        raise InputError(f"level must be in [0.5, 1), got {level:g}")
    if not 0 <= margin < 1:
        raise InputError(f"margin must be in [0, 1) of accuracy, got {margin:g} (0.2 points are 0.002)")
    if np.all(y == y[0]) and np.ptp(y[0]) > 0:
        raise InputError("every seed gave the same accuracies: the runs did not use their seeds")
    return y


def _number(value: Any) -> float | None:
    """Return a plain float, ``None`` for NaN."""
    return None if np.isnan(value) else float(value)


def _finalists(y: Floats, result: Comparison, names: Sequence[str], level: float) -> tuple[Finalist, ...]:
    """Return each finalist's own figures."""
    best = share_of_best(y, draws=DRAWS, seed=BOOTSTRAP_SEED)
    rows = []
    for f, name in enumerate(names):
        runs, bad = counted(y[:, f]), result.bad[0, :, f]
        good = runs[~bad]
        typical = float(good.mean()) if good.size else math.nan
        sd = float(good.std(ddof=1)) if good.size > 1 else math.nan
        half = stats.t.ppf((1 + level) / 2, max(good.size - 1, 1)) * sd / math.sqrt(max(good.size, 1))
        row = Finalist(
            name=name,
            mean=float(runs.mean()),
            median=float(np.median(runs)),
            typical=_number(typical),
            sd=_number(sd),
            low=_number(typical - half),
            high=_number(typical + half),
            runs=len(y),
            bad_runs=int(bad.sum()),
            diverged=int(np.isnan(y[:, f]).sum()),
            probability_best=float(best[f]),
        )
        rows.append(row)
    return tuple(rows)


def _difference(result: Comparison, f: int, name: str, level: float, margin: float) -> Difference:
    """Return the leader against finalist ``f``."""
    mean_lead = float(result.mean[0, result.leader[0]] - result.mean[0, f])
    excluded = bool(result.excluded[0, f])
    if not result.comparable[0, f]:
        out = bool(result.out[0, f])
        nothing = dict.fromkeys(("lead", "low", "high", "t", "freedom", "p", "p_holm"))
        return Difference(
            name=name, **nothing, mean_lead=mean_lead, told_apart=out, out=out, equal=False, excluded=excluded
        )
    lead, freedom = float(result.difference[0, f]), float(result.freedom[0, f])
    half = float(stats.t.isf(result.step_level[0, f] / 2, freedom) * result.error[0, f])
    return Difference(
        name=name,
        lead=lead,
        low=lead - half,
        high=lead + half,
        t=float(result.statistic[0, f]),
        freedom=freedom,
        p=float(result.p[0, f]),
        p_holm=float(result.p_holm[0, f]),
        mean_lead=mean_lead,
        told_apart=bool(result.p_holm[0, f] < 1 - level),
        out=False,
        equal=-margin < lead - half and lead + half < margin,
        excluded=excluded,
    )


def _more_seeds(remaining: Sequence[Difference], seeds: int, level: float) -> int | None:
    """Return how many more seeds would tell the leader from all who remain, with chance ``SETTLED``.

    Lead and spread staying as they are, t grows with the square root of the seeds:
    ``n ((z(1 - alpha/2) + z(SETTLED)) / t)^2`` in all for each. ``None`` where the leader is not ahead,
    where it would take over ``SEEDS_AT_MOST``, or where bad runs keep someone in, not chance.
    """
    wanted = float(stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(SETTLED))
    needed = seeds + 1
    for d in remaining:
        if d.told_apart or d.t is None or d.t <= 0 or seeds * (wanted / d.t) ** 2 > SEEDS_AT_MOST:
            return None
        needed = max(needed, math.ceil(seeds * (wanted / d.t) ** 2))
    return needed - seeds

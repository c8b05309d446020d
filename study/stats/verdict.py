"""Who won, or that no difference matters: the verdict on finalists trained with the same fresh seeds.

``verdict(table, names, plan)`` is the door. The arithmetic of one look is in ``comparison.py``, that of several
in ``sequential.py``, that of images in ``images.py``; the argument for it all, its rate of false winners and its
power, by simulation, are in ``docs/verdict.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from study.core.errors import InputError
from study.stats.comparison import Bools, Comparison, Floats, counted
from study.stats.images import ImageSums, half_over_both
from study.stats.sequential import Look, Plan, walk
from study.stats.verdict_record import Difference, Ending, Finalist, Images, LookRecord, Verdict

__all__ = ["Plan", "Verdict", "verdict"]

#: Sums of the scores of two finalists at a look: its number, leader, rival, and which seeds count, ``[S]``.
Sums = Callable[[int, int, int, Bools], ImageSums]

#: Chance of a decision that ``settled_at`` aims for, and the number of seeds beyond which it gives up.
SETTLED = 0.8
SEEDS_AT_MOST = 1000


def verdict(table: ArrayLike, names: Sequence[str], plan: Plan, sums: Sums | None = None) -> Verdict:
    """Name the winner among finalists that were trained with the same seeds, or who remains.

    Args:
        table: Accuracies in [0, 1], one row a seed, one column a finalist; NaN for a diverged run and,
            of a finalist that was dropped, for the seeds after that. Looks beyond its rows are not taken yet.
        names: The finalists' names, one a column.
        plan: When they are judged, and how strictly: a false winner is named in at most ``1 - level`` of all
            confirmations, over all looks.
        sums: Gives what the scores of single test examples add up to, where they are known.

    Raises:
        InputError: A table that no verdict can rest on; the message says why.
    """
    y = _checked(table, names, plan)
    taken = []
    dropped: dict[int, int] = {}
    bad = np.zeros(y.shape, dtype=bool)
    for look in walk(y[None], plan):
        if look.comparison.out.all():
            raise InputError("every finalist failed in most of its runs: there is nothing to choose from")
        taken.append(_look(y, look, names, plan, sums))
        seeds = plan.looks[look.number]
        bad[:seeds, look.columns] = look.comparison.bad[0]
        dropped.update({int(f): seeds for f in look.columns[~look.remaining[0]]})
    seeds = taken[-1].seeds
    last = taken[-1]
    return Verdict(
        plan=plan,
        looks=tuple(taken),
        finalists=tuple(
            _finalist(name, y[: dropped.get(f, seeds), f], bad[:, f], dropped.get(f), plan)
            for f, name in enumerate(names)
        ),
        examples=None if sums is None else int(sums(0, 0, 1, np.ones(plan.looks[0], dtype=bool)).examples),
        settled_at=_settled_at(last, plan.level) if last.ending == "undecided" else None,
    )


def _checked(table: ArrayLike, names: Sequence[str], plan: Plan) -> Floats:
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
    if len(y) < plan.looks[0]:
        raise InputError(f"the first look needs {plan.looks[0]} seeds, got {len(y)}")
    wrong = y[~np.isnan(y) & ~((y >= 0) & (y <= 1))]
    if wrong.size:
        raise InputError(f"accuracies must be in [0, 1] or NaN for a diverged run, got {wrong[0]:g}")
    first = y[: plan.looks[0]]
    if np.all(first == first[0]) and np.ptp(first[0]) > 0:
        raise InputError("every seed gave the same accuracies: the runs did not use their seeds")
    return y


def _look(y: Floats, look: Look, names: Sequence[str], plan: Plan, sums: Sums | None) -> LookRecord:
    """Return what one look found."""
    c, seeds = look.comparison, plan.looks[look.number]
    leader = int(c.leader[0])
    good = ~c.bad[0] & ~c.out[0]
    differences = []
    for f, column in enumerate(look.columns.tolist()):
        if f != leader:
            shared = good[:, f] & good[:, leader]
            pair = y[:seeds, look.columns[leader]] - y[:seeds, column]
            ahead = int((pair[shared] > 0).sum())
            measured = None
            if sums is not None and c.comparable[0, f]:
                found = sums(look.number, int(look.columns[leader]), column, shared)
                measured = _images(c, f, found)
            differences.append(
                _difference(c, f, names[column], ahead, int(shared.sum()), plan.margin, measured)
            )
    ending: Ending = "winner" if look.won[0] else "equal" if look.equal[0] else "undecided"
    return LookRecord(seeds, names[look.columns[leader]], tuple(differences), ending)


def _images(c: Comparison, f: int, sums: ImageSums) -> Images:
    """Return the leader's lead over finalist ``f`` over seeds and images."""
    half = half_over_both(c.error[0, f], c.freedom[0, f], sums.variance(), c.needed[0, f])
    lead = float(c.difference[0, f])
    return Images(
        int(sums.seeds), float(sums.by_image), float(sums.disputed), lead - float(half), lead + float(half)
    )


def _difference(
    c: Comparison, f: int, name: str, ahead: int, shared: int, margin: float, images: Images | None
) -> Difference:
    """Return the leader against finalist ``f``."""
    common: dict[str, Any] = {
        "name": name,
        "mean_lead": float(c.mean[0, c.leader[0]] - c.mean[0, f]),
        "ahead": ahead,
        "shared": shared,
        "told_apart": bool(c.told[0, f]),
        "out": bool(c.out[0, f]),
        "excluded": bool(c.excluded[0, f]),
        "images": images,
    }
    if not c.comparable[0, f]:
        nothing: dict[str, Any] = dict.fromkeys(("lead", "low", "high", "t", "freedom", "p", "needed"))
        return Difference(**common, **nothing, equal=False)
    low, high = float(c.low[0, f]), float(c.high[0, f])
    return Difference(
        **common,
        lead=float(c.difference[0, f]),
        low=low,
        high=high,
        t=float(c.statistic[0, f]),
        freedom=float(c.freedom[0, f]),
        p=float(c.p[0, f]),
        needed=float(c.needed[0, f]),
        equal=-margin < low and high < margin,
    )


def _finalist(name: str, accuracies: Floats, bad: Bools, dropped: int | None, plan: Plan) -> Finalist:
    """Return a finalist's own figures, from the seeds that it was judged on."""
    runs, bad = counted(accuracies), bad[: len(accuracies)]
    good = runs[~bad]
    typical = float(good.mean()) if good.size else math.nan
    sd = float(good.std(ddof=1)) if good.size > 1 else math.nan
    half = stats.t.ppf((1 + plan.level) / 2, max(good.size - 1, 1)) * sd / math.sqrt(max(good.size, 1))
    return Finalist(
        name=name,
        mean=float(runs.mean()),
        median=float(np.median(runs)),
        typical=_number(typical),
        sd=_number(sd),
        low=_number(typical - half),
        high=_number(typical + half),
        runs=len(runs),
        bad_runs=int(bad.sum()),
        diverged=int(np.isnan(accuracies).sum()),
        dropped=dropped,
    )


def _number(value: Any) -> float | None:
    """Return a plain float, ``None`` for NaN."""
    return None if np.isnan(value) else float(value)


def _settled_at(look: LookRecord, level: float) -> int | None:
    """Return how many seeds in all would tell the leader from all who remain, with chance ``SETTLED``.

    Lead and spread staying as they are, t grows with the square root of the seeds:
    ``n ((z(1 - alpha/2) + z(SETTLED)) / t)^2`` in all for each. ``None`` where the leader is not ahead,
    where it would take over ``SEEDS_AT_MOST``, or where bad runs keep someone in, not chance.
    """
    wanted = float(stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(SETTLED))
    needed = look.seeds + 1
    for d in look.differences:
        if d.excluded:
            continue
        if d.told_apart or d.t is None or d.t <= 0 or look.seeds * (wanted / d.t) ** 2 > SEEDS_AT_MOST:
            return None
        needed = max(needed, math.ceil(look.seeds * (wanted / d.t) ** 2))
    return needed

"""Who won, or that no difference matters: the verdict on finalists trained with the same fresh seeds.

``verdict(table, names, plan)`` is the door. The arithmetic of one look is in ``comparison.py``, that of several
in ``sequential.py``, that of test examples in ``example_sums.py``; the argument for it all, its rate of false winners and its
power, by simulation, are in ``docs/verdict.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from study.core.errors import InputError
from study.core.metric import ACCURACY, Metric
from study.stats.comparison import Bools, Comparison, Floats, counted
from study.stats.example_sums import ExampleSums, half_over_both
from study.stats.sequential import Look, Plan, walk
from study.stats.verdict_record import Difference, Ending, Finalist, LookRecord, OverExamples, Verdict

__all__ = ["Plan", "Singly", "Verdict", "verdict"]

#: Sums of the gains of two finalists at a look: its number, leader, rival, and which seeds count, ``[S]``.
Sums = Callable[[int, int, int, Bools], ExampleSums]

#: Chance of a decision that ``settled_at`` aims for, and the number of seeds beyond which it gives up.
SETTLED = 0.8
SEEDS_AT_MOST = 1000


@dataclass(frozen=True)
class Singly:
    """What is known of single test examples.

    Attributes:
        count: How many there are.
        sums: What the gains of two finalists add up to.
    """

    count: int
    sums: Sums


def verdict(
    table: ArrayLike,
    names: Sequence[str],
    plan: Plan,
    singly: Singly | None = None,
    *,
    metric: Metric = ACCURACY,
    noun: str = "images",
) -> Verdict:
    """Name the winner among finalists that were trained with the same seeds, or who remains.

    Here, and nowhere after it, values become gains, and a finalist's own figures become values again.

    Args:
        table: Values of the metric, one row a seed, one column a finalist; NaN for a diverged run and,
            of a finalist that was dropped, for the seeds after that. Looks beyond its rows are not taken yet.
        names: The finalists' names, one a column.
        plan: When they are judged, and how strictly: a false winner is named in at most ``1 - level`` of all
            confirmations, over all looks.
        singly: What is known of single test examples; ``None`` where the metric is one number for all.
        metric: What is measured.
        noun: What test examples are called in sentences.

    Raises:
        InputError: A table that no verdict can rest on; the message says why.
    """
    y = _gains(table, names, plan, metric)
    taken = []
    dropped: dict[int, int] = {}
    bad = np.zeros(y.shape, dtype=bool)
    for look in walk(y[None], plan, metric):
        if look.comparison.out.all():
            raise InputError("every finalist failed in most of its runs: there is nothing to choose from")
        taken.append(_look(y, look, names, plan, singly))
        seeds = plan.looks[look.number]
        bad[:seeds, look.columns] = look.comparison.bad[0]
        dropped.update({int(f): seeds for f in look.columns[~look.remaining[0]]})
    seeds = taken[-1].seeds
    last = taken[-1]
    return Verdict(
        plan=plan,
        looks=tuple(taken),
        finalists=tuple(
            _finalist(name, y[: dropped.get(f, seeds), f], bad[:, f], dropped.get(f), plan, metric)
            for f, name in enumerate(names)
        ),
        examples=None if singly is None else singly.count,
        settled_at=_settled_at(last, plan.level) if last.ending == "undecided" else None,
        metric=metric,
        noun=noun,
    )


def _gains(table: ArrayLike, names: Sequence[str], plan: Plan, metric: Metric) -> Floats:
    """Return the table as gains, ``[seeds, finalists]``, or say what is wrong with it."""
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
    wrong = y[~np.isnan(y) & ~(np.isfinite(y) & (y >= metric.low) & (y <= metric.high))]
    if wrong.size:
        within = f"in [{metric.low:g}, {metric.high:g}] or NaN"
        raise InputError(f"{metric.name} must be {within} for a diverged run, got {wrong[0]:g}")
    first = y[: plan.looks[0]]
    if np.all(first == first[0]) and np.ptp(first[0]) > 0:
        raise InputError(f"every seed gave the same {metric.name}: the runs did not use their seeds")
    return y if metric.maximized else -y


def _look(y: Floats, look: Look, names: Sequence[str], plan: Plan, singly: Singly | None) -> LookRecord:
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
            if singly is not None and c.comparable[0, f]:
                found = singly.sums(look.number, int(look.columns[leader]), column, shared)
                measured = _over_examples(c, f, found)
            differences.append(
                _difference(c, f, names[column], ahead, int(shared.sum()), plan.margin, measured)
            )
    ending: Ending = "winner" if look.won[0] else "equal" if look.equal[0] else "undecided"
    return LookRecord(seeds, names[look.columns[leader]], tuple(differences), ending)


def _over_examples(c: Comparison, f: int, sums: ExampleSums) -> OverExamples:
    """Return the leader's lead over finalist ``f`` over seeds and test examples."""
    half = half_over_both(c.error[0, f], c.freedom[0, f], sums.variance(), c.needed[0, f])
    lead = float(c.difference[0, f])
    return OverExamples(
        int(sums.seeds), float(sums.by_example), float(sums.disputed), lead - float(half), lead + float(half)
    )


def _difference(
    c: Comparison, f: int, name: str, ahead: int, shared: int, margin: float, examples: OverExamples | None
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
        "examples": examples,
        "fails_p": _number(c.fails_p[0, f]),
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
        equal=-margin < low and high < margin and bool(np.isnan(c.fails_p[0, f])),
    )


def _finalist(
    name: str, gains: Floats, bad: Bools, dropped: int | None, plan: Plan, metric: Metric
) -> Finalist:
    """Return a finalist's own figures as values of the metric, from the seeds that it was judged on."""
    runs, bad = counted(gains, metric), bad[: len(gains)]
    good = runs[~bad]
    typical = float(good.mean()) if good.size else math.nan
    sd = float(good.std(ddof=1)) if good.size > 1 else math.nan
    half = stats.t.ppf((1 + plan.level) / 2, max(good.size - 1, 1)) * sd / math.sqrt(max(good.size, 1))
    low, high = sorted((metric.gain(typical - half), metric.gain(typical + half)))
    return Finalist(
        name=name,
        mean=metric.gain(float(runs.mean())),
        median=metric.gain(float(np.median(runs))),
        typical=_number(metric.gain(typical)),
        sd=_number(sd),
        low=_number(low),
        high=_number(high),
        runs=len(runs),
        bad_runs=int(bad.sum()),
        diverged=int(np.isnan(gains).sum()),
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

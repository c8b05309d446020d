"""Several looks at growing tables that share one allowance for error, and what ends them.

A plan fixes before the first look after how many seeds the finalists are judged. Its allowance
``alpha = 1 - level`` is spent over the looks as Lan and DeMets (1983) describe, O'Brien-Fleming-like: almost
nothing early, most of it at the end. With t the share of the seeds that a look has seen, two-sided,

    spent(t) = 4 (1 - Phi(z / sqrt(t))),    z the standard normal's upper alpha / 4 point,

so that ``spent(1) = alpha``. The threshold of look k is the nominal p-value that makes the chance of crossing
for the first time at k, under no difference, equal to ``spent(t_k) - spent(t_(k-1))``. Several finalists
share the allowance by Holm's step-down with these thresholds (Maurer and Bretz 2013). ``docs/verdict.md``
argues for it and shows what it costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import optimize, stats

from study.core.errors import InputError
from study.core.metric import ACCURACY, Metric
from study.stats.comparison import Bools, Comparison, Floats, Ints, compare

#: Version of the rules that finalists are judged by: that of the first certificates that were judged so.
RULES = 4
#: After how many seeds finalists are judged, unless the user plans otherwise.
LOOKS = (5, 10, 20, 40)
LEVEL = 0.95
#: Difference in accuracy that does not matter: 0.1 points.
MARGIN = ACCURACY.margin(None)
#: Nodes of the Gauss-Legendre rule that carries the density from look to look.
_NODES = 256
#: No normal deviate is beyond this: its tail is smaller than the smallest float64.
_FURTHEST = 38.0
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Plan:
    """When finalists are judged, and how strictly.

    Attributes:
        looks: Seeds at each look, rising; the last is the most that are trained.
        level: Confidence level over all looks and finalists.
        margin: Difference that does not matter, in the metric's own unit (0.001 is 0.1 points of accuracy).
        rules: Judge as certificates of this version were. Before 4, failing was judged otherwise (``compare``). In 1,
            moreover, a pair's variance is never below the pooled one, however many seeds there are, and a lead
            within the margin is no win.
    """

    looks: tuple[int, ...] = LOOKS
    level: float = LEVEL
    margin: float = MARGIN
    rules: int = RULES

    def __post_init__(self) -> None:
        """Refuse what cannot be judged by."""
        looks = self.looks
        if not looks or looks[0] < 2 or any(b <= a for a, b in pairwise(looks)):
            raise InputError(f"looks must be rising numbers of seeds, 2 or more, got {_joined(looks)}")
        if not 0.5 <= self.level < 1:
            raise InputError(f"level must be in [0.5, 1), got {self.level:g}")
        if not 0 <= self.margin < np.inf:
            raise InputError(f"margin must be a number of 0 or more, got {self.margin:g}")

    @property
    def seeds(self) -> int:
        """The most seeds that are trained."""
        return self.looks[-1]

    def needed(self, look: int, finalists: int) -> Floats:
        """Return what a two-sided p-value must be below at a look, by number of open comparisons.

        Returns:
            ``[finalists]``; entry m is for m open comparisons, entry 0 is not used.
        """
        fractions = tuple(seeds / self.seeds for seeds in self.looks)
        alpha = 1 - self.level
        return np.array([nominal(fractions, alpha / max(m, 1))[look] for m in range(finalists)])

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return {"looks": list(self.looks), "level": self.level, "margin": self.margin}

    @classmethod
    def from_json(cls, data: Any) -> Plan:
        """Read what ``to_json`` wrote."""
        return cls(tuple(data["looks"]), float(data["level"]), float(data["margin"]))


def spent(fraction: float, alpha: float) -> float:
    """Return how much of ``alpha``, two-sided, is spent when a share ``fraction`` of the seeds is there."""
    return float(4 * stats.norm.sf(stats.norm.isf(alpha / 4) / np.sqrt(fraction)))


@lru_cache(maxsize=256)
def nominal(fractions: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """Return the two-sided nominal p-value of each look.

    The statistic over the looks is a Brownian motion B(t), judged by ``|B(t)| / sqrt(t)``. Its density
    among the paths that have not crossed yet is carried from look to look by numerical integration
    (Armitage, McPherson and Rowe 1969).

    Args:
        fractions: Share of the seeds at each look, rising, the last 1.
        alpha: Two-sided level over all looks.
    """
    at, weights = np.polynomial.legendre.leggauss(_NODES)
    places, density = np.zeros(1), np.ones(1)  # at time 0 the motion is at 0, with all its mass
    before, used, found = 0.0, 0.0, []
    for fraction in fractions:
        step = np.sqrt(fraction - before)
        now = spent(fraction, alpha)

        def crossing(
            z: float,
            scale: float = np.sqrt(fraction),
            places: Floats = places,
            density: Floats = density,
            step: float = step,
        ) -> float:
            """Return the chance of being beyond z at this look and never before."""
            beyond = stats.norm.sf((z * scale - places) / step) + stats.norm.cdf((-z * scale - places) / step)
            return float(density @ beyond)

        z = _FURTHEST if now - used <= crossing(_FURTHEST) else _solved(crossing, now - used)
        found.append(float(2 * stats.norm.sf(z)) if z < _FURTHEST else 0.0)
        edge = z * np.sqrt(fraction)
        inside = edge * at
        kernel = stats.norm.pdf((inside[:, None] - places) / step) / step
        places, density = inside, (kernel @ density) * edge * weights
        before, used = fraction, now
    return tuple(found)


def _solved(crossing: Any, target: float) -> float:
    """Return the z whose chance of crossing is ``target``, however small that is."""
    return float(
        optimize.brentq(lambda z: np.log(max(crossing(z), _TINY) / target), 0.0, _FURTHEST, xtol=1e-12)
    )


@dataclass(frozen=True)
class Look:
    """R tables judged at one look, with the finalists that were still there.

    Attributes:
        number: Which look of the plan, from 0.
        rows: Which tables, ``[R]``.
        columns: Which finalists, ``[F]``.
        comparison: The leader against each of them.
        remaining: Who remains after it, the leader among them, ``[R, F]``.
        won: Nobody but the leader remains, ``[R]``.
        equal: Not won, and all who remain are within the margin of the leader, both ways, and fail no more
            often than it may, ``[R]``.
    """

    number: int
    rows: Ints
    columns: Ints
    comparison: Comparison
    remaining: Bools
    won: Bools
    equal: Bools

    @property
    def settled(self) -> Bools:
        """Whether this look ends the confirmation, ``[R]``."""
        return self.won | self.equal


def walk(y: Floats, plan: Plan, metric: Metric = ACCURACY) -> Iterator[Look]:
    """Judge tables look by look, as a plan says, until each is settled or its seeds end.

    A finalist that is excluded is dropped: later looks do not read its runs. Tables with the same
    finalists left are judged together; of one table there is one ``Look`` at each look.

    Args:
        y: Gains, ``[R, S, F]``; NaN for a diverged run, and anywhere that is never read.
        plan: When and how strictly; looks beyond S seeds are not taken.
        metric: What they are gains of.
    """
    remaining = np.ones((len(y), y.shape[2]), dtype=bool)
    unsettled = np.ones(len(y), dtype=bool)
    for number, seeds in enumerate(plan.looks):
        if seeds > y.shape[1]:
            return
        for pattern in np.unique(remaining[unsettled], axis=0):
            rows = np.flatnonzero(unsettled & (remaining == pattern).all(1))
            table = y[rows, :seeds][:, :, pattern]
            look = _judge(table, plan, metric, number, rows, np.flatnonzero(pattern))
            remaining[np.ix_(rows, look.columns)] = look.remaining
            unsettled[rows] = ~look.settled
            yield look


def _judge(y: Floats, plan: Plan, metric: Metric, number: int, rows: Ints, columns: Ints) -> Look:
    needed = plan.needed(number, y.shape[2])
    first = {"ahead_by": plan.margin, "own_from": y.shape[1] + 1} if plan.rules == 1 else {}
    c = compare(y, needed, metric, former=plan.rules < RULES, **first)
    remaining = ~c.excluded
    remaining[np.arange(len(y)), c.leader] = True
    won = remaining.sum(1) == 1
    within = (-plan.margin < c.low) & (c.high < plan.margin) & np.isnan(c.fails_p)
    within[np.arange(len(y)), c.leader] = True
    return Look(number, rows, columns, c, remaining, won, ~won & (within | ~remaining).all(1))


def _joined(looks: tuple[int, ...]) -> str:
    return ",".join(map(str, looks)) or "none"

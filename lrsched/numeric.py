"""The few primitives that the formulas share.

Each takes an array or a Python float. For a single number plain Python is five to twenty times as quick as numpy, and a
training loop asks for single numbers.

Times are rounded: step 500 of 196 an epoch stands at 500 / 196, and 1500 / 196 divided by 500 / 196 can be a little
less than 3. So a time counts as having reached a jump, or an end, from 1e-10 of its size before it on (``SLACK``). That
is more than rounding makes of it, and less than one step of ten billion.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from lrsched.schedule import Array

N = TypeVar("N", float, Array)

#: Share by which a time may lie below a jump that it has reached.
SLACK = 1e-10
#: Times this, a time that lies so little below is at the jump or past it.
REACH = 1.0 + SLACK


def single(t: object) -> bool:
    """Whether t is one number, not an array."""
    return isinstance(t, float)


def smaller(a: N, b: N | float) -> N:
    """Return the smaller of two."""
    if isinstance(a, float):
        return float(min(a, b))
    return np.minimum(a, b)


def larger(a: N, b: N | float) -> N:
    """Return the larger of two."""
    if isinstance(a, float):
        return float(max(a, b))
    return np.maximum(a, b)


def power(base: float, exponent: N) -> N:
    """Return ``base ** exponent``; infinite where that is more than a number can hold."""
    if not isinstance(exponent, float):
        return np.power(float(base), exponent)
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf


def whole(x: N) -> N:
    """Return the whole number that ``x`` >= 0 has reached, as a float; infinity stays."""
    if isinstance(x, float):
        reached = x * REACH
        return float(math.floor(reached)) if reached < math.inf else reached
    return np.floor(x * REACH)


def log1p(x: N) -> N:
    """Return the natural logarithm of 1 + x."""
    if isinstance(x, float):
        return math.log1p(x)
    return np.log1p(x)


def jump(t: N, at: float, before: float, after: float) -> N:
    """Return ``before`` until t has reached ``at``, then ``after``."""
    if isinstance(t, float):
        return before if t * REACH < at else after
    return np.where(t * REACH < at, before, after)


def ramp(t: N, start: float, end: float) -> N:
    """Return how far t is on the way from ``start`` to ``end``, in [0, 1]; a jump if they coincide.

    Exactly 0 up to ``start`` and exactly 1 from ``end`` on; at ``start == end`` the end wins.
    """
    if end <= start:
        return jump(t, end, 0.0, 1.0)
    u = (t - start) / (end - start)
    if isinstance(u, float):
        return 0.0 if u < SLACK else 1.0 if u > 1.0 - SLACK else u
    return np.where(u > 1.0 - SLACK, 1.0, np.where(u < SLACK, 0.0, u))


def cycles(t: N, period: float) -> tuple[N, N]:
    """Return the number of whole periods before t and the time since the last one, in [0, period]."""
    n = whole(t / period)
    return n, smaller(larger(t - n * period, 0.0), period)


def blend(low: float, height: N) -> N:
    """Return the value at ``height`` in [0, 1] between ``low`` and 1; exact at both ends."""
    return low + (1.0 - low) * height


def falling_cosine(u: N) -> N:
    """Return half a cosine wave from 1 at u = 0 to 0 at u = 1."""
    if isinstance(u, float):
        return (1.0 + math.cos(math.pi * u)) / 2.0
    return (1.0 + np.cos(np.pi * u)) / 2.0


def each(function: Callable[[float], float], t: N) -> N:
    """Return the function of each time, for functions that know nothing of arrays."""
    if isinstance(t, float):
        return function(t)
    return np.array([function(x) for x in t.ravel().tolist()], dtype=np.float64).reshape(t.shape)


class Pieces:
    """What holds in each piece of time between edges.

    Args:
        edges: n times in rising order; each is reached from a little before it on (``SLACK``).
        columns: Of each quantity, its n + 1 values: before the first edge, from it on, ... from the last one on.
    """

    def __init__(self, edges: Sequence[float], *columns: Sequence[float]) -> None:
        self._edges, self._rows = [e / REACH for e in edges], list(zip(*columns, strict=True))
        self._edge_array = np.array(self._edges)
        self._columns = [np.array(column, dtype=np.float64) for column in columns]

    def at(self, t: N) -> tuple[N, ...]:
        """Return the quantities that hold at t."""
        if isinstance(t, float):
            return self._rows[bisect_right(self._edges, t)]
        i = self._edge_array.searchsorted(t, side="right")
        return tuple(column.take(i) for column in self._columns)

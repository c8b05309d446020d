"""Decays with a curve of their own, and a free form through given points.

Notation: t time, u = min(t / length, 1) progress. The lines after ``Formula::`` are Python; a test
evaluates them against the code.
"""

from __future__ import annotations

import itertools
from functools import cached_property

import numpy as np

from lrsched.decay import Decay
from lrsched.numeric import Pieces, blend, falling_cosine, larger, smaller
from lrsched.parameter import Search, parameter, sorted_distinct
from lrsched.schedule import Array, Schedule
from lrsched.steps import check_pairs


class Rex(Decay, name="rex"):
    """Stay high for long and fall fast at the end.

    ``beta`` 0 is a straight line; the nearer to 1, the later the fall.

    Formula::

        u = min(t / length, 1)
        value = final + (1 - final) * (1 - u) / (1 - beta + beta * (1 - u))

    Source: Chen et al. 2022, REX: Revisiting budgeted training with an improved schedule (beta 0.5).

    >>> Rex(length=20, beta=0.75)(10)
    0.8
    """

    beta: float = parameter("how late it falls", "ratio", below=True, default=0.5, search=Search(0.0, 0.95))
    final: float = parameter("multiplier at the end", "ratio", default=0.0)

    def _shape(self, u: Array) -> Array:
        return blend(self.final, (1.0 - u) / (1.0 - self.beta + self.beta * (1.0 - u)))


class KDecay(Decay, name="k_decay"):
    """A cosine or polynomial decay whose progress is bent by the exponent ``k``.

    Above 1 the rate stays high for longer. ``power`` is the polynomial's.

    Formula::

        v = min(t / length, 1) ** k
        left = {"cosine": (1 + cos(pi * v)) / 2, "polynomial": (1 - v) ** power}[shape]
        value = final + (1 - final) * left

    Source: Zhang and Li 2020, k-decay: A new method for learning rate schedule.

    >>> KDecay(length=20, k=2)(20)
    0.0
    """

    k: float = parameter(
        "exponent of the progress", "exponent", above=True, default=2.0, search=Search(0.3, 6.0, log=True)
    )
    shape: str = parameter(
        "the decay that is bent",
        "choice",
        default="cosine",
        choices=("cosine", "polynomial"),
        search=Search(choices=("cosine", "polynomial")),
    )
    power: float = parameter("exponent of the polynomial", "exponent", above=True, default=1.0)
    final: float = parameter("multiplier at the end", "ratio", default=0.0)

    def _shape(self, u: Array) -> Array:
        v = u**self.k
        left = falling_cosine(v) if self.shape == "cosine" else (1.0 - v) ** self.power
        return blend(self.final, left)


class Tanh(Decay, name="tanh"):
    """Fall along a piece of the hyperbolic tangent, from ``lower`` to ``upper``.

    It starts a little below 1 and ends a little above ``final``: by 6.1e-6 and 0.0025 of the way at the
    default bounds.

    Formula::

        u = min(t / length, 1)
        value = final + (1 - final) * (1 - tanh(lower * (1 - u) + upper * u)) / 2

    Source: Hsueh et al. 2019, Stochastic gradient descent with hyperbolic-tangent decay on classification.

    >>> Tanh(length=20, lower=-3, upper=3)(10)
    0.5
    """

    lower: float = parameter(
        "where on the curve it starts", "number", default=-6.0, search=Search(-10.0, -1.0)
    )
    upper: float = parameter("where on the curve it ends", "number", default=3.0, search=Search(0.5, 6.0))
    final: float = parameter("multiplier that the curve tends to", "ratio", default=0.0)

    def _check(self) -> None:
        if self.lower >= self.upper:
            raise ValueError(f"lower must be < upper, got lower={self.lower}, upper={self.upper}")

    def _shape(self, u: Array) -> Array:
        return blend(self.final, (1.0 - np.tanh(self.lower * (1.0 - u) + self.upper * u)) / 2.0)


class Spline(Schedule, name="spline"):
    """A smooth curve through knots that never overshoots: between two knots it is monotone.

    A piecewise cubic Hermite interpolation (``pchip``). With h and d the widths and slopes between knots, the
    slope at knot k is (w1 + w2) / (w1 / d[k-1] + w2 / d[k]) with w1 = 2 h[k] + h[k-1], w2 = h[k] + 2 h[k-1], or 0
    where the d differ in sign. Constant before the first knot and after the last.

    Formula::

        value = pchip(times, values)(min(max(t, times[0]), times[-1]))

    Source: Fritsch and Butland 1984, A method for constructing local monotone piecewise cubic interpolants;
    the ends as in scipy's ``PchipInterpolator``.

    >>> Spline(times=(0, 10, 20), values=(1.0, 0.5, 0.0))(5)
    0.75
    """

    times: tuple[float, ...] = parameter(
        "times of the knots",
        "time",
        many=True,
        ordered="increasing",
        example=(0, 6, 14, 20),
        search=Search(0.0, 1.0, of_run=True, count=4, collect=sorted_distinct),
    )
    values: tuple[float, ...] = parameter(
        "multiplier at each knot",
        "ratio",
        many=True,
        example=(1.0, 0.85, 0.1, 0.0),
        search=Search(1e-3, 1.0, log=True, count=4),
    )

    def _check(self) -> None:
        check_pairs(self.times, self.values)
        if len(self.times) < 2:
            raise ValueError(f"times must hold at least two knots, got times={self.times}")
        if any(b - a < 1e-100 for a, b in itertools.pairwise(self.times)):
            raise ValueError(f"times must lie at least 1e-100 apart, got times={self.times}")

    @property
    def duration(self) -> float:
        """The last knot."""
        return self.times[-1]

    @cached_property
    def _pieces(self) -> Pieces:
        """Of each piece between two knots: its begin, its width, and the values and slopes at its ends."""
        x, y = np.array(self.times, dtype=np.float64), np.array(self.values, dtype=np.float64)
        h = np.diff(x)
        m = _slopes(h, np.diff(y) / h)
        columns = x[:-1], h, y[:-1], y[1:], m[:-1], m[1:]
        return Pieces(x[1:-1].tolist(), *(column.tolist() for column in columns))

    def _value(self, t: Array) -> Array:
        begin, h, left, right, m_left, m_right = self._pieces.at(t)
        s = larger((t - begin) / h, 0.0)
        r = 1.0 - s
        cubic = (1 + 2 * s) * r * r * left + s * s * (3 - 2 * s) * right
        cubic = cubic + s * r * h * (r * m_left - s * m_right)
        # The curve stays between its knots; this keeps rounding from leaving them.
        return smaller(larger(cubic, smaller(left, right)), larger(left, right))


def _slopes(h: Array, d: Array) -> Array:
    """Return the slope at each of n knots from the n - 1 widths ``h`` and slopes ``d`` between them."""
    if len(h) == 1:
        return np.array([d[0], d[0]])
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    before, after = d[:-1], d[1:]
    same = before * after > 0
    # The weighted harmonic mean, multiplied out: next to nothing in its denominator would overflow.
    weighted = np.where(same, w1 * after + w2 * before, 1.0)
    inner = np.where(same, (w1 + w2) * before * after / weighted, 0.0)
    return np.concatenate(
        [[_end_slope(h[0], h[1], d[0], d[1])], inner, [_end_slope(h[-1], h[-2], d[-1], d[-2])]]
    )


def _end_slope(h0: float, h1: float, d0: float, d1: float) -> float:
    """Return the slope at an end knot: that of a parabola, held back so that nothing overshoots."""
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    if slope * d0 <= 0:
        return 0.0
    return 3 * d0 if d0 * d1 < 0 and abs(slope) > 3 * abs(d0) else slope

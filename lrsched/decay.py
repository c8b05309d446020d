"""The plain decays of the textbooks and of PyTorch: linear, exponential, roots of time, polynomial, cosine.

Notation: t time, u = t / length progress in [0, 1]. The lines after ``Formula::`` are Python; a test
evaluates them against the code.
"""

from __future__ import annotations

from lrsched.numeric import blend, falling_cosine, floor, larger, power, ramp, smaller
from lrsched.parameter import WHOLE_RUN, Search, parameter
from lrsched.schedule import Array, Schedule

#: Decays are searched ending before, at, and after the run's end.
AROUND_THE_END = Search(0.5, 1.2, of_run=True)
#: A factor per unit of time is searched from next to nothing left at the run's end to most of the rate.
OVER_THE_RUN = Search(2e-5, 0.86, over_run=True)
#: Final rates are searched from next to nothing to a third of the base rate.
FINAL_SEARCH = Search(1e-4, 0.3, log=True)


class Decay(Schedule):
    """A decay over ``length``, as a function of the progress u = t / length. Not a schedule itself."""

    length: float = parameter("time at which the end is reached", "time", example=20, search=WHOLE_RUN)

    @property
    def duration(self) -> float:
        """The length."""
        return self.length

    def _value(self, t: Array) -> Array:
        return self._shape(ramp(t, 0.0, self.length))

    def _shape(self, u: Array) -> Array:
        """Return the multiplier at progress ``u`` in [0, 1]."""
        raise NotImplementedError


class Linear(Decay, name="linear"):
    """From ``start`` to ``final`` in a straight line.

    Formula::

        u = min(t / length, 1)
        value = start * (1 - u) + final * u

    Source: torch's ``LinearLR``.

    >>> Linear(length=8, start=0.5, final=1.0)(4)
    0.75
    """

    length: float = parameter("time at which the end is reached", "time", example=20, search=AROUND_THE_END)
    start: float = parameter("multiplier at the start", "ratio", default=1.0)
    final: float = parameter("multiplier at the end", "ratio", default=0.0, search=FINAL_SEARCH)

    def _shape(self, u: Array) -> Array:
        return self.start * (1.0 - u) + self.final * u


class Exponential(Schedule, name="exponential"):
    """Multiply by ``gamma`` per unit of time, smoothly.

    Formula::

        value = gamma ** t

    Source: torch's ``ExponentialLR`` (equal at whole t).

    >>> Exponential(gamma=0.5)(3)
    0.125
    """

    gamma: float = parameter(
        "multiplier per unit of time", "ratio", above=True, example=0.9, search=OVER_THE_RUN
    )

    def _value(self, t: Array) -> Array:
        return power(self.gamma, t)


class Factor(Schedule, name="factor"):
    """Multiply by ``factor`` at each whole time, but never fall below ``floor``.

    Closed form of the recurrence value(t+1) = max(floor, value(t) * factor), value(0) = 1. It steps, as its
    source's does; ``exponential`` is the smooth one.

    Formula::

        value = max(floor, factor ** int(t))

    Source: Zhang et al., Dive into Deep Learning, "factor scheduler".

    >>> Factor(factor=0.5, floor=0.2)(2.9)
    0.25
    """

    factor: float = parameter("multiplier per unit of time", "ratio", default=0.9, search=OVER_THE_RUN)
    floor: float = parameter("lowest multiplier", "ratio", default=0.0, search=Search(1e-3, 0.5, log=True))

    def _value(self, t: Array) -> Array:
        return larger(power(self.factor, floor(t)), self.floor)


class SquareRoot(Schedule, name="square_root"):
    """Fall with the square root of time, from the start.

    Formula::

        value = (1 + t / timescale) ** -0.5

    Source: Zhang et al., Dive into Deep Learning, "square root scheduler" (timescale 1).

    >>> SquareRoot()(3)
    0.5
    """

    timescale: float = parameter(
        "time after which the rate has fallen to 0.71",
        "time",
        above=True,
        default=1,
        search=Search(0.003, 1.0, log=True, of_run=True),
    )

    def _value(self, t: Array) -> Array:
        return 1.0 / (1.0 + t / self.timescale) ** 0.5


class InverseSquareRoot(Schedule, name="inverse_square_root"):
    """Hold the base rate until ``timescale``, then fall with the square root of time.

    With ``Warmup(..., length=timescale)`` this is Noam's schedule.

    Formula::

        value = sqrt(timescale / max(t, timescale))

    Source: Raffel et al. 2020, Exploring the limits of transfer learning (T5), section 3.1.2.

    >>> InverseSquareRoot(timescale=5)(20)
    0.5
    """

    timescale: float = parameter(
        "time until the fall begins",
        "time",
        above=True,
        example=5,
        search=Search(0.003, 0.5, log=True, of_run=True),
    )

    def _value(self, t: Array) -> Array:
        return (self.timescale / larger(t, self.timescale)) ** 0.5


class Noam(Schedule, name="noam"):
    """Rise in a straight line during the warm-up, then fall with the square root of time.

    The original has no base rate of its own: its peak rate is (d_model * warmup) ** -0.5.

    Formula::

        value = min(t / warmup, sqrt(warmup / max(t, warmup)))

    Source: Vaswani et al. 2017, Attention is all you need, section 5.3.

    >>> Noam(warmup=5)(20)
    0.5
    """

    warmup: float = parameter(
        "time at which the peak is reached",
        "time",
        above=True,
        example=5,
        search=Search(0.01, 0.5, log=True, of_run=True),
    )

    def _value(self, t: Array) -> Array:
        return smaller(t / self.warmup, (self.warmup / larger(t, self.warmup)) ** 0.5)


class Polynomial(Decay, name="polynomial"):
    """Fall as a power of the time that is left.

    Formula::

        u = min(t / length, 1)
        value = final + (1 - final) * (1 - u) ** power

    Source: torch's ``PolynomialLR`` (final 0); Chen et al. 2017 (DeepLab), "poly".

    >>> Polynomial(length=8, power=2)(2)
    0.5625
    """

    length: float = parameter("time at which the end is reached", "time", example=20, search=AROUND_THE_END)
    power: float = parameter(
        "exponent of the decay",
        "exponent",
        above=True,
        default=1.0,
        example=2.0,
        search=Search(0.3, 4.0, log=True),
    )
    final: float = parameter("multiplier at the end", "ratio", default=0.0)

    def _shape(self, u: Array) -> Array:
        return blend(self.final, (1.0 - u) ** self.power)


class Cosine(Schedule, name="cosine"):
    """Fall along half a cosine wave, then stay at ``final``.

    torch's ``CosineAnnealingLR`` rises again after ``T_max``; this one stays.

    Formula::

        value = final + (1 - final) * (1 + cos(pi * min(t / T_max, 1))) / 2

    Source: Loshchilov and Hutter 2017 (SGDR), equation 5, without restarts.

    >>> Cosine(T_max=20, final=0.1)(10)
    0.55
    """

    T_max: float = parameter("time at which the end is reached", "time", example=20, search=AROUND_THE_END)
    final: float = parameter("multiplier at the end", "ratio", default=0.0, search=FINAL_SEARCH)

    @property
    def duration(self) -> float:
        """T_max."""
        return self.T_max

    def _value(self, t: Array) -> Array:
        return blend(self.final, falling_cosine(ramp(t, 0.0, self.T_max)))

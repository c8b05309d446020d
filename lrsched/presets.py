"""Names for special cases: each is another schedule with some fields set, and its value is one line.

The lines after ``Formula::`` are Python; a test evaluates them against the code.
"""

from __future__ import annotations

from functools import cached_property

from lrsched.compose import Warmup
from lrsched.decay import Decay, InverseSquareRoot, Linear, PowerDecay, WarmupStableDecay
from lrsched.parameter import Search, parameter
from lrsched.schedule import Array, Schedule, State
from lrsched.steps import ByHand


class Preset(Schedule):
    """Another schedule under a name and fields of its own. Not a schedule itself."""

    @cached_property
    def general(self) -> Schedule:
        """The schedule that this is a special case of."""
        return self._general()

    def _general(self) -> Schedule:
        raise NotImplementedError(f"{type(self).__name__} must state it in _general")

    @property
    def duration(self) -> float:
        """That of the general form."""
        return self.general.duration

    def _at(self, t: Array, state: State) -> Array:
        return self.general._at(t, state)  # noqa: SLF001  # clamped already, and to the same duration


class Hold(Preset, name="hold"):
    """A share of the base rate for a while, then the base rate.

    Formula::

        value = factor if t < length else 1

    Source: torch's ``ConstantLR``.

    >>> Hold(factor=0.5, length=8)(7)
    0.5
    """

    factor: float = parameter(
        "rate at first, as a share of the base rate", "ratio", default=0.5, search=Search(0.02, 0.8, log=True)
    )
    length: float = parameter(
        "time until the full rate",
        "time",
        default=8,
        search=Search(0.02, 0.5, of_run=True),
        also=("total_iters",),
    )

    def _general(self) -> Schedule:
        return ByHand((0.0, self.length), (self.factor, 1.0)) if self.length else ByHand((0.0,), (1.0,))


class LinearToZero(Preset, Decay, name="linear_to_zero"):
    """A straight line from the base rate to exactly zero at the end.

    Formula::

        value = 1 - min(t / length, 1)

    Source: Bergsma et al. 2025, Straight to zero; Defazio et al. 2023, When, why and how much? Adaptive
    learning rate scheduling by refinement.

    >>> LinearToZero(length=20)(15)
    0.25
    """

    def _general(self) -> Schedule:
        return Linear(self.length)


class Knee(Preset, Decay, name="knee"):
    """Explore at the base rate, then exploit: a straight line to zero.

    Formula::

        value = 1 - min(max(t - explore * length, 0) / ((1 - explore) * length), 1)

    Source: Iyer et al. 2023, Wide-minima density hypothesis and the explore-exploit learning rate schedule.

    >>> Knee(length=20, explore=0.5)(15)
    0.5
    """

    explore: float = parameter(
        "share of the length spent at the base rate", "ratio", default=0.5, search=Search(0.05, 0.95)
    )

    def _general(self) -> Schedule:
        return WarmupStableDecay(self.length, 1.0 - self.explore)


class FlatCosine(Preset, Decay, name="flat_cosine"):
    """Hold the base rate for a share of the length, then fall along half a cosine wave.

    Formula::

        d = min(max(t - flat * length, 0) / ((1 - flat) * length), 1)
        value = final + (1 - final) * (1 + cos(pi * d)) / 2

    Source: fastai's ``fit_flat_cos`` (flat 0.75).

    >>> FlatCosine(length=20, flat=0.5)(15)
    0.5
    """

    flat: float = parameter(
        "share of the length spent at the base rate", "ratio", default=0.75, search=Search(0.05, 0.95)
    )
    final: float = parameter("multiplier at the end", "ratio", default=0.0)

    def _general(self) -> Schedule:
        return WarmupStableDecay(self.length, 1.0 - self.flat, "cosine", self.final)


class SquareRoot(Preset, name="square_root"):
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

    def _general(self) -> Schedule:
        return PowerDecay(self.timescale, 0.5)


class Noam(Preset, name="noam"):
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

    def _general(self) -> Schedule:
        return Warmup(InverseSquareRoot(self.warmup), self.warmup)

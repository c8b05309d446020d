"""The plain decays of the textbooks and of PyTorch, and those that hold the base rate before they decay.

Notation: t time, u = t / length progress in [0, 1], d progress of a decay that begins later. The lines after
``Formula::`` are Python; a test evaluates them against the code.
"""

from __future__ import annotations

from collections.abc import Callable

from lrsched.numeric import blend, falling_cosine, larger, power, ramp
from lrsched.parameter import WHOLE_RUN, Search, parameter
from lrsched.schedule import Array, Schedule

#: Decays are searched ending before, at, and after the run's end.
AROUND_THE_END = Search(0.5, 1.2, of_run=True)
#: A factor per unit of time is searched from next to nothing left at the run's end to most of the rate.
OVER_THE_RUN = Search(2e-5, 0.86, over_run=True)
#: Final rates are searched from next to nothing to a third of the base rate.
FINAL_SEARCH = Search(1e-4, 0.3, log=True)
#: Shapes of a decay by name: 1 at d = 0, 0 at d = 1.
SHAPES: dict[str, Callable[[Array], Array]] = {
    "linear": lambda d: 1.0 - d,
    "1-sqrt": lambda d: 1.0 - d**0.5,
    "cosine": falling_cosine,
    "1-square": lambda d: 1.0 - d * d,
}


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
        raise NotImplementedError(f"{type(self).__name__} must state it in _shape")


class Linear(Decay, name="linear"):
    """From ``start`` to ``final`` in a straight line.

    Formula::

        u = min(t / length, 1)
        value = start * (1 - u) + final * u

    Source: torch's ``LinearLR``.

    >>> Linear(length=8, start=0.5, final=1.0)(4)
    0.75
    """

    length: float = parameter(
        "time at which the end is reached", "time", example=20, search=AROUND_THE_END, also=("total_iters",)
    )
    start: float = parameter("multiplier at the start", "ratio", default=1.0, also=("start_factor",))
    final: float = parameter(
        "multiplier at the end", "ratio", default=0.0, search=FINAL_SEARCH, also=("end_factor",)
    )

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


class PowerDecay(Schedule, name="power_decay"):
    """Fall as a power of time, from the start and for ever.

    ``power`` 0.5 is ``square_root``; 1 is the inverse-time decay.

    Formula::

        value = (1 + t / timescale) ** -power

    Source: Robbins and Monro 1951, A stochastic approximation method (power 1); Caffe's "inv" policy.

    >>> PowerDecay(timescale=1, power=1)(3)
    0.25
    """

    timescale: float = parameter(
        "time after which the rate has fallen to 2 ** -power",
        "time",
        above=True,
        default=1,
        search=Search(0.003, 1.0, log=True, of_run=True),
    )
    power: float = parameter(
        "exponent of the fall", "exponent", above=True, default=1.0, search=Search(0.2, 2.0)
    )

    def _value(self, t: Array) -> Array:
        return (1.0 + t / self.timescale) ** -self.power


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


class Polynomial(Decay, name="polynomial"):
    """Fall as a power of the time that is left.

    Formula::

        u = min(t / length, 1)
        value = final + (1 - final) * (1 - u) ** power

    Source: torch's ``PolynomialLR`` (final 0); Chen et al. 2017 (DeepLab), "poly".

    >>> Polynomial(length=8, power=2)(2)
    0.5625
    """

    length: float = parameter(
        "time at which the end is reached", "time", example=20, search=AROUND_THE_END, also=("total_iters",)
    )
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


class WarmupStableDecay(Decay, name="warmup_stable_decay"):
    """Hold the base rate, then decay over the last share of the run.

    The warm-up is ``Warmup``'s, as for any schedule. Hägele et al. found ``1-sqrt`` the best shape.

    Formula::

        d = min(max(t - (1 - decay) * length, 0) / (decay * length), 1)
        left = {"linear": 1 - d, "1-sqrt": 1 - sqrt(d), "cosine": (1 + cos(pi * d)) / 2, "1-square": 1 - d * d}[shape]
        value = final + (1 - final) * left

    Source: Zhai et al. 2022, Scaling vision transformers; Hu et al. 2024, MiniCPM (which named it WSD);
    Hägele et al. 2024, Scaling laws and compute-optimal training beyond fixed training durations.

    >>> WarmupStableDecay(length=20, decay=0.5)(15)
    0.5
    """

    decay: float = parameter(
        "share of the length spent decaying", "ratio", default=0.2, search=Search(0.05, 0.95)
    )
    shape: str = parameter(
        "curve of the decay",
        "choice",
        default="linear",
        choices=tuple(SHAPES),
        search=Search(choices=tuple(SHAPES)),
    )
    final: float = parameter("multiplier at the end", "ratio", default=0.0)

    def _shape(self, u: Array) -> Array:
        return blend(self.final, SHAPES[self.shape](ramp(u, 1.0 - self.decay, 1.0)))


class TriStage(Decay, name="tri_stage"):
    """Rise in a straight line, hold, and fall exponentially.

    Formula::

        u = min(t / length, 1)
        rise = start + (1 - start) * u / warmup
        fall = final ** (max(u - warmup - hold, 0) / (1 - warmup - hold))
        value = rise if u < warmup else fall

    Source: Park et al. 2019 (SpecAugment), section 3.2; fairseq's tri-stage scheduler.

    >>> TriStage(length=20, warmup=0.1, hold=0.4, final=0.01)(15)
    0.1
    """

    warmup: float = parameter(
        "share of the length spent rising", "ratio", default=0.1, search=Search(0.01, 0.3)
    )
    hold: float = parameter(
        "share of the length spent at the base rate", "ratio", default=0.4, search=Search(0.02, 0.65)
    )
    start: float = parameter("multiplier at the start", "ratio", default=0.01)
    final: float = parameter("multiplier at the end", "ratio", above=True, default=0.01, search=FINAL_SEARCH)

    def _check(self) -> None:
        if self.warmup + self.hold > 1:
            raise ValueError(f"warmup + hold must be <= 1, got warmup={self.warmup}, hold={self.hold}")

    def _shape(self, u: Array) -> Array:
        rise = blend(self.start, ramp(u, 0.0, self.warmup))
        return rise * power(self.final, ramp(u, self.warmup + self.hold, 1.0))

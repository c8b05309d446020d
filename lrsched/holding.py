"""Schedules that hold the base rate for a share of the length, then decay.

Notation: t time, length the total, d progress of the decay in [0, 1]. The lines after ``Formula::`` are
Python; a test evaluates them against the code.
"""

from __future__ import annotations

from collections.abc import Callable

from lrsched.decay import FINAL_SEARCH, Decay
from lrsched.numeric import blend, falling_cosine, power, ramp
from lrsched.parameter import Search, parameter
from lrsched.schedule import Array

#: Decay shapes by name: 1 at d = 0, 0 at d = 1.
SHAPES: dict[str, Callable[[Array], Array]] = {
    "linear": lambda d: 1.0 - d,
    "1-sqrt": lambda d: 1.0 - d**0.5,
    "cosine": falling_cosine,
    "1-square": lambda d: 1.0 - d * d,
}


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


class FlatCosine(Decay, name="flat_cosine"):
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

    def _shape(self, u: Array) -> Array:
        return blend(self.final, falling_cosine(ramp(u, self.flat, 1.0)))


class Knee(Decay, name="knee"):
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

    def _shape(self, u: Array) -> Array:
        return 1.0 - ramp(u, self.explore, 1.0)


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

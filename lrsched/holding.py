"""Schedules that hold the base rate and decay late.

Notation: t time, length the total, d progress of the decay in [0, 1]. The lines after ``Formula::`` are
Python; a test evaluates them against the code.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lrsched.decay import Decay
from lrsched.numeric import blend, falling_cosine, ramp
from lrsched.parameter import Search, parameter
from lrsched.schedule import Array

#: Decay shapes by name: 1 at d = 0, 0 at d = 1.
SHAPES: dict[str, Callable[[Array], Array]] = {
    "linear": lambda d: 1.0 - d,
    "1-sqrt": lambda d: 1.0 - np.sqrt(d),
    "cosine": falling_cosine,
    "1-square": lambda d: 1.0 - d * d,
}


class WarmupStableDecay(Decay, name="warmup_stable_decay"):
    """Hold the base rate, then decay over the last share of the run.

    The warm-up is ``Warmup``'s, as for any schedule. Hägele et al. found ``1-sqrt`` the best shape.

    Formula::

        d = max(t - (1 - decay) * length, 0) / (decay * length)
        left = {"linear": 1 - d, "1-sqrt": 1 - sqrt(d), "cosine": (1 + cos(pi * d)) / 2, "1-square": 1 - d * d}
        value = final + (1 - final) * left[shape]

    Source: Zhai et al. 2022; Hu et al. 2024 (MiniCPM), WSD; Hägele et al. 2024.
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

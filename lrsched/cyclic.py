"""Schedules that rise: cosine restarts, triangular cycles, one cycle.

All reach multiplier 1 at their peak, so that the base rate is the highest rate. The lines after
``Formula::`` are Python; a test evaluates them against the code.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import cached_property

from lrsched.compose import Mirror
from lrsched.decay import Decay
from lrsched.numeric import (
    REACH,
    Pieces,
    blend,
    cycles,
    falling_cosine,
    larger,
    log1p,
    power,
    ramp,
    smaller,
    whole,
)
from lrsched.parameter import Search, parameter
from lrsched.schedule import Array, Schedule


class CosineRestarts(Schedule, name="cosine_restarts"):
    """Half cosine waves, one after another; each ``T_mult`` times as long and ``decay`` times as high.

    The n-th cycle begins at ``begin``; 1e-9 keeps rounding from delaying a restart.

    Formula::

        if T_mult == 1:
            n = int(t / T_0 + 1e-9)
            begin = n * T_0
        else:
            n = int(log(1 + t / T_0 * (T_mult - 1)) / log(T_mult) + 1e-9)
            begin = T_0 * (T_mult ** n - 1) / (T_mult - 1)
        x = (t - begin) / (T_0 * T_mult ** n)
        value = final + (1 - final) * decay ** n * (1 + cos(pi * x)) / 2

    Source: Loshchilov and Hutter 2017 (SGDR), equation 5. ``decay`` is timm's ``cycle_decay`` where ``final`` is 0;
    above 0, timm shrinks the peak itself, ours only what lies above ``final``, so that no peak falls below it.

    >>> CosineRestarts(T_0=8, T_mult=2)(8)
    1.0
    """

    T_0: float = parameter(
        "time until the first restart", "time", above=True, example=8, search=Search(0.1, 0.7, of_run=True)
    )
    T_mult: float = parameter(
        "each cycle's length as a multiple of the previous one's",
        "number",
        low=1.0,
        default=1,
        search=Search(choices=(1, 2)),
    )
    decay: float = parameter(
        "each cycle's height as a share of the previous one's", "ratio", default=1.0, search=Search(0.3, 1.0)
    )
    final: float = parameter("lowest multiplier", "ratio", default=0.0)

    def _value(self, t: Array) -> Array:
        n, x = self._cycle(t)
        return blend(self.final, power(self.decay, n) * falling_cosine(x))

    def _cycle(self, t: Array) -> tuple[Array, Array]:
        """Return the number of the cycle at t, from 0, and the progress in it, in [0, 1)."""
        if self.T_mult == 1:
            n, since = cycles(t, self.T_0)
            return n, since / self.T_0
        # The logarithm can be off by one at a restart itself; the comparisons put that right.
        t = smaller(t, 1e100)  # as long as any time field may be: beyond it the numbers below would overflow
        reached = t * REACH
        n = whole(log1p(t / self.T_0 * (self.T_mult - 1.0)) / math.log(self.T_mult))
        n = n + (self._begin(n + 1.0) <= reached)
        n = n - (self._begin(n) > reached)
        return n, larger((t - self._begin(n)) / (self.T_0 * power(self.T_mult, n)), 0.0)

    def _begin(self, n: Array) -> Array:
        """Return the time at which cycle ``n`` begins."""
        return self.T_0 * (power(self.T_mult, n) - 1.0) / (self.T_mult - 1.0)


class Cyclic(Schedule, name="cyclic"):
    """Straight up and straight down, again and again.

    Formula::

        n = int(t / (up + down) + 1e-9)
        x = t - n * (up + down)
        height = {"triangular": 1, "triangular2": 0.5 ** n, "exp_range": gamma ** t}[mode]
        value = low + (1 - low) * height * (x / up if x < up else (up + down - x) / down)

    Source: Smith 2017, Cyclical learning rates for training neural networks; torch's ``CyclicLR`` (low = base_lr / max_lr).

    >>> Cyclic(up=4, down=4, low=0.5)(2)
    0.75
    """

    up: float = parameter(
        "time of the rise", "time", example=4, search=Search(0.05, 0.5, of_run=True), also=("step_size_up",)
    )
    down: float = parameter(
        "time of the fall", "time", example=4, search=Search(0.05, 0.5, of_run=True), also=("step_size_down",)
    )
    low: float = parameter("lowest multiplier", "ratio", default=0.1, search=Search(1e-3, 0.5, log=True))
    mode: str = parameter(
        "how the peaks change",
        "choice",
        default="triangular",
        choices=("triangular", "triangular2", "exp_range"),
        search=Search(choices=("triangular", "triangular2")),
    )
    gamma: float = parameter(
        "for exp_range: multiplier of the height per unit of time", "ratio", above=True, default=1.0
    )

    def _check(self) -> None:
        if self.up + self.down <= 0:
            raise ValueError(f"up + down must be > 0, got up={self.up}, down={self.down}")

    def _value(self, t: Array) -> Array:
        period = float(self.up + self.down)
        n, x = cycles(t, period)
        wave = ramp(x, 0.0, self.up) - ramp(x, self.up, period)
        if self.mode == "triangular2":
            wave = wave * power(0.5, n)
        elif self.mode == "exp_range":
            wave = wave * power(self.gamma, t)
        return blend(self.low, wave)

    def momentum(self, low: float = 0.8, high: float = 0.9) -> Mirror:
        """Return the momentum that moves against this rate: ``low`` at the peak, ``high`` at the foot."""
        return Mirror(replace(self, low=0.0), low=low, high=high)


class OneCycle(Decay, name="one_cycle"):
    """Up to the peak, then down far below the start.

    With three phases it comes down to ``start`` as fast as it rose, and then on to ``final``.

    Formula::

        knots = [0, peak * length, length] if phases == 2 else [0, peak * length, 2 * peak * length, length]
        levels = [start, 1, final] if phases == 2 else [start, 1, start, final]
        i = max(k for k in range(phases) if knots[k] <= t)
        x = (min(t, length) - knots[i]) / (knots[i + 1] - knots[i])
        w = x if shape == "linear" else (1 - cos(pi * x)) / 2
        value = levels[i] * (1 - w) + levels[i + 1] * w

    Source: Smith and Topin 2018, Super-convergence; torch's ``OneCycleLR``, whose last step is step
    ``total_steps - 1``: with n steps, ``length`` is n - 1 steps.

    >>> OneCycle(length=20, peak=0.25)(5)
    1.0
    """

    peak: float = parameter(
        "share of the length at which the peak is reached",
        "ratio",
        below=True,
        default=0.3,
        search=Search(0.05, 0.6),
    )
    start: float = parameter(
        "multiplier at the start", "ratio", default=0.04, search=Search(0.01, 0.5, log=True)
    )
    final: float = parameter("multiplier at the end", "ratio", default=4e-6)
    shape: str = parameter(
        "curve between the levels",
        "choice",
        default="cosine",
        choices=("cosine", "linear"),
        search=Search(choices=("cosine", "linear")),
    )
    phases: int = parameter("2, or 3 as in the paper", "choice", default=2, choices=(2, 3))

    def _check(self) -> None:
        if self.phases == 3 and self.peak > 0.5:
            raise ValueError(f"peak must be in [0, 0.5] with three phases, got peak={self.peak}")

    @cached_property
    def _pieces(self) -> Pieces:
        """Of each phase: its begin and its width as shares of the length, and the levels at its ends."""
        inner = [self.peak] if self.phases == 2 else [self.peak, 2.0 * self.peak]
        levels = (
            [self.start, 1.0, self.final] if self.phases == 2 else [self.start, 1.0, self.start, self.final]
        )
        begins, widths = [], []
        for begin, end in itertools.pairwise([0.0, *inner, 1.0]):
            # A phase without width is reached only at its end: there it must read (u - begin) / width = 1.
            begins.append(begin if begin < end else begin - 1.0)
            widths.append(end - begin if begin < end else 1.0)
        return Pieces(inner, begins, widths, levels[:-1], levels[1:])

    def _shape(self, u: Array) -> Array:
        begin, width, left, right = self._pieces.at(u)
        x = larger((u - begin) / width, 0.0)
        w = x if self.shape == "linear" else 1.0 - falling_cosine(x)
        return left * (1.0 - w) + right * w

    def momentum(self, low: float = 0.85, high: float = 0.95) -> Mirror:
        """Return the momentum that moves against this rate: ``low`` at the peak, ``high`` at the foot."""
        return Mirror(replace(self, start=0.0, final=0.0), low=low, high=high)

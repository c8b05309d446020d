"""Schedules made of schedules. Metrics are forwarded to every part."""

from __future__ import annotations

import numpy as np

from lrsched.numeric import falling_cosine, ramp
from lrsched.parameter import parameter
from lrsched.schedule import Array, Schedule, State


class Warmup(Schedule, name="warmup"):
    """Multiply any schedule by a ramp from ``start`` to 1.

    The warm-up lies inside the total length: it neither shifts nor stretches what it multiplies.
    ``length`` 0 is no warm-up.

    Formula::

        u = min(t / length, 1)
        ramp = {"linear": start + (1 - start) * u, "exponential": start ** (1 - u) if start else 0,
                "cosine": start + (1 - start) * (1 - cos(pi * u)) / 2, "constant": start if u < 1 else 1}
        value = ramp[shape] * inner(t)

    Source: Goyal et al. 2017, section 2.2.
    """

    inner: Schedule = parameter("what is warmed up", "schedule")
    length: float = parameter("time until the ramp ends", "time", example=5)
    start: float = parameter("multiplier at the start", "ratio", default=0.0)
    shape: str = parameter(
        "curve of the ramp",
        "choice",
        default="linear",
        choices=("linear", "exponential", "cosine", "constant"),
    )

    def _check(self) -> None:
        if self.shape == "exponential" and self.start == 0:
            raise ValueError("start must be > 0 for an exponential warm-up, got start=0")

    @property
    def duration(self) -> float:
        """That of the ramp or of the inner schedule, whichever is longer."""
        return max(self.length, self.inner.duration)

    @property
    def metric_driven(self) -> bool:
        """Whether the inner schedule is."""
        return self.inner.metric_driven

    def initial(self) -> State:
        """Return the inner schedule's."""
        return self.inner.initial()

    def observe(self, state: State, metric: float) -> State:
        """Forward to the inner schedule."""
        return self.inner.observe(state, metric)

    def _value(self, t: Array) -> Array:
        return self._at(t, self.initial())

    def _at(self, t: Array, state: State) -> Array:
        return self._ramp(ramp(t, 0.0, self.length)) * self.inner.at(t, state)

    def _ramp(self, u: Array) -> Array:
        """Return the ramp's height at progress ``u``."""
        if self.shape == "constant":
            return np.where(u < 1.0, self.start, 1.0)
        if self.shape == "exponential":
            return np.power(float(self.start), 1.0 - u)
        height = u if self.shape == "linear" else 1.0 - falling_cosine(u)
        return self.start + (1.0 - self.start) * height

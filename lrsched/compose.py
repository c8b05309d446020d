"""Schedules made of schedules. Metrics are forwarded to the parts that they are for."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from lrsched.decay import Cosine, InverseSquareRoot, Linear
from lrsched.numeric import REACH, Pieces, falling_cosine, jump, power, ramp, single
from lrsched.parameter import parameter
from lrsched.schedule import Array, Schedule, State


class Warmup(Schedule, name="warmup"):
    """Multiply any schedule by a ramp from ``start`` to 1.

    The warm-up lies inside the total length: it neither shifts nor stretches what it multiplies.
    ``length`` 0 is no warm-up.

    Formula::

        u = min(t / length, 1)
        if shape == "linear":
            rise = start + (1 - start) * u
        elif shape == "exponential":
            rise = start ** (1 - u)
        elif shape == "cosine":
            rise = start + (1 - start) * (1 - cos(pi * u)) / 2
        else:
            rise = start if u < 1 else 1
        value = rise * inner(t)

    Source: Goyal et al. 2017, Accurate, large minibatch SGD, section 2.2 (constant and linear).

    >>> Warmup(Linear(length=20), length=10)(5)
    0.375
    """

    inner: Schedule = parameter("what is warmed up", "schedule", example=Cosine(20))
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
            raise ValueError(f"start must be > 0 for an exponential warm-up, got start={self.start}")

    @cached_property
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

    def observe(self, state: State, metric: float, t: float | None = None) -> State:
        """Forward to the inner schedule."""
        return self.inner.observe(state, metric, t)

    def _at(self, t: Array, state: State) -> Array:
        return self._ramp(ramp(t, 0.0, self.length)) * self.inner.at(t, state)

    def _ramp(self, u: Array) -> Array:
        """Return the ramp's height at progress ``u``."""
        if self.shape == "constant":
            return jump(u, 1.0, self.start, 1.0)
        if self.shape == "exponential":
            return power(self.start, 1.0 - u)
        height = u if self.shape == "linear" else 1.0 - falling_cosine(u)
        return self.start + (1.0 - self.start) * height


class Parts(Schedule):
    """A schedule made of several. Not a schedule itself."""

    schedules: tuple[Schedule, ...] = parameter(
        "the parts", "schedule", many=True, example=(Linear(5, start=0.1, final=1.0), Cosine(15))
    )

    @property
    def metric_driven(self) -> bool:
        """Whether any part is."""
        return any(s.metric_driven for s in self.schedules)

    def initial(self) -> State:
        """Return how many metrics were observed, and the parts' states; ``None`` if no part is driven by a metric."""
        return {"observed": 0, "parts": [s.initial() for s in self.schedules]} if self.metric_driven else None

    def observe(self, state: State, metric: float, t: float | None = None) -> State:
        """Forward to the parts that the metric is for."""
        if state is None:
            return None
        observed = state["observed"] + 1
        now, parts = float(observed) if t is None else t, list(state["parts"])
        for i, local in self._told(now):
            parts[i] = self.schedules[i].observe(parts[i], metric, local)
        return {"observed": observed, "parts": parts}

    def _told(self, t: float) -> list[tuple[int, float]]:
        """Return which parts a metric observed at ``t`` is for, each with its own time: every one."""
        return [(i, t) for i in range(len(self.schedules))]

    def _part_at(self, i: int, t: Any, state: State) -> Any:
        """Return the value of part ``i`` at its own time ``t``."""
        return self.schedules[i].at(t, None if state is None else state["parts"][i])


class Join(Parts, name="join"):
    """One schedule after another; at a milestone the next one takes over.

    On the ``own`` clock each part starts at its time 0 when it takes over, and n parts have n - 1
    milestones. ``rescaled``, each part's duration is stretched or shrunk to fill its place, and the n-th
    milestone is the end. Two equal milestones leave out the part between them. A metric is for the part whose turn
    it was when the metric's epoch ended: a plateau knows nothing of the epochs before its turn.

    Formula::

        i = sum(m <= t for m in milestones[:len(schedules) - 1])
        begin = ([0] + list(milestones))[i]
        x = t - begin
        if clock == "rescaled":
            x = (min(t, milestones[-1]) - begin) / (milestones[i] - begin) * schedules[i].duration
        value = schedules[i](x)

    Source: torch's ``SequentialLR``; optax's ``join_schedules``.

    >>> Join((Linear(5, start=0.0), Cosine(T_max=15)), milestones=(5,))(5)
    1.0
    """

    milestones: tuple[float, ...] = parameter(
        "times at which the next part takes over", "time", many=True, ordered="rising", example=(5,)
    )
    clock: str = parameter("time as the parts see it", "choice", default="own", choices=("own", "rescaled"))

    def _check(self) -> None:
        parts, milestones = len(self.schedules), len(self.milestones)
        if self.clock == "own" and milestones != parts - 1:
            raise ValueError(
                f"milestones must be one fewer than the {parts} schedules, got milestones={self.milestones}"
            )
        if self.clock == "rescaled" and milestones != parts:
            raise ValueError(
                f"milestones must be as many as the {parts} schedules when rescaled, the last one being "
                f"the end, got milestones={self.milestones}"
            )
        for s in self.schedules if self.clock == "rescaled" else ():
            if math.isinf(s.duration):
                raise ValueError(f"schedules must end to be rescaled, and this one does not: {s}")

    @cached_property
    def duration(self) -> float:
        """The last milestone when rescaled; else it plus the last part's duration."""
        last = self.milestones[-1]
        return last if self.clock == "rescaled" else last + self.schedules[-1].duration

    @cached_property
    def _pieces(self) -> Pieces:
        """The number of the part whose turn it is."""
        parts = range(len(self.schedules))
        return Pieces(self.milestones[: len(parts) - 1], parts)

    def _at(self, t: Array, state: State) -> Array:
        (turn,) = self._pieces.at(t)
        if single(t):
            value: Array = self._part_at(int(turn), self._local(int(turn), t), state)
            return value
        values = np.empty_like(t)
        for i in range(len(self.schedules)):
            mine = turn == i
            values[mine] = self._part_at(i, self._local(i, t[mine]), state)
        return values

    def _told(self, t: float) -> list[tuple[int, float]]:
        # An epoch that ends at a milestone was the earlier part's.
        turn = sum(m * REACH < t for m in self.milestones[: len(self.schedules) - 1])
        return [(turn, self._local(turn, t))]

    def _local(self, i: int, t: Any) -> Any:
        """Return time as part ``i`` sees it."""
        begin = self.milestones[i - 1] if i else 0.0
        if self.clock == "own":
            return t - begin
        return ramp(t, begin, self.milestones[i]) * self.schedules[i].duration


class Product(Parts, name="product"):
    """Several schedules multiplied.

    Formula::

        value = prod(s(t) for s in schedules)

    Source: torch's ``ChainedScheduler`` of multiplicative schedulers.

    >>> Product((Cosine(T_max=20), Linear(20)))(10)
    0.25
    """

    @cached_property
    def duration(self) -> float:
        """That of the longest part."""
        return max(s.duration for s in self.schedules)

    def _at(self, t: Array, state: State) -> Array:
        values = self._part_at(0, t, state)
        for i in range(1, len(self.schedules)):
            values = values * self._part_at(i, t, state)
        product: Array = values
        return product


class Mirror(Schedule, name="mirror"):
    """Turn a schedule upside down: ``high`` where it is 0, ``low`` where it is 1.

    This is how momentum moves against the rate; ``OneCycle.momentum`` and ``Cyclic.momentum`` make it.

    Formula::

        value = high * (1 - inner(t)) + low * inner(t)

    Source: Smith and Topin 2018, Super-convergence; torch's ``cycle_momentum``.

    >>> Mirror(Cosine(T_max=20), low=0.5, high=1.0)(10)
    0.75
    """

    inner: Schedule = parameter(
        "what is turned upside down", "schedule", example=Warmup(InverseSquareRoot(5), 5)
    )
    low: float = parameter("value where the inner schedule is 1", "ratio", default=0.85)
    high: float = parameter("value where the inner schedule is 0", "ratio", default=0.95)

    @property
    def duration(self) -> float:
        """The inner schedule's."""
        return self.inner.duration

    def _check(self) -> None:
        if self.inner.metric_driven:
            raise ValueError(f"inner must not be driven by a metric, got inner={self.inner}")

    def _value(self, t: Array) -> Array:
        height = self.inner(t)
        return self.high * (1.0 - height) + self.low * height

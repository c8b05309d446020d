"""A schedule on its way through a training run: its values by step, and what it has seen of a metric."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from lrsched.schedule import Schedule, State

#: Steps whose multipliers are computed at once; a single one then costs a list access.
_AHEAD = 256


class Track:
    """One schedule in steps.

    Values are computed a block at a time. Blocks begin at fixed steps, so that a value does not depend on where a
    run was resumed.

    Args:
        schedule: Any schedule.
        steps_per_epoch: Steps per unit of the schedule's time.
    """

    def __init__(self, schedule: Schedule, steps_per_epoch: float) -> None:
        self.schedule = schedule
        self.state: State = schedule.initial()
        self._steps_per_epoch = steps_per_epoch
        # A metric can change what is ahead, and a user's function is asked for no step before its time.
        known = not schedule.metric_driven and as_json(schedule) is not None
        self._length = _AHEAD if known else 0
        self._begin, self._values = 0, list[float]()
        # A class of one's own need not ask for the time of a metric.
        self._timed = "t" in inspect.signature(schedule.observe).parameters

    def at(self, step: int) -> float:
        """Return the value at a step; below 0 it is that of step 0."""
        if not self._length:
            return self.schedule.at(step / self._steps_per_epoch, self.state)
        ahead = step - self._begin
        if not 0 <= ahead < len(self._values):
            self._begin = max(step, 0) // self._length * self._length
            steps = np.arange(self._begin, self._begin + self._length)
            self._values = self.schedule.at(steps / self._steps_per_epoch, self.state).tolist()
            ahead = max(step, 0) - self._begin
        return self._values[ahead]

    def observe(self, metric: float, step: int) -> None:
        """Take in a metric that was measured when ``step`` steps had been made."""
        time = {"t": step / self._steps_per_epoch} if self._timed else {}
        self.state = self.schedule.observe(self.state, metric, **time)


def as_json(schedule: Schedule | None) -> dict[str, Any] | None:
    """Return the schedule as JSON, or ``None`` if there is none, or a user's function forbids it."""
    try:
        return None if schedule is None else schedule.to_json()
    except TypeError:
        return None

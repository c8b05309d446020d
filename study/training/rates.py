"""A schedule as the numbers that a lane takes: the learning rate of every step of the next epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrsched import Schedule


class Rates:
    """One run's learning rates, epoch by epoch.

    Step s of epoch e, with S steps an epoch, uses ``base_rate * schedule(e + s / S)``: the schedule moves
    with every step, and its time is counted in epochs.

    A schedule that is driven by a metric sees the mean training loss of each epoch. Not the validation
    loss: the final training has no images to validate on, and a schedule must mean the same there.

    Args:
        schedule: The schedule; time unit: epochs.
        base_rate: Learning rate that the multiplier is applied to.
        steps: Steps an epoch, S.
    """

    def __init__(self, schedule: Schedule, base_rate: float, steps: int) -> None:
        self._schedule = schedule
        self._base_rate = base_rate
        self._within = np.arange(steps, dtype=np.float64) / steps
        self._epoch = 0
        self._state = schedule.initial()

    def current(self) -> NDArray[np.float64]:
        """Return the rates ``[S]`` of the epoch that comes next."""
        multipliers = self._schedule.at(self._epoch + self._within, self._state)
        return self._base_rate * np.broadcast_to(
            np.asarray(multipliers, dtype=np.float64), self._within.shape
        )

    def observe(self, train_loss: float) -> None:
        """Take note that an epoch is over and what it gave."""
        self._state = self._schedule.observe(self._state, train_loss)
        self._epoch += 1

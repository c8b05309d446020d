"""Lanes of two optimizers on one stream of minibatches: scheduled ones, and their schedule-free opponents.

Both sides draw the order of the examples from the same seed and clock, so that a seed pairs lanes of either side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from study.core.families import SCHEDULE_FREE
from study.core.records import EpochMetrics, TrialSpec
from study.training.general.fused import ProblemLanes
from study.training.side_by_side import SideBySide


class Mixed:
    """Lanes whose family decides which side trains them.

    Args:
        scheduled: Trains every family but one.
        free: Trains ``schedule_free``; has the same data, batch size, seed and clock.
    """

    def __init__(self, scheduled: SideBySide, free: ProblemLanes) -> None:
        self._scheduled, self._free = scheduled, free
        self._keys: list[int] = []
        #: Called after every step with the share of the epoch that is done.
        self.on_step: Callable[[float], None] = lambda _: None

    @property
    def clock(self) -> int:
        """Global epoch that comes next."""
        return self._scheduled.clock

    @clock.setter
    def clock(self, clock: int) -> None:
        self._scheduled.clock = self._free.clock = clock

    @property
    def steps(self) -> int:
        """Steps an epoch, S."""
        return self._scheduled.steps

    @property
    def keys(self) -> list[int]:
        """Keys of the lanes that train, in the order in which they were added."""
        return list(self._keys)

    def add(self, key: int, seed: int, asked: TrialSpec | None = None) -> None:
        """Start a network on the side of its family.

        Raises:
            ValueError: The key trains already.
        """
        if key in self._keys:
            raise ValueError(f"lane {key} trains already")
        free = asked is not None and asked.family == SCHEDULE_FREE
        (self._free if free else self._scheduled).add(key, seed, asked)
        self._keys.append(key)

    def drop(self, key: int) -> None:
        """Free the lane of ``key``.

        Raises:
            ValueError: The key does not train.
        """
        self._side(key).drop(key)
        self._keys.remove(key)

    def weights(self, key: int) -> dict[str, torch.Tensor]:
        """Return one lane's weights; those of a schedule-free lane are the average, which is what is measured."""
        return self._side(key).weights(key)

    def train_epoch(self, rates: Mapping[int, np.ndarray]) -> dict[int, EpochMetrics]:
        """Train every lane for one epoch, one side after the other; a lane's seconds are those of its side."""
        found: dict[int, EpochMetrics] = {}
        sides: tuple[SideBySide, SideBySide] = (self._scheduled, self._free)
        busy = [side for side in sides if side.keys]
        for side in sides:
            if side.keys:
                before = busy.index(side)
                side.on_step = lambda share, before=before: self.on_step((before + share) / len(busy))
                found |= side.train_epoch({key: rates[key] for key in side.keys})
            else:
                side.clock += 1
        return {key: found[key] for key in self._keys}

    def state_dict(self) -> dict[str, Any]:
        """Return what both sides need to go on."""
        return {
            "keys": self.keys,
            "scheduled": self._scheduled.state_dict(),
            "free": self._free.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let both sides go on."""
        self._keys = list(state["keys"])
        self._scheduled.load_state_dict(state["scheduled"])
        self._free.load_state_dict(state["free"])

    def _side(self, key: int) -> SideBySide:
        return self._free if key in self._free.keys else self._scheduled

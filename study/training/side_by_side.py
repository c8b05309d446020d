"""The door to networks that train side by side, whichever engine trains them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch

from study.core.records import EpochMetrics, TrialSpec


class SideBySide(Protocol):
    """Networks in lanes on one stream of minibatches: ``Lanes``, ``ProblemLanes`` or ``Mixed``.

    Attributes:
        clock: Global epoch that comes next: the data order's place.
        on_step: Called after every step with the share of the epoch that is done.
    """

    clock: int
    on_step: Callable[[float], None]

    @property
    def steps(self) -> int:
        """Steps an epoch, S."""

    @property
    def keys(self) -> list[int]:
        """Keys of the lanes that train, in lane order."""

    def add(self, key: int, seed: int, asked: TrialSpec | None = None) -> None:
        """Start a network with initial weights drawn from ``seed`` in a new lane.

        Args:
            key: The lane's key.
            seed: Seed of the initial weights.
            asked: What the lane is to train: its family says which optimizer, its schedule what drives the momentum.
                ``None``: the problem's optimizer with a momentum of its own.

        Raises:
            ValueError: The key trains already.
        """

    def drop(self, key: int) -> None:
        """Free the lane of ``key``.

        Raises:
            ValueError: The key does not train.
        """

    def weights(self, key: int) -> dict[str, torch.Tensor]:
        """Return one lane's weights as a lone network's ``state_dict``."""

    def train_epoch(self, rates: Mapping[int, np.ndarray]) -> dict[int, EpochMetrics]:
        """Train every lane for one epoch and measure it, given the rate of each of its S steps, by key."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later process needs to go on: tensors and plain data."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the process that wrote ``state`` stopped."""

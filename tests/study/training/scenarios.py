"""What happens to lanes of every kind: some end while others go on, and another process takes over."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from study.core.records import EpochMetrics
from study.training.general.fused import ProblemLanes
from study.training.lanes import Lanes

SideBySide = Lanes | ProblemLanes
#: The rates of each run, epoch by epoch, by key.
Rates = Mapping[int, Sequence[NDArray[np.float64]]]

#: Of four runs in eight epochs: the clock at which each starts and the epochs that it trains.
STARTS, TRAINED = {0: 0, 1: 0, 2: 3, 3: 4}, {0: 3, 1: 8, 2: 3, 3: 4}


def come_and_go(lanes: SideBySide, rates: Rates) -> dict[int, dict[str, torch.Tensor]]:
    """Train one lane through while others leave and join; return the weights with which each ended.

    The run of key k starts from seed 100 + k.
    """
    ended = {}
    for epoch in range(8):
        for key, epochs in TRAINED.items():
            if epoch == STARTS[key] + epochs:
                ended[key] = lanes.weights(key)
                lanes.drop(key)
        for key, start in STARTS.items():
            if epoch == start:
                lanes.add(key, seed=100 + key)
        lanes.train_epoch({key: rates[key][epoch - STARTS[key]] for key in lanes.keys})
    return ended | {key: lanes.weights(key) for key in lanes.keys}


def go_on(make: Callable[[], SideBySide], rates: Rates) -> None:
    """Train lanes through, and others that a second process takes over midway from a file of plain data: the same bits."""
    through, resumed = make(), make()
    for key in rates:
        through.add(key, seed=key)
    rows = [dict(zip(rates, row, strict=True)) for row in zip(*rates.values(), strict=True)]
    half = len(rows) // 2
    for row in rows[:half]:
        through.train_epoch(row)
    file = io.BytesIO()
    torch.save(through.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert resumed.keys == [*rates]
    for row in rows[half:]:
        one, other = through.train_epoch(row), resumed.train_epoch(row)
        assert {k: timeless(e) for k, e in one.items()} == {k: timeless(e) for k, e in other.items()}
    for key in rates:
        assert all(torch.equal(resumed.weights(key)[n], w) for n, w in through.weights(key).items())


def timeless(epoch: EpochMetrics) -> EpochMetrics:
    """Return what an epoch gave, whatever it took."""
    return replace(epoch, seconds=0.0)

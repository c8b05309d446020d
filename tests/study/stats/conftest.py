"""Tables of accuracies for the tests of the statistics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@pytest.fixture(scope="session")
def normal_table() -> Callable[..., Floats]:
    """Makes one table around 90 %, with an effect of the seed, spread .25 points; leads in points."""

    def make(seed: int, seeds: int = 10, leads: tuple[float, ...] = (0.0,) * 5) -> Floats:
        rng = np.random.default_rng(seed)
        noise = 0.25 * rng.normal(size=(seeds, len(leads))) + 0.3 * rng.normal(size=(seeds, 1))
        table: Floats = 0.9 + (np.array(leads) + noise) / 100
        return table

    return make


@pytest.fixture(scope="session")
def simulated() -> Callable[..., Floats]:
    """Makes many tables; heavy: one run in ten ends 5 to 10 points low. Points."""

    def make(
        leads: tuple[float, ...],
        seeds: int,
        *,
        heavy: bool = False,
        spreads: tuple[float, ...] | float = 0.25,
        repetitions: int = 4000,
    ) -> Floats:
        rng = np.random.default_rng([seeds, heavy])
        shape = (repetitions, seeds, len(leads))
        low = (rng.random(shape) < 0.1 * heavy) * rng.uniform(5, 10, shape)
        table: Floats = 0.9 + (np.array(leads) + np.array(spreads) * rng.normal(size=shape) - low) / 100
        return table

    return make

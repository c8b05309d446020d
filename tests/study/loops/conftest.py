"""What a tiny study is, and runs of a few steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from study.core.records import StudyConfig, TrialSpec
from tests.making import spec_of


@pytest.fixture
def config(config: StudyConfig) -> StudyConfig:
    """Two epochs on few images, small enough to train."""
    return replace(
        config,
        name="tiny",
        epochs=2,
        batch_size=64,
        schedules=("constant", "cosine", "linear"),
        sampler="stratified",
        n_startup_trials=2,
        reprieve=0.0,
        seed=3,
        train_images=200,
    )


@pytest.fixture
def spec() -> Callable[..., TrialSpec]:
    """Makes what a run is asked: a cosine from rate 0.2."""

    def make(number: int = 0, *, seed: int = 11, base_rate: float = 0.2, epochs: int = 3) -> TrialSpec:
        return spec_of(number, base_rate=base_rate, params={"base_rate": base_rate}, epochs=epochs, seed=seed)

    return make

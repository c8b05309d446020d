"""A schedule becomes the numbers that a lane takes, step by step."""

from __future__ import annotations

import numpy as np
import pytest

import lrsched
from study.training.rates import Rates
from study.tuning.space import Space


@pytest.mark.parametrize(
    "family", sorted(n for n, cls in lrsched.REGISTRY.items() if cls.searchable() and n != "plateau")
)
def test_step_s_of_epoch_e_uses_the_schedule_at_that_time(family: str) -> None:
    """The rate is base_rate x schedule(e + s / S), for every family that depends on time alone."""
    import optuna

    space = Space((family,), 5)
    point = space.suggest(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask())
    assert not point.schedule.metric_driven
    rates = Rates(point.schedule, point.base_rate, 4)
    for epoch in range(5):
        expected = [point.base_rate * point.schedule(epoch + step / 4) for step in range(4)]
        assert rates.current().tolist() == pytest.approx(expected, rel=1e-12)
        rates.observe(train_loss=1.0 / (epoch + 1))


def test_reading_the_rates_changes_nothing() -> None:
    rates = Rates(lrsched.Cosine(T_max=3.0), 0.5, 7)
    assert rates.current().tolist() == rates.current().tolist()
    assert rates.current().shape == (7,)


def test_plateau_watches_the_training_loss() -> None:
    """With patience 1 and factor 0.5, the second epoch in a row without a lower loss halves the rate."""
    rates = Rates(lrsched.Plateau(factor=0.5, patience=1), 0.8, 3)
    given = []
    for loss in (1.0, 0.9, 0.95, 0.92, 0.5, 0.6, 0.6, 0.4):
        current = rates.current()
        assert len(set(current.tolist())) == 1  # it moves at an epoch's end only
        given.append(float(current[0]))
        rates.observe(loss)
    assert given == pytest.approx([0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2])


def test_a_warmed_up_plateau_still_watches() -> None:
    """Warm-up multiplies: the ramp within the first two epochs, the halving after losses that do not fall."""
    schedule = lrsched.Warmup(lrsched.Plateau(factor=0.5, patience=0), length=2.0)
    rates = Rates(schedule, 1.0, 2)
    given = []
    for loss in (1.0, 0.9, 0.9, 0.8):
        given.extend(rates.current().tolist())
        rates.observe(loss)
    assert np.allclose(given, [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 0.5, 0.5])

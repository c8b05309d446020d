"""Laws of the rate curves: base rate times schedule, as far as a trial trained."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import lrsched
from study.core.records import EpochMetrics, TrialRecord, TrialSpec
from study.page.plots.rate_curves import POINTS, rate_curve


def trial(schedule: lrsched.Schedule, trained: int, losses: tuple[float, ...] = ()) -> TrialRecord:
    """A trial that trained so many epochs, with training losses that are the test's own."""
    spec = TrialSpec(0, "any", schedule, 0.3, {}, 30, 0, 0, 1)
    seen = losses or (1.0,) * trained
    epochs = tuple(EpochMetrics(e, 0.1, seen[e], 0.5, 1.0, 0.5, None, 1.0) for e in range(trained))
    return TrialRecord(spec, epochs, "pruned", None, {}, None, None, None)


@pytest.mark.parametrize("trained", [1, 7, 30])
def test_it_is_base_rate_times_schedule_to_the_last_epoch_trained(trained: int) -> None:
    schedule = lrsched.Warmup(lrsched.Cosine(T_max=20, final=0.01), 5)
    curve = rate_curve(trial(schedule, trained))
    times, rates = curve.times, curve.rates
    assert times[0] == 0
    assert times[-1] == trained
    assert len(times) == POINTS * trained + 1
    assert rates == pytest.approx(0.3 * schedule(times), rel=1e-12)


def test_a_schedule_driven_by_a_metric_sees_the_training_losses_again() -> None:
    plateau = lrsched.Plateau(patience=1, factor=0.5)
    losses = (1.0, 0.5, 0.5, 0.5, 0.4)
    curve = rate_curve(trial(lrsched.Warmup(plateau, 2), 5, losses))
    times, rates = curve.times, curve.rates
    multipliers = lrsched.follow(plateau, losses)
    assert multipliers == [1.0, 1.0, 1.0, 1.0, 0.5]
    for epoch, multiplier in enumerate(multipliers):
        mine = slice((POINTS + 1) * epoch, (POINTS + 1) * (epoch + 1))
        assert times[mine] == pytest.approx(np.linspace(epoch, epoch + 1, POINTS + 1))
        assert rates[mine] == pytest.approx(0.3 * multiplier * np.minimum(times[mine] / 2, 1))


def test_a_running_trial_is_drawn_as_far_as_it_reported() -> None:
    running = dataclasses.replace(trial(lrsched.Constant(), 0), outcome="running", reported={0: 0.5, 1: 0.6})
    curve = rate_curve(running)
    assert curve.times[-1] == 2
    assert set(curve.rates.tolist()) == {0.3}


def test_nothing_trained_is_an_empty_curve() -> None:
    curve = rate_curve(trial(lrsched.Constant(), 0))
    assert (curve.times.size, curve.rates.size) == (0, 0)

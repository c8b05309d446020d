"""Forecasts: nothing of the future is used but the rates, the regression is the textbook's, its errors hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrsched
from study.core.metric import ACCURACY, Metric
from study.core.rules.forecast import (
    Forecaster,
    Ridge,
    is_bounded,
    progress_of,
    rate_curves,
    shortfall,
    traits,
    trial_traits,
)
from tests.making import spec_of

EPOCHS = 12


@given(st.floats(-0.5, 1.0), st.booleans())
def test_a_shortfall_is_undone(progress: float, bounded: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    short = shortfall(np.array([progress]), bounded=bounded)
    assert progress_of(short, bounded=bounded)[0] == pytest.approx(progress)


@given(st.floats(-1, 1), st.floats(-1, 1), st.booleans())
def test_better_signals_fall_short_by_less(one: float, other: float, bounded: bool) -> None:  # noqa: FBT001
    a, b = shortfall(np.array([one, other]), bounded=bounded)
    assert one <= other or a <= b


def test_a_metric_without_a_better_bound_is_not_bounded() -> None:
    assert is_bounded(ACCURACY)
    assert is_bounded(Metric("loss", "minimize", chance=2.3, low=0.0))
    assert not is_bounded(Metric("loss", "minimize", chance=2.3))


@given(
    st.integers(0, EPOCHS - 2),
    st.lists(st.floats(0.1, 0.9), min_size=EPOCHS, max_size=EPOCHS),
    st.floats(0, 1),
)
def test_traits_know_no_later_signal(epoch: int, shown: list[float], other: float) -> None:
    """Neither a later signal nor, for a schedule that follows the training loss, a later loss changes a trait."""
    signal, changed = np.array(shown), np.array(shown)
    changed[epoch + 1 :] = other
    cosine, plateau = (
        spec_of(epochs=EPOCHS),
        spec_of(epochs=EPOCHS, schedule=lrsched.Plateau(patience=0, factor=0.5)),
    )
    losses, worse = [1.0] * EPOCHS, [1.0] * (epoch + 1) + [float("inf")] * (EPOCHS - epoch - 1)
    for spec in (cosine, plateau):
        one = trial_traits(spec, losses, signal, bounded=True)[epoch]
        same = trial_traits(spec, worse, changed, bounded=True)[epoch]
        np.testing.assert_array_equal(one, same)


def test_traits_by_hand() -> None:
    rates = np.array([0.4, 0.2, 0.1, 0.1])
    got = traits(np.array([0.5, 0.7, 0.6, np.nan]), rates, bounded=False)[2]
    least = 0.4e-3
    known = np.array([0.4 / 3, 0.1, 0.1, 0.7, 0.1]) + least
    np.testing.assert_allclose(got, np.concatenate([np.array([-0.7, -0.6]), np.log(known)]))


def test_a_rate_curve_holds_each_epochs_mean() -> None:
    """A schedule that follows the training loss stays as it is from where losses are known to."""
    linear = rate_curves(spec_of(epochs=4, schedule=lrsched.Linear(length=4.0), base_rate=2.0), ())
    np.testing.assert_allclose(linear, np.tile([1.75, 1.25, 0.75, 0.25], (3, 1)))
    plateau = spec_of(epochs=4, schedule=lrsched.Plateau(patience=0, factor=0.5), base_rate=1.0)
    known = rate_curves(plateau, [1.0, 1.0, 1.0])
    expected = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.5, 0.5], [1.0, 1.0, 0.5, 0.25]])
    np.testing.assert_allclose(known, expected)


def test_the_ridge_is_the_textbooks() -> None:
    """With the precisions that it found: mean and variance of the posterior by solving the normal equations."""
    rng = np.random.default_rng(0)
    x, rows = rng.normal(size=(30, 4)), rng.normal(size=(5, 4))
    y = x @ [1.0, -0.5, 0.0, 0.2] + rng.normal(scale=0.3, size=30)
    ridge = Ridge(x, y)
    mean, error = ridge.predict(rows)
    alpha, beta = ridge._alpha, ridge._beta
    centre, scale = x.mean(axis=0), x.std(axis=0)
    z, new = (x - centre) / scale, (rows - centre) / scale
    covariance = np.linalg.inv(alpha * np.eye(4) + beta * z.T @ z)
    np.testing.assert_allclose(mean, y.mean() + beta * new @ covariance @ z.T @ (y - y.mean()), rtol=1e-6)
    variance = 1 / beta * (1 + 1 / 30) + np.einsum("ij,jk,ik->i", new, covariance, new)
    np.testing.assert_allclose(error, np.sqrt(variance), rtol=1e-6)
    assert 1 / np.sqrt(beta) == pytest.approx(0.3, rel=0.3)


@pytest.mark.parametrize("trials", [10, 40, 200])
def test_forecast_errors_hold(trials: int) -> None:
    """Over made-up studies in which the law holds, one standard error holds about 68 % of new ends, few trials or many."""
    rng, within = np.random.default_rng(trials), []
    for _ in range(200):
        law = rng.normal(size=7)
        forecaster = Forecaster(bounded=False)
        for _ in range(trials):
            row = rng.normal(size=(3, 7))
            forecaster.learn(row, float(row[1] @ law + rng.normal(scale=0.5)))
        new = rng.normal(size=(1, 7))
        forecast = forecaster.forecast(1, new)
        end = float(new[0] @ law + rng.normal(scale=0.5))
        within.append(abs(end - forecast.signal()[0]) <= forecast.error[0])
    assert 0.58 < np.mean(within) < 0.80


def test_hope_raises_a_forecast() -> None:
    forecaster, rng = Forecaster(bounded=True), np.random.default_rng(1)
    for _ in range(20):
        forecaster.learn(rng.normal(size=(3, 7)), float(rng.uniform(0.8, 0.9)))
    forecast = forecaster.forecast(0, rng.normal(size=(4, 7)))
    assert (forecast.signal(1.0) > forecast.signal()).all()
    assert len(forecaster) == 20

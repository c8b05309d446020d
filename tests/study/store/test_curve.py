"""A thinned curve keeps its ends, its extremes and its corners."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.store.curve import GrowingCurve, largest_jumps, thin

RATES = st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=400)
BOUNDS = st.integers(8, 60)


@given(RATES, BOUNDS)
def test_indices_ascend_and_keep_to_the_bound(curve: list[float], at_most: int) -> None:
    kept = thin(curve, at_most)
    assert (np.diff(kept) > 0).all()
    assert len(kept) <= at_most
    assert kept[0] == 0
    assert kept[-1] == len(curve) - 1


@given(RATES, BOUNDS)
def test_extremes_are_kept(curve: list[float], at_most: int) -> None:
    values = np.asarray(curve)[thin(curve, at_most)]
    assert values.min() == min(curve)
    assert values.max() == max(curve)


@given(RATES, BOUNDS)
def test_both_sides_of_the_largest_jumps_are_kept(curve: list[float], at_most: int) -> None:
    kept = set(thin(curve, at_most).tolist())
    for before in largest_jumps(np.asarray(curve), min(at_most // 4, (at_most - 4) // 2)).tolist():
        assert {before, before + 1} <= kept


@given(st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=8))
def test_a_short_curve_is_kept_whole(curve: list[float]) -> None:
    assert thin(curve, 8).tolist() == list(range(len(curve)))


def test_a_polygon_needs_its_corners_only() -> None:
    """Lines through the kept points are the curve itself, exactly where it has corners."""
    steps = np.arange(6000.0)
    curve = np.interp(steps, [0, 1000, 1001, 5999], [0.0, 0.5, 0.25, 0.0])
    kept = thin(curve)
    assert {0, 1000, 1001, 5999} <= set(kept.tolist())
    assert len(kept) < 320
    assert np.abs(np.interp(steps, kept, curve[kept]) - curve).max() < 1e-9


def test_a_cosine_of_a_whole_run_is_drawn_to_a_thousandth() -> None:
    steps = np.arange(5880)
    curve = 0.15 * (1 + np.cos(np.pi * steps / len(steps)))
    kept = thin(curve)
    assert len(kept) <= 320
    assert np.abs(np.interp(steps, kept, curve[kept]) - curve).max() < 0.3e-3


def test_fewer_than_eight_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at_most must be at least 8, got at_most=7"):
        thin([1.0], 7)


@given(st.integers(1, 400), st.integers(1, 40), st.integers(8, 320), st.data())
def test_a_growing_curve_keeps_to_its_bound_wherever_it_stops(
    epochs: int, steps: int, at_most: int, data: st.DataObject
) -> None:
    trained = data.draw(st.integers(1, epochs))
    values = np.random.default_rng(0).random((trained, steps))
    grown = GrowingCurve(epochs, at_most)
    points = [point for epoch in values for point in grown.add(epoch.tolist())] + grown.rest()
    flat = values.ravel()
    assert len(points) <= at_most
    assert [step for step, _ in points] == sorted({step for step, _ in points})
    assert all(value == flat[step] for step, value in points)
    assert points[0][0] == 0
    assert points[-1][0] == len(flat) - 1


@given(st.integers(1, 20), st.integers(0, 19))
def test_a_jump_between_epochs_shows_both_its_sides(epochs: int, at: int) -> None:
    """The last step of an epoch and the first of the next are both there, live."""
    grown = GrowingCurve(epochs)
    points = [p for e in range(epochs) for p in grown.add([1.0 if e < at else 0.5] * 196)]
    points += grown.rest()
    shown = {step for step, _ in points}
    if 0 < at < epochs:
        assert {196 * at - 1, 196 * at} <= shown


def test_points_of_a_usual_run_are_given_out_each_epoch() -> None:
    grown = GrowingCurve(30)
    assert all(grown.add(np.linspace(1 - e / 30, 1 - (e + 1) / 30, 196).tolist()) for e in range(30))

"""A thinned curve keeps its ends, its extremes and its corners, or leaves the full one by so little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.core.thinning import largest_jumps, thin, thin_within

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


@given(
    st.lists(st.floats(0, 2), min_size=1, max_size=60),
    st.floats(0, 0.5),
)
def test_a_thinned_curve_leaves_the_full_one_by_at_most_the_tolerance(
    values: list[float], tolerance: float
) -> None:
    times, curve = np.arange(float(len(values))), np.array(values)
    kept = thin_within(times, curve, tolerance)
    assert kept[0] == 0
    assert kept[-1] == len(values) - 1
    assert list(kept) == sorted(set(kept.tolist()))
    assert np.abs(np.interp(times, times[kept], curve[kept]) - curve).max() <= tolerance + 1e-12


def test_no_points_are_thinned_to_none() -> None:
    assert thin_within(np.empty(0), np.empty(0), 0.1).tolist() == []

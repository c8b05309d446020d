"""A growing curve keeps to its bound and shows its jumps, wherever it stops."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from study.store.tracking.curve import GrowingCurve


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

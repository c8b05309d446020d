"""Warm-up, joins and products: what they do to time, to the ends, and to metrics."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lrsched import (
    Constant,
    Cosine,
    Hold,
    Join,
    Linear,
    MultiStep,
    Plateau,
    Product,
    Schedule,
    SquareRoot,
    Warmup,
    follow,
)

T = np.linspace(0, 30, 301)


@pytest.mark.parametrize("inner", [Cosine(20, 0.1), MultiStep((3, 9)), SquareRoot(), Plateau()])
@pytest.mark.parametrize("shape", ["linear", "exponential", "cosine", "constant"])
def test_warmup_neither_shifts_nor_stretches(inner: Schedule, shape: str) -> None:
    """After its length nothing is left of it, and at its start the inner schedule is scaled by ``start``."""
    warm = Warmup(inner, 5, 0.25, shape)
    after = T >= 5
    assert (warm(T)[after] == inner(T)[after]).all()
    assert warm(0) == 0.25 * inner(0)
    assert (warm(T) <= inner(T)).all()


@pytest.mark.parametrize("length", [0, 1])
def test_warmup_of_length_0_or_1(length: int) -> None:
    warm = Warmup(Cosine(9), length)
    assert warm(0) == (1.0 if length == 0 else 0.0)
    assert warm(1) == Cosine(9)(1)


def test_warmup_of_nothing_rises_from_start_to_one() -> None:
    """Half-way: each shape's own height."""
    heights = {
        shape: Warmup(Constant(), 4, 0.25, shape)(2)
        for shape in ("linear", "exponential", "cosine", "constant")
    }
    assert heights == pytest.approx({"linear": 0.625, "exponential": 0.5, "cosine": 0.625, "constant": 0.25})


def test_warmup_mirrors_decay() -> None:
    """A warm-up is the decay of the same shape, run backwards."""
    t = np.linspace(0, 8, 50)
    np.testing.assert_allclose(Warmup(Constant(), 8, shape="cosine")(t), Cosine(8)(8 - t), atol=1e-15)
    np.testing.assert_allclose(Warmup(Constant(), 8)(t), Linear(8)(8 - t), atol=1e-15)


def test_join_switches_at_the_milestone_itself() -> None:
    joined = Join((Constant(), Hold(0.5, 3), Constant()), (10, 12))
    assert joined(np.array([9.999, 10, 11.999, 12])).tolist() == [1, 0.5, 0.5, 1]


def test_join_leaves_out_a_part_without_length() -> None:
    assert Join((Constant(), Hold(0.5, 3), Cosine(4)), (10, 10))(10) == 1.0
    assert Join((Hold(0.5, 3), Constant()), (0,))(0) == 1.0


def test_rescaled_parts_fill_their_places_exactly() -> None:
    joined = Join((Linear(1, 0.0, 1.0), Cosine(200, 0.1)), (5, 20), "rescaled")
    own = Join((Linear(5, 0.0, 1.0), Cosine(15, 0.1)), (5,))
    np.testing.assert_allclose(joined(T), own(T), rtol=1e-13)
    assert joined(20) == joined(99) == 0.1
    assert joined.duration == own.duration == 20


def test_product_multiplies() -> None:
    parts = Cosine(20, 0.1), SquareRoot()
    np.testing.assert_allclose(Product(parts)(T), parts[0](T) * parts[1](T), rtol=1e-15)
    assert Product((Cosine(3), Cosine(8))).duration == 8


def test_metrics_reach_every_part() -> None:
    """Warm-up, product and join forward what they are told, and hand on what the parts say."""
    plateau, losses = Plateau(factor=0.5, patience=0), [1.0] * 6
    halved = [1, 1, 0.5, 0.25, 0.125, 0.0625]
    assert follow(plateau, losses) == halved
    assert follow(Warmup(plateau, 4), losses) == [h * min(i / 4, 1) for i, h in enumerate(halved)]
    assert follow(Product((plateau, Hold(0.5, 3))), losses) == [
        h * (0.5 if i < 3 else 1) for i, h in enumerate(halved)
    ]
    assert follow(Join((Constant(), plateau), (3,)), losses) == [1, 1, 1, *halved[:3]]
    for schedule in (Warmup(plateau, 4), Product((plateau,)), Join((plateau, Constant()), (3,))):
        assert schedule.metric_driven
    for schedule in (Warmup(Cosine(4), 4), Product((Cosine(4),)), Join((Constant(), Constant()), (3,))):
        assert not schedule.metric_driven
        assert schedule.observe(schedule.initial(), 1.0) is None


def test_observing_leaves_the_old_state_alone() -> None:
    schedule = Product((Plateau(patience=0), Plateau(factor=0.5, patience=0)))
    first = schedule.observe(schedule.initial(), 1.0)
    second = schedule.observe(first, 1.0)
    assert schedule.at(2.0, first) == 1.0
    assert schedule.at(2.0, second) == pytest.approx(0.05)
    assert schedule.observe(first, 1.0) == second


def test_plateau_decisions() -> None:
    """Patience, threshold, cooldown, floor and direction, each by a table of losses and multipliers."""
    table: list[tuple[Plateau, list[float], list[float]]] = [
        (Plateau(0.5, patience=2), [5, 5, 5, 5, 5], [1, 1, 1, 1, 0.5]),
        (Plateau(0.5, patience=2), [5, 5, 4, 4, 4], [1, 1, 1, 1, 1]),
        (Plateau(0.5, patience=0, threshold=0.1), [5, 4.6, 4.4, 4.3, 3], [1, 1, 0.5, 0.5, 0.25]),
        (
            Plateau(0.5, patience=0, threshold=1, threshold_mode="abs"),
            [5, 4.1, 3.9, 3, 1],
            [1, 1, 0.5, 0.5, 0.25],
        ),
        (Plateau(0.5, patience=0, cooldown=2), [5, 5, 5, 5, 5], [1, 1, 0.5, 0.5, 0.5]),
        (Plateau(0.1, patience=0, floor=0.05), [5, 5, 5, 5, 5], [1, 1, 0.1, 0.05, 0.05]),
        (Plateau(0.5, patience=0, mode="max"), [1, 2, 3, 3, 4], [1, 1, 1, 1, 0.5]),
        (Plateau(0.5, patience=0), [math.nan, 5, 4, 3, 2], [1, 0.5, 0.5, 0.5, 0.5]),
        (Plateau(0.5, patience=0), [5, -math.inf, 4, 3, 2], [1, 1, 0.5, 0.5, 0.5]),
    ]
    for plateau, losses, expected in table:
        assert follow(plateau, losses) == pytest.approx(expected), plateau

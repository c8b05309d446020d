"""The formulas' primitives give one number what they give an array, also at the edges of what a number can hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsched import numeric

PRIMITIVES: dict[str, Callable[[Any], Any]] = {
    "smaller": lambda t: numeric.smaller(t, 3),
    "larger": lambda t: numeric.larger(t, 3),
    "power": lambda t: numeric.power(0.5, t),
    "power, growing": lambda t: numeric.power(2, t),
    "whole": numeric.whole,
    "log1p": numeric.log1p,
    "jump": lambda t: numeric.jump(t, 3, 0.25, 0.75),
    "ramp": lambda t: numeric.ramp(t, 1, 7.3),
    "ramp without length": lambda t: numeric.ramp(t, 3, 3),
    "cycles": lambda t: numeric.cycles(t, 0.3)[0],
    "time in the cycle": lambda t: numeric.cycles(t, 0.3)[1],
    "blend": lambda t: numeric.blend(0.1, t),
    "falling cosine": lambda t: numeric.falling_cosine(t / 1e3),
    "each": lambda t: numeric.each(math.atan, t),
    "pieces": lambda t: numeric.Pieces((1, 3, 3, 8), range(5), (0.1, 0.2, 0.3, 0.4, 0.5)).at(t)[1],
}


@pytest.mark.parametrize("name", PRIMITIVES)
@given(t=st.one_of(st.floats(0, 1e3), st.sampled_from([0.0, 1.0, 3.0, 7.3, 8.0, 1e3])))
def test_one_number_is_an_array_of_one(name: str, t: float) -> None:
    alone, (within,) = PRIMITIVES[name](t), PRIMITIVES[name](np.array([t]))
    assert type(alone) is float
    assert alone == pytest.approx(within, rel=1e-14, abs=1e-300)


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("name", ["power, growing", "whole", "cycles", "time in the cycle", "ramp", "log1p"])
@pytest.mark.parametrize("t", [5e-324, 1e300, 1.7e308])
def test_what_no_number_can_hold_is_infinite_for_both(name: str, t: float) -> None:
    alone, (within,) = PRIMITIVES[name](t), PRIMITIVES[name](np.array([t]))
    assert alone == pytest.approx(within, rel=1e-14, abs=0)


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_ramp_is_exact_at_its_ends_however_short() -> None:
    for start, end in [(0.1, 0.3), (0, 5e-324), (1, 1 + 2**-52), (0.1, 1e300)]:
        ends = numeric.ramp(np.array([start - 1.0, start, end, end + 1.0]), start, end)
        assert ends.tolist() == [0, 0, 1, 1]
        assert [numeric.ramp(float(t), start, end) for t in (start, end)] == [0, 1]


def test_pieces_change_at_the_edge_itself() -> None:
    pieces = numeric.Pieces((2, 5), (1.0, 0.5, 0.25), (7, 8, 9))
    assert [pieces.at(t) for t in (1.9, 2.0, 4.9, 5.0)] == [(1.0, 7), (0.5, 8), (0.5, 8), (0.25, 9)]
    first, second = pieces.at(np.array([1.9, 2.0, 5.0]))
    assert first.tolist() == [1.0, 0.5, 0.25]
    assert second.tolist() == [7, 8, 9]


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        numeric.Pieces((2,), (1.0, 0.5), (1.0,))

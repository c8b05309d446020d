"""Presets are names for special cases: the values that their own formulas gave, and JSON written before them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrsched
from lrsched.presets import Preset

Array = np.ndarray[Any, Any]

#: Each preset as numpy once computed it by itself.
ALONE: dict[str, Callable[[Any, Array], Array]] = {
    "hold": lambda s, t: np.where(t < s.length, s.factor, 1.0),
    "linear_to_zero": lambda s, t: 1.0 - np.minimum(t, s.length) / s.length,
    "knee": lambda s, t: 1.0 - progress(np.minimum(t, s.length) / s.length, s.explore),
    "flat_cosine": lambda s, t: (
        s.final
        + (1 - s.final) * (1 + np.cos(np.pi * progress(np.minimum(t, s.length) / s.length, s.flat))) / 2
    ),
    "square_root": lambda s, t: 1.0 / (1.0 + t / s.timescale) ** 0.5,
    "noam": lambda s, t: np.minimum(t / s.warmup, (s.warmup / np.maximum(t, s.warmup)) ** 0.5),
}


def progress(u: Array, start: float) -> Array:
    """Return how far u has come from ``start`` to 1."""
    return np.where(u < 1.0, np.maximum(u - start, 0.0) / (1.0 - start if start < 1 else 1.0), 1.0)


PRESETS = {name: cls for name, cls in lrsched.REGISTRY.items() if issubclass(cls, Preset)}


def test_every_preset_is_tried() -> None:
    assert set(PRESETS) == set(ALONE)


@pytest.mark.parametrize("name", PRESETS)
@settings(max_examples=200)
@given(data=st.data())
def test_equal_to_what_it_was_alone(name: str, data: st.DataObject) -> None:
    """To two units in the last place of 1: shares are turned round, and 1 - (1 - x) is rounded once."""
    share = st.floats(0.0, 0.99)
    drawn = {
        "time": st.floats(0.01, 400.0),
        "ratio": st.one_of(share, st.sampled_from([0.0, 0.1, 0.3, 0.5])),
    }
    schedule = PRESETS[name](**{p.name: data.draw(drawn[p.unit]) for p in PRESETS[name].parameters()})
    times = np.concatenate([np.linspace(0.0, 500.0, 401), np.arange(40) / 7])
    np.testing.assert_allclose(schedule(times), ALONE[name](schedule, times), rtol=0, atol=5e-16)


@pytest.mark.parametrize("name", PRESETS)
def test_it_is_its_general_form(name: str) -> None:
    """The same values and the same end; yet it keeps its own name and fields."""
    schedule = PRESETS[name].example()
    assert isinstance(schedule, Preset)
    times = np.linspace(-1.0, 40.0, 500)
    assert schedule(times).tolist() == schedule.general(times).tolist()
    assert schedule.duration == schedule.general.duration
    assert schedule.general.name not in PRESETS
    assert schedule.to_json()["schedule"] == name
    assert lrsched.from_json(schedule.to_json()) == schedule


#: What studies of earlier versions have stored, and a value of it.
STORED: list[tuple[dict[str, Any], float, float]] = [
    ({"schedule": "square_root", "timescale": 3.0}, 9.0, 0.5),
    ({"schedule": "hold", "factor": 0.25, "length": 4.0}, 3.9, 0.25),
    ({"schedule": "hold", "factor": 0.25, "length": 0.0}, 0.0, 1.0),
    ({"schedule": "linear_to_zero", "length": 30.0}, 7.5, 0.75),
    ({"schedule": "knee", "length": 30.0, "explore": 0.5}, 22.5, 0.5),
    ({"schedule": "flat_cosine", "length": 30.0, "flat": 0.5, "final": 0.0}, 22.5, 0.5),
    ({"schedule": "noam", "warmup": 4.0}, 16.0, 0.5),
    (
        {
            "schedule": "warmup",
            "inner": {"schedule": "square_root", "timescale": 1.0},
            "length": 6.0,
            "start": 0.0,
            "shape": "linear",
        },
        3.0,
        0.25,
    ),
]


@pytest.mark.parametrize(("data", "time", "value"), STORED, ids=lambda x: str(x)[:60])
def test_stored_studies_still_load(data: dict[str, Any], time: float, value: float) -> None:
    schedule = lrsched.from_json(data)
    assert schedule(time) == pytest.approx(value, abs=2.3e-16)
    assert schedule.to_json() == data


def test_the_searched_one_keeps_its_range() -> None:
    """A study that goes on must find the distributions that it was begun with."""
    assert lrsched.REGISTRY["square_root"].searchable()
    (timescale,) = lrsched.SquareRoot.parameters()
    assert timescale.search == lrsched.Search(0.003, 1.0, log=True, of_run=True)

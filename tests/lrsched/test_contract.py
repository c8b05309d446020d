"""The laws that every registered schedule obeys, and every composition of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lrsched
from lrsched import REGISTRY, Parameter, Schedule

#: Those that are made of no other.
LEAVES = tuple(n for n, cls in REGISTRY.items() if all(p.unit != "schedule" for p in cls.parameters()))
#: Those that may rise: a user's function, cycles, rises to a peak, and free forms. Any other must not.
MAY_RISE = {
    *("function", "multiplicative", "hold", "linear", "by_hand", "spline", "noam", "tri_stage"),
    *("cosine_restarts", "cyclic", "one_cycle"),
}

TIMES = st.lists(st.floats(-50, 5000), min_size=1, max_size=20).map(np.array)


@settings(max_examples=40)
@given(data=st.data())
def test_values_are_finite_and_between_0_and_the_peak(every: Any, data: st.DataObject) -> None:
    """Finite, never negative, never above the base rate: nobody asked for more."""
    schedule, times = data.draw(every), data.draw(TIMES)
    values = schedule(
        np.concatenate([times, [0.0, 1e9 if can_leap(schedule) else 5e3], milestones_of(schedule)])
    )
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    assert (values <= 1).all()


@pytest.mark.parametrize("name", sorted(set(LEAVES) - {"multiplicative"}))
@settings(max_examples=150, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_what_is_legal_is_finite_at_the_edge_of_numbers_too(
    name: str, data: st.DataObject, kinds: Any
) -> None:
    """Law: fields and times as small and as large as they are allowed to be give values in [0, 1], or are refused."""
    schedule = data.draw(kinds.leaf((name,), kinds.extreme))
    far = [0.0, 5e-324, 1e-300, 1e-100, 0.5, 1.0, 1 + 2**-52, 1e3, 1e16, 1e100, 1e200, 1.7e308]
    times = np.array([*far, *milestones_of(schedule)])
    values = schedule(times)
    assert np.isfinite(values).all()
    assert ((values >= 0) & (values <= 1)).all()
    np.testing.assert_allclose([schedule(float(t)) for t in times], values, rtol=1e-9, atol=1e-12)


def can_leap(schedule: Schedule) -> bool:
    """Whether far times cost no more than near ones: a product of a user's factors must ask for each."""
    return "Multiplicative" not in repr(schedule)


def milestones_of(schedule: Schedule) -> list[float]:
    """Return the schedule's own times: where formulas break, if they do."""
    own = [getattr(schedule, p.name) for p in schedule.parameters() if p.unit == "time"]
    return [float(x) for value in own for x in (value if isinstance(value, tuple) else [value])]


@settings(max_examples=40)
@given(data=st.data())
def test_arrays_and_numbers_agree(every: Any, data: st.DataObject) -> None:
    """Arrays in, arrays of the same shape out, and each value is that of the number alone."""
    schedule, times = data.draw(every), data.draw(TIMES)
    values = schedule(times)
    assert isinstance(values, np.ndarray)
    assert values.dtype == np.float64
    assert values.shape == times.shape
    singly = [schedule(float(t)) for t in times]
    assert all(type(value) is float for value in singly)
    np.testing.assert_allclose(values, singly, rtol=1e-12, atol=1e-15)
    assert schedule(times.reshape(1, -1, 1)).shape == (1, len(times), 1)
    assert schedule(np.array(3)).shape == ()
    assert schedule(np.arange(3)).tolist() == schedule(np.arange(3.0)).tolist()


@settings(max_examples=30)
@given(data=st.data())
def test_clamped_before_0_and_after_the_duration(every: Any, data: st.DataObject) -> None:
    schedule = data.draw(every)
    assert schedule(-3.5) == schedule(0.0) == schedule(0)
    if math.isfinite(schedule.duration):
        assert schedule(schedule.duration) == schedule(schedule.duration * 2 + 1) == schedule(1e12)


@settings(max_examples=30)
@given(data=st.data())
def test_the_order_of_calls_does_not_matter(every: Any, data: st.DataObject) -> None:
    schedule, times = data.draw(every), data.draw(TIMES)
    forwards = [schedule(float(t)) for t in times]
    backwards = [schedule(float(t)) for t in times[::-1]]
    assert forwards == backwards[::-1]
    assert schedule(times).tolist() == schedule(times).tolist()


@settings(max_examples=30)
@given(data=st.data())
def test_json_repr_equality_and_hash(written: Any, data: st.DataObject) -> None:
    """What is written is read back equal, and ``repr`` is the code that makes it."""
    schedule = data.draw(written)
    again = lrsched.from_json(json.loads(json.dumps(schedule.to_json())))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert eval(repr(schedule), vars(lrsched).copy()) == schedule  # noqa: S307  # our own repr
    assert schedule != lrsched.Warmup(schedule, 3)


@settings(max_examples=20)
@given(data=st.data())
def test_closed_forms_know_no_metric(closed: Any, data: st.DataObject) -> None:
    schedule = data.draw(closed)
    assert not schedule.metric_driven
    assert schedule.initial() is None
    assert schedule.observe(None, 1.0) is None
    assert schedule.at(7.0, None) == schedule(7.0)


@pytest.mark.parametrize("name", sorted(set(LEAVES) - MAY_RISE))
@settings(max_examples=50)
@given(data=st.data())
def test_decays_never_rise(name: str, data: st.DataObject, kinds: Any) -> None:
    schedule = data.draw(kinds.leaf((name,)))
    times = np.sort(data.draw(TIMES))
    assert (np.diff(schedule(times)) <= 1e-15).all()


#: What the ends are, by the fields: exactly, at 0 and at the duration.
ENDS: dict[str, tuple[Callable[[Any], float], Callable[[Any], float]]] = {
    "constant": (lambda _: 1.0, lambda _: 1.0),
    "tanh": (
        lambda s: s.final + (1.0 - s.final) * ((1.0 - np.tanh(s.lower)) / 2.0),
        lambda s: s.final + (1.0 - s.final) * ((1.0 - np.tanh(s.upper)) / 2.0),
    ),
    "hold": (lambda s: s.factor, lambda _: 1.0),
    "multi_step": (lambda _: 1.0, lambda s: float(s.factor) ** len(s.milestones)),
    "linear": (lambda s: s.start, lambda s: s.final),
    "polynomial": (lambda _: 1.0, lambda s: s.final),
    "cosine": (lambda _: 1.0, lambda s: s.final),
    "rex": (lambda _: 1.0, lambda s: s.final),
    "linear_to_zero": (lambda _: 1.0, lambda _: 0.0),
    "k_decay": (lambda _: 1.0, lambda s: s.final),
    "by_hand": (lambda _: 1.0, lambda s: s.values[-1]),
    "spline": (lambda s: s.values[0], lambda s: s.values[-1]),
    "warmup_stable_decay": (lambda _: 1.0, lambda s: s.final),
    "flat_cosine": (lambda _: 1.0, lambda s: s.final),
    "knee": (lambda _: 1.0, lambda _: 0.0),
    "tri_stage": (lambda s: s.start, lambda s: s.final),
    "one_cycle": (lambda s: s.start, lambda s: s.final),
}


def test_every_schedule_that_ends_has_its_ends_told() -> None:
    assert set(ENDS) == {name for name in LEAVES if math.isfinite(REGISTRY[name].example().duration)}


@pytest.mark.parametrize("name", ENDS)
@settings(max_examples=60)
@given(data=st.data())
def test_exact_at_the_ends(name: str, data: st.DataObject, kinds: Any) -> None:
    """Equality, not closeness, at both ends."""
    schedule = data.draw(kinds.leaf((name,)))
    start, end = ENDS[name]
    assert schedule(schedule.duration) == end(schedule)
    empty = schedule.duration == 0 or 0.0 in milestones_of(schedule)
    jump = (
        name in {"one_cycle", "tri_stage"}
        and min(getattr(schedule, "peak", 1), getattr(schedule, "warmup", 1)) == 0
    )
    if not empty and not jump:
        assert schedule(0) == start(schedule)


@pytest.mark.parametrize(
    "name", [n for n in LEAVES if any(p.name == "length" for p in REGISTRY[n].parameters())]
)
@pytest.mark.parametrize("length", [0, 1])
def test_lengths_0_and_1_work(name: str, length: int) -> None:
    example = {p.name: p.example for p in REGISTRY[name].parameters()}
    schedule = REGISTRY[name](**{**example, "length": length})
    assert schedule.duration == length
    assert schedule(length) == schedule(length + 5) == REGISTRY[name](**example)(1e6)


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("t", [math.nan, math.inf, -math.inf])
def test_times_that_are_no_time_are_refused(name: str, t: float) -> None:
    schedule = REGISTRY[name].example()
    with pytest.raises(ValueError, match="t must be finite"):
        schedule(t)
    with pytest.raises(ValueError, match="t must be finite"):
        schedule(np.array([0.0, t]))


def test_long_arrays_are_the_short_ones_put_together() -> None:
    """Long arrays are evaluated in pieces, which must not show."""
    times = np.linspace(0, 40, 50_001)
    for name in LEAVES:
        schedule = REGISTRY[name].example()
        np.testing.assert_allclose(schedule(times)[::1000], schedule(times[::1000]), rtol=1e-14, atol=1e-16)
        assert schedule(times.reshape(3, -1)).shape == (3, 16_667)


@pytest.mark.parametrize("name", REGISTRY)
def test_each_declares_itself(name: str) -> None:
    """Meaning and example for each field; a search range inside the domain; formula and source in words."""
    cls = REGISTRY[name]
    assert cls.name == name
    assert "value = " in cls.formula()
    assert "Source: " in (cls.__doc__ or "")
    for p in cls.parameters():
        assert p.meaning
        assert p.example is not None
        if not p.required:
            assert p.check(p.default) == p.default
        if p.search is None:
            continue
        if p.search.choices is not None:
            assert set(p.search.choices) <= set(p.choices or p.search.choices)
            continue
        for end in p.search.ends(30):
            value = p.search.collect([end]) if p.many else int(end) if p.integer else end
            assert p.check(value) == value
        assert p.search.of_run == (p.unit in {"time", "count"})
        assert p.search.over_run == ("per unit of time" in p.meaning)


@pytest.mark.parametrize("name", [n for n in LEAVES if REGISTRY[n].searchable()])
def test_every_point_of_the_search_space_is_a_schedule(name: str) -> None:
    """Any draw from the declared ranges can be built and evaluated, for runs of 1, 3, 30 and 300 epochs."""
    rng = np.random.default_rng(0)
    for run in (1, 3, 30, 300):
        for _ in range(25):
            fields = {p.name: drawn(p, run, rng) for p in REGISTRY[name].parameters() if p.search}
            values = REGISTRY[name](**fields)(np.linspace(0, run, 50))
            assert np.isfinite(values).all()
            assert values.max() > 0


def drawn(p: Parameter, run: float, rng: np.random.Generator) -> Any:
    """Draw one field's value from its search range."""
    search = p.search
    assert search is not None
    if search.choices is not None:
        return search.choices[rng.integers(len(search.choices))]
    low, high = search.ends(run)
    if search.integer:
        return int(rng.integers(int(low), int(high) + 1))
    draws = (
        np.exp(rng.uniform(np.log(low), np.log(high), search.count))
        if search.log
        else rng.uniform(low, high, search.count)
    )
    return search.collect(draws.tolist()) if search.count > 1 else float(draws[0])

"""Random schedules of every registered kind, for the laws that all of them obey.

What is drawn follows from what the schedules declare: a new one is drawn, and held to the laws, without a word here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume
from hypothesis import strategies as st

from lrsched import REGISTRY, Parameter, Schedule


def _units(name: str) -> set[str]:
    return {p.unit for p in REGISTRY[name].parameters()}


COMPOSITIONS = tuple(sorted(name for name in REGISTRY if "schedule" in _units(name)))
USER = tuple(sorted(name for name in REGISTRY if "function" in _units(name)))
LEAVES = tuple(sorted(set(REGISTRY) - set(COMPOSITIONS)))


def half_life(t: float) -> float:
    return float(0.5 ** (t / 10))


def wave(t: float) -> float:
    return 0.5 + 0.5 * math.sin(t)


def number(p: Parameter) -> st.SearchStrategy[Any]:
    """Values of one numeric field: inside its domain, its ends and 1 more often than chance has it."""
    top = {"time": 1000.0, "exponent": 8.0, "count": 12.0}.get(p.unit, 10.0)
    low, high = max(p.low, -10.0), min(p.high, top)
    low = low + 1e-3 if p.above else low
    high = high - 1e-3 if p.below else high
    if p.integer:
        return st.integers(int(low), int(high))
    special = [v for v in (low, high, 1.0, 1) if low <= v <= high]
    return st.one_of(st.floats(low, high), st.sampled_from(special))


def whole(p: Parameter) -> st.SearchStrategy[Any]:
    """The same, with whole times, and factors per unit of time that leave something after hundreds of them."""
    if "per unit of time" in p.meaning:
        return st.floats(0.98, 1.0)
    return st.integers(1, 300) if p.unit == "time" else number(p)


def brief(p: Parameter) -> st.SearchStrategy[Any]:
    """The same as ``number``, with times that lie within a run of a dozen epochs, half of them whole."""
    times = st.one_of(st.integers(1, 15), st.floats(0.1, 15.0))
    return times if p.unit == "time" else number(p)


def extreme(p: Parameter) -> st.SearchStrategy[Any]:
    """Anything that the declaration allows, most of it at the edge of what a number can hold."""
    sizes = [0.0, 5e-324, 1e-310, 1e-100, 1e-20, 0.5, 1 - 2**-53, 1.0, 1 + 2**-52, 3.0, 1e20, 1e99, 1e100]
    ends = [s * sign for s in sizes for sign in (1, -1) if p.low <= s * sign <= p.high]
    if p.integer:
        return st.sampled_from([0, 1, 10**6])
    return st.one_of(st.sampled_from(ends), st.floats(max(p.low, -1e100), min(p.high, 1e100)))


def _several(p: Parameter, size: int, one: Callable[[Parameter], st.SearchStrategy[Any]]) -> Any:
    items = st.lists(one(p), min_size=size, max_size=size, unique=p.ordered == "increasing")
    return (items if p.ordered is None else items.map(sorted)).map(tuple)


@st.composite
def leaves(
    draw: st.DrawFn,
    names: tuple[str, ...] = LEAVES,
    one: Callable[[Parameter], st.SearchStrategy[Any]] = number,
) -> Schedule:
    """A schedule that is made of no other."""
    cls = REGISTRY[draw(st.sampled_from(names))]
    size = draw(st.integers(2, 5))
    return _made(cls, {p.name: draw(_field(p, size, one)) for p in cls.parameters()})


def _field(p: Parameter, size: int, one: Callable[[Parameter], st.SearchStrategy[Any]]) -> Any:
    if p.unit == "choice":
        return st.sampled_from(p.choices)
    if p.unit == "function":
        return st.sampled_from([half_life, wave])
    return _several(p, size, one) if p.many else one(p)


def _made(cls: Callable[..., Schedule], fields: dict[str, Any]) -> Schedule:
    """Make it, or have hypothesis draw again where fields contradict each other."""
    try:
        return cls(**fields)
    except ValueError:
        assume(condition=False)
        raise


@st.composite
def compositions(
    draw: st.DrawFn,
    depth: int,
    names: tuple[str, ...] = LEAVES,
    one: Callable[[Parameter], st.SearchStrategy[Any]] = number,
) -> Schedule:
    """A schedule made of schedules, to the given depth."""
    if depth == 0:
        return draw(leaves(names, one))
    cls = REGISTRY[draw(st.sampled_from(COMPOSITIONS))]
    parts = tuple(draw(st.lists(compositions(depth - 1, names, one), min_size=1, max_size=3)))
    # One number fewer than there are parts, or as many: what joins need; others choose what they need.
    size = max(1, len(parts) - draw(st.integers(0, 1)))
    fields = {
        p.name: (parts if p.many else parts[0]) if p.unit == "schedule" else draw(_field(p, size, one))
        for p in cls.parameters()
    }
    return _made(cls, fields)


def schedules(
    names: tuple[str, ...] = LEAVES, one: Callable[[Parameter], st.SearchStrategy[Any]] = number
) -> st.SearchStrategy[Schedule]:
    """A leaf or a composition to depth 3."""
    deep = st.integers(1, 3).flatmap(lambda depth: compositions(depth, names, one))
    return st.one_of(leaves(names, one), deep)


class Kinds:
    """Strategies that draw schedules, and their numbers."""

    leaf, composition, any = staticmethod(leaves), staticmethod(compositions), staticmethod(schedules)
    number, whole, extreme = staticmethod(number), staticmethod(whole), staticmethod(extreme)
    brief = staticmethod(brief)


@pytest.fixture(scope="session")
def kinds() -> type[Kinds]:
    return Kinds


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test over every registered leaf, and over compositions of them.

    ``every`` asks for all, ``written`` for those without a user's function, ``closed`` for those without a metric either.
    """
    written = tuple(name for name in LEAVES if name not in USER)
    closed = tuple(name for name in written if not REGISTRY[name].example().metric_driven)
    for asked, names in (("every", LEAVES), ("written", written), ("closed", closed)):
        if asked in metafunc.fixturenames:
            rows = [pytest.param(leaves((name,)), id=name) for name in names]
            metafunc.parametrize(asked, [*rows, pytest.param(schedules(names), id="compositions")])

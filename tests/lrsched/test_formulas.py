"""The docstrings' formulas are what the code computes, and what the sources' tables imply."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

import lrsched
from lrsched import (
    REGISTRY,
    Cosine,
    Factor,
    Join,
    Linear,
    MultiStep,
    Polynomial,
    Schedule,
    SquareRoot,
    Warmup,
)

NAMES = {
    "cos": math.cos,
    "log": math.log,
    "pi": math.pi,
    "sqrt": math.sqrt,
    "tanh": math.tanh,
    "prod": math.prod,
}

#: Settings for each schedule beside its example; lengths are positive, as the formulas divide by them.
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "constant": [{}],
    "hold": [{"factor": 0.25, "length": 3.5}],
    "step": [{"step_size": 2.5, "factor": 0.3}],
    "multi_step": [{"milestones": (2, 9.5), "factor": 0.1}],
    "linear": [{"length": 12, "start": 0.25, "final": 0.75}],
    "exponential": [{"gamma": 0.5}],
    "factor": [{"factor": 0.8, "floor": 0.05}],
    "square_root": [{"timescale": 0.3}],
    "inverse_square_root": [{"timescale": 2}],
    "noam": [{"warmup": 8}],
    "polynomial": [{"length": 9, "power": 0.5, "final": 0.1}],
    "cosine": [{"T_max": 7, "final": 0.2}],
    "warmup": [
        {"inner": Cosine(20, 0.1), "length": 4, "start": 0.2, "shape": shape}
        for shape in ("linear", "exponential", "cosine", "constant")
    ],
    "join": [
        {"schedules": (Cosine(4), Linear(3), Polynomial(9)), "milestones": (5, 11)},
        {"schedules": (Cosine(4), Linear(3)), "milestones": (5, 18), "clock": "rescaled"},
    ],
    "product": [{"schedules": (Cosine(9, 0.1), Factor(0.9), SquareRoot())}],
    "mirror": [{"inner": Cosine(9), "low": 0.1, "high": 0.7}],
    "rex": [{"length": 9, "beta": 0.9, "final": 0.1}, {"length": 9, "beta": 0}],
    "linear_to_zero": [{"length": 3}],
    "k_decay": [
        {"length": 9, "k": 3, "shape": "cosine", "final": 0.1},
        {"length": 9, "k": 0.5, "shape": "polynomial", "power": 2},
    ],
    "tanh": [{"length": 9, "lower": -3, "upper": 2, "final": 0.1}],
    "power_decay": [{"timescale": 3, "power": 0.7}],
    "by_hand": [{"times": (0, 4, 9), "values": (0.5, 1.0, 0.1)}],
    "spline": [
        {"times": (1, 4, 9), "values": (0.5, 1.0, 0.1)},
        {"times": (0, 3, 4, 11), "values": (1, 0.9, 0.2, 0)},
    ],
    "warmup_stable_decay": [
        {"length": 12, "decay": 0.4, "shape": shape, "final": 0.1}
        for shape in ("linear", "1-sqrt", "cosine", "1-square")
    ],
    "flat_cosine": [{"length": 12, "flat": 0.3, "final": 0.1}],
    "knee": [{"length": 12, "explore": 0.3}],
    "tri_stage": [{"length": 12, "warmup": 0.2, "hold": 0.3, "start": 0.1, "final": 0.05}],
    "cosine_restarts": [
        {"T_0": 3, "T_mult": 1, "decay": 0.7, "final": 0.1},
        {"T_0": 2, "T_mult": 2, "decay": 0.7, "final": 0.1},
        {"T_0": 1.5, "T_mult": 1.3},
    ],
    "cyclic": [
        {"up": 3, "down": 5, "low": 0.1, "mode": mode, "gamma": 0.9}
        for mode in ("triangular", "triangular2", "exp_range")
    ],
    "one_cycle": [
        {"length": 16, "peak": 0.25, "start": 0.1, "final": 0.01, "shape": shape, "phases": phases}
        for shape in ("cosine", "linear")
        for phases in (2, 3)
    ],
    "plateau": [{"factor": 0.5}],
    "function": [{"function": math.exp, "whole": True}, {"function": math.cosh}],
    "multiplicative": [{"function": lambda i: 1 - 1 / (i + 5)}],
}


def by_formula(schedule: Schedule, t: float, reductions: int = 0) -> float:
    """Run the lines of the docstring's formula at one time."""
    fields = {p.name: getattr(schedule, p.name) for p in schedule.parameters()}
    space = {**NAMES, "pchip": PchipInterpolator, "reductions": reductions, **fields, "t": t}
    exec(schedule.formula(), space)  # noqa: S102  # our own docstrings
    return float(space["value"])


def test_every_schedule_is_tried() -> None:
    assert set(SETTINGS) == set(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_the_docstring_is_the_code(name: str) -> None:
    """At whole times, between them, and past the end."""
    for fields in [{p.name: p.example for p in REGISTRY[name].parameters()}, *SETTINGS[name]]:
        schedule = REGISTRY[name](**fields)
        for t in [*range(26), *np.random.default_rng(0).uniform(0, 25, 60).tolist()]:
            assert schedule(t) == pytest.approx(by_formula(schedule, float(t)), rel=1e-12, abs=1e-15), (
                schedule,
                t,
            )


@pytest.mark.parametrize(("factor", "floor"), [(0.5, 0.0), (0.5, 0.2), (0.0, 0.3), (0.9, 1.0)])
def test_the_plateaus_formula_holds_after_each_reduction(factor: float, floor: float) -> None:
    """Without patience a metric that never improves reduces once an epoch, from the second epoch's end on."""
    plateau = lrsched.Plateau(factor, patience=0, floor=floor)
    multipliers = lrsched.follow(plateau, [1.0] * 9)[1:]
    assert multipliers == pytest.approx([by_formula(plateau, 0.0, reductions=n) for n in range(8)], rel=1e-12)


def test_tanh_misses_its_ends_by_what_the_docstring_says() -> None:
    curve = lrsched.Tanh(20)
    assert 1 - curve(0) == pytest.approx(6.1e-6, rel=0.01)
    assert curve(20) == pytest.approx(0.0025, rel=0.02)


@settings(max_examples=100)
@given(
    st.lists(st.floats(0, 50).map(lambda x: round(x, 2)), min_size=3, max_size=7, unique=True).map(sorted),
    st.data(),
)
def test_spline_is_scipys(times: list[float], data: st.DataObject) -> None:
    values = data.draw(st.lists(st.floats(0, 1), min_size=len(times), max_size=len(times)))
    grid = np.linspace(times[0], times[-1], 40)
    expected = PchipInterpolator(times, values)(grid)
    np.testing.assert_allclose(
        lrsched.Spline(tuple(times), tuple(values))(grid), expected, rtol=0, atol=1e-13
    )


# The sources' own schedulers, written down as they define them.


class BookFactor:
    """eta(t+1) = max(eta_min, eta(t) * alpha), which changes itself when called."""

    def __init__(self, factor: float, stop: float, base: float) -> None:
        self.factor, self.stop, self.base = factor, stop, base

    def __call__(self, _: int) -> float:
        self.base = max(self.stop, self.base * self.factor)
        return self.base


class BookCosine:
    """Cosine with warm-up on its own clock, which remembers the last value it returned."""

    def __init__(
        self, max_update: int, base: float, final: float, warmup: int = 0, begin: float = 0.0
    ) -> None:
        self.base_orig, self.base, self.final = base, base, final
        self.max_update, self.warmup, self.begin = max_update, warmup, begin
        self.max_steps = max_update - warmup

    def __call__(self, epoch: int) -> float:
        if epoch < self.warmup:
            return self.begin + (self.base_orig - self.begin) * epoch / self.warmup
        if epoch <= self.max_update:
            wave = (1 + math.cos(math.pi * (epoch - self.warmup) / self.max_steps)) / 2
            self.base = self.final + (self.base_orig - self.final) * wave
        return self.base


def test_square_root_of_the_sources() -> None:
    np.testing.assert_allclose(
        0.1 * SquareRoot()(np.arange(30)), [0.1 * (t + 1.0) ** -0.5 for t in range(30)], rtol=1e-14
    )


@pytest.mark.parametrize(("factor", "stop", "base"), [(0.9, 1e-2, 2.0), (0.8, 1e-2, 0.6)])
def test_factor_of_the_sources(factor: float, stop: float, base: float) -> None:
    """Its t-th call gives the value at time t + 1: it has already decayed."""
    book = BookFactor(factor, stop, base)
    values = base * Factor(factor, stop / base)(np.arange(1, 61))
    np.testing.assert_allclose(values, [book(t) for t in range(60)], rtol=1e-13)
    assert values[-1] == pytest.approx(stop)


@pytest.mark.parametrize(
    ("milestones", "factor", "base"),
    [((15, 30), 0.5, 0.5), ((3, 8), 0.5, 0.5), ((5, 10, 20), 0.5, 0.5), ((8, 24, 28), 0.5, 0.5)],
)
def test_milestones_of_the_sources(milestones: tuple[int, ...], factor: float, base: float) -> None:
    rate, expected = base, []
    for t in range(32):
        rate = rate * factor if t in milestones else rate
        expected.append(rate)
    assert (base * MultiStep(milestones, factor)(np.arange(32))).tolist() == expected


@pytest.mark.parametrize(("T", "base", "final"), [(20, 0.3, 0.01), (10, 0.2, 0.02), (32, 0.1, 1e-4)])
def test_cosine_of_the_sources(T: int, base: float, final: float) -> None:
    book = BookCosine(T, base, final)
    values = base * Cosine(T, final / base)(np.arange(T + 15))
    np.testing.assert_allclose(values, [book(t) for t in range(T + 15)], rtol=1e-13)
    assert values[0] == base
    assert values[T:] == pytest.approx(final)


@pytest.mark.parametrize(("warmup", "T", "base", "final"), [(5, 20, 0.3, 0.01), (3, 10, 0.2, 0.02)])
def test_warmed_cosine_of_the_sources_is_a_join(warmup: int, T: int, base: float, final: float) -> None:
    """The sources' warm-up shifts the cosine onto its own clock; ``Warmup`` would not."""
    book = BookCosine(T, base, final, warmup)
    joined = Join((Linear(warmup, 0.0, 1.0), Cosine(T - warmup, final / base)), (warmup,))
    np.testing.assert_allclose(base * joined(np.arange(30)), [book(t) for t in range(30)], rtol=1e-13)
    assert Warmup(Cosine(T, final / base), warmup)(warmup) < 1


def test_figures_that_the_sources_tables_imply() -> None:
    """Rates that can be read off the sources' settings."""
    assert 0.5 * MultiStep((15, 30), 0.5)(29.5) == 0.25
    assert 0.5 * MultiStep((15, 30), 0.5)(30) == 0.125
    assert lrsched.Step(4, 0.5)(31) == 0.5**7
    assert lrsched.Hold(0.5, 8)(np.array([0, 7, 8])).tolist() == [0.5, 0.5, 1.0]
    assert Linear(8, 0.5, 1.0)(np.array([0, 4, 8, 31])).tolist() == [0.5, 0.75, 1.0, 1.0]
    assert lrsched.Exponential(0.5)(3) == 0.125
    assert Polynomial(8, 1)(2) == 0.75
    assert Polynomial(8, 2)(2) == 0.5625
    assert lrsched.CosineRestarts(8)(np.array([0.0, 4, 8, 12])) == pytest.approx([1, 0.5, 1, 0.5])
    assert lrsched.CosineRestarts(20, 10)(np.array([0.0, 10, 20, 120])) == pytest.approx([1, 0.5, 1, 0.5])
    assert 1e-3 * lrsched.Cyclic(4, 4, 0.1)(np.array([0.0, 4, 8])) == pytest.approx([1e-4, 1e-3, 1e-4])
    one = lrsched.OneCycle(31)
    assert (one(0), one(0.3 * 31), one(31)) == (0.04, 1.0, 4e-6)


def test_noam_is_warmed_inverse_square_root() -> None:
    """The formula of the paper, with its peak at (d_model * warmup) ** -0.5."""
    steps, d, w = np.arange(1, 4000.0), 512, 400
    paper = d**-0.5 * np.minimum(steps**-0.5, steps * w**-1.5)
    peak = (d * w) ** -0.5
    np.testing.assert_allclose(peak * lrsched.Noam(w)(steps), paper, rtol=1e-13)
    np.testing.assert_allclose(peak * Warmup(lrsched.InverseSquareRoot(w), w)(steps), paper, rtol=1e-13)

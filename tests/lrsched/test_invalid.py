"""What cannot be meant is refused, with the value and the rule."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import lrsched as typed

# Many values below have the wrong type on purpose; a type checker would refuse them as well.
lrsched: Any = typed

#: One field broken at a time: what is made, the error, and the whole message.
BROKEN: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: lrsched.Hold(-0.1), ValueError, "factor must be a number in [0, 1], got factor=-0.1"),
    (lambda: lrsched.Hold(0.5, -1), ValueError, "length must be a number >= 0, got length=-1"),
    (lambda: lrsched.Step(0), ValueError, "step_size must be a number > 0, got step_size=0"),
    (lambda: lrsched.Step(-2), ValueError, "step_size must be a number > 0, got step_size=-2"),
    (lambda: lrsched.Step(4, 1.5), ValueError, "factor must be a number in [0, 1], got factor=1.5"),
    (
        lambda: lrsched.MultiStep((8, 4)),
        ValueError,
        "milestones must be strictly increasing, got milestones=(8, 4)",
    ),
    (
        lambda: lrsched.MultiStep((4, 4)),
        ValueError,
        "milestones must be strictly increasing, got milestones=(4, 4)",
    ),
    (lambda: lrsched.MultiStep(()), ValueError, "milestones must hold at least one item, got milestones=()"),
    (
        lambda: lrsched.MultiStep((-1, 4)),
        ValueError,
        "milestones[0] must be a number >= 0, got milestones[0]=-1",
    ),
    (lambda: lrsched.MultiStep(4), TypeError, "milestones must be a sequence, got milestones=4"),
    (lambda: lrsched.MultiStep("48"), TypeError, "milestones must be a sequence, got milestones='48'"),
    (lambda: lrsched.MultiStep((4,), -0.5), ValueError, "factor must be a number in [0, 1], got factor=-0.5"),
    (lambda: lrsched.Linear(-3), ValueError, "length must be a number >= 0, got length=-3"),
    (lambda: lrsched.Linear(3, 1.1), ValueError, "start must be a number in [0, 1], got start=1.1"),
    (lambda: lrsched.Linear(3, 1, -0.2), ValueError, "final must be a number in [0, 1], got final=-0.2"),
    (lambda: lrsched.Exponential(0), ValueError, "gamma must be a number in (0, 1], got gamma=0"),
    (lambda: lrsched.Exponential(1.01), ValueError, "gamma must be a number in (0, 1], got gamma=1.01"),
    (lambda: lrsched.Factor(floor=1.5), ValueError, "floor must be a number in [0, 1], got floor=1.5"),
    (lambda: lrsched.Factor(-1), ValueError, "factor must be a number in [0, 1], got factor=-1"),
    (lambda: lrsched.SquareRoot(0), ValueError, "timescale must be a number > 0, got timescale=0"),
    (lambda: lrsched.InverseSquareRoot(-5), ValueError, "timescale must be a number > 0, got timescale=-5"),
    (lambda: lrsched.Noam(0), ValueError, "warmup must be a number > 0, got warmup=0"),
    (lambda: lrsched.Polynomial(20, 0), ValueError, "power must be a number > 0, got power=0"),
    (lambda: lrsched.Polynomial(20, 1, 2), ValueError, "final must be a number in [0, 1], got final=2"),
    (lambda: lrsched.Cosine(-1), ValueError, "T_max must be a number >= 0, got T_max=-1"),
    (lambda: lrsched.Cosine(math.inf), ValueError, "T_max must be a number >= 0, got T_max=inf"),
    (lambda: lrsched.Cosine(math.nan), ValueError, "T_max must be a number >= 0, got T_max=nan"),
    (lambda: lrsched.Cosine("20"), TypeError, "T_max must be a number >= 0, got T_max='20'"),
    (lambda: lrsched.Cosine(T_max=True), TypeError, "T_max must be a number >= 0, got T_max=True"),
    (lambda: lrsched.Cosine(None), TypeError, "T_max must be a number >= 0, got T_max=None"),
    (lambda: lrsched.Cosine(np.float64(-2)), ValueError, "T_max must be a number >= 0, got T_max=-2.0"),
    (lambda: lrsched.Cosine(20, 1.0001), ValueError, "final must be a number in [0, 1], got final=1.0001"),
    (lambda: lrsched.Rex(9, 1), ValueError, "beta must be a number in [0, 1), got beta=1"),
    (lambda: lrsched.Rex(9, -0.1), ValueError, "beta must be a number in [0, 1), got beta=-0.1"),
    (lambda: lrsched.LinearToZero(-1), ValueError, "length must be a number >= 0, got length=-1"),
    (lambda: lrsched.KDecay(9, 0), ValueError, "k must be a number > 0, got k=0"),
    (
        lambda: lrsched.KDecay(9, shape="cos"),
        ValueError,
        "shape must be one of 'cosine', 'polynomial', got shape='cos'",
    ),
    (lambda: lrsched.Tanh(9, 3, 3), ValueError, "lower must be < upper, got lower=3, upper=3"),
    (lambda: lrsched.Tanh(9, -math.inf), ValueError, "lower must be a number, finite, got lower=-inf"),
    (lambda: lrsched.PowerDecay(1, -1), ValueError, "power must be a number > 0, got power=-1"),
    (
        lambda: lrsched.ByHand((1, 2), (0.5,)),
        ValueError,
        "times and values must be equally many, got 2 times, 1 values",
    ),
    (lambda: lrsched.ByHand((1,), (2,)), ValueError, "values[0] must be a number in [0, 1], got values[0]=2"),
    (lambda: lrsched.Spline((1,), (0.5,)), ValueError, "times must hold at least two knots, got times=(1,)"),
    (
        lambda: lrsched.Spline((1, 1), (0.5, 0)),
        ValueError,
        "times must be strictly increasing, got times=(1, 1)",
    ),
    (
        lambda: lrsched.Spline((1, 2), (0.5, -1)),
        ValueError,
        "values[1] must be a number in [0, 1], got values[1]=-1",
    ),
    (
        lambda: lrsched.WarmupStableDecay(9, 1.1),
        ValueError,
        "decay must be a number in [0, 1], got decay=1.1",
    ),
    (
        lambda: lrsched.WarmupStableDecay(9, shape="sqrt"),
        ValueError,
        "shape must be one of 'linear', '1-sqrt', 'cosine', '1-square', got shape='sqrt'",
    ),
    (lambda: lrsched.FlatCosine(9, 2), ValueError, "flat must be a number in [0, 1], got flat=2"),
    (lambda: lrsched.Knee(9, -1), ValueError, "explore must be a number in [0, 1], got explore=-1"),
    (
        lambda: lrsched.TriStage(9, 0.6, 0.6),
        ValueError,
        "warmup + hold must be <= 1, got warmup=0.6, hold=0.6",
    ),
    (lambda: lrsched.TriStage(9, final=0), ValueError, "final must be a number in (0, 1], got final=0"),
    (lambda: lrsched.CosineRestarts(0), ValueError, "T_0 must be a number > 0, got T_0=0"),
    (lambda: lrsched.CosineRestarts(8, 0.5), ValueError, "T_mult must be a number >= 1, got T_mult=0.5"),
    (
        lambda: lrsched.CosineRestarts(8, 1, 1.2),
        ValueError,
        "decay must be a number in [0, 1], got decay=1.2",
    ),
    (lambda: lrsched.Cyclic(0, 0), ValueError, "up + down must be > 0, got up=0, down=0"),
    (lambda: lrsched.Cyclic(4, -4), ValueError, "down must be a number >= 0, got down=-4"),
    (
        lambda: lrsched.Cyclic(4, 4, mode="triangular3"),
        ValueError,
        "mode must be one of 'triangular', 'triangular2', 'exp_range', got mode='triangular3'",
    ),
    (lambda: lrsched.Cyclic(4, 4, gamma=0), ValueError, "gamma must be a number in (0, 1], got gamma=0"),
    (lambda: lrsched.OneCycle(9, 1), ValueError, "peak must be a number in [0, 1), got peak=1"),
    (
        lambda: lrsched.OneCycle(9, 0.6, phases=3),
        ValueError,
        "peak must be in [0, 0.5] with three phases, got peak=0.6",
    ),
    (lambda: lrsched.OneCycle(9, phases=4), ValueError, "phases must be one of 2, 3, got phases=4"),
    (
        lambda: lrsched.OneCycle(9, shape="cos"),
        ValueError,
        "shape must be one of 'cosine', 'linear', got shape='cos'",
    ),
    (lambda: lrsched.OneCycle(9, start=2), ValueError, "start must be a number in [0, 1], got start=2"),
    (lambda: lrsched.Plateau(1), ValueError, "factor must be a number in [0, 1), got factor=1"),
    (
        lambda: lrsched.Plateau(patience=-1),
        ValueError,
        "patience must be a whole number >= 0, got patience=-1",
    ),
    (
        lambda: lrsched.Plateau(patience=1.5),
        ValueError,
        "patience must be a whole number >= 0, got patience=1.5",
    ),
    (lambda: lrsched.Plateau(threshold=-1), ValueError, "threshold must be a number >= 0, got threshold=-1"),
    (lambda: lrsched.Plateau(mode="low"), ValueError, "mode must be one of 'min', 'max', got mode='low'"),
    (
        lambda: lrsched.Plateau(threshold_mode="relative"),
        ValueError,
        "threshold_mode must be one of 'rel', 'abs', 'signed_rel', got threshold_mode='relative'",
    ),
    (
        lambda: lrsched.Plateau(cooldown=-1),
        ValueError,
        "cooldown must be a whole number >= 0, got cooldown=-1",
    ),
    (lambda: lrsched.Warmup(0.5, 3), TypeError, "inner must be a schedule, got inner=0.5"),
    (
        lambda: lrsched.Warmup(lrsched.Cosine, 3),
        TypeError,
        "inner must be a schedule, got inner=<class 'lrsched.decay.Cosine'>",
    ),
    (
        lambda: lrsched.Warmup(lrsched.Constant(), -1),
        ValueError,
        "length must be a number >= 0, got length=-1",
    ),
    (
        lambda: lrsched.Warmup(lrsched.Constant(), 1, 1.5),
        ValueError,
        "start must be a number in [0, 1], got start=1.5",
    ),
    (
        lambda: lrsched.Warmup(lrsched.Constant(), 5, shape="exponential"),
        ValueError,
        "start must be > 0 for an exponential warm-up, got start=0.0",
    ),
    (
        lambda: lrsched.Warmup(lrsched.Constant(), 5, shape="quadratic"),
        ValueError,
        "shape must be one of 'linear', 'exponential', 'cosine', 'constant', got shape='quadratic'",
    ),
    (
        lambda: lrsched.Join((lrsched.Constant(), lrsched.Cosine(3)), (3, 6)),
        ValueError,
        "milestones must be one fewer than the 2 schedules, got milestones=(3, 6)",
    ),
    (
        lambda: lrsched.Join((lrsched.Constant(), lrsched.Cosine(3)), (3,), "rescaled"),
        ValueError,
        "milestones must be as many as the 2 schedules when rescaled, the last one being the end, got milestones=(3,)",
    ),
    (
        lambda: lrsched.Join((lrsched.SquareRoot(), lrsched.Cosine(3)), (3, 6), "rescaled"),
        ValueError,
        "schedules must end to be rescaled, and this one does not: SquareRoot(timescale=1)",
    ),
    (
        lambda: lrsched.Join((lrsched.Constant(), lrsched.Cosine(3), lrsched.Cosine(2)), (6, 3)),
        ValueError,
        "milestones must not decrease, got milestones=(6, 3)",
    ),
    (
        lambda: lrsched.Join((lrsched.Constant(), 3), (3,)),
        TypeError,
        "schedules[1] must be a schedule, got schedules[1]=3",
    ),
    (lambda: lrsched.Product(()), ValueError, "schedules must hold at least one item, got schedules=()"),
    (
        lambda: lrsched.Mirror(lrsched.Plateau()),
        ValueError,
        f"inner must not be driven by a metric, got inner={lrsched.Plateau()}",
    ),
    (
        lambda: lrsched.Mirror(lrsched.Constant(), low=2),
        ValueError,
        "low must be a number in [0, 1], got low=2",
    ),
    (lambda: lrsched.Function(3), TypeError, "function must be a function of time, got function=3"),
    (lambda: lrsched.Function(abs, "yes"), ValueError, "whole must be one of False, True, got whole='yes'"),
    (lambda: lrsched.Multiplicative("f"), TypeError, "function must be a function of time, got function='f'"),
    (
        lambda: lrsched.Function(lambda t: 1 - t)(2),
        ValueError,
        "the function must give a finite number >= 0, got -1.0 at t=2.0",
    ),
    (
        lambda: lrsched.Multiplicative(lambda _: math.nan)(np.arange(3)),
        ValueError,
        "the function must give a finite number >= 0, got nan at t=1",
    ),
    (lambda: lrsched.Cosine(3)("2"), TypeError, "t must be a number or a numpy array, got t='2'"),
    (lambda: lrsched.Cosine(3)([1, 2]), TypeError, "t must be a number or a numpy array, got t=[1, 2]"),
    (
        lambda: lrsched.parameter("how long", "tiem"),
        ValueError,
        "unit must be one of 'time', 'ratio', 'exponent', 'number', 'count', 'choice', 'schedule', 'function', got unit='tiem'",
    ),
]

#: Data that is no schedule.
UNREADABLE: list[tuple[Any, type[Exception], str]] = [
    ({"schedule": "cosin"}, ValueError, "unknown schedule 'cosin': did you mean 'cosine'?"),
    (
        {"schedule": "onecycle", "length": 3},
        ValueError,
        "unknown schedule 'onecycle': did you mean 'one_cycle'?",
    ),
    ({"schedule": "cosine", "tmax": 3}, ValueError, "cosine has no field 'tmax': did you mean 'T_max'?"),
    ({"schedule": "constant", "x": 3}, ValueError, "constant has no field 'x'; known: none"),
    ({"schedule": "cosine"}, ValueError, "cosine needs the field 'T_max' (time at which the end is reached)"),
    ({"schedule": "cosine", "T_max": -1}, ValueError, "T_max must be a number >= 0, got T_max=-1"),
    (
        {"T_max": 3},
        ValueError,
        "a schedule is read from a mapping with the key 'schedule', got keys ['T_max']",
    ),
    ([], TypeError, "a schedule is read from a mapping with the key 'schedule', got []"),
    (
        {"schedule": "warmup", "inner": {"schedule": "?"}, "length": 1},
        ValueError,
        "unknown schedule '?'; known: ",
    ),
    (
        {"schedule": "warmup", "inner": 3, "length": 1},
        TypeError,
        "a schedule is read from a mapping with the key",
    ),
    ({"schedule": "product", "schedules": 3}, TypeError, "schedules must be a sequence, got schedules=3"),
]


@pytest.mark.parametrize(("make", "error", "message"), BROKEN, ids=[row[2][:60] for row in BROKEN])
def test_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make()


@pytest.mark.parametrize(("data", "error", "message"), UNREADABLE, ids=[row[2][:60] for row in UNREADABLE])
def test_unreadable(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        lrsched.from_json(data)


@pytest.mark.parametrize("kind", [lrsched.Function, lrsched.Multiplicative])
def test_user_functions_cannot_be_json(kind: type[typed.Function | typed.Multiplicative]) -> None:
    schedule = lrsched.Warmup(kind(half), 3)
    with pytest.raises(TypeError, match="is a function and cannot be written as JSON"):
        schedule.to_json()


def test_classes_without_a_name_of_their_own_cannot_be_json() -> None:
    """They would be read back as another schedule, or not at all."""

    class Falling(typed.Cosine):
        pass

    class Saw(typed.Schedule):
        pass

    for schedule, kind in ((Falling(20), "Falling"), (Saw(), "Saw")):
        with pytest.raises(
            TypeError, match=f"^{kind} has no name of its own to be read back by; declare it as"
        ):
            schedule.to_json()


def test_a_schedule_that_states_no_value_says_so() -> None:
    class Saw(typed.Schedule):
        pass

    with pytest.raises(NotImplementedError, match=r"^Saw must state its value in _value or _at$"):
        Saw()(3)


def half(_: float) -> float:
    return 0.5


def test_fields_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="cannot assign to field"):
        lrsched.Cosine(3).T_max = 4


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="a schedule named 'cosine' is already registered"):

        class Again(typed.Schedule, name="cosine"):
            pass


@pytest.mark.parametrize("name", typed.REGISTRY)
@pytest.mark.parametrize(
    "kind", [np.float64, np.float32, lambda v: np.array(float(v)), lambda v: torch.tensor(v).double()]
)
def test_numbers_of_numpy_and_torch_become_plain_ones(name: str, kind: Any) -> None:
    """Law: whatever a caller computed with, what is inside is plain: for JSON, ``repr`` and ``weights_only=True``."""
    cls = typed.REGISTRY[name]
    fields = {p.name: given(p, kind) for p in cls.parameters()}
    schedule = cls(**fields)
    for p in cls.parameters():
        if p.plain:
            held = getattr(schedule, p.name)
            assert {type(v) for v in (held if p.many else [held])} <= {int, float, str, bool}
    if all(p.unit != "function" for p in cls.parameters()):
        assert json.loads(json.dumps(schedule.to_json())) == schedule.to_json()
        assert "np." not in repr(schedule)
        assert "tensor" not in repr(schedule)


def given(p: typed.Parameter, kind: Any) -> Any:
    """Return a field's example, its numbers of a foreign kind."""
    if p.unit in {"schedule", "function"} or isinstance(p.example, str):
        return np.str_(p.example) if isinstance(p.example, str) else p.example
    if p.unit == "choice":
        return np.asarray(p.example)[()]
    return np.array(p.example) if p.many else kind(p.example)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lrsched.Cosine(length=20), "cosine has no field 'length': did you mean 'T_max'?"),
        (lambda: lrsched.Linear(T_max=20), "linear has no field 'T_max': did you mean 'length'?"),
        (lambda: lrsched.Cosine(20, finall=0.1), "cosine has no field 'finall': did you mean 'final'?"),
        (lambda: lrsched.Step(T_0=3), "step has no field 'T_0': did you mean 'step_size'?"),
        (lambda: lrsched.Cosine(20, eta=0.1), "cosine has no field 'eta'; known: T_max, final"),
        (lambda: lrsched.Constant(length=3), "constant has no field 'length'; known: none"),
        (lambda: lrsched.Step(3, 0.5, gamma=0.1), "got multiple values for argument 'factor'"),
        (
            lambda: lrsched.Step(3, factor=0.5, gamma=0.1),
            "step got its field 'factor' twice, once as 'gamma'",
        ),
    ],
)
def test_a_wrong_name_is_told_the_right_one(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("name", typed.REGISTRY)
def test_a_wrong_name_is_refused_by_every_schedule(name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} has no field 'nonsense'"):
        lrsched.REGISTRY[name](nonsense=1)


@pytest.mark.parametrize("number", [1e101, 10**101, -1e200, 10**400])
def test_numbers_that_leave_no_room_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match=r"^T_max must be from 1e-100 to 1e\+100 in size, got T_max="):
        lrsched.Cosine(number)


def test_a_product_that_would_never_be_done_is_refused() -> None:
    """Each factor is asked for in turn: 10^18 of them would take for ever, and all memory."""
    with pytest.raises(ValueError, match=r"at most 10,000,000 factors is formed, got t=1e\+18"):
        lrsched.Multiplicative(lambda _: 0.5)(1e18)

"""Against the schedules of optax, transformers and timm, where they offer the same one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lrsched import (
    ByHand,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    Factor,
    InverseSquareRoot,
    Join,
    KDecay,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Schedule,
    Step,
    Tanh,
    Warmup,
    WarmupStableDecay,
)

pytestmark = [
    pytest.mark.peers,
    # What these libraries import warns of its own future; that is not ours to mend.
    pytest.mark.filterwarnings("ignore"),
]

STEPS = np.arange(130)


def warmed(schedule: Schedule, warmup: int) -> Schedule:
    """Return the peers' way of warming up: first the rise, then the schedule on its own clock."""
    return Join((Linear(warmup, 0.0, 1.0), schedule), (warmup,))


OPTAX: dict[str, tuple[Callable[[Any], Callable[[int], Any]], Schedule]] = {
    "constant": (lambda o: o.constant_schedule(0.3), Constant()),
    "linear": (lambda o: o.linear_schedule(0.3, 0.03, 80), Linear(80, 1.0, 0.1)),
    "polynomial": (lambda o: o.polynomial_schedule(0.3, 0.03, 2.5, 80), Polynomial(80, 2.5, 0.1)),
    "piecewise constant": (
        lambda o: o.piecewise_constant_schedule(0.3, {20: 0.5, 70: 0.1}),
        ByHand((20, 70), (0.5, 0.05)),
    ),
    "exponential": (lambda o: o.exponential_decay(0.3, 10, 0.8), Exponential(0.8**0.1)),
    "staircase": (lambda o: o.exponential_decay(0.3, 10, 0.8, staircase=True), Step(10, 0.8)),
    "factor": (
        lambda o: o.exponential_decay(0.3, 1, 0.9, staircase=True, end_value=0.006),
        Factor(0.9, 0.02),
    ),
    "cosine": (lambda o: o.cosine_decay_schedule(0.3, 80, alpha=0.1), Cosine(80, 0.1)),
    "one cycle": (lambda o: o.cosine_onecycle_schedule(100, 0.3), OneCycle(100, 0.3, 1 / 25, 1 / 25e4)),
    "linear one cycle": (
        # Three phases of its own: up, down as long, and on to the end.
        lambda o: o.linear_onecycle_schedule(100, 0.3, pct_start=0.3, pct_final=0.6),
        OneCycle(100, 0.3, 1 / 25, 1 / 25e4, "linear", 3),
    ),
    "warmed cosine": (
        lambda o: o.warmup_cosine_decay_schedule(0.0, 0.3, 20, 100, 0.03),
        warmed(Cosine(80, 0.1), 20),
    ),
    "restarts": (
        lambda o: o.sgdr_schedule(
            [
                {"init_value": 0.3, "peak_value": 0.3, "warmup_steps": 0, "decay_steps": n}
                for n in (20, 40, 80)
            ]
        ),
        CosineRestarts(20, 2),
    ),
    "joined": (
        lambda o: o.join_schedules([o.linear_schedule(0.3, 0.1, 30), o.constant_schedule(0.06)], [50]),
        Join((Linear(30, 1.0, 1 / 3), ByHand((0,), (0.2,))), (50,)),
    ),
}


@pytest.mark.parametrize("name", OPTAX)
def test_optax(name: str) -> None:
    os.environ["JAX_ENABLE_X64"] = "true"
    import optax

    make, schedule = OPTAX[name]
    theirs = make(optax)
    expected = np.array([float(theirs(int(step))) for step in STEPS])
    np.testing.assert_allclose(0.3 * schedule(STEPS), expected, rtol=1e-12, atol=1e-15)


def optimizer() -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)


def wsd(shape: str) -> tuple[Callable[[Any, Any], Any], Schedule]:
    steps = {"num_warmup_steps": 20, "num_decay_steps": 30, "num_stable_steps": 50}
    schedule = Warmup(WarmupStableDecay(100, 0.3, shape, 0.1), 20, start=0.1)
    return lambda t, o: t.get_wsd_schedule(o, **steps, decay_type=shape, min_lr_ratio=0.1), schedule


TRANSFORMERS: dict[str, tuple[Callable[[Any, Any], Any], Schedule]] = {
    "constant": (lambda t, o: t.get_constant_schedule(o), Constant()),
    "warmed constant": (lambda t, o: t.get_constant_schedule_with_warmup(o, 20), Warmup(Constant(), 20)),
    "linear": (lambda t, o: t.get_linear_schedule_with_warmup(o, 20, 100), warmed(Linear(80), 20)),
    "cosine": (lambda t, o: t.get_cosine_schedule_with_warmup(o, 20, 100), warmed(Cosine(80), 20)),
    "restarts": (
        # They end at 0 and stay there, where SGDR would restart once more.
        lambda t, o: t.get_cosine_with_hard_restarts_schedule_with_warmup(o, 20, 100, num_cycles=4),
        Join((Linear(20, 0.0, 1.0), CosineRestarts(20), ByHand((0,), (0.0,))), (20, 100)),
    ),
    "polynomial": (
        lambda t, o: t.get_polynomial_decay_schedule_with_warmup(o, 20, 100, lr_end=0.03, power=2.0),
        warmed(Polynomial(80, 2.0, 0.1), 20),
    ),
    "inverse square root": (
        lambda t, o: t.get_inverse_sqrt_schedule(o, 20),
        Warmup(InverseSquareRoot(20), 20),
    ),
    **{f"warmup, stable, decay: {shape}": wsd(shape) for shape in ("linear", "cosine", "1-sqrt")},
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers(name: str) -> None:
    import transformers

    make, schedule = TRANSFORMERS[name]
    model = optimizer()
    scheduler = make(transformers, model)
    expected = []
    # Its cosine rises again after the end; ours stays.
    steps = STEPS[:101] if name == "cosine" else STEPS
    for _ in steps:
        expected.append(model.param_groups[0]["lr"])
        scheduler.step()
    np.testing.assert_allclose(0.3 * schedule(steps), expected, rtol=1e-12, atol=1e-15)


TIMM: dict[str, tuple[Callable[[Any, Any], Any], Schedule]] = {
    "cosine": (lambda t, o: t.CosineLRScheduler(o, 80, lr_min=0.03), Cosine(80, 0.1)),
    "restarts": (
        lambda t, o: t.CosineLRScheduler(o, 20, cycle_mul=2, cycle_decay=0.5, cycle_limit=9),
        CosineRestarts(20, 2, 0.5),
    ),
    "k-decay": (
        lambda t, o: t.CosineLRScheduler(o, 80, lr_min=0.03, k_decay=1.5),
        KDecay(80, 1.5, final=0.1),
    ),
    "k-decay, polynomial": (
        lambda t, o: t.PolyLRScheduler(o, 80, power=2.0, lr_min=0.03, k_decay=1.5),
        KDecay(80, 1.5, "polynomial", 2.0, 0.1),
    ),
    "polynomial": (lambda t, o: t.PolyLRScheduler(o, 80, power=0.5, lr_min=0.03), Polynomial(80, 0.5, 0.1)),
    "step": (lambda t, o: t.StepLRScheduler(o, 30, 0.5), Step(30, 0.5)),
    "multi-step": (
        # timm's counts a milestone one step early.
        lambda t, o: t.MultiStepLRScheduler(o, [30, 70], 0.5),
        MultiStep((29, 69), 0.5),
    ),
    "tanh": (
        # timm drops to the minimum at the end; ours ends where the curve ends.
        lambda t, o: t.TanhLRScheduler(o, 80, lb=-6.0, ub=3.0, lr_min=0.03),
        Join((Tanh(80, -6.0, 3.0, 0.1), ByHand((0,), (0.1,))), (80,)),
    ),
    "warmed cosine": (
        lambda t, o: t.CosineLRScheduler(o, 80, lr_min=0.03, warmup_t=20, warmup_prefix=True),
        warmed(Cosine(80, 0.1), 20),
    ),
}


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str) -> None:
    from timm import scheduler as timm

    make, schedule = TIMM[name]
    model = optimizer()
    scheduler = make(timm, model)
    expected = []
    for step in STEPS:
        scheduler.step(int(step))
        expected.append(model.param_groups[0]["lr"])
    np.testing.assert_allclose(0.3 * schedule(STEPS), expected, rtol=1e-12, atol=1e-15)

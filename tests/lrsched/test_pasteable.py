"""Code to paste: it runs as it stands, and its rates are the schedule's at every step of the run."""

from __future__ import annotations

import ast
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import lrsched
from lrsched import REGISTRY, Parameter, Schedule, Warmup
from lrsched.pytorch import to_torch_code

EPOCHS, STEPS = 12, 7
BASE = 0.3


def run(code: str) -> tuple[torch.optim.Optimizer, Any]:
    """Execute a snippet as a user would, with a model at hand; return its optimizer and scheduler."""
    space: dict[str, Any] = {"model": torch.nn.Linear(2, 1)}
    exec(code, space)  # noqa: S102  # pasting it is the point
    return space["optimizer"], space["scheduler"]


def rates(code: str, steps: int = EPOCHS * STEPS) -> np.ndarray[Any, Any]:
    """Return the rate before each step of the run."""
    optimizer, scheduler = run(code)
    seen = []
    for _ in range(steps):
        seen.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return np.array(seen)


def expected(schedule: Schedule) -> np.ndarray[Any, Any]:
    return BASE * schedule(np.arange(EPOCHS * STEPS) / STEPS)


def drawn(p: Parameter, rng: np.random.Generator) -> Any:
    """Draw a field's value from its search range; whole times half of the time, so that torch's classes fit."""
    search = p.search
    assert search is not None
    if search.choices is not None:
        return search.choices[rng.integers(len(search.choices))]
    values = rng.uniform(*search.ends(EPOCHS), search.count)
    if search.of_run and rng.random() < 0.5:
        values = np.unique(np.ceil(values))
        values = values if len(values) == search.count else values[0] + np.arange(search.count)
    if search.integer:
        return int(values[0])
    return search.collect(values.tolist()) if search.count > 1 else float(values[0])


@pytest.mark.parametrize("name", [n for n in REGISTRY if REGISTRY[n].searchable() and n != "plateau"])
@pytest.mark.parametrize("warm", [False, True], ids=["plain", "warm"])
def test_the_code_gives_the_rates(name: str, *, warm: bool) -> None:
    """25 draws from the search space, with and without warm-up."""
    rng = np.random.default_rng(0)
    for _ in range(25):
        schedule: Schedule = REGISTRY[name](
            **{p.name: drawn(p, rng) for p in REGISTRY[name].parameters() if p.search}
        )
        schedule = Warmup(schedule, float(rng.uniform(0.1, 4))) if warm else schedule
        code = to_torch_code(schedule, BASE, EPOCHS, STEPS)
        np.testing.assert_allclose(rates(code), expected(schedule), rtol=1e-12, atol=1e-15, err_msg=code)


TORCHS_OWN: dict[str, list[Schedule]] = {
    "ConstantLR": [lrsched.Constant(), lrsched.Hold(0.5, 3.3)],
    "StepLR": [lrsched.Step(3, 0.5), lrsched.Factor(0.9, 0.01)],
    "MultiStepLR": [lrsched.MultiStep((3.1, 8), 0.5)],
    "LinearLR": [lrsched.Linear(12, 0.5, 0.1)],
    "ExponentialLR": [lrsched.Exponential(0.9)],
    "PolynomialLR": [lrsched.Polynomial(9, 2)],
    "CosineAnnealingLR": [lrsched.Cosine(12, 0.1), Warmup(lrsched.Cosine(14, 0.1), 0)],
    "CosineAnnealingWarmRestarts": [lrsched.CosineRestarts(3, 2, final=0.1)],
    "CyclicLR": [lrsched.Cyclic(2, 3, mode="triangular2"), lrsched.Cyclic(2, 3, mode="exp_range", gamma=0.9)],
    "OneCycleLR": [lrsched.OneCycle(12), lrsched.OneCycle(12, phases=3, shape="linear")],
    # Where torch's class would differ, its LambdaLR with the formula:
    "LambdaLR": [
        lrsched.Cosine(9, 0.1),
        lrsched.Cosine(12.01),
        lrsched.Polynomial(9, 2, final=0.1),
        lrsched.Linear(9, 0.0, 1.0),
        lrsched.Factor(0.9, 0.5),
        lrsched.Step(2.01),
        lrsched.CosineRestarts(3, 1.5),
        lrsched.CosineRestarts(3, decay=0.5),
        lrsched.Cyclic(2.03, 3),
        lrsched.OneCycle(11),
        lrsched.OneCycle(12, final=0),
        lrsched.Hold(0.0, 3),
        lrsched.SquareRoot(),
        lrsched.WarmupStableDecay(12),
        lrsched.TriStage(12),
        Warmup(lrsched.Cosine(12, 0.1), 3),
        Warmup(lrsched.WarmupStableDecay(12, 0.3, "1-sqrt"), 2, 0.1, "exponential"),
    ],
    # And where no formula holds, or it needs more than one schedule:
    "Scheduler": [
        lrsched.Cosine(0, 0.1),
        lrsched.Spline((0, 5, 9), (1, 0.9, 0.1)),
        lrsched.Product((lrsched.Cosine(9), lrsched.SquareRoot())),
        lrsched.Join((lrsched.Linear(5, 0.0, 1.0), lrsched.Cosine(9)), (5,)),
        Warmup(Warmup(lrsched.Cosine(9), 3), 2),
    ],
}


@pytest.mark.parametrize(
    ("kind", "schedule"), [(k, s) for k, row in TORCHS_OWN.items() for s in row], ids=str
)
def test_torchs_own_class_where_one_is_equal(kind: str, schedule: Schedule) -> None:
    code = to_torch_code(schedule, BASE, EPOCHS, STEPS)
    assert type(run(code)[1]).__name__ == kind
    np.testing.assert_allclose(rates(code), expected(schedule), rtol=1e-12, atol=1e-15, err_msg=code)
    assert ("lrsched" in code) == (kind == "Scheduler")


@pytest.mark.parametrize(
    "schedule", [lrsched.Plateau(0.5, 1, floor=0.2), Warmup(lrsched.Plateau(0.5, 1), 3)], ids=str
)
def test_plateau(schedule: Schedule) -> None:
    """The plain one is torch's, once an epoch; the warmed-up one is ours, also told once an epoch."""
    optimizer, scheduler = run(to_torch_code(schedule, BASE, EPOCHS, STEPS))
    seen = []
    for _ in range(EPOCHS):
        seen.append(float(optimizer.param_groups[0]["lr"]))
        if isinstance(schedule, Warmup):
            for _ in range(STEPS):
                scheduler.step()
            scheduler.observe(1.0)
        else:
            scheduler.step(1.0)
    assert seen == pytest.approx([BASE * m for m in lrsched.follow(schedule, [1.0] * EPOCHS)], rel=1e-12)


@pytest.mark.parametrize("steps", [3, 10, 49])
@pytest.mark.parametrize(
    "make",
    [lambda t: lrsched.Step(t, 0.5), lrsched.CosineRestarts, lambda t: lrsched.CosineRestarts(t, 2)],
    ids=["step", "restarts", "growing restarts"],
)
def test_jumps_that_rounding_delays_are_not_given_to_torch(make: Any, steps: int) -> None:
    """3 / 10 / 0.1 is below 3: a period of 0.1 ends a step late, and torch's class, which counts steps, would not."""
    for size in range(1, 2 * steps):
        schedule = make(size / steps)
        code = to_torch_code(schedule, BASE, 4, steps)
        trained = BASE * schedule(np.arange(4 * steps) / steps)
        np.testing.assert_allclose(rates(code, 4 * steps), trained, rtol=1e-12, atol=1e-15, err_msg=code)


def test_the_code_is_short_and_says_how_to_use_it() -> None:
    code = to_torch_code(lrsched.Cosine(30, 0.01), 0.5, 30, 196)
    assert code == (
        "import torch\n\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.5)\n"
        "scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5880, eta_min=0.005)\n"
        "# after each optimizer.step(): scheduler.step()\n"
    )
    for schedules in TORCHS_OWN.values():
        for schedule in schedules:
            ast.parse(to_torch_code(schedule, BASE, EPOCHS, STEPS))


def test_numbers_of_numpy_are_written_as_plain_ones() -> None:
    for schedule in (lrsched.Factor(0.9), lrsched.Cosine(12, 0.1), lrsched.SquareRoot()):
        plain = to_torch_code(schedule, BASE, EPOCHS, STEPS)
        assert to_torch_code(schedule, np.float64(BASE), np.int64(EPOCHS), np.int64(STEPS)) == plain  # type: ignore[arg-type]  # what a caller computed


def test_no_warning_in_the_users_face() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rates(to_torch_code(lrsched.OneCycle(12), BASE, EPOCHS, STEPS))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((lrsched.Cosine(3), 0.0, 3, 3), ValueError, "base_rate must be a number > 0, got base_rate=0.0"),
        ((lrsched.Cosine(3), 0.1, 0, 3), ValueError, "epochs must be a whole number >= 1, got epochs=0"),
        (
            (lrsched.Cosine(3), 0.1, 2.5, 3),
            ValueError,
            r"epochs must be a whole number >= 1, got epochs=2\.5",
        ),
        (
            (lrsched.Cosine(3), 0.1, np.nan, 3),
            ValueError,
            "epochs must be a whole number >= 1, got epochs=nan",
        ),
        (
            (lrsched.Cosine(3), 0.1, 3, -1),
            ValueError,
            "steps_per_epoch must be a whole number >= 1, got steps_per_epoch=-1",
        ),
        ((lrsched.Function(abs), 0.1, 3, 3), TypeError, "is a function and cannot be written as JSON"),
    ],
)
def test_refused(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        to_torch_code(*arguments)


@pytest.mark.parametrize(
    "schedule",
    [
        lrsched.Warmup(lrsched.MultiStep((3.5, 14.5), 0.3), 5.5),
        lrsched.WarmupStableDecay(9.5, 0.5, shape="1-sqrt"),
        lrsched.Warmup(lrsched.OneCycle(9.5, phases=3), 2.5, shape="cosine"),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_the_code_holds_no_choice_that_is_made(schedule: lrsched.Schedule) -> None:
    """What is pasted has one shape, not all of them and a word that chooses."""
    code = to_torch_code(schedule, base_rate=0.3, epochs=10, steps_per_epoch=7)
    assert "LambdaLR" in code
    assert "shape" not in code
    assert "==" not in code

"""Code to paste: it runs as it stands, and its rates are the schedule's at every step of the run."""

from __future__ import annotations

import ast
import time
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lrsched
from lrsched import REGISTRY, Parameter, Schedule, Warmup
from lrsched.pytorch import to_torch_code

EPOCHS, STEPS = 12, 7
BASE = 0.3


def run_of(code: str) -> dict[str, Any]:
    """Execute a snippet as a user would, with a model at hand; return what it has defined."""
    space: dict[str, Any] = {"model": torch.nn.Linear(2, 1)}
    exec(code, space)  # noqa: S102  # pasting it is the point
    return space


def run(code: str) -> tuple[torch.optim.Optimizer, Any]:
    """Execute a snippet; return its optimizer and scheduler."""
    space = run_of(code)
    return space["optimizer"], space["scheduler"]


def rates(code: str, steps: int = EPOCHS * STEPS + 1) -> np.ndarray[Any, Any]:
    """Return the rate before each step of the run, and the one that is set after its last."""
    optimizer, scheduler = run(code)
    seen = []
    for _ in range(steps):
        seen.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return np.array(seen)


def expected(schedule: Schedule) -> np.ndarray[Any, Any]:
    return BASE * schedule(np.arange(EPOCHS * STEPS + 1) / STEPS)


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
    "StepLR": [lrsched.Step(3, 0.5), lrsched.Step(3 / 7, 0.9), lrsched.Factor(0.9, 0.01)],
    "MultiStepLR": [lrsched.MultiStep((3.1, 8), 0.5)],
    "LinearLR": [lrsched.Linear(12, 0.5, 0.1), lrsched.LinearToZero(12)],
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
        lrsched.Product((lrsched.Cosine(9), lrsched.SquareRoot())),
        lrsched.Join((lrsched.Linear(5, 0.0, 1.0), lrsched.Cosine(9)), (5,)),
        lrsched.Join((lrsched.Linear(1, 0.0, 1.0), lrsched.Cosine(200)), (5, 12), "rescaled"),
        Warmup(Warmup(lrsched.Cosine(9), 3), 2),
        Warmup(lrsched.Mirror(lrsched.Cosine(5), low=0.1, high=1.0), 1),
    ],
    # And where no formula holds, or formulas would be long:
    "Scheduler": [
        lrsched.Cosine(0, 0.1),
        lrsched.Spline((0, 5, 9), (1, 0.9, 0.1)),
        lrsched.Product(
            (
                Warmup(lrsched.OneCycle(9, phases=3), 2),
                Warmup(lrsched.TriStage(9), 2),
                lrsched.CosineRestarts(3, 1.5),
            )
        ),
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


@settings(max_examples=150)
@given(data=st.data())
def test_any_composition_can_be_pasted(data: st.DataObject, kinds: Any) -> None:
    """Law: to depth 3, its rates at every step of the run, at the one after it, and for formulas at the next as well."""
    names = tuple(n for n, c in REGISTRY.items() if c.searchable() and n != "plateau")
    schedule = data.draw(kinds.any(names, kinds.brief))
    code = to_torch_code(schedule, BASE, EPOCHS, STEPS)
    np.testing.assert_allclose(rates(code), expected(schedule), rtol=1e-12, atol=1e-15, err_msg=code)
    beyond = EPOCHS * STEPS + 1
    if "LambdaLR" in code:
        assert run_of(code)["multiplier"](beyond) == pytest.approx(
            schedule(beyond / STEPS), rel=1e-12, abs=1e-15
        )


@pytest.mark.parametrize(
    "schedule",
    [
        Warmup(lrsched.Cosine(300), 5),
        lrsched.CosineRestarts(0.01, decay=0.99),
        lrsched.CosineRestarts(0.05, 1.01),
        lrsched.Join((lrsched.Linear(5, 0.0, 1.0), lrsched.Mirror(lrsched.Cosine(90))), (5,)),
        lrsched.Product(tuple(Warmup(lrsched.OneCycle(300), n) for n in (1, 2, 3))),
    ],
    ids=lambda s: s.name,
)
def test_long_runs_are_written_and_asked_for_quickly(schedule: Schedule) -> None:
    """300 epochs of 1,000 steps: every step's value in under a second of processor time, the code itself included."""
    began = time.process_time()
    code = to_torch_code(schedule, BASE, 300, 1000)
    space = run_of(code)
    ask = space.get("multiplier") or (lambda _: space["scheduler"].step())
    space["optimizer"].step()
    for step in range(300_000):
        ask(step)
    assert time.process_time() - began < 1.0


def test_no_name_of_the_users_reaches_the_code() -> None:
    """Pasted, it goes on as it was whatever else the script calls its own."""
    schedule = lrsched.Join((lrsched.Linear(5, 0.0, 1.0), Warmup(lrsched.Cosine(9), 2)), (5,))
    space = run_of(to_torch_code(schedule, BASE, EPOCHS, STEPS))
    for name in (
        "inner",
        "schedules",
        "cosine_1",
        "linear_1",
        "warmup_1",
        "t",
        "step",
        "steps_per_epoch",
        "cos",
        "pi",
    ):
        space[name] = None
    assert space["multiplier"](40) == pytest.approx(schedule(40 / STEPS), rel=1e-12)


class Sawtooth(Schedule, name="sawtooth_with_a_formula"):
    """Fall in a straight line and jump up again.

    Formula::

        value = 1 - (t % period) / period
    """

    period: float = lrsched.parameter("time of one tooth", "time", above=True, example=5)

    def _value(self, t: Any) -> Any:
        return 1.0 - (t % self.period) / self.period


class Silent(Sawtooth, name="sawtooth_without_a_formula"):
    """It does not say what it does."""


del REGISTRY["sawtooth_with_a_formula"], REGISTRY["sawtooth_without_a_formula"]


def test_a_class_of_ones_own_is_pasted_by_its_formula_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls in (Sawtooth, Silent):
        monkeypatch.setitem(REGISTRY, cls.name, cls)
    for schedule in (Sawtooth(2.5), Warmup(Sawtooth(2.5), 2)):
        code = to_torch_code(schedule, BASE, EPOCHS, STEPS)
        assert "lrsched" not in code
        np.testing.assert_allclose(rates(code), expected(schedule), rtol=1e-12, atol=1e-15)
    for silent in (Silent(2.5), Warmup(Silent(2.5), 2)):
        with pytest.raises(TypeError, match=r"^Silent is a class of your own.*state its formula"):
            to_torch_code(silent, BASE, EPOCHS, STEPS)


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
def test_periods_of_whole_steps_are_given_to_torch(make: Any, steps: int) -> None:
    """3 / 10 / 0.1 is below 3, and yet the third period of 0.1 ends at step 3: torch, which counts steps, does the same."""
    for size in range(1, 2 * steps):
        schedule = make(size / steps)
        code = to_torch_code(schedule, BASE, 4, steps)
        trained = BASE * schedule(np.arange(4 * steps) / steps)
        assert "StepLR(" in code or "CosineAnnealingWarmRestarts(" in code
        np.testing.assert_allclose(rates(code, 4 * steps), trained, rtol=1e-12, atol=1e-15, err_msg=code)


def test_the_code_is_short_and_says_how_to_use_it() -> None:
    code = to_torch_code(lrsched.Cosine(30, 0.01), 0.5, 30, 196)
    assert code == (
        "import torch\n\n"
        "# cosine(T_max=30, final=0.01), time in epochs\n"
        "# 196 steps an epoch: change for yours\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.5)\n"
        "scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5880, eta_min=0.005)\n"
        "# after each optimizer.step(): scheduler.step()\n"
    )
    for schedules in TORCHS_OWN.values():
        for schedule in schedules:
            ast.parse(to_torch_code(schedule, BASE, EPOCHS, STEPS))


def test_a_comment_says_what_it_is_and_where_its_steps_come_from() -> None:
    code = to_torch_code(
        Warmup(lrsched.Cosine(30, 0.0123456), 2), 0.5, 30, 235, examples=60_000, batch_size=256
    )
    comments = " ".join(line.removeprefix("# ") for line in code.splitlines() if line.startswith("#"))
    assert (
        "warmup(inner=cosine(T_max=30, final=0.01235), length=2, start=0, shape=linear), time in epochs"
        in comments
    )
    assert "235 steps an epoch = 60,000 / 256: change for yours" in comments
    assert "0.0123456" in code


def test_a_relative_plateau_says_where_torch_differs() -> None:
    assert "the same while the metric is > 0" in to_torch_code(lrsched.Plateau(), BASE, EPOCHS, STEPS)
    for mode in ("abs", "signed_rel"):
        code = to_torch_code(lrsched.Plateau(threshold_mode=mode), BASE, EPOCHS, STEPS)
        assert "ReduceLROnPlateau" in code
        assert "with the metric's sign" not in code


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
    bare = "\n".join(line for line in code.splitlines() if not line.startswith("#"))
    assert "LambdaLR" in bare
    assert "shape" not in bare
    assert "==" not in bare

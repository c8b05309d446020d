"""From our schedules to code that a stranger can paste: torch's own class where one is equal.

Equal means: the same rate at each step of the run, to rounding. Three kinds of code, the first that
applies: a class of torch; torch's ``LambdaLR`` with the schedule's formula; ``lrsched`` itself.
Nothing of torch is imported here.
"""

from __future__ import annotations

import ast
import math
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from lrsched.compose import Warmup
from lrsched.cyclic import CosineRestarts, Cyclic, OneCycle
from lrsched.decay import Cosine, Exponential, Linear, Polynomial
from lrsched.plateau import Plateau
from lrsched.presets import Hold
from lrsched.schedule import Schedule
from lrsched.steps import Constant, Factor, MultiStep, Step

_MATHS = ("cos", "pi", "prod", "sqrt", "tanh")
_EACH_STEP = "# after each optimizer.step(): scheduler.step()"


class Run(NamedTuple):
    """The run that code is written for: base rate, steps per epoch, steps in all."""

    base_rate: float
    steps_per_epoch: int
    steps: int

    def whole(self, time: float) -> int | None:
        """Return a time in steps if it is a whole number of at least one, else ``None``."""
        steps = time * self.steps_per_epoch
        return round(steps) if steps == round(steps) and steps >= 1 else None

    def first_step(self, time: float) -> int:
        """Return the first step at or after a time."""
        step = math.floor(time * self.steps_per_epoch)
        # The product is rounded: the quotient, which is what a scheduler sees, decides.
        while step > 0 and (step - 1) / self.steps_per_epoch >= time:
            step -= 1
        while step / self.steps_per_epoch < time:
            step += 1
        return step


def to_torch_code(schedule: Schedule, base_rate: float, epochs: int, steps_per_epoch: int) -> str:
    """Return code that trains ``model`` with this schedule: an SGD optimizer and its scheduler.

    Args:
        schedule: Any schedule without a user's function; its unit of time is the epoch.
        base_rate: Learning rate at multiplier 1.
        epochs: Length of the run.
        steps_per_epoch: Optimizer steps an epoch.

    Raises:
        TypeError: The schedule holds a user's function.
        ValueError: ``base_rate`` is not a positive finite number, or another number not a whole one >= 1.
    """
    if not 0.0 < base_rate < math.inf:
        raise ValueError(f"base_rate must be a number > 0, got base_rate={base_rate}")
    for name, value in (("epochs", epochs), ("steps_per_epoch", steps_per_epoch)):
        if not (value >= 1 and value % 1 == 0):
            raise ValueError(f"{name} must be a whole number >= 1, got {name}={value}")
    schedule.to_json()  # raises TypeError for a user's function
    # Plain numbers: numpy's would be written as np.int64(...).
    run = Run(float(base_rate), int(steps_per_epoch), int(epochs) * int(steps_per_epoch))
    plain = schedule.inner if isinstance(schedule, Warmup) and schedule.length == 0 else schedule
    return _by_class(plain, run) or _by_formula(plain, run) or _by_lrsched(plain, run)


def _code(imports: list[str], body: str, run: Run, scheduler: str, usage: str) -> str:
    """Put the parts of a snippet together."""
    optimizer = f"optimizer = torch.optim.SGD(model.parameters(), lr={run.base_rate!r})"
    parts = ["\n".join(["import torch", *imports]), body, f"{optimizer}\nscheduler = {scheduler}\n{usage}"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _by_class(schedule: Schedule, run: Run) -> str | None:
    """Return code with torch's own class, or ``None`` if none is equal."""
    name, writer = _WRITERS.get(type(schedule), ("", None))
    arguments = writer(schedule, run) if writer else None
    if arguments is None:
        return None
    listed = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    usage = "# after each epoch: scheduler.step(validation_loss)" if schedule.metric_driven else _EACH_STEP
    return _code([], "", run, f"torch.optim.lr_scheduler.{name}(optimizer, {listed})", usage)


def _by_formula(schedule: Schedule, run: Run) -> str | None:
    """Return code with ``LambdaLR`` and the formulas of the docstrings, or ``None`` if they do not hold.

    The code is evaluated at every step of the run and compared: a length of zero, say, makes a formula
    divide by zero.
    """
    if schedule.metric_driven or (isinstance(schedule, Warmup) and isinstance(schedule.inner, Warmup)):
        return None
    functions = []
    if isinstance(schedule, Warmup):
        functions.append(_function("inner", "t", "", schedule.inner))
    functions.append(_function("multiplier", "step", f"t = step / {run.steps_per_epoch}", schedule))
    body = "\n\n".join(functions)
    used = [name for name in _MATHS if re.search(rf"\b{name}\b", body)]
    imports = [f"from math import {', '.join(used)}"] if used else []
    times = np.arange(run.steps) / run.steps_per_epoch
    space: dict[str, Any] = {}
    try:
        exec("\n".join([*imports, body]), space)  # noqa: S102  # our own docstrings' lines
        values = np.array([space["multiplier"](step) for step in range(run.steps)])
    except (ZeroDivisionError, NameError, TypeError):
        return None
    if not np.allclose(values, schedule(times), rtol=1e-12, atol=1e-15):
        return None
    scheduler = "torch.optim.lr_scheduler.LambdaLR(optimizer, multiplier)"
    return _code(imports, body, run, scheduler, _EACH_STEP)


def _function(name: str, argument: str, first: str, schedule: Schedule) -> str:
    """Return a Python function that evaluates the schedule's formula."""
    known = {f.name: getattr(schedule, f.name) for f in fields(schedule)}  # type: ignore[arg-type]  # a dataclass
    formula = _decided(schedule.formula(), known)
    given = "".join(
        f", {field}={value!r}"
        for field, value in known.items()
        if not isinstance(value, Schedule) and re.search(rf"\b{field}\b", formula)
    )
    lines = [line for line in [first, *formula.splitlines(), "return value"] if line]
    return f"def {name}({argument}{given}):\n" + textwrap.indent("\n".join(lines), "    ")


def _decided(formula: str, known: Mapping[str, Any]) -> str:
    """Return a formula without the choices that the fields have made: one shape of four, say."""
    return ast.unparse(_Decide(known).visit(ast.parse(formula)))


class _Decide(ast.NodeTransformer):
    """Replaces ``if field == constant``, also as an expression, and ``{constant: ...}[field]`` by what holds."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known

    def visit_If(self, node: ast.If) -> Any:
        holds = self._holds(node.test)
        if holds is None:
            return self.generic_visit(node)
        return [self.visit(statement) for statement in (node.body if holds else node.orelse)]

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        holds = self._holds(node.test)
        return self.generic_visit(node) if holds is None else self.visit(node.body if holds else node.orelse)

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        match node:
            case ast.Subscript(ast.Dict(keys, values), ast.Name(field)) if field in self._known:
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == self._known[field]:
                        return self.visit(value)
        return self.generic_visit(node)

    def _holds(self, test: ast.expr) -> bool | None:
        match test:
            case ast.Compare(ast.Name(field), [ast.Eq()], [ast.Constant(value)]) if field in self._known:
                return bool(self._known[field] == value)
        return None


def _by_lrsched(schedule: Schedule, run: Run) -> str:
    """Return code with ``lrsched``: any schedule."""
    names = sorted(set(re.findall(r"\b([A-Z]\w*)\(", repr(schedule))))
    imports = [f"from lrsched import {', '.join(names)}", "from lrsched.optimizer import Scheduler"]
    body = f"schedule = {schedule!r}  # time in epochs"
    usage = _EACH_STEP
    if schedule.metric_driven:
        usage += "\n# after each epoch: scheduler.observe(validation_loss)"
    return _code(
        imports, body, run, f"Scheduler(optimizer, schedule, steps_per_epoch={run.steps_per_epoch})", usage
    )


def _hold(s: Any, run: Run) -> dict[str, Any] | None:
    until = run.first_step(s.length)
    return {"factor": s.factor, "total_iters": until} if s.factor > 0 and until > 0 else None


def _step(s: Any, run: Run) -> dict[str, Any] | None:
    size = run.whole(s.step_size)
    if size is None:
        return None
    drops = range(size, run.steps, size)
    # Three times 0.1 is past 0.3: where rounding delays a drop, torch's, which counts steps, comes a step early.
    on_time = all(math.floor(step / run.steps_per_epoch / s.step_size) == step // size for step in drops)
    return {"step_size": size, "gamma": s.factor} if on_time else None


def _multi_step(s: Any, run: Run) -> dict[str, Any] | None:
    return {"milestones": [run.first_step(m) for m in s.milestones], "gamma": s.factor}


def _linear(s: Any, run: Run) -> dict[str, Any] | None:
    length = run.whole(s.length)
    return (
        {"start_factor": s.start, "end_factor": s.final, "total_iters": length}
        if length and s.start > 0
        else None
    )


def _factor(s: Any, run: Run) -> dict[str, Any] | None:
    lowest = s.factor ** math.floor((run.steps - 1) / run.steps_per_epoch)
    return {"step_size": run.steps_per_epoch, "gamma": s.factor} if lowest >= s.floor else None


def _polynomial(s: Any, run: Run) -> dict[str, Any] | None:
    length = run.whole(s.length)
    return {"total_iters": length, "power": s.power} if length and s.final == 0 else None


def _cosine(s: Any, run: Run) -> dict[str, Any] | None:
    length = run.whole(s.T_max)
    # After T_max torch's rises again.
    ends = length is not None and length >= run.steps - 1
    return {"T_max": length, "eta_min": s.final * run.base_rate} if ends else None


def _cosine_restarts(s: Any, run: Run) -> dict[str, Any] | None:
    first = run.whole(s.T_0)
    if first is None or s.decay != 1 or s.T_mult != int(s.T_mult):
        return None
    length, restart = first, first
    while restart < run.steps:
        # As with StepLR's drops: rounding can put ours off by a step.
        if s(restart / run.steps_per_epoch) != 1:
            return None
        length *= int(s.T_mult)
        restart += length
    return {"T_0": first, "T_mult": int(s.T_mult), "eta_min": s.final * run.base_rate}


def _cyclic(s: Any, run: Run) -> dict[str, Any] | None:
    up, down = run.whole(s.up), run.whole(s.down)
    if up is None or down is None:
        return None
    return {
        "base_lr": s.low * run.base_rate,
        "max_lr": run.base_rate,
        "step_size_up": up,
        "step_size_down": down,
        "mode": s.mode,
        "gamma": s.gamma ** (1 / run.steps_per_epoch),
        "cycle_momentum": False,
    }


def _one_cycle(s: Any, run: Run) -> dict[str, Any] | None:
    length = run.whole(s.length)
    # torch refuses to step past the end, and rises for at least a part of a step.
    if length is None or length < run.steps or min(s.peak, s.start, s.final) <= 0:
        return None
    return {
        "max_lr": run.base_rate,
        "total_steps": length + 1,
        "pct_start": (s.peak * length + 1) / (length + 1),
        "anneal_strategy": "cos" if s.shape == "cosine" else "linear",
        "cycle_momentum": False,
        "div_factor": 1 / s.start,
        "final_div_factor": s.start / s.final,
        "three_phase": s.phases == 3,
    }


def _plateau(s: Any, run: Run) -> dict[str, Any] | None:
    names = ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown")
    return {**{name: getattr(s, name) for name in names}, "min_lr": s.floor * run.base_rate, "eps": 0.0}


#: torch's class by ours, and what gives its arguments, or ``None`` where it would not be equal.
_WRITERS: dict[type[Schedule], tuple[str, Callable[[Any, Run], dict[str, Any] | None]]] = {
    Constant: ("ConstantLR", lambda _s, _run: {"factor": 1.0, "total_iters": 0}),
    Hold: ("ConstantLR", _hold),
    Step: ("StepLR", _step),
    MultiStep: ("MultiStepLR", _multi_step),
    Linear: ("LinearLR", _linear),
    Exponential: ("ExponentialLR", lambda s, run: {"gamma": s.gamma ** (1 / run.steps_per_epoch)}),
    Factor: ("StepLR", _factor),
    Polynomial: ("PolynomialLR", _polynomial),
    Cosine: ("CosineAnnealingLR", _cosine),
    CosineRestarts: ("CosineAnnealingWarmRestarts", _cosine_restarts),
    Cyclic: ("CyclicLR", _cyclic),
    OneCycle: ("OneCycleLR", _one_cycle),
    Plateau: ("ReduceLROnPlateau", _plateau),
}

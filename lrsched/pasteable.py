"""From our schedules to code that a stranger can paste: torch's own class where one is equal.

Equal means: the same rate at each step of the run and at the one that is set after its last, to rounding. Three kinds of
code, the first that applies: a class of torch; torch's ``LambdaLR`` with the schedule's formula, or with those of its parts;
``lrsched`` itself. Nothing of torch is imported here.
"""

from __future__ import annotations

import ast
import math
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import lrsched
from lrsched.compose import Warmup
from lrsched.cyclic import CosineRestarts, Cyclic, OneCycle
from lrsched.decay import Cosine, Exponential, Linear, Polynomial
from lrsched.formulas import alone
from lrsched.numeric import SLACK
from lrsched.plateau import Plateau
from lrsched.presets import Hold, Preset
from lrsched.schedule import Schedule, kinds_of
from lrsched.steps import Constant, Factor, MultiStep, Step

_EACH_STEP = "# after each optimizer.step(): scheduler.step()"
#: Steps at which a formula is tried in a long run, spread over it; as many again are where the rate bends most.
_TRIED = 2048
#: Formulas with more parts of speech than this are neither read nor run quickly: ``lrsched`` says it in a line.
_LONGEST = 350


class Run(NamedTuple):
    """The run that code is written for: base rate, steps per epoch, steps in all, and what an epoch's steps come from."""

    base_rate: float
    steps_per_epoch: int
    steps: int
    origin: str

    def whole(self, time: float) -> int | None:
        """Return a time in steps if it is a whole number of at least one, to rounding; else ``None``."""
        steps = time * self.steps_per_epoch
        return (
            round(steps) if round(steps) >= 1 and math.isclose(steps, round(steps), rel_tol=1e-14) else None
        )

    def first_step(self, time: float) -> int:
        """Return the first step that has reached a time."""
        return math.ceil(time * self.steps_per_epoch * (1.0 - SLACK))


def to_torch_code(
    schedule: Schedule,
    base_rate: float,
    epochs: int,
    steps_per_epoch: int,
    *,
    examples: int | None = None,
    batch_size: int | None = None,
) -> str:
    """Return code that trains ``model`` with this schedule: an SGD optimizer and its scheduler.

    Args:
        schedule: Any schedule without a user's function; its unit of time is the epoch.
        base_rate: Learning rate at multiplier 1.
        epochs: Length of the run.
        steps_per_epoch: Optimizer steps an epoch.
        examples: Training examples, of which a comment says that the steps come; with ``batch_size``.
        batch_size: Examples a step.

    Raises:
        TypeError: The schedule holds a user's function, or a class of the user's that states no formula.
        ValueError: ``base_rate`` is not a positive finite number, or another number not a whole one >= 1.
    """
    if not 0.0 < base_rate < math.inf:
        raise ValueError(f"base_rate must be a number > 0, got base_rate={base_rate}")
    counts = {
        "epochs": epochs,
        "steps_per_epoch": steps_per_epoch,
        "examples": examples,
        "batch_size": batch_size,
    }
    for name, value in counts.items():
        if value is not None and not (value >= 1 and value % 1 == 0):
            raise ValueError(f"{name} must be a whole number >= 1, got {name}={value}")
    schedule.to_json()  # raises TypeError for a user's function
    origin = f" = {int(examples):,} / {int(batch_size)}" if examples and batch_size else ""
    # Plain numbers: numpy's would be written as np.int64(...).
    run = Run(float(base_rate), int(steps_per_epoch), int(epochs) * int(steps_per_epoch), origin)
    while isinstance(schedule, Warmup) and schedule.length == 0:
        schedule = schedule.inner
    return _by_class(schedule, run) or _by_formula(schedule, run) or _by_lrsched(schedule, run)


def _code(schedule: Schedule, imports: list[str], body: str, run: Run, scheduler: str, usage: str) -> str:
    """Put the parts of a snippet together, under a line that says what it is."""
    said = textwrap.wrap(f"{_title(schedule)}, time in epochs", 100)
    said.append(f"{run.steps_per_epoch} steps an epoch{run.origin}: change for yours")
    optimizer = f"optimizer = torch.optim.SGD(model.parameters(), lr={run.base_rate!r})"
    parts = [
        "\n".join([*imports, "import torch"] if "import math" in imports else ["import torch", *imports]),
        body,
        "\n".join([*(f"# {line}" for line in said), optimizer, f"scheduler = {scheduler}", usage]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(value: Any) -> str:
    """Return a schedule's name and fields in short: four digits of each number."""
    if isinstance(value, Schedule):
        fields = (f"{p.name}={_title(getattr(value, p.name))}" for p in value.parameters())
        return f"{value.name}({', '.join(fields)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_title, value))})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _by_class(schedule: Schedule, run: Run) -> str | None:
    """Return code with torch's own class, or ``None`` if none is equal."""
    same = [schedule, schedule.general] if isinstance(schedule, Preset) else [schedule]
    for form in same:
        name, writer = _WRITERS.get(type(form), ("", None))
        arguments = writer(form, run) if writer else None
        if arguments is None:
            continue
        listed = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        usage = _EACH_STEP
        if schedule.metric_driven:
            usage = "# after each epoch: scheduler.step(validation_loss)"
            if getattr(form, "threshold_mode", "") == "rel":
                usage += "\n# torch compares with the metric's sign: the same while the metric is > 0"
        return _code(schedule, [], "", run, f"torch.optim.lr_scheduler.{name}(optimizer, {listed})", usage)
    return None


def _by_formula(schedule: Schedule, run: Run) -> str | None:
    """Return code with ``LambdaLR`` and the formulas of the docstrings, or ``None`` if they do not hold.

    The code is run and compared, past the last step too: a length of zero, say, makes a formula divide by zero.
    """
    if schedule.metric_driven:
        return None
    try:
        body = alone(schedule, run.steps_per_epoch)
        if sum(1 for _ in ast.walk(ast.parse(body))) > _LONGEST:
            return None
        imports = ["import math"] if "math." in body else []
        space: dict[str, Any] = {}
        # Safe: formulas are lines of classes in this process; fields are checked numbers and choices, written as repr.
        exec("\n".join([*imports, body]), space)  # noqa: S102  # as the line above says
        steps = _telling_steps(schedule, run)
        values = np.array([space["multiplier"](step) for step in steps.tolist()])
    except (ArithmeticError, AttributeError, LookupError, NameError, SyntaxError, TypeError, ValueError):
        return None
    if not np.allclose(values, schedule(steps / run.steps_per_epoch), rtol=1e-12, atol=1e-15):
        return None
    scheduler = "torch.optim.lr_scheduler.LambdaLR(optimizer, multiplier)"
    return _code(schedule, imports, body, run, scheduler, _EACH_STEP)


def _telling_steps(schedule: Schedule, run: Run) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the steps at which a formula is tried: all, and two after the last; of a long run some thousands.

    Those are spread evenly, and where the rate bends most: jumps, ends and restarts are among them.
    """
    steps = np.arange(run.steps + 2)
    if len(steps) <= 2 * _TRIED:
        return steps
    bends = np.abs(np.diff(schedule(steps / run.steps_per_epoch), n=2))
    sharpest = np.argsort(bends)[-_TRIED:]
    spread = np.linspace(0, run.steps + 1, _TRIED).astype(np.int64)
    return np.unique(np.concatenate([spread, sharpest, sharpest + 1, sharpest + 2, steps[-9:]]))


def _by_lrsched(schedule: Schedule, run: Run) -> str:
    """Return code with ``lrsched``: any schedule of the catalogue.

    Raises:
        TypeError: A class is not one of ``lrsched``.
    """
    kinds = kinds_of(schedule)
    for kind in kinds:
        if getattr(lrsched, kind.__name__, None) is not kind:
            raise TypeError(
                f"{kind.__name__} is a class of your own, which lrsched cannot be asked for: state its formula in "
                "its docstring (lines after 'Formula::' that end in value = ...), or paste the class yourself"
            )
    names = sorted({kind.__name__ for kind in kinds})
    imports = [f"from lrsched import {', '.join(names)}", "from lrsched.optimizer import Scheduler"]
    usage = _EACH_STEP
    if schedule.metric_driven:
        usage += "\n# after each epoch: scheduler.observe(validation_loss)"
    scheduler = f"Scheduler(optimizer, schedule, steps_per_epoch={run.steps_per_epoch})"
    return _code(schedule, imports, f"schedule = {schedule!r}  # time in epochs", run, scheduler, usage)


def _hold(s: Any, run: Run) -> dict[str, Any] | None:
    until = run.first_step(s.length)
    return {"factor": s.factor, "total_iters": until} if s.factor > 0 and until > 0 else None


def _step(s: Any, run: Run) -> dict[str, Any] | None:
    size = run.whole(s.step_size)
    return {"step_size": size, "gamma": s.factor} if size else None


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
    lowest = s.factor ** (run.steps // run.steps_per_epoch)
    return {"step_size": run.steps_per_epoch, "gamma": s.factor} if lowest >= s.floor else None


def _polynomial(s: Any, run: Run) -> dict[str, Any] | None:
    length = run.whole(s.length)
    return {"total_iters": length, "power": s.power} if length and s.final == 0 else None


def _cosine(s: Any, run: Run) -> dict[str, Any] | None:
    length = run.whole(s.T_max)
    # After T_max torch's rises again.
    ends = length is not None and length >= run.steps
    return {"T_max": length, "eta_min": s.final * run.base_rate} if ends else None


def _cosine_restarts(s: Any, run: Run) -> dict[str, Any] | None:
    first = run.whole(s.T_0)
    if first is None or s.decay != 1 or s.T_mult != int(s.T_mult):
        return None
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
    same = {name: getattr(s, name) for name in names}
    if s.threshold_mode == "signed_rel":
        same["threshold_mode"] = "rel"
    return {**same, "min_lr": s.floor * run.base_rate, "eps": s.eps * run.base_rate}


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

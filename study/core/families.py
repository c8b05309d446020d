"""The families that a study compares: those of ``lrsched``, and schedule-free training as their opponent.

``schedule_free`` is no schedule. Its rate is constant after the warm-up; what differs is the optimizer, which is the
schedule-free form of the study's: it measures an average of the iterates in place of letting the rate decay.
"""

from __future__ import annotations

import json
import re

import lrsched
from lrsched import Constant, Cyclic, OneCycle, Schedule, Warmup

#: The opponent's name among the families.
SCHEDULE_FREE = "schedule_free"

_FORMULA = """value = 1, and of the weights z that are stepped, an average x is measured:
z = z - rate * direction at y
x = (1 - c) * x + c * z        with c = rate ** 2 / (sum of rate ** 2 so far)
y = (1 - beta) * z + beta * x"""


def searchable() -> tuple[str, ...]:
    """Return the names of all families that a study can search."""
    return (*(name for name, cls in lrsched.REGISTRY.items() if cls.searchable()), SCHEDULE_FREE)


def schedule_class(family: str) -> type[Schedule]:
    """Return the class of a family's schedules, without the warm-up.

    Raises:
        ValueError: There is no such family.
    """
    return Constant if family == SCHEDULE_FREE else lrsched.schedule_class(family)


def formula(family: str) -> str:
    """Return the formula of a family."""
    return _FORMULA if family == SCHEDULE_FREE else schedule_class(family).formula()


def warmup_of(schedule: Schedule) -> float:
    """Return the length of the warm-up around a schedule, 0 without one."""
    return schedule.length if isinstance(schedule, Warmup) else 0.0


def momentum_of(schedule: Schedule) -> Schedule | None:
    """Return the momentum that a schedule drives beside the rate; ``None`` for those that drive none.

    One-cycle and cyclic do, between their usual bounds. A warm-up multiplies the rate and leaves the momentum alone.
    """
    if isinstance(schedule, Warmup):
        return momentum_of(schedule.inner)
    return schedule.momentum() if isinstance(schedule, OneCycle | Cyclic) else None


def schedule_free_code(
    base_rate: float, warmup: float, steps_per_epoch: int, *, optimizer: str, weight_decay: float
) -> str:
    """Return schedule-free training as code to paste, by the package of its authors.

    Args:
        base_rate: Rate after the warm-up.
        warmup: Epochs of the linear warm-up.
        steps_per_epoch: Optimizer steps an epoch.
        optimizer: What the study trains with: ``adamw``, or else SGD.
        weight_decay: Its weight decay.
    """
    name = "AdamWScheduleFree" if optimizer == "adamw" else "SGDScheduleFree"
    steps = warmup * steps_per_epoch
    scheduler = f"lambda step: min(1.0, step / {steps!r})" if steps else "lambda step: 1.0"
    return f"""import schedulefree  # pip install schedulefree
import torch

# {steps_per_epoch} steps an epoch: change for yours
optimizer = schedulefree.{name}(model.parameters(), lr={base_rate!r}, weight_decay={weight_decay!r})
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, {scheduler})
# before training: optimizer.train(); before measuring and saving: optimizer.eval()
# after each optimizer.step(): scheduler.step()
"""


#: How code to paste makes the optimizers of the default problem, without the weight decay.
_MADE = {
    "momentum": ("SGD", ", momentum=0.9"),
    "nesterov": ("SGD", ", momentum=0.9, nesterov=True"),
    "adamw": ("AdamW", ""),
}


def as_trained(code: str, momentum: Schedule | None, *, optimizer: str, weight_decay: float) -> str:
    """Return code to paste that makes plain SGD with the optimizer that the study trained with.

    Args:
        code: What ``lrsched.pasteable.to_torch_code`` returned.
        momentum: What drove the momentum beside the rate, if anything did.
        optimizer: The optimizer's name; ``own`` for that of a user's problem.
        weight_decay: Its weight decay.
    """
    if (optimizer, weight_decay) == ("sgd", 0.0):
        return code
    if optimizer == "own":
        return f"# the optimizer: your problem's own, in place of SGD\n{code}"
    name, more = _MADE.get(optimizer, ("SGD", ""))
    decay = f", weight_decay={weight_decay!r}" if weight_decay or name == "AdamW" else ""
    made = re.sub(r"torch\.optim\.SGD\(model\.parameters\(\), lr=([^)]+)\)",
                  rf"torch.optim.{name}(model.parameters(), lr=\1{more}{decay})", code)  # fmt: skip
    if momentum is None or optimizer == "sgd":
        return made
    return (
        f"{made}# The study drove {'the first beta' if name == 'AdamW' else 'the momentum'} as well: lrsched.optimizer.Scheduler "
        f"does, with\n# momentum=lrsched.from_json({json.dumps(momentum.to_json())})\n"
    )

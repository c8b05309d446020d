"""What ``Scheduler`` is given, checked, and turned into plain Python."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from lrsched.schedule import Schedule

#: What ``of`` may schedule beside the rate.
BESIDE = ("momentum", "betas", "weight_decay")


def each(value: Any) -> tuple[Any, ...]:
    """Return the items of a sequence; of anything else, that alone."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def schedules_for(schedule: Any, groups: int) -> tuple[Schedule, ...]:
    """Return the schedule of each group, or raise TypeError or ValueError."""
    schedules = each(schedule) if isinstance(schedule, (list, tuple)) else (schedule,) * max(groups, 1)
    for one in schedules:
        if not isinstance(one, Schedule):
            raise TypeError(f"schedule must be a schedule of lrsched, got {type(one).__name__}")
    if isinstance(schedule, (list, tuple)) and len(schedules) != groups:
        raise ValueError(
            f"a sequence of schedules has one for each group: got {len(schedules)} for {groups} groups"
        )
    return schedules[:groups]


def schedules_beside(
    momentum: Any, of: Any, groups: Sequence[Mapping[str, Any]], optimizer: str
) -> dict[str, Schedule | tuple[Schedule, ...]]:
    """Return the schedules beside the rate, or raise TypeError or ValueError unless every group can follow them."""
    if of is not None and not isinstance(of, Mapping):
        raise TypeError(f"of must be a mapping such as {{'weight_decay': Cosine(30)}}, got of={of!r}")
    beside = dict(of or {})
    if momentum is not None:
        if "momentum" in beside:
            raise ValueError("momentum is scheduled twice: by momentum= and by of=")
        beside["momentum"] = momentum
    for key, value in beside.items():
        _check_beside(key, each(value) if key == "betas" else (value,))
        for number, group in enumerate(groups):
            _check_key(key, len(each(value)), group, f"group {number} of {optimizer}")
    if {"momentum", "betas"} <= beside.keys() and any("betas" in group for group in groups):
        raise ValueError("the first beta is scheduled twice: by momentum and by betas")
    return {key: each(value) if key == "betas" else value for key, value in beside.items()}


def _check_beside(key: Any, schedules: Sequence[Any]) -> None:
    """Raise TypeError or ValueError unless these can be the schedules of ``key``."""
    if key not in BESIDE:
        raise ValueError(f"of can schedule {', '.join(BESIDE)}, got {key!r}; the rate is schedule's")
    for one in schedules:
        if not isinstance(one, Schedule):
            raise TypeError(f"{key} must be a schedule of lrsched, got {type(one).__name__}")
        if one.metric_driven:
            raise ValueError(f"{key} must not be driven by a metric, got {key}={one}")


def _check_key(key: str, count: int, group: Mapping[str, Any], where: str) -> None:
    """Raise ValueError unless a group has what is to be scheduled."""
    if key == "momentum" and not {"momentum", "betas"} & group.keys():
        raise ValueError(f"momentum needs an optimizer with momentum or betas; {where} has neither")
    if key != "momentum" and key not in group:
        raise ValueError(f"{key} needs an optimizer with {key}; {where} has none")
    if key == "betas" and count != len(group["betas"]):
        raise ValueError(
            f"betas needs a schedule for each beta: got {count}, {where} has {len(group['betas'])}"
        )


def _plain(value: Any) -> Any:
    """Return a numpy or torch scalar as a plain number; anything else as it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def metric_number(name: str, value: Any) -> float:
    """Return a metric as a plain number, also one that still has its gradient's graph, or raise TypeError."""
    try:
        return float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {name}={value!r}") from None


def epoch_length(value: Any) -> float:
    """Return the steps of an epoch as a plain number, or raise TypeError or ValueError."""
    rule = f"steps_per_epoch must be a number > 0, got steps_per_epoch={value!r}"
    length = _plain(value)
    if isinstance(length, bool) or not isinstance(length, (int, float)):
        raise TypeError(rule)
    if not 0.0 < length < math.inf:
        raise ValueError(rule)
    return length


def step_number(name: str, value: Any) -> int:
    """Return the number of a step as a plain int, or raise TypeError."""
    number = _plain(value)
    if isinstance(number, bool) or not hasattr(number, "__index__"):
        rule = "a whole number >= 0" if name == "first_step" else "a whole number"
        hint = "" if name == "first_step" else "; a metric is given as step(metric=...)"
        raise TypeError(f"{name} must be {rule}, got {name}={value!r}{hint}")
    return operator.index(number)


def base_rates_for(name: str, rates: Any, groups: int) -> list[float]:
    """Return a base rate for each group, or raise TypeError or ValueError."""
    rates = _plain(rates)
    numbers = (
        [_plain(r) for r in rates]
        if hasattr(rates, "__iter__") and not isinstance(rates, str)
        else [rates] * groups
    )
    for number in numbers:
        rule = f"{name} must be numbers >= 0, got {name}={rates!r}"
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise TypeError(rule)
        if not 0.0 <= number < math.inf:
            raise ValueError(rule)
    if len(numbers) != groups:
        raise ValueError(f"{name} has a number for each group: got {len(numbers)} for {groups} groups")
    return [float(number) for number in numbers]

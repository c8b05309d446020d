"""To torch and from torch: ``to_torch_code`` writes code to paste, ``from_torch`` reads a scheduler.

torch's quirks, and what is made of them (``tests/lrsched/test_torch.py`` shows each):

* CosineAnnealingLR rises again after T_max; ``cosine`` stays. One that has to rise before its turn in a sequence is over is
  refused.
* OneCycleLR allows one step too many, at which it leaves its range; ``one_cycle`` stays at its end.
* LinearLR and ConstantLR with total_iters 0 never leave their first factor, PolynomialLR with 0 stays at 1;
  they are read as that. Our own schedules of length 0 are at their end at once.
* ConstantLR with factor 0 divides by zero at total_iters; ``hold`` does not.
* MultiStepLR takes unsorted and repeated milestones; repeated ones are read as ``by_hand``.
* ReduceLROnPlateau skips reductions below ``eps``, and its relative threshold takes the best metric's sign along; it is read
  with both (``eps``, ``threshold_mode="signed_rel"``).
* MultiplicativeLR has no closed form: in a sequence it goes on from the rate it finds. Refused, save as the first part.
* OneCycleLR replaces the optimizer's first rate, from which a sequence starts. Refused, save as the first part.
* SequentialLR and ChainedScheduler do not work as parts of a sequence; they are refused there.
* CyclicLR and OneCycleLR overwrite the optimizer's rate; ours take it as the peak (see ``peak_rates``).

Nothing of torch is imported here: a scheduler is known by the name of its class.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from lrsched.compose import Join, Product
from lrsched.cyclic import CosineRestarts, Cyclic, OneCycle
from lrsched.decay import Cosine, Exponential, Linear, Polynomial
from lrsched.function import Function, Multiplicative
from lrsched.pasteable import to_torch_code
from lrsched.plateau import Plateau
from lrsched.presets import Hold
from lrsched.schedule import Schedule
from lrsched.steps import ByHand, Constant, MultiStep, Step

__all__ = ["from_torch", "peak_rates", "to_torch_code"]

#: torch schedulers that multiply the rate they find, so that a chain of them is a product.
_CHAINABLE = frozenset(
    {"MultiplicativeLR", "StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR"}
)
#: What a subclass may replace without another rate coming out; what its constructor sets is read.
_HARMLESS = frozenset({"__init__", "__class__", "__repr__", "state_dict", "load_state_dict", "get_last_lr"})


def from_torch(scheduler: Any, group: int | None = None) -> Schedule:
    """Return the schedule that a torch scheduler follows from its step 0; one unit of time is one step.

    The schedule is relative to the peak rate: see ``peak_rates``. What the scheduler has already done, and its
    momentum, are not read.

    Args:
        scheduler: A scheduler of ``torch.optim.lr_scheduler``.
        group: Number of the parameter group to read; needed only where groups follow different schedules.

    Raises:
        TypeError: The scheduler's class is not known, or changes what torch's class does.
        ValueError: It does what no schedule of ours does (such as growing without end), a group's peak rate
            is 0, there is no such group, or groups differ and ``group`` is not given.
    """
    kind = _kind(scheduler)
    groups = range(len(scheduler.optimizer.param_groups))
    if group is not None:
        if group not in groups:
            raise ValueError(f"group must be one of the {len(groups)}, counted from 0, got group={group}")
        return _READERS[kind](scheduler, group)
    schedules = [_READERS[kind](scheduler, g) for g in groups]
    if any(s != schedules[0] for s in schedules):
        raise ValueError(f"the parameter groups of this {kind} follow different schedules; give group=...")
    return schedules[0]


def peak_rates(scheduler: Any) -> list[float]:
    """Return each group's rate at multiplier 1: the base rates that ``from_torch``'s schedule needs."""
    kind = _kind(scheduler)
    if kind == "CyclicLR":
        return [float(rate) for rate in scheduler.max_lrs]
    groups = scheduler.optimizer.param_groups
    if kind == "OneCycleLR":
        return [float(group["max_lr"]) for group in groups]
    if kind in ("SequentialLR", "ChainedScheduler"):
        return peak_rates(scheduler._schedulers[0])  # noqa: SLF001  # torch has no public name for them
    if kind != "ReduceLROnPlateau":
        return [float(rate) for rate in scheduler.base_lrs]  # as they were loaded, if they were
    if scheduler.last_epoch > 0 and any("initial_lr" not in group for group in groups):
        raise ValueError(
            "this ReduceLROnPlateau has been stepped, and its first rate is not kept; read it before"
        )
    return [float(group.get("initial_lr", group["lr"])) for group in groups]


def _kind(scheduler: Any) -> str:
    """Return the name of the torch class that the scheduler is an instance of."""
    changed = dict(vars(scheduler)) if hasattr(scheduler, "__dict__") else {}
    for cls in type(scheduler).__mro__:
        if cls.__module__.startswith("torch.optim") and cls.__name__ in _READERS:
            own = [n for n in changed if n not in _HARMLESS and callable(getattr(cls, n, None))]
            if own:
                raise TypeError(
                    f"{type(scheduler).__name__} has a {', '.join(own)} of its own: what it does is not what "
                    f"{cls.__name__} does, and cannot be read"
                )
            return cls.__name__
        changed |= vars(cls)
    raise TypeError(
        f"{type(scheduler).__name__} is not a scheduler that can be read; known: {', '.join(_READERS)}"
    )


def _ratio(rate: float, scheduler: Any, group: int) -> float:
    """Return a rate as a share of the group's peak rate."""
    peak = peak_rates(scheduler)[group]
    if peak == 0:
        raise ValueError(f"group {group} has the peak rate 0, of which no rate is a share; give it a rate")
    return float(rate) / peak


def _multi_step(scheduler: Any, _: int) -> Schedule:
    count: Counter[int] = scheduler.milestones
    if not count:
        return Constant()
    times = tuple(sorted(count))
    if max(count.values()) == 1:
        return MultiStep(times, scheduler.gamma)
    drops = [sum(count[t] for t in times[: i + 1]) for i in range(len(times))]
    return ByHand(times, tuple(scheduler.gamma**n for n in drops))


def _constant(scheduler: Any, _: int) -> Schedule:
    if scheduler.total_iters == 0:
        return ByHand((0,), (scheduler.factor,))
    return Hold(scheduler.factor, scheduler.total_iters)


def _linear(scheduler: Any, _: int) -> Schedule:
    if scheduler.total_iters == 0:
        return ByHand((0,), (scheduler.start_factor,))
    return Linear(scheduler.total_iters, scheduler.start_factor, scheduler.end_factor)


def _polynomial(scheduler: Any, _: int) -> Schedule:
    return Polynomial(scheduler.total_iters, scheduler.power) if scheduler.total_iters else Constant()


def _cosine_restarts(scheduler: Any, group: int) -> Schedule:
    return CosineRestarts(scheduler.T_0, scheduler.T_mult, final=_ratio(scheduler.eta_min, scheduler, group))


def _cyclic(scheduler: Any, group: int) -> Schedule:
    if scheduler._scale_fn_custom is not None:  # noqa: SLF001  # torch has no public name for it
        raise ValueError("a CyclicLR with its own scale_fn has no schedule of ours; use Function")
    up = scheduler.total_size * scheduler.step_ratio
    if math.isclose(up, round(up), rel_tol=1e-12):  # torch keeps the ratio only, which is rounded
        up = float(round(up))
    low = _ratio(scheduler.base_lrs[group], scheduler, group)
    return Cyclic(up, scheduler.total_size - up, low, scheduler.mode, scheduler.gamma)


def _one_cycle(scheduler: Any, group: int) -> Schedule:
    phases = scheduler._schedule_phases  # noqa: SLF001  # torch has no public name for them
    length, rise = scheduler.total_steps - 1, phases[0]["end_step"]
    if rise <= 0:
        raise ValueError(
            f"this OneCycleLR rises in less than one step (pct_start * total_steps = {rise + 1:g})"
        )
    rates = scheduler.optimizer.param_groups[group]
    return OneCycle(
        length,
        peak=rise / length,
        start=_ratio(rates["initial_lr"], scheduler, group),
        final=_ratio(rates["min_lr"], scheduler, group),
        shape="cosine" if scheduler._anneal_func_type == "cos" else "linear",  # noqa: SLF001  # likewise
        phases=len(phases),
    )


def _plateau(scheduler: Any, group: int) -> Schedule:
    return Plateau(
        factor=scheduler.factor,
        patience=scheduler.patience,
        threshold=scheduler.threshold,
        threshold_mode="signed_rel" if scheduler.threshold_mode == "rel" else scheduler.threshold_mode,
        cooldown=scheduler.cooldown,
        floor=_ratio(scheduler.min_lrs[group], scheduler, group),
        mode=scheduler.mode,
        eps=_ratio(scheduler.eps, scheduler, group),
    )


def _sequential(scheduler: Any, group: int) -> Schedule:
    parts, milestones = scheduler._schedulers, scheduler._milestones  # noqa: SLF001  # torch has no public name for them
    for number, part in enumerate(parts):
        kind, turn = _kind(part), [0, *milestones, math.inf][number : number + 2]
        if kind in ("SequentialLR", "ChainedScheduler"):
            raise ValueError(f"part {number} of this SequentialLR is a {kind}, which torch does not restart")
        if kind == "MultiplicativeLR" and number:
            raise ValueError(
                f"part {number} of this SequentialLR, a {kind}, goes on from the rate that it finds"
            )
        if kind == "OneCycleLR" and number:
            raise ValueError(
                f"part {number} of this SequentialLR, a {kind}, has replaced the first rate of the others"
            )
        if kind == "CosineAnnealingLR" and part.T_max < turn[1] - turn[0] < math.inf:
            raise ValueError(
                f"part {number} of this SequentialLR, a {kind}, rises again: T_max ends before its turn"
            )
    if len({peak_rates(part)[group] for part in parts}) > 1:
        raise ValueError("the parts of this SequentialLR have different peak rates; read them one by one")
    return Join(tuple(from_torch(part, group) for part in parts), tuple(milestones))


def _chained(scheduler: Any, group: int) -> Schedule:
    parts = scheduler._schedulers  # noqa: SLF001  # torch has no public name for them
    for part in parts if len(parts) > 1 else ():
        kind = _kind(part)
        if kind not in _CHAINABLE and not (kind == "CosineAnnealingLR" and part.eta_min == 0):
            raise ValueError(f"{kind} sets the rate instead of multiplying it: its chain is not a product")
    return Product(tuple(from_torch(part, group) for part in parts))


_READERS: dict[str, Callable[[Any, int], Schedule]] = {
    "LambdaLR": lambda s, g: Function(s.lr_lambdas[g], whole=True),
    "MultiplicativeLR": lambda s, g: Multiplicative(s.lr_lambdas[g]),
    "StepLR": lambda s, _: Step(s.step_size, s.gamma),
    "MultiStepLR": _multi_step,
    "ConstantLR": _constant,
    "LinearLR": _linear,
    "ExponentialLR": lambda s, _: Exponential(s.gamma),
    "PolynomialLR": _polynomial,
    "CosineAnnealingLR": lambda s, g: Cosine(s.T_max, _ratio(s.eta_min, s, g)),
    "CosineAnnealingWarmRestarts": _cosine_restarts,
    "CyclicLR": _cyclic,
    "OneCycleLR": _one_cycle,
    "ReduceLROnPlateau": _plateau,
    "SequentialLR": _sequential,
    "ChainedScheduler": _chained,
}

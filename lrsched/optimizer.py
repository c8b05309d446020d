"""Drives any torch optimizer by any schedule: the only file of ``lrsched`` that imports torch.

A training loop, per batch, with time in epochs::

    scheduler = Scheduler(optimizer, Warmup(Cosine(T_max=30), length=2), steps_per_epoch=len(batches))
    for epoch in range(30):
        for batch in batches:
            ...
            optimizer.step()
            scheduler.step()
        scheduler.observe(validation_loss)  # only schedules driven by a metric need it
"""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

import numpy as np
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrsched.schedule import Schedule, State

#: Steps whose multipliers are computed at once; a single one then costs a list access.
_AHEAD = 256


class Scheduler(LRScheduler):
    """Sets the rate of every parameter group to its base rate times the schedule.

    Constructing it sets the rate of the first step (and, if asked for, its momentum) and notes each
    group's base rate in the group as ``initial_lr``, as every torch scheduler does; nothing else changes,
    and ``optimizer.step`` is left as it is. Groups added later join with the rate that they bring.

    Args:
        optimizer: Any torch optimizer; each group's rate is its base rate, the peak of the schedule.
        schedule: Any schedule.
        steps_per_epoch: Calls of ``step`` per unit of the schedule's time. 1: ``step`` is called once per unit.
        momentum: Schedule whose values are the momentum (the first beta for Adam and its kin), such as
            ``one_cycle.momentum()``.
        first_step: Number of the first step; resuming without a saved state.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: A number is out of range, or a group knows no momentum.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule,
        *,
        steps_per_epoch: float = 1,
        momentum: Schedule | None = None,
        first_step: int = 0,
    ) -> None:
        # torch's own constructor is not called: it replaces optimizer.step.
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be a torch optimizer, got {type(optimizer).__name__}")
        if not isinstance(schedule, Schedule):
            raise TypeError(f"schedule must be a schedule of lrsched, got {type(schedule).__name__}")
        if momentum is not None:
            _check_momentum(momentum, optimizer)
        _check_steps(steps_per_epoch, first_step)
        self.optimizer = optimizer
        self.schedule = schedule
        self.momentum = momentum
        self.steps_per_epoch = steps_per_epoch
        self.base_lrs: list[float] = []  # type: ignore[assignment]  # torch allows tensors; JSON does not
        self.last_epoch = first_step
        self._step_count = 1
        self._state: State = schedule.initial()
        self._rates = _Ahead(schedule, steps_per_epoch)
        self._momenta = _Ahead(momentum, steps_per_epoch) if momentum is not None else None
        self._apply()

    def step(self, epoch: int | None = None, metric: SupportsFloat | None = None) -> None:
        """Move on to the next step, or to step ``epoch``; a given ``metric`` is observed first.

        Raises:
            TypeError: ``epoch`` is no whole number; a metric must be named, ``step(metric=loss)``.
        """
        if epoch is not None and not isinstance(epoch, int):
            raise TypeError(
                f"epoch must be a whole number, got {epoch!r}; a metric is given as step(metric=...)"
            )
        if metric is not None:
            self._observe(metric)
        self._step_count += 1
        self._update_lr(epoch)

    def observe(self, metric: SupportsFloat) -> None:
        """Tell the schedule a metric (once an epoch); the rate of the coming step follows at once."""
        self._observe(metric)
        self._apply()

    def get_lr(self) -> list[float]:  # type: ignore[override]  # floats, never tensors
        """Return the rate of each group at the present step."""
        multiplier = self._rates.at(self.last_epoch, self._state)
        return [base * multiplier for base in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON and for ``torch.load(..., weights_only=True)``."""
        return {
            "step": self.last_epoch,
            "base_lrs": list(self.base_lrs),
            "steps_per_epoch": self.steps_per_epoch,
            "schedule": _plain(self.schedule),
            "momentum": None if self.momentum is None else _plain(self.momentum),
            "state": self._state,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where ``state_dict`` was taken; the optimizer's rates are set accordingly.

        Raises:
            ValueError: The state is no state of a ``Scheduler``, or it is of another schedule, another number
                of groups, or another step length.
        """
        now = self.state_dict()
        lacking = [key for key in now if key not in state_dict]
        if lacking:
            raise ValueError(f"the state is not one that Scheduler.state_dict gave: it has no {lacking[0]!r}")
        for key in ("schedule", "momentum", "steps_per_epoch"):
            if state_dict[key] != now[key]:
                raise ValueError(f"the state is of {key} {state_dict[key]}, this scheduler has {now[key]}")
        if len(state_dict["base_lrs"]) != len(self.optimizer.param_groups):
            raise ValueError(
                f"the state has {len(state_dict['base_lrs'])} base rates, "
                f"the optimizer {len(self.optimizer.param_groups)} groups"
            )
        self.base_lrs[:] = state_dict["base_lrs"]
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["initial_lr"] = base
        self.last_epoch = state_dict["step"]
        self._state = state_dict["state"]
        self._apply()

    def _observe(self, metric: SupportsFloat) -> None:
        self._state = self.schedule.observe(self._state, float(metric))

    def _update_lr(self, epoch: int | None = None) -> None:
        # The hook by which torch's SequentialLR starts a scheduler.
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._apply()

    def _apply(self) -> None:
        """Set every group's rate, and momentum if there is a schedule for it."""
        groups = self.optimizer.param_groups
        if len(groups) > len(self.base_lrs):
            self._note_base_rates()
        self._last_lr: list[float] = self.get_lr()  # type: ignore[assignment]  # floats, never tensors
        for group, rate in zip(groups, self._last_lr, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        if self._momenta is not None:
            momentum = self._momenta.at(self.last_epoch, None)
            for group in groups:
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum

    def _note_base_rates(self) -> None:
        """Note the base rate of groups that are new."""
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            # torch's schedulers read a group's base rate from here, also when several share an optimizer.
            self.base_lrs.append(float(group.setdefault("initial_lr", float(group["lr"]))))


class _Ahead:
    """A schedule's values by step, computed a block at a time.

    Blocks begin at fixed steps, so that a value does not depend on where a run was resumed.
    """

    def __init__(self, schedule: Schedule, steps_per_epoch: float) -> None:
        self._schedule = schedule
        self._steps_per_epoch = steps_per_epoch
        # A metric can change what is ahead, and a user's function is asked for no step before its time.
        known = not schedule.metric_driven and _plain(schedule) is not None
        self._length = _AHEAD if known else 0
        self._begin, self._values = 0, list[float]()

    def at(self, step: int, state: State) -> float:
        """Return the value at a step; below 0 it is that of step 0."""
        if not self._length:
            return self._schedule.at(step / self._steps_per_epoch, state)
        ahead = step - self._begin
        if not 0 <= ahead < len(self._values):
            self._begin = max(step, 0) // self._length * self._length
            steps = np.arange(self._begin, self._begin + self._length)
            self._values = self._schedule.at(steps / self._steps_per_epoch, state).tolist()
            ahead = max(step, 0) - self._begin
        return self._values[ahead]


def _plain(schedule: Schedule) -> dict[str, Any] | None:
    """Return the schedule as JSON, or ``None`` if a user's function forbids it."""
    try:
        return schedule.to_json()
    except TypeError:
        return None


def _check_steps(steps_per_epoch: Any, first_step: Any) -> None:
    """Raise TypeError or ValueError unless both are numbers in their range."""
    steps_rule = f"steps_per_epoch must be a number > 0, got steps_per_epoch={steps_per_epoch!r}"
    if not isinstance(steps_per_epoch, (int, float, np.integer)):
        raise TypeError(steps_rule)
    if not 0.0 < steps_per_epoch < math.inf:
        raise ValueError(steps_rule)
    first_rule = f"first_step must be a whole number >= 0, got first_step={first_step!r}"
    if not isinstance(first_step, (int, np.integer)):
        raise TypeError(first_rule)
    if first_step < 0:
        raise ValueError(first_rule)


def _check_momentum(momentum: object, optimizer: Optimizer) -> None:
    """Raise TypeError or ValueError unless the schedule can be the momentum of every group."""
    if not isinstance(momentum, Schedule):
        raise TypeError(f"momentum must be a schedule of lrsched, got {type(momentum).__name__}")
    if momentum.metric_driven:
        raise ValueError(f"momentum must not be driven by a metric, got momentum={momentum}")
    for number, group in enumerate(optimizer.param_groups):
        if "momentum" not in group and "betas" not in group:
            raise ValueError(
                f"momentum needs an optimizer with momentum or betas; "
                f"group {number} of {type(optimizer).__name__} has neither"
            )

"""Drives any torch optimizer by any schedule.

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

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self, SupportsFloat, SupportsIndex

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lrsched.arguments import (
    BESIDE,
    base_rates_for,
    each,
    epoch_length,
    schedules_beside,
    schedules_for,
    step_number,
)
from lrsched.groups import holds
from lrsched.resuming import changes, metric_states
from lrsched.schedule import Schedule
from lrsched.tracks import Track, as_json
from lrsched.writing import GroupWriter


class Scheduler(GroupWriter):
    """Sets the rate of every parameter group to its base rate times the schedule.

    A group's base rate is what its ``lr`` was before a scheduler wrote to it, which torch's schedulers and ours
    note in the group's ``initial_lr``. A rate that was set by hand after a ``Scheduler`` wrote to the group is its
    new base rate, for a ``Scheduler`` made afterwards; so is the rate that a group brings which is added later.
    What torch's own schedulers wrote cannot be told from what was set by hand: there ``initial_lr`` counts, with a
    warning. ``base_rates`` overrules all that, and ``base_lrs`` may be read and written at any time.
    A group's ``lr_scale`` (timm's layer decay) multiplies its rate.

    Constructing it sets the values of the first step and notes each group's base rate in ``initial_lr``;
    ``optimizer.step`` is left as it is, but for a hook that gives a group that was added its values before its first
    update. Groups may be added, removed, replaced and reordered at any time. A rate that is a tensor is
    filled in place; groups that share one get one each.

    A schedule that is driven by a metric makes a ``MetricScheduler``.

    Args:
        optimizer: Any torch optimizer; each group's base rate is the peak of its schedule.
        schedule: Any schedule, or a sequence of them, one for each group.
        steps_per_epoch: Calls of ``step`` per unit of the schedule's time. 1: ``step`` is called once per unit.
        momentum: Schedule whose values are the momentum (the first beta for Adam and its kin), such as
            ``one_cycle.momentum()``; short for ``of={"momentum": ...}``.
        of: Schedules beside the rate: ``"momentum"``; ``"betas"``, a sequence with a schedule for each beta, whose
            values are the betas; ``"weight_decay"``, a schedule that multiplies each group's own weight decay.
        base_rates: The groups' base rates: one number for all, or one for each.
        first_step: Number of the first step; resuming without a saved state.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: A number is out of range; schedules, betas or base rates are not as many as they should be; or
            a group knows no momentum, betas or weight decay.
    """

    def __new__(cls, optimizer: Any = None, schedule: Any = None, *_: Any, **__: Any) -> Self:  # noqa: ARG004 - as __init__ has it
        """Make a ``MetricScheduler`` where a schedule is driven by a metric."""
        driven = any(isinstance(s, Schedule) and s.metric_driven for s in each(schedule))
        return object.__new__(MetricScheduler if cls is Scheduler and driven else cls)  # type: ignore[return-value]  # it is one

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule | Sequence[Schedule],
        *,
        steps_per_epoch: float = 1,
        momentum: Schedule | None = None,
        of: Mapping[str, Schedule | Sequence[Schedule]] | None = None,
        base_rates: float | Sequence[float] | None = None,
        first_step: int = 0,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be a torch optimizer, got {type(optimizer).__name__}")
        groups = optimizer.param_groups
        schedules = schedules_for(schedule, len(groups))
        self.schedule = schedule if isinstance(schedule, Schedule) else schedules
        self.of = schedules_beside(momentum, of, groups, type(optimizer).__name__)
        self.steps_per_epoch = length = epoch_length(steps_per_epoch)
        first = step_number("first_step", first_step)
        if first < 0:
            raise ValueError(f"first_step must be a whole number >= 0, got first_step={first_step!r}")
        self._given = None if base_rates is None else base_rates_for("base_rates", base_rates, len(groups))
        shared = Track(schedule, length) if isinstance(schedule, Schedule) else None
        super().__init__(
            optimizer,
            shared,
            [shared or Track(s, length) for s in schedules],
            {key: [Track(s, length) for s in each(value)] for key, value in self.of.items()},
            step=first,
            base_rates=self._given,
        )

    @property
    def momentum(self) -> Schedule | None:
        """The schedule of the momentum, if there is one."""
        return next((track.schedule for track in self._beside.get("momentum", ())), None)

    def step(
        self, epoch: SupportsIndex | SupportsFloat | None = None, metric: SupportsFloat | None = None
    ) -> None:
        """Move on to the next step, or to step ``epoch``; a given ``metric`` is observed first.

        Only where the schedule is driven by a metric may the first argument be one: see ``MetricScheduler``.

        Raises:
            TypeError: ``epoch`` is no whole number, or ``metric`` is no number.
        """
        if epoch is not None:
            epoch = step_number("epoch", epoch)
        if metric is not None:
            self._observe(metric, self.last_epoch + 1)
        self._step_count += 1
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._apply()

    def observe(self, metric: SupportsFloat) -> None:
        """Tell the schedule a metric (once an epoch); the rate of the coming step follows at once."""
        self._observe(metric, self.last_epoch)
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON and for ``torch.load(..., weights_only=True)``."""
        self._welcome()
        self._settle()
        held = zip(self._book.groups, self.get_lr(), strict=True)
        return {
            **self._described(),
            "step": self.last_epoch,
            "state": self._shared.state if self._shared else [track.state for track in self._tracks],
            # Of several schedulers of one optimizer, as in SequentialLR, only one's values are in force.
            "in_force": all(holds(group["lr"], rate) for group, rate in held),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken.

        The optimizer's values are set if they were this scheduler's when the state was taken; else another one was
        in charge of them, and this one leaves them alone. To go on with another schedule, see ``resume``.

        Raises:
            ValueError: The state is no state of a ``Scheduler``; or it is of another schedule, another number of
                groups, another step length, or of other base rates than were given.
        """
        self._settle()
        now = {**self._described(), **({} if self._given is None else {"base_lrs": self._given})}
        self._check_state(state_dict)
        if len(state_dict["base_lrs"]) != len(self._book.groups):
            raise ValueError(
                f"the state has {len(state_dict['base_lrs'])} base rates, "
                f"the optimizer {len(self._book.groups)} groups"
            )
        for key, value in now.items():
            free = key == "base_lrs" and self._given is None
            if state_dict[key] != value and not free:
                raise ValueError(
                    f"the state is of {key} {state_dict[key]}, this scheduler has {value}; "
                    "scheduler.resume(state) goes on with this one's"
                )
        self.base_lrs = state_dict["base_lrs"]
        self.last_epoch = state_dict["step"]
        self._take(state_dict["state"])
        if state_dict["in_force"]:
            self._apply()

    def resume(self, state_dict: dict[str, Any]) -> str:
        """Continue at the time at which ``state_dict`` was taken, with this scheduler's schedule and base rates.

        Taken from the state are the position in time and what a schedule has seen of a metric. The optimizer's
        values are set; base rates that were given count again, whatever the optimizer has loaded since.

        Returns:
            One line that says what was kept and what changed.

        Raises:
            ValueError: The state is no state of a ``Scheduler``, or what it has seen of a metric is of a schedule
                that is composed otherwise.
        """
        self._check_state(state_dict)
        self._settle()
        if self._given is not None:
            self.base_lrs = self._given
        now = self._described()
        states, kept = metric_states(
            state_dict, now, driven=any(t.schedule.metric_driven for t in self._tracks)
        )
        if states is not None:
            self._take(states)
        time = state_dict["step"] / state_dict["steps_per_epoch"]
        self.last_epoch = round(time * self.steps_per_epoch)
        self._apply()
        return f"kept: step {self.last_epoch} (time {time:g}){kept}; changed: {changes(state_dict, now)}"

    def _described(self) -> dict[str, Any]:
        """Return what this scheduler is set to do, as plain data."""
        schedules = [as_json(track.schedule) for track in self._tracks]
        beside = {key: [as_json(track.schedule) for track in self._beside.get(key, ())] for key in BESIDE}
        return {
            "base_lrs": list(self.base_lrs),
            "steps_per_epoch": self.steps_per_epoch,
            "schedule": as_json(self._shared.schedule) if self._shared else schedules,
            **{key: (js if key == "betas" else js[0]) if js else None for key, js in beside.items()},
        }

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        """Raise ValueError unless the state is one of a ``Scheduler``."""
        lacking = [key for key in (*self._described(), "step", "state", "in_force") if key not in state_dict]
        if "step" not in state_dict or lacking:
            name = "step" if "step" not in state_dict else lacking[0]
            raise ValueError(f"the state is not one that Scheduler.state_dict gave: it has no {name!r}")


class MetricScheduler(Scheduler, ReduceLROnPlateau):
    """A scheduler whose schedule is driven by a metric: what ``Scheduler(optimizer, Plateau())`` makes.

    To Lightning and to transformers' Trainer it is a ``ReduceLROnPlateau``, so they hand it the metric: as
    ``step(metric)``, once an evaluation. Of torch's ``ReduceLROnPlateau`` it has nothing but the name.

    It warns, once, when an epoch of steps goes by without a metric.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._since = 0  # steps since the last metric
        self._usual = 0  # steps between the last two
        self._warned = False
        super().__init__(*args, **kwargs)

    def step(  # type: ignore[override]  # torch's plateaus differ from its other schedulers in the same way
        self,
        told: SupportsFloat | None = None,
        /,
        epoch: SupportsIndex | None = None,
        *,
        metric: SupportsFloat | None = None,
    ) -> None:
        """Move on to the next step, or to step ``epoch``; with a metric in first place, end an epoch.

        ``step(loss)`` tells the metric. It moves on by a step only if no ``step()`` has moved since the last metric:
        called once an epoch it counts epochs, and after an epoch of ``step()`` it counts nothing twice.
        ``step(metric=loss)`` observes the metric and moves on by a step, always.

        Raises:
            TypeError: ``epoch`` is no whole number, or a metric is no number.
        """
        if told is None:
            self._since += 1
            if metric is None and self._overdue:
                self._warn(
                    f"{self._since} steps have gone by without a metric, and an epoch has {self._epoch:g}: the rate "
                    "follows it only if told, by scheduler.observe(loss) or scheduler.step(loss) after each epoch"
                )
            super().step(epoch, metric)
        elif self._since and epoch is None:
            self.observe(told)
        else:
            if self.steps_per_epoch != 1:
                self._warn(
                    f"step(metric) came without a step() since the last metric, so time goes on by 1/"
                    f"{self.steps_per_epoch:g} of an epoch: call step() after each update, or say steps_per_epoch=1"
                )
            super().step(epoch, told)

    @property
    def _epoch(self) -> float:
        """Steps between two metrics: of an epoch, or more if that has become usual."""
        return max(self.steps_per_epoch, self._usual)

    @property
    def _overdue(self) -> bool:
        """Whether the metric is; epochs may be a step or a tenth longer than they were said to be."""
        return self._since > self._epoch + max(1.0, self._epoch / 10)

    def _observe(self, metric: SupportsFloat, step: int) -> None:
        super()._observe(metric, step)
        self._usual, self._since = self._since, 0

    def _warn(self, message: str) -> None:
        """Warn the caller of ``step``, the first time."""
        if not self._warned:
            self._warned = True
            warnings.warn(f"lrsched: {message}", stacklevel=3)

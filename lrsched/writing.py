"""Writes what schedules say into an optimizer's parameter groups, whichever these are at the moment."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, SupportsFloat

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrsched.arguments import base_rates_for, metric_number
from lrsched.groups import Book, Group, Ledger, innermost, same_groups, same_parameters, write
from lrsched.tracks import Track


class GroupWriter(LRScheduler):
    """Sets each group's values at a step to its base values times its schedules.

    Args:
        optimizer: Any torch optimizer.
        shared: The one schedule of all groups' rates, or ``None`` if each has its own.
        tracks: The schedule of each group's rate.
        beside: The schedules of what is scheduled beside the rate, by quantity.
        step: Number of the first step.
        base_rates: The groups' base rates, unless they are to be found in the groups.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        shared: Track | None,
        tracks: Sequence[Track],
        beside: Mapping[str, Sequence[Track]],
        *,
        step: int,
        base_rates: Sequence[float] | None,
    ) -> None:
        # torch's own constructor is not called: it replaces optimizer.step.
        self.optimizer = optimizer
        self.last_epoch = step
        self._step_count = 1
        self._shared = shared
        self._tracks = list(tracks)
        self._beside = dict(beside)
        self._book = Book("lr")
        self._decay = Book("weight_decay") if "weight_decay" in beside else None
        self._ledger = Ledger.of(innermost(optimizer))
        self._settle(new=True)
        if base_rates is not None:
            self.base_lrs = base_rates
        self._apply()
        self._watch()

    @property  # type: ignore[override]  # floats, never tensors
    def base_lrs(self) -> list[float]:
        """The base rate of each group, in the order of the groups; may be written."""
        return self._book.bases

    @base_lrs.setter  # type: ignore[override]  # likewise
    def base_lrs(self, rates: Sequence[float]) -> None:
        self._book.rebase(base_rates_for("base_lrs", rates, len(self._book.groups)))

    def get_lr(self) -> list[float]:  # type: ignore[override]  # floats, never tensors
        """Return the rate of each group at the present step."""
        book, step = self._book, self.last_epoch
        if self._shared is not None:
            multiplier = self._shared.at(step)
            rates = [base * multiplier for base in book.bases]
        else:
            rates = [base * track.at(step) for base, track in zip(book.bases, self._tracks, strict=True)]
        for place, group in enumerate(book.groups):
            if "lr_scale" in group:
                rates[place] *= group["lr_scale"]
        return rates

    def _take(self, states: Any) -> None:
        """Take over what the schedules had seen of a metric."""
        if self._shared is not None:
            self._shared.state = states
        else:
            for track, state in zip(self._tracks, states, strict=True):
                track.state = state

    def _observe(self, metric: SupportsFloat, step: int) -> None:
        """Tell each schedule a metric that was measured when ``step`` steps had been made."""
        value = metric_number("metric", metric)
        for track in [self._shared] if self._shared else self._tracks:
            track.observe(value, step)

    def _update_lr(self, epoch: int | None = None) -> None:
        # The hook by which torch's SequentialLR starts a scheduler.
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._apply()

    def _apply(self) -> None:
        """Set every group's values to those of the present step."""
        # The loop that a training loop pays for at each step: one pass, no call that is not needed.
        groups, book, step = self.optimizer.param_groups, self._book, self.last_epoch
        multipliers = repeat(self._shared.at(step)) if self._shared else [t.at(step) for t in self._tracks]
        rates: list[float] = []
        known = len(groups) == len(book.groups)
        for group, own, base, multiplier in zip(groups, book.groups, book.bases, multipliers, strict=False):
            known &= group is own
            if not known:
                break
            rate = base * multiplier
            if "lr_scale" in group:
                rate *= group["lr_scale"]
            rates.append(rate)
            if type(group["lr"]) is float:
                group["lr"] = rate
            else:
                write(group, "lr", rate)
        if not known:
            self._settle()
            self._apply()
            return
        self._last_lr = book.values = rates  # type: ignore[assignment]  # floats, never tensors
        if self._ledger.last.get("lr") is not book:
            self._ledger.entrust(book)
        if self._beside:
            self._apply_beside(range(len(groups)))

    def _apply_beside(self, places: Iterable[int]) -> None:
        """Set the momentum, betas and weight decay of some groups."""
        step, groups = self.last_epoch, self._book.groups
        for key, tracks in self._beside.items():
            values = [track.at(step) for track in tracks]
            for place in places:
                if key == "weight_decay" and self._decay is not None:
                    self._decay.values[place] = self._decay.bases[place] * values[0]
                    write(groups[place], key, self._decay.values[place])
                elif "betas" in groups[place]:
                    _write_betas(groups[place], values)
                else:
                    write(groups[place], "momentum", values[0])
        if self._decay is not None:
            self._ledger.last["weight_decay"] = self._decay

    def _settle(self, *, new: bool = False) -> None:
        """Bring base values and schedules up to the optimizer's present groups, if they are others than before."""
        groups, before = self.optimizer.param_groups, self._book.groups
        if same_groups(groups, before) and not new:
            return
        if self._shared is not None:
            tracks = [self._shared] * len(groups)
        elif new:
            tracks = self._tracks
        else:
            tracks = [self._track_of(group, before, number) for number, group in enumerate(groups)]
        self._ledger.settle(self._book, innermost(self.optimizer))
        if self._decay is not None:
            self._ledger.settle(self._decay, innermost(self.optimizer))
        self._tracks = tracks
        if self._ledger.in_charge is self._book:
            self._ledger.groups = self._book.groups

    def _track_of(self, group: Group, before: Sequence[Group], number: int) -> Track:
        """Return the schedule of a group: its own, or that of the group whose parameters it has taken over."""
        known = [
            t for t, g in zip(self._tracks, before, strict=True) if g is group or same_parameters(g, group)
        ]
        if not known:
            raise ValueError(
                f"group {number} is new, and each group has a schedule of its own: make a new Scheduler with "
                f"{len(self.optimizer.param_groups)} schedules and first_step={self.last_epoch}"
            )
        return known[0]

    def _welcome(self) -> None:
        """Give groups that were added their values, if this scheduler is in charge."""
        groups, ledger = self.optimizer.param_groups, self._ledger
        if ledger.in_charge is not self._book or same_groups(groups, ledger.groups):
            return
        seen, ledger.groups = ledger.groups, list(groups)
        new = [place for place, group in enumerate(groups) if not any(group is known for known in seen)]
        if new:
            self._settle()
            rates = self.get_lr()
            for place in new:
                self._book.values[place] = rates[place]
                write(groups[place], "lr", rates[place])
            self._apply_beside(new)

    def _watch(self) -> None:
        """Have the optimizer call ``_welcome`` before each update, as long as this scheduler lives."""
        me = weakref.ref(self)

        def before_update(*_: Any) -> None:
            scheduler = me()
            if scheduler is not None:
                scheduler._welcome()  # noqa: SLF001 - its own

        handle = innermost(self.optimizer).register_step_pre_hook(before_update)
        weakref.finalize(self, handle.remove).atexit = False


def _write_betas(group: Group, values: Sequence[float]) -> None:
    """Set the first betas of a group; those that are tensors in place."""
    betas = list(group["betas"])
    for place, value in enumerate(values):
        if hasattr(betas[place], "fill_"):
            betas[place].fill_(value)
        else:
            betas[place] = value
    group["betas"] = tuple(betas)

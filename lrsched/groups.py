"""Whose base value is whose: parameter groups that come, go, change places, are loaded, or share a tensor.

A scheduler writes base value times schedule into a group, so what a group holds is either its base value, or what a
scheduler made of it. To take the one for the other gives a wrong rate and no error. Three records tell them apart:

* the group's own note, ``initial_lr`` (torch's and timm's convention: saved with the optimizer);
* a ``Book`` for each scheduler and quantity: groups by identity, their base values, what was written last;
* a ``Ledger`` for each optimizer, which all its schedulers share: whose book was written last.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

#: One of ``optimizer.param_groups``.
Group: TypeAlias = dict[str, Any]


def same_groups(groups: Sequence[Group], others: Sequence[Group]) -> bool:
    """Whether both hold the very same groups, in the same order."""
    return len(groups) == len(others) and all(map(operator.is_, groups, others))


def same_parameters(group: Group, other: Group) -> bool:
    """Whether both begin with the same parameter: a loaded group takes over those of the one that it replaces."""
    return bool(group["params"] and other["params"]) and group["params"][0] is other["params"][0]


def holds(held: Any, value: float) -> bool:
    """Whether a group's number, or tensor, is this value; a tensor holds it rounded."""
    return _number(held) == (
        float(torch.tensor(value, dtype=held.dtype)) if isinstance(held, Tensor) else value
    )


def base_value(group: Group, field: str) -> float:
    """Return a group's base value: its own note of it, or what it holds."""
    return _number(group.get(_note(field), group[field]))


def write(group: Group, field: str, value: float) -> None:
    """Set a group's value; a tensor is filled in place, where compiled steps and captured graphs look for it."""
    held = group[field]
    if isinstance(held, Tensor):
        held.fill_(value)
    else:
        group[field] = value


class Book:
    """The base values of one quantity, such as ``lr``, and the values that were written last; by group."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.groups: list[Group] = []
        self.bases: list[float] = []
        self.values: list[float] = []

    def add(self, group: Group, base: float, value: float) -> None:
        """Take in a group."""
        self.groups.append(group)
        self.bases.append(base)
        self.values.append(value)

    def find(self, group: Group) -> int | None:
        """Return the place of this very group, or ``None``."""
        return next((place for place, known in enumerate(self.groups) if known is group), None)

    def untouched(self, place: int, held: Any) -> bool:
        """Whether ``held`` is what was last written at that place."""
        return holds(held, self.values[place])

    def rebase(self, bases: Sequence[float]) -> None:
        """Set the base values, and each group's note of it."""
        self.bases = list(bases)
        for group, base in zip(self.groups, bases, strict=True):
            group[_note(self.field)] = base


class Ledger:
    """What all schedulers of one optimizer know in common. Held by the optimizer, so that it ends with it."""

    def __init__(self, optimizer: Optimizer) -> None:
        #: The scheduler in charge: the book of rates that was written last.
        self.in_charge: Book | None = None
        #: By quantity: what was written or loaded last.
        self.last: dict[str, Book] = {}
        #: Groups that have had a value from a scheduler, or that were loaded.
        self.groups: list[Group] = []
        #: By quantity: the tensor that new groups get by default, and its base value.
        self.defaults: dict[str, tuple[Tensor, float]] = {}
        optimizer.register_load_state_dict_post_hook(self.loaded)

    @classmethod
    def of(cls, optimizer: Optimizer) -> Ledger:
        """Return the optimizer's ledger, opened at the first call."""
        attributes = vars(optimizer)
        if "_lrsched_ledger" not in attributes:
            attributes["_lrsched_ledger"] = cls(optimizer)
        ledger: Ledger = attributes["_lrsched_ledger"]
        return ledger

    def entrust(self, book: Book) -> None:
        """Note that this book of rates has been written into the groups."""
        self.in_charge = self.last[book.field] = book
        self.groups = book.groups

    def loaded(self, optimizer: Optimizer) -> None:
        """Take what a state brought for written by a scheduler, where it notes a base value."""
        self.groups = list(optimizer.param_groups)
        for field in self.last:
            book = self.last[field] = Book(field)
            for group in self.groups:
                book.add(group, base_value(group, field), _number(group[field]))

    def settle(self, book: Book, optimizer: Optimizer) -> None:
        """Bring a book up to the optimizer's present groups.

        Bases are found before anything is written, tensors that groups share are parted, and each group's note
        is written.
        """
        groups = optimizer.param_groups
        before = [book.find(group) for group in groups]
        bases = [
            self._base(book, group, optimizer) if place is None else book.bases[place]
            for group, place in zip(groups, before, strict=True)
        ]
        self._note_default(book.field, optimizer, bases)
        _part(book.field, groups, before)
        settled = Book(book.field)
        for group, base, place in zip(groups, bases, before, strict=True):
            settled.add(group, base, _number(group[book.field]) if place is None else book.values[place])
        book.groups, book.values = settled.groups, settled.values
        book.rebase(settled.bases)

    def _base(self, own: Book, group: Group, optimizer: Optimizer) -> float:
        """Return the base value of a group that is new to a scheduler.

        A value that somebody set by hand after a scheduler wrote is the group's new base value.
        """
        field = own.field
        held, last = group[field], self.last.get(field)
        note = group.get(_note(field))
        place = None if last is None else last.find(group)
        if last is not None and place is not None:
            if last.untouched(place, held):
                return last.bases[place]
            return _doubtful(group, field) if _torch_scheduled(optimizer) else _number(held)
        if isinstance(held, Tensor):
            shared = [
                (g[field], base) for b in (own, last) if b for g, base in zip(b.groups, b.bases, strict=True)
            ]
            for tensor, base in (*shared, *filter(None, [self.defaults.get(field)])):
                if tensor is held:
                    return base
        if note is None:
            return _number(held)
        # A copy of a known group brings that group's note, and its value too unless it was given another one.
        copied = [place for place, base in enumerate(last.bases) if base == _number(note)] if last else []
        if last is None or not copied or any(last.untouched(place, held) for place in copied):
            return _number(note)
        return _number(held)

    def _note_default(self, field: str, optimizer: Optimizer, bases: list[float]) -> None:
        """Note the base value of the tensor that torch hands to new groups, before a schedule is in it."""
        default = optimizer.defaults.get(field)
        if isinstance(default, Tensor) and field not in self.defaults:
            holders = [b for g, b in zip(optimizer.param_groups, bases, strict=True) if g[field] is default]
            self.defaults[field] = (default, holders[0] if holders else _number(default))


def innermost(optimizer: Optimizer) -> Optimizer:
    """Return the optimizer inside the wrappers of a framework, which have no hooks of their own."""
    while not hasattr(optimizer, "_optimizer_step_pre_hooks"):
        optimizer = optimizer.optimizer  # type: ignore[attr-defined]  # accelerate's wrapper has it
    return optimizer


def _part(field: str, groups: Sequence[Group], before: Sequence[int | None]) -> None:
    """Give each group a tensor of its own where several share one; a group that was there before keeps it."""
    taken: list[Tensor] = []
    old_first = sorted(range(len(groups)), key=lambda i: before[i] is None)
    for group in (groups[i] for i in old_first):
        held = group[field]
        if isinstance(held, Tensor):
            if any(held is tensor for tensor in taken):
                group[field] = held = held.clone()
            taken.append(held)


def _torch_scheduled(optimizer: Optimizer) -> bool:
    """Whether a scheduler of torch's own has ever been made for this optimizer: it leaves a mark on ``step``."""
    return hasattr(optimizer.step, "_wrapped_by_lr_sched")


def _doubtful(group: Group, field: str) -> float:
    """Return the noted base value of a group whose value was set by torch's scheduler, or by hand."""
    note, held = _number(group[_note(field)]), _number(group[field])
    if note != held:
        warnings.warn(
            f"lrsched: a group holds {field}={held:g}, set since by a scheduler of torch's or by hand, and notes "
            f"{_note(field)}={note:g}; {note:g} is taken for its base rate: say base_rates= to choose",
            stacklevel=2,
        )
    return note


def _note(field: str) -> str:
    """Return the key under which a group notes its base value."""
    return f"initial_{field}"


def _number(value: Any) -> float:
    """Return a rate, tensor or not, as a plain number."""
    return float(value)

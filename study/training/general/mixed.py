"""Lanes of a problem, and of two optimizers on one stream of minibatches: scheduled ones, and their schedule-free opponents.

Both sides draw the order of the examples from the same seed and clock, so that a seed pairs lanes of either side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from study.core.families import SCHEDULE_FREE
from study.core.records import EpochMetrics, TrialSpec
from study.problems.definition import Problem
from study.problems.examples import Examples
from study.training.general.fused import ProblemLanes
from study.training.general.proof import Proof, prove, require_bfloat16
from study.training.general.schedule_free import schedule_free as free_form
from study.training.side_by_side import SideBySide


class Mixed:
    """Lanes whose family decides which side trains them.

    Args:
        scheduled: Trains every family but one.
        free: Trains ``schedule_free``; has the same data, batch size, seed and clock.
    """

    def __init__(self, scheduled: SideBySide, free: ProblemLanes) -> None:
        self._scheduled, self._free = scheduled, free
        self._keys: list[int] = []
        #: Called after every step with the share of the epoch that is done.
        self.on_step: Callable[[float], None] = lambda _: None

    @property
    def clock(self) -> int:
        """Global epoch that comes next."""
        return self._scheduled.clock

    @clock.setter
    def clock(self, clock: int) -> None:
        self._scheduled.clock = self._free.clock = clock

    @property
    def steps(self) -> int:
        """Steps an epoch, S."""
        return self._scheduled.steps

    @property
    def keys(self) -> list[int]:
        """Keys of the lanes that train, in the order in which they were added."""
        return list(self._keys)

    def add(self, key: int, seed: int, asked: TrialSpec | None = None) -> None:
        """Start a network on the side of its family.

        Raises:
            ValueError: The key trains already.
        """
        if key in self._keys:
            raise ValueError(f"lane {key} trains already")
        free = asked is not None and asked.family == SCHEDULE_FREE
        (self._free if free else self._scheduled).add(key, seed, asked)
        self._keys.append(key)

    def drop(self, key: int) -> None:
        """Free the lane of ``key``.

        Raises:
            ValueError: The key does not train.
        """
        self._side(key).drop(key)
        self._keys.remove(key)

    def weights(self, key: int) -> dict[str, torch.Tensor]:
        """Return one lane's weights; those of a schedule-free lane are the average, which is what is measured."""
        return self._side(key).weights(key)

    def train_epoch(self, rates: Mapping[int, np.ndarray]) -> dict[int, EpochMetrics]:
        """Train every lane for one epoch, one side after the other; a lane's seconds are those of its side."""
        found: dict[int, EpochMetrics] = {}
        sides: tuple[SideBySide, SideBySide] = (self._scheduled, self._free)
        busy = [side for side in sides if side.keys]
        for side in sides:
            if side.keys:
                before = busy.index(side)
                side.on_step = partial(self._tell, before, len(busy))
                found |= side.train_epoch({key: rates[key] for key in side.keys})
            else:
                side.clock += 1
        return {key: found[key] for key in self._keys}

    def _tell(self, before: int, sides: int, share: float) -> None:
        """Tell the share of the epoch that is done, from that of one side after ``before`` others."""
        self.on_step((before + share) / sides)

    def state_dict(self) -> dict[str, Any]:
        """Return what both sides need to go on."""
        return {
            "keys": self.keys,
            "scheduled": self._scheduled.state_dict(),
            "free": self._free.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let both sides go on."""
        self._keys = list(state["keys"])
        self._scheduled.load_state_dict(state["scheduled"])
        self._free.load_state_dict(state["free"])

    def evaluate(self, examples: Examples) -> dict[int, tuple[float, float]]:
        """Return ``(mean loss, metric)`` of every lane on other examples, by key."""
        found = {key: of for side in self._problem_sides() for key, of in side.evaluate(examples).items()}
        return {key: found[key] for key in self._keys}

    def evaluate_examples(self, examples: Examples) -> dict[int, NDArray[np.float64]] | None:
        """Return the metric of every single example ``[N]``, by key; ``None`` where it is one number for all."""
        found: dict[int, NDArray[np.float64]] = {}
        for side in self._problem_sides():
            each = side.evaluate_examples(examples)
            if each is None:
                return None
            found |= each
        return {key: found[key] for key in self._keys}

    def _problem_sides(self) -> list[ProblemLanes]:
        """Return the sides that have lanes, which take a problem's examples.

        Raises:
            TypeError: One of them are LeNet's own lanes, which take images.
        """
        sides: list[ProblemLanes] = []
        for side in (self._scheduled, self._free):
            if not isinstance(side, ProblemLanes):
                raise TypeError(f"{type(side).__name__} cannot be scored on a problem's examples")
            if side.keys:
                sides.append(side)
        return sides

    def _side(self, key: int) -> SideBySide:
        return self._free if key in self._free.keys else self._scheduled


@dataclass(frozen=True)
class Engine:
    """The general engine for a problem: whether its lanes are fused, and the one for its schedule-free form.

    Attributes:
        problem: What is trained.
        device: Where.
        proof: Whether its lanes are fused, and why not.
        free: The engine of its schedule-free form, where lanes of that family are to come.
    """

    problem: Problem
    device: torch.device
    proof: Proof
    free: Engine | None

    @classmethod
    def of(cls, problem: Problem, device: torch.device, *, schedule_free: bool = False) -> Engine:
        """Prove the problem, and its schedule-free form where that is asked for.

        Raises:
            InputError: There is no such form of its optimizer.
        """
        free = cls.of(_freed(problem, device), device) if schedule_free else None
        return cls(problem, device, prove(problem, device), free)

    def __str__(self) -> str:
        """Return how lanes are trained."""
        return str(self.proof) + ("" if self.free is None else f"; of schedule_free, {self.free.proof}")

    def lanes(self, train: Examples, measured: Examples | None, **how: Any) -> ProblemLanes | Mixed:
        """Return empty lanes; those of ``schedule_free`` on a side of their own.

        Args:
            train: Examples to train on.
            measured: Examples to measure on after every epoch; ``None`` for none.
            how: As of ``ProblemLanes``.
        """
        if how["bfloat16"]:
            require_bfloat16(self.problem, self.device, fused=self.proof.fused)
        own = ProblemLanes(self.problem, train, measured, fused=self.proof.fused, **how)
        if self.free is None:
            return own
        free = self.free.lanes(train, measured, **how)
        if not isinstance(free, ProblemLanes):
            raise TypeError("the schedule-free form of a problem has no opponents of its own")
        return Mixed(own, free)


def _freed(problem: Problem, device: torch.device) -> Problem:
    """Return a problem with the schedule-free form of its optimizer, on the same data in memory."""
    form = free_form(problem.optimizer)
    form(problem.build(0).parameters(), 1.0)  # which raises where there is none
    train, validation = (tuple(problem.examples(part, device)) for part in ("train", "validation"))
    return replace(problem, optimizer=form, train=train, validation=validation, test=None)

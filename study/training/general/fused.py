"""Train many networks of any kind on one stream of minibatches: fused where that is proven, else one by one.

The door is that of ``study.training.lanes``: add and drop lanes between epochs, give each the rates of an epoch's
steps, read what the epoch gave. Notation: L lanes, B examples a minibatch, S steps an epoch.

The order of the examples in global epoch g is drawn from ``(order_seed, g)`` alone. So are the random numbers that
networks draw while they train (dropout): the same lanes in the same epoch draw the same ones, but a lane among other
neighbours draws others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import lrsched
from study.core.families import momentum_of
from study.core.records import EpochMetrics, TrialSpec
from study.problems.definition import Problem
from study.problems.examples import Examples
from study.training.general.measuring import Measurement, of_minibatch, of_split
from study.training.general.separate import Separate
from study.training.general.stacked import Stacked
from study.training.lanes import data_order
from study.training.precision import widest
from study.training.roster import Roster


class ProblemLanes:
    """A problem's networks, side by side.

    Args:
        problem: What is trained.
        train: Examples to train on.
        evaluation: Examples to measure on after every epoch; ``None`` measures nothing.
        fused: Whether they train as one (:class:`Stacked`) or one after the other (:class:`Separate`); ask
            ``study.training.general.proof`` which.
        order_seed: Seed of the data order.
        batch_size: Examples a minibatch; by default the problem's.
        averaging: Length in epochs of the exponential average of the weights that is measured beside
            the weights themselves; ``None`` keeps no average. Buffers are not averaged.
        dtype: Floating-point type of weights and inputs.
        bfloat16: Compute the training steps' forward and backward passes in bfloat16.
        clock: Global epoch to start at.
    """

    def __init__(
        self,
        problem: Problem,
        train: Examples,
        evaluation: Examples | None,
        *,
        fused: bool,
        order_seed: int,
        batch_size: int | None = None,
        averaging: float | None = None,
        dtype: torch.dtype = torch.float32,
        bfloat16: bool = False,
        clock: int = 0,
    ) -> None:
        self.clock = clock
        self.problem = problem
        self._device = train.inputs.device
        self._dtype = dtype
        self._train = train.to(self._device, dtype)
        self._evaluation = None if evaluation is None else evaluation.to(self._device, dtype)
        self._batch_size = batch_size or problem.batch_size
        self._order_seed = order_seed
        self._averaging = averaging
        kind = Stacked if fused else Separate
        share = None if averaging is None else min(1.0, 1 / (averaging * self.steps))
        self._networks: Stacked | Separate = kind(
            problem, self._device, dtype=dtype, averaging=share, bfloat16=bfloat16
        )
        self._roster = Roster()
        #: Called after every step with the share of the epoch that is done.
        self.on_step: Callable[[float], None] = lambda _: None
        #: Of lanes whose schedule drives their momentum: its schedule, and the clock at which it began.
        self._momenta: dict[int, tuple[lrsched.Schedule, int]] = {}

    @property
    def fused(self) -> bool:
        """Whether the lanes train as one batched network."""
        return self._networks.fused

    @property
    def steps(self) -> int:
        """Steps an epoch, S."""
        return -(-len(self._train) // self._batch_size)

    @property
    def keys(self) -> list[int]:
        """Keys of the lanes that train, in lane order."""
        return self._roster.keys

    def add(self, key: int, seed: int, asked: TrialSpec | None = None) -> None:
        """Start a network with initial weights drawn from ``seed`` in a new lane.

        Where the schedule that is asked for drives a momentum, and the optimizer has one (or betas), it follows.

        Raises:
            ValueError: The key trains already.
        """
        self._roster.add(key)
        self._networks.add(seed)
        driven = None if asked is None else momentum_of(asked.schedule)
        if driven is not None:
            self._momenta[key] = driven, self.clock

    def drop(self, key: int) -> None:
        """Free the lane of ``key``.

        Raises:
            ValueError: The key does not train.
        """
        self._networks.keep(self._roster.drop(key))
        self._momenta.pop(key, None)

    def weights(self, key: int) -> dict[str, torch.Tensor]:
        """Return one lane's weights and buffers as a lone network's ``state_dict``."""
        return self._networks.weights(self.keys.index(key))

    def train_epoch(self, rates: Mapping[int, NDArray[np.float64]]) -> dict[int, EpochMetrics]:
        """Train every lane for one epoch and measure it.

        Args:
            rates: Learning rate of each of the S steps, by key; all keys that train.

        Returns:
            What the epoch gave, by key. A lane whose loss is not finite says so in its figures.
        """
        started = time.perf_counter()
        table = self._table(rates)
        self._networks.begin_epoch(table, self._driven())
        with _drawing_from(self._order_seed, self.clock, self._device):
            loss, metric = self._steps()
        self._networks.end_epoch()
        totals = [loss / len(self._train), metric / len(self._train)]
        if self._evaluation is not None:
            for averaged in (False, True)[: 1 if self._averaging is None else 2]:
                totals.extend(self._measure(self._evaluation, averaged=averaged).means())
        wide = widest(self._device)
        figures = torch.stack([total.to(wide) for total in totals], dim=1).tolist()
        seconds = (time.perf_counter() - started) / len(self._roster)
        self.clock += 1
        return self._roster.epoch(figures, table[-1].tolist(), seconds)

    def evaluate(self, examples: Examples) -> dict[int, tuple[float, float]]:
        """Return ``(mean loss, metric)`` of every lane on other examples, by key."""
        loss, metric = self._measure(examples.to(self._device, self._dtype)).means()
        return dict(zip(self.keys, zip(loss.tolist(), metric.tolist(), strict=True), strict=True))

    def evaluate_examples(self, examples: Examples) -> dict[int, NDArray[np.float64]] | None:
        """Return the metric of every single example ``[N]``, by key; ``None`` where it is one number for all."""
        each = self._measure(examples.to(self._device, self._dtype)).each
        if each is None:
            return None
        return {key: row.cpu().double().numpy() for key, row in zip(self.keys, each, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later process needs to go on: tensors and plain data."""
        return {
            "clock": self.clock,
            "fused": self.fused,
            "lanes": self._roster.state(),
            "networks": self._networks.state_dict(),
            "momenta": {key: (driven.to_json(), began) for key, (driven, began) in self._momenta.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the process that wrote ``state`` stopped.

        Raises:
            ValueError: That process trained its lanes the other way, fused or one by one.
        """
        if state["fused"] != self.fused:
            ways = {True: "fused", False: "one after the other"}
            raise ValueError(
                f"these lanes were trained {ways[state['fused']]} and would go on {ways[self.fused]}"
            )
        self.clock = state["clock"]
        self._roster = Roster(state["lanes"])
        self._networks.load_state_dict(state["networks"])
        self._momenta = {
            key: (lrsched.from_json(driven), began) for key, (driven, began) in state["momenta"].items()
        }

    def _table(self, by_key: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return numbers by key as ``[S, L]``."""
        return np.stack([np.asarray(by_key[key], dtype=np.float64) for key in self.keys], axis=1)

    def _driven(self) -> NDArray[np.float64] | None:
        """Return the momenta ``[S, L]`` of the coming epoch, NaN where a lane keeps the optimizer's own."""
        if not self._momenta:
            return None
        within = np.arange(self.steps) / self.steps
        momenta = {key: driven(self.clock - began + within) for key, (driven, began) in self._momenta.items()}
        own = np.full(self.steps, np.nan)
        return self._table({key: momenta.get(key, own) for key in self.keys})

    def _steps(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the S steps of one epoch; return the sums over examples of losses and metric, ``[L]`` each."""
        wide = widest(self._device)
        loss, metric = torch.zeros((2, len(self._roster)), dtype=wide, device=self._device)
        for number, (inputs, targets) in enumerate(self._batches()):
            losses, outputs = self._networks.step(number, inputs, targets)
            loss += losses.to(wide) * len(targets)
            metric += of_minibatch(self.problem, outputs, targets, losses).to(wide) * len(targets)
            self.on_step((number + 1) / self.steps)
        return loss, metric

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the minibatches of the current global epoch."""
        order = data_order(len(self._train), self._order_seed, self.clock).to(self._device)
        for indices in torch.split(order, self._batch_size):
            yield self._train.inputs[indices], self._train.targets[indices]

    def _measure(self, examples: Examples, *, averaged: bool = False) -> Measurement:
        return of_split(self.problem, self._networks, examples, averaged=averaged)


@contextmanager
def _drawing_from(seed: int, clock: int, device: torch.device) -> Iterator[None]:
    """Draw torch's random numbers from a seed of two numbers; put the generator's state back afterwards."""
    (draw,) = np.random.SeedSequence([seed, clock, 1]).generate_state(1, np.uint64)
    with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []):
        torch.manual_seed(int(draw >> np.uint64(1)))
        yield

"""Train many LeNets at once on one stream of minibatches; each lane has its own rate at every step.

Notation: L lanes, B images a minibatch, S steps an epoch, N images.

Lanes never mix: the loss is a sum over lanes, so a lane's gradient is its own, and a lane that is not finite stays
alone with it. Whoever holds the lanes adds and drops them between epochs and gives the rates as numbers.

On accelerators the number of lanes stays: a lane that ends leaves a free one, of rate 0 and weights that are zero,
until another takes its place. So the shapes of a step stay as well, and CUDA replays it as a graph.

The order of the images in global epoch g is drawn from ``(order_seed, g)`` alone, so a run that joined at
global epoch g can be trained again alone from the same clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from study.core.records import EpochMetrics, TrialSpec
from study.problems.fashion_mnist import Images, Split
from study.training.epoch_steps import Steps, mean_scores
from study.training.graphs import CudaRecorder, Graphs, Recorder, Work
from study.training.lenet import lenet, stack, unstack
from study.training.roster import Roster


class Lanes:
    """Networks that train side by side.

    Args:
        split: Images to train and to measure on, on the device that everything runs on.
        batch_size: Images a minibatch; the last one of an epoch holds what is left.
        order_seed: Seed of the data order.
        averaging: Length in epochs of the exponential average of the weights that is measured beside
            the weights themselves; ``None`` keeps no average.
        dtype: Floating-point type of weights and images.
        bfloat16: Compute the training steps' forward and backward passes in bfloat16, as
            ``torch.autocast`` does: weights, updates, losses and all measuring stay in ``dtype``.
        clock: Global epoch to start at.
        constant: Keep the number of lanes once it is reached, with free lanes where some have ended. By default on
            accelerators; CPUs are faster without free lanes.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        order_seed: int,
        averaging: float | None = None,
        dtype: torch.dtype = torch.float32,
        bfloat16: bool = False,
        clock: int = 0,
        constant: bool | None = None,
    ) -> None:
        self.clock = clock
        self._bfloat16 = bfloat16
        self._train = Images(split.train.pixels.to(dtype), split.train.labels)
        self._evaluation, self._on_test = split.evaluation, split.on_test
        if split.evaluation is not None:
            self._evaluation = Images(split.evaluation.pixels.to(dtype), split.evaluation.labels)
        self._batch_size = batch_size
        self._order_seed = order_seed
        self._averaging = averaging
        self._dtype = dtype
        self._device = split.train.pixels.device
        self._roster = Roster()
        self._weights: dict[str, torch.Tensor] = {}
        self._averaged: dict[str, torch.Tensor] = {}
        self._constant = self._device.type != "cpu" if constant is None else constant
        graphs = self._constant and self._device.type == "cuda"
        #: Makes what records a step, to be replayed as one graph; ``None``: each step runs by itself. Read when the
        #: lanes' memory is new, so set it before the first epoch.
        self.recorder: Callable[[torch.device], Recorder] | None = CudaRecorder if graphs else None
        #: Called after every step with the share of the epoch that is done.
        self.on_step: Callable[[float], None] = lambda _: None
        #: What an epoch is made of, until the lanes' memory moves.
        self._epoch: tuple[Steps, list[Work]] | None = None

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

        Raises:
            ValueError: The key trains already.
        """
        del asked  # plain SGD has no momentum for a schedule to drive
        rows = len(self._roster)
        row = self._roster.add(key)
        new = stack([lenet(seed, self._dtype).state_dict()], self._device)
        if row == rows:
            averaged = {} if self._averaging is None else _joined(self._averaged, new)
            self._hold(_joined(self._weights, new), averaged)
            return
        for held in (self._weights, self._averaged):
            for name, tensor in held.items():
                tensor[row].copy_(new[name][0])

    def drop(self, key: int) -> None:
        """Free the lane of ``key``.

        Raises:
            ValueError: The key does not train.
        """
        if self._constant:
            row = self._roster.free(key)
            for tensor in (*self._weights.values(), *self._averaged.values()):
                tensor[row].zero_()
        else:
            rows = self._roster.drop(key)
            self._hold(_taken(self._weights, rows), _taken(self._averaged, rows))

    def weights(self, key: int) -> dict[str, torch.Tensor]:
        """Return one lane's weights as a lone LeNet's ``state_dict``."""
        return unstack(self._weights, self._roster.row(key))

    def train_epoch(self, rates: Mapping[int, np.ndarray]) -> dict[int, EpochMetrics]:
        """Train every lane for one epoch and measure it.

        Args:
            rates: Learning rate of each of the S steps, by key; all keys that train.

        Returns:
            What the epoch gave, by key. A lane whose loss is not finite says so in its figures.
        """
        started = time.perf_counter()
        rows = self._roster.rows
        table = np.zeros((self.steps, len(self._roster)))
        table[:, rows] = np.stack([rates[key] for key in self.keys], axis=1)
        self._epoch = self._epoch or self._prepared()
        steps, works = self._epoch
        steps.begin(table, data_order(len(self._train), self._order_seed, self.clock))
        for done, work in enumerate(works, start=1):
            work()
            self.on_step(done / len(works))
        figures = steps.figures.T.tolist()  # the one synchronisation
        seconds = (time.perf_counter() - started) / len(rows)
        self.clock += 1
        return self._roster.epoch(
            [figures[row] for row in rows], table[-1, rows].tolist(), seconds, on_test=self._on_test
        )

    def evaluate(self, images: Images) -> dict[int, tuple[float, float]]:
        """Return ``(mean loss, accuracy)`` of every lane on other images, by key."""
        scores = mean_scores(self._weights, Images(images.pixels.to(self._dtype), images.labels))
        table = torch.stack(scores, dim=1).tolist()
        return {
            key: (table[row][0], table[row][1]) for key, row in zip(self.keys, self._roster.rows, strict=True)
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later process needs to go on, on whatever device: tensors and plain data."""
        rows = self._roster.rows
        return {
            "clock": self.clock,
            "lanes": self._roster.state(),
            "weights": _taken(self._weights, rows),
            "averaged": _taken(self._averaged, rows),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the process that wrote ``state`` stopped."""
        self.clock = state["clock"]
        self._roster = Roster(state["lanes"])
        weights, averaged = (
            {name: w.to(self._device, copy=True) for name, w in state[held].items()}
            for held in ("weights", "averaged")
        )
        self._hold(weights, averaged)

    def _hold(self, weights: dict[str, torch.Tensor], averaged: dict[str, torch.Tensor]) -> None:
        """Train these tensors from now on; what was prepared for others is void."""
        self._weights, self._averaged = weights, averaged
        self._epoch = None

    def _prepared(self) -> tuple[Steps, list[Work]]:
        """Return the steps on the weights as they lie in memory now, and what an epoch calls."""
        steps = Steps(
            self._weights,
            self._averaged,
            share=1.0 if self._averaging is None else min(1.0, 1 / (self._averaging * self.steps)),
            train=self._train,
            evaluation=self._evaluation,
            batch_size=self._batch_size,
            bfloat16=self._bfloat16,
        )
        if self.recorder is None:
            return steps, steps.work(_as_it_is)
        return steps, steps.work(Graphs(self.recorder(self._device)).replayed)


def data_order(images: int, seed: int, clock: int) -> torch.Tensor:
    """Return the order ``[N]`` of the images in global epoch ``clock``; the same on every device."""
    (draw,) = np.random.SeedSequence([seed, clock]).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(draw >> np.uint64(1)))
    return torch.randperm(images, generator=generator)


def automatic_lanes(device: torch.device) -> int:
    """Return a number of lanes that keeps the device busy.

    On two CPU cores the seconds a trial-epoch hardly change from 4 lanes up (``benchmarks/throughput.py``);
    fewer lanes leave the sampler more to learn from. So do they on an H100 from 32 lanes up (``benchmarks/gpu.sh``).
    The figure for MPS is an unmeasured guess.
    """
    return {"cpu": 8, "mps": 16, "cuda": 32}.get(device.type, 8)


def _joined(old: Mapping[str, torch.Tensor], new: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if not old:
        return {name: tensor.clone() for name, tensor in new.items()}
    return {name: torch.cat([old[name], new[name]]) for name in new}


def _taken(held: Mapping[str, torch.Tensor], rows: list[int]) -> dict[str, torch.Tensor]:
    return {name: tensor[rows] for name, tensor in held.items()}


def _as_it_is(work: Work) -> Work:
    return work

"""Train many LeNets at once on one stream of minibatches; each lane has its own rate at every step.

Notation: L lanes, B images a minibatch, S steps an epoch, N images.

Plain SGD: ``w[k] <- w[k] - rate[s, k] * gradient of lane k's mean loss over the minibatch``. Lanes never
mix: the loss is a sum over lanes, so a lane's gradient is its own, and a lane that is not finite stays
alone with it. Whoever holds the lanes adds and drops them between epochs and gives the rates as numbers.

The order of the images in global epoch g is drawn from ``(order_seed, g)`` alone, so a run that joined at
global epoch g can be trained again alone from the same clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from study.core.records import EpochMetrics, TrialSpec
from study.problems.fashion_mnist import Images, Split
from study.training.lenet import forward, lenet, stack, unstack

EVALUATION_BATCH = 500


@dataclass
class _Lane:
    """Who trains in a lane, and how many epochs it has behind it."""

    key: int
    epochs: int = 0


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
        self._lanes: list[_Lane] = []
        self._weights: dict[str, torch.Tensor] = {}
        self._averaged: dict[str, torch.Tensor] = {}

    @property
    def steps(self) -> int:
        """Steps an epoch, S."""
        return -(-len(self._train) // self._batch_size)

    @property
    def keys(self) -> list[int]:
        """Keys of the lanes that train, in lane order."""
        return [lane.key for lane in self._lanes]

    def add(self, key: int, seed: int, asked: TrialSpec | None = None) -> None:
        """Start a network with initial weights drawn from ``seed`` in a new lane.

        Raises:
            ValueError: The key trains already.
        """
        del asked  # plain SGD has no momentum for a schedule to drive
        if key in self.keys:
            raise ValueError(f"lane {key} trains already")
        new = stack([lenet(seed, self._dtype).state_dict()], self._device)
        self._weights = _joined(self._weights, new)
        if self._averaging is not None:
            self._averaged = _joined(self._averaged, new)
        self._lanes.append(_Lane(key))

    def drop(self, key: int) -> None:
        """Free the lane of ``key``.

        Raises:
            ValueError: The key does not train.
        """
        keep = [index for index, other in enumerate(self.keys) if other != key]
        if len(keep) == len(self._lanes):
            raise ValueError(f"no lane trains {key}")
        self._lanes = [self._lanes[index] for index in keep]
        self._weights = {name: w[keep] for name, w in self._weights.items()}
        self._averaged = {name: w[keep] for name, w in self._averaged.items()}

    def weights(self, key: int) -> dict[str, torch.Tensor]:
        """Return one lane's weights as a lone LeNet's ``state_dict``."""
        return unstack(self._weights, self.keys.index(key))

    def train_epoch(self, rates: Mapping[int, np.ndarray]) -> dict[int, EpochMetrics]:
        """Train every lane for one epoch and measure it.

        Args:
            rates: Learning rate of each of the S steps, by key; all keys that train.

        Returns:
            What the epoch gave, by key. A lane whose loss is not finite says so in its figures.
        """
        started = time.perf_counter()
        table = np.stack([rates[key] for key in self.keys], axis=1)
        loss, right = self._train_steps(torch.as_tensor(table, dtype=self._dtype).to(self._device))
        totals = [loss / len(self._train), right / len(self._train)]
        for weights in (self._weights, self._averaged):
            if self._evaluation is not None and weights:
                totals.extend(_measure(weights, self._evaluation))
        wide = widest(self._device)
        figures = torch.stack([total.to(wide) for total in totals], dim=1).tolist()  # the one synchronisation
        seconds = (time.perf_counter() - started) / len(self._lanes)
        self.clock += 1
        return {
            lane.key: self._epoch(lane, row, float(table[-1, index]), seconds)
            for index, (lane, row) in enumerate(zip(self._lanes, figures, strict=True))
        }

    def evaluate(self, images: Images) -> dict[int, tuple[float, float]]:
        """Return ``(mean loss, accuracy)`` of every lane on other images, by key."""
        loss, accuracy = _measure(self._weights, Images(images.pixels.to(self._dtype), images.labels))
        return dict(zip(self.keys, zip(loss.tolist(), accuracy.tolist(), strict=True), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later process needs to go on: tensors and plain data."""
        return {
            "clock": self.clock,
            "lanes": [(lane.key, lane.epochs) for lane in self._lanes],
            "weights": self._weights,
            "averaged": self._averaged,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the process that wrote ``state`` stopped."""
        self.clock = state["clock"]
        self._lanes = [_Lane(key, epochs) for key, epochs in state["lanes"]]
        self._weights = {name: w.to(self._device) for name, w in state["weights"].items()}
        self._averaged = {name: w.to(self._device) for name, w in state["averaged"].items()}

    def _train_steps(self, rates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the S steps of one epoch; return the sum of losses and of right answers, ``[L]`` each."""
        lanes = len(self._lanes)
        loss = torch.zeros(lanes, dtype=self._dtype, device=self._device)
        right = torch.zeros(lanes, dtype=torch.int64, device=self._device)
        for weight in self._weights.values():
            weight.requires_grad_()
        for step, (pixels, labels) in enumerate(self._batches()):
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
                logits = forward(self._weights, pixels)
            logits = logits.to(self._dtype)
            losses = _losses(logits, labels)
            self._descend(losses.sum() / len(labels), rates[step])
            loss += losses.detach().sum(1)
            right += (logits.detach().argmax(-1) == labels).sum(1)
        for weight in self._weights.values():
            weight.detach_()
        return loss, right

    def _descend(self, loss: torch.Tensor, rates: torch.Tensor) -> None:
        """Move every lane's weights against its own gradient by its own rate ``[L]``."""
        gradients = torch.autograd.grad(loss, list(self._weights.values()))
        with torch.no_grad():
            for weight, gradient in zip(self._weights.values(), gradients, strict=True):
                weight.addcmul_(gradient, rates.view(-1, *[1] * (weight.dim() - 1)), value=-1)
            if self._averaging is not None:
                share = 1 / (self._averaging * self.steps)
                for name, average in self._averaged.items():
                    average.lerp_(self._weights[name], min(1.0, share))

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the minibatches ``[B, 28, 28]``, ``[B]`` of the current global epoch."""
        order = data_order(len(self._train), self._order_seed, self.clock).to(self._device)
        for indices in torch.split(order, self._batch_size):
            yield self._train.pixels[indices], self._train.labels[indices]

    def _epoch(self, lane: _Lane, row: Sequence[float], rate: float, seconds: float) -> EpochMetrics:
        figures: list[float | None] = [*row, *[None] * (6 - len(row))]
        lane.epochs += 1
        return EpochMetrics(
            epoch=lane.epochs - 1,
            rate=rate,
            train_loss=row[0],
            train_accuracy=row[1],
            val_loss=None if self._on_test else figures[2],
            val_accuracy=None if self._on_test else figures[3],
            averaged_accuracy=figures[5],
            seconds=seconds,
            test_loss=figures[2] if self._on_test else None,
            test_accuracy=figures[3] if self._on_test else None,
        )


def data_order(images: int, seed: int, clock: int) -> torch.Tensor:
    """Return the order ``[N]`` of the images in global epoch ``clock``; the same on every device."""
    (draw,) = np.random.SeedSequence([seed, clock]).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(draw >> np.uint64(1)))
    return torch.randperm(images, generator=generator)


def automatic_lanes(device: torch.device) -> int:
    """Return a number of lanes that keeps the device busy.

    On two CPU cores the seconds a trial-epoch hardly change from 4 lanes up (``benchmarks/throughput.py``);
    fewer lanes leave the sampler more to learn from. The figures for CUDA and MPS are unmeasured guesses.
    """
    return {"cpu": 8, "mps": 16, "cuda": 32}.get(device.type, 8)


def widest(device: torch.device) -> torch.dtype:
    """Return the floating-point type that sums are kept in: Apple's MPS knows no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def _losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy ``[L, B]`` of logits ``[L, B, C]`` under labels ``[B]``."""
    lanes, batch, _ = logits.shape
    return functional.cross_entropy(logits.flatten(0, 1), labels.repeat(lanes), reduction="none").view(
        lanes, batch
    )


@torch.no_grad()
def _measure(weights: Mapping[str, torch.Tensor], images: Images) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean loss and accuracy ``[L]`` of every lane over all images."""
    device = images.pixels.device
    loss, right = torch.zeros((2, 1), dtype=widest(device), device=device)
    for pixels, labels in zip(
        torch.split(images.pixels, EVALUATION_BATCH),
        torch.split(images.labels, EVALUATION_BATCH),
        strict=True,
    ):
        logits = forward(weights, pixels)
        loss = loss + _losses(logits, labels).sum(1)
        right = right + (logits.argmax(-1) == labels).sum(1)
    return loss / len(images), right / len(images)


def _joined(old: Mapping[str, torch.Tensor], new: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if not old:
        return {name: tensor.clone() for name, tensor in new.items()}
    return {name: torch.cat([old[name], new[name]]) for name in new}

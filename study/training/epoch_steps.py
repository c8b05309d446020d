"""An epoch of all lanes as work that can be replayed: the same operations on the same memory, whatever the epoch.

Notation: L lanes, B images a minibatch, S steps an epoch, N images.

Rates and data order of an epoch are put into memory of the device, and a counter there says whose turn it is. A step takes
no argument, gives nothing back and asks the device for nothing; sums and means stay there, to be read once when the
epoch is over.

Plain SGD: ``w[k] <- w[k] - rate[s, k] * gradient of lane k's mean loss over the minibatch``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from study.problems.fashion_mnist import Images
from study.training.graphs import Work
from study.training.lenet import Weights, forward
from study.training.precision import widest

EVALUATION_BATCH = 500


class Steps:
    """The steps of an epoch, and its figures.

    Args:
        weights: Stacked weights of L lanes, changed in place.
        averaged: Their exponential averages, likewise; empty where none are kept.
        share: Share of the weights in their average after each step.
        train: Images to train on.
        evaluation: Images to measure on; ``None`` measures nothing.
        batch_size: Images a minibatch; the last one of an epoch holds what is left.
        bfloat16: Compute forward and backward passes in bfloat16.
    """

    def __init__(
        self,
        weights: Weights,
        averaged: Weights,
        *,
        share: float,
        train: Images,
        evaluation: Images | None,
        batch_size: int,
        bfloat16: bool,
    ) -> None:
        self._weights, self._averaged, self._share = weights, averaged, share
        self._train, self._evaluation, self._bfloat16 = train, evaluation, bfloat16
        first = weights["conv1.weight"]
        self._device, self._dtype, lanes = first.device, first.dtype, len(first)
        steps = -(-len(train) // batch_size)
        self._sizes = [batch_size] * (steps - 1) + [len(train) - (steps - 1) * batch_size]
        measured = 0 if evaluation is None else 1 + bool(averaged)
        new = partial(torch.zeros, device=self._device)
        self._order = new((steps, batch_size), dtype=torch.int64)  # its last row may be read in part
        self._rates = new((steps, lanes), dtype=self._dtype)
        self._number = new(1, dtype=torch.int64)
        self._loss = new(lanes, dtype=self._dtype)
        self._right = new(lanes, dtype=torch.int64)
        #: Mean loss and accuracy ``[2, L]`` in training, of the evaluation and of the average's, below one another.
        self.figures = new((2 + 2 * measured, lanes), dtype=widest(self._device))

    def begin(self, rates: NDArray[np.float64], order: torch.Tensor) -> None:
        """Take the rates ``[S, L]`` and the order ``[N]`` of an epoch."""
        self._rates.copy_(torch.as_tensor(rates, dtype=self._dtype))
        self._order.view(-1)[: len(order)].copy_(order)
        for tensor in (self._number, self._loss, self._right):
            tensor.zero_()

    def work(self, replayed: Callable[[Work], Work]) -> list[Work]:
        """Return what is to be called, in order, for an epoch: S steps, then the figures.

        Args:
            replayed: Turns work into work that is replayed; called once for each kind.
        """
        kinds = {size: replayed(partial(self._step, size)) for size in dict.fromkeys(self._sizes)}
        return [*(kinds[size] for size in self._sizes), replayed(self._measure)]

    def _step(self, size: int) -> None:
        """Train every lane on the minibatch whose turn it is, of so many images."""
        indices = self._order.index_select(0, self._number)[0, :size]
        pixels = self._train.pixels.index_select(0, indices)
        labels = self._train.labels.index_select(0, indices)
        leaves = {name: weight.detach().requires_grad_() for name, weight in self._weights.items()}
        with self._arithmetic():
            logits = forward(leaves, pixels)
        logits = logits.to(self._dtype)
        losses = cross_entropies(logits, labels)
        gradients = torch.autograd.grad(losses.sum() / size, list(leaves.values()))
        with torch.no_grad():
            self._descend(gradients)
            self._loss += losses.sum(1)
            self._right += (logits.argmax(-1) == labels).sum(1)
            self._number += 1

    def _descend(self, gradients: tuple[torch.Tensor, ...]) -> None:
        """Move every lane's weights against its own gradient by its own rate."""
        rates = self._rates.index_select(0, self._number)
        for weight, gradient in zip(self._weights.values(), gradients, strict=True):
            weight.addcmul_(gradient, rates.view(-1, *[1] * (weight.dim() - 1)), value=-1)
        for name, average in self._averaged.items():
            average.lerp_(self._weights[name], self._share)

    def _measure(self) -> None:
        """Put the epoch's means where they are read."""
        means = [self._loss / len(self._train), self._right / len(self._train)]
        for weights in (self._weights, self._averaged):
            if self._evaluation is not None and weights:
                means.extend(mean_scores(weights, self._evaluation))
        self.figures.copy_(torch.stack([mean.to(self.figures.dtype) for mean in means]))

    def _arithmetic(self) -> AbstractContextManager[object]:
        """Return the context of the forward pass. No weight is used twice, so nothing is gained by caching its copy."""
        if not self._bfloat16:
            return nullcontext()
        return torch.autocast(self._device.type, torch.bfloat16, cache_enabled=False)


def cross_entropies(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy ``[L, B]`` of logits ``[L, B, C]`` under labels ``[B]``."""
    lanes, batch, _ = logits.shape
    return functional.cross_entropy(logits.flatten(0, 1), labels.repeat(lanes), reduction="none").view(
        lanes, batch
    )


@torch.no_grad()
def mean_scores(weights: Mapping[str, torch.Tensor], images: Images) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean loss and accuracy ``[L]`` of every lane over all images."""
    device = images.pixels.device
    loss, right = torch.zeros((2, 1), dtype=widest(device), device=device)
    for pixels, labels in zip(
        torch.split(images.pixels, EVALUATION_BATCH),
        torch.split(images.labels, EVALUATION_BATCH),
        strict=True,
    ):
        logits = forward(weights, pixels)
        loss = loss + cross_entropies(logits, labels).sum(1)
        right = right + (logits.argmax(-1) == labels).sum(1)
    return loss / len(images), right / len(images)

"""What a problem's metric says of outputs: on a minibatch, and on a whole split.

Notation: L lanes, B examples a minibatch, N examples of a split; outputs ``[L, B, ...]``, targets ``[B, ...]``.
Accuracy takes the largest of the outputs along their second dimension, ``[B, classes, ...]``, and is a mean over the
positions of an example where it has several.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from study.problems.definition import Problem
from study.problems.examples import Examples
from study.problems.probe import own_values
from study.training.precision import widest

#: Examples that are measured at once.
EVALUATION_BATCH = 500


class Networks(Protocol):
    """What is measured."""

    def __len__(self) -> int:
        """Return the number of lanes, L."""

    def outputs(self, inputs: torch.Tensor, *, averaged: bool = False) -> torch.Tensor:
        """Return the outputs ``[L, B, ...]``."""

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean losses ``[L]``."""


@dataclass(frozen=True)
class Measurement:
    """What a split gave.

    Attributes:
        loss: Mean loss, ``[L]``.
        metric: The metric, ``[L]``.
        each: The metric of every example, ``[L, N]``; ``None`` where it is one number for all.
    """

    loss: torch.Tensor
    metric: torch.Tensor
    each: torch.Tensor | None

    def means(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loss and metric."""
        return self.loss, self.metric


def of_minibatch(
    problem: Problem, outputs: torch.Tensor, targets: torch.Tensor, losses: torch.Tensor
) -> torch.Tensor:
    """Return the metric ``[L]`` of one minibatch, whose losses ``[L]`` are known."""
    if problem.metric == "loss":
        return losses
    if problem.metric == "accuracy":
        return _hits(outputs, targets).mean(1)
    values = [_own(problem, own, targets) for own in outputs]
    return torch.stack([value.mean() for value in values])


def of_split(
    problem: Problem, networks: Networks, examples: Examples, *, averaged: bool = False
) -> Measurement:
    """Return loss and metric of all lanes on a split.

    Raises:
        InputError: The user's metric returns something else than numbers.
    """
    lanes, total = len(networks), len(examples)
    wide = widest(examples.inputs.device)
    loss = torch.zeros(lanes, dtype=wide, device=examples.inputs.device)
    kept: list[torch.Tensor] = []
    for inputs, targets in zip(
        torch.split(examples.inputs, EVALUATION_BATCH),
        torch.split(examples.targets, EVALUATION_BATCH),
        strict=True,
    ):
        outputs = networks.outputs(inputs, averaged=averaged)
        loss += networks.losses(outputs, targets).to(wide) * len(targets)
        if problem.metric == "accuracy":
            kept.append(_hits(outputs, targets))
        elif problem.metric != "loss":
            kept.append(outputs)
    loss /= total
    if problem.metric == "loss":
        return Measurement(loss, loss, None)
    whole = torch.cat(kept, dim=1)
    if problem.metric == "accuracy":
        return Measurement(loss, whole.mean(1), whole)
    values = [_own(problem, own, examples.targets) for own in whole]
    if all(value.dim() == 0 for value in values):
        return Measurement(loss, torch.stack(values), None)
    each = torch.stack([value.expand(total) for value in values])
    return Measurement(loss, each.mean(1), each)


def _hits(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the share of its positions that each example is right at, ``[L, B]``."""
    right = (outputs.argmax(2) == targets).to(widest(outputs.device))
    return right.flatten(2).mean(2) if right.dim() > 2 else right


@torch.no_grad()
def _own(problem: Problem, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the user's metric of one lane: ``[N]`` or one number; NaN where the outputs are not finite."""
    if isinstance(problem.metric, str):
        raise TypeError(f"the metric {problem.metric!r} is none of the user's")
    if not bool(torch.isfinite(outputs).all()):
        return torch.full((), torch.nan, device=outputs.device)
    values = own_values(problem, problem.metric, outputs, targets)
    return values.to(widest(outputs.device)).to(outputs.device)

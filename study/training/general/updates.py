"""One optimizer a lane, as many ordinary ones or as one batched formula where the formula is known.

Notation: L lanes, P trainable weights of one network, S steps an epoch; weights and gradients ``[L, P]``,
rates ``[S, L]``. Every lane has its own rate, its own momentum where a schedule drives it, and its own count
of steps: lanes join at different times.

SGD, Adam and AdamW are batched (``batched.py``); any other ``torch.optim.Optimizer`` takes its step once a lane, over views of the lane's weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from study.problems.definition import OptimizerFactory
from study.training.general.batched import BatchedAdam, BatchedSGD, Floats


class Updates(Protocol):
    """What moves the weights of all lanes."""

    def add(self) -> None:
        """Give a lane that was just appended to the weights a state of its own."""

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these lanes only; the weights were cut down to them already."""

    def begin_epoch(self, rates: Floats, momenta: Floats | None) -> None:
        """Take the rates ``[S, L]`` and, where schedules drive them, the momenta ``[S, L]`` of an epoch."""

    def step(self, number: int, gradients: torch.Tensor) -> None:
        """Take step ``number`` of the epoch along gradients ``[L, P]``."""

    def end_epoch(self) -> None:
        """Leave the weights at the point that is to be measured."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later process needs to go on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``; the weights were put back already."""


@dataclass(frozen=True)
class Layout:
    """How the weights of a network lie in a row: names, shapes and sizes, in the network's order."""

    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, named: Iterable[tuple[str, torch.Tensor]]) -> Layout:
        """Return the layout of named tensors."""
        pairs = list(named)
        return cls(
            tuple(n for n, _ in pairs), tuple(t.shape for _, t in pairs), tuple(t.numel() for _, t in pairs)
        )

    def views(self, rows: torch.Tensor) -> list[torch.Tensor]:
        """Return the weights ``[L, ...]`` of rows ``[L, P]``, or ``[...]`` of one row ``[P]``, as views."""
        lead = rows.shape[:-1]
        parts = torch.split(rows, list(self.sizes), dim=-1)
        return [part.view(*lead, *shape) for part, shape in zip(parts, self.shapes, strict=True)]


class Ordinary:
    """One ordinary optimizer a lane.

    Args:
        factory: Makes an optimizer of a lane's parameters.
        layout: How a lane's weights lie in a row.
        weights: Returns the weights ``[L, P]`` as they lie in memory now.
    """

    def __init__(
        self, factory: OptimizerFactory, layout: Layout, weights: Callable[[], torch.Tensor]
    ) -> None:
        self._factory, self._layout, self._weights = factory, layout, weights
        self._parameters: list[list[torch.nn.Parameter]] = []
        self._optimizers: list[LaneOptimizer] = []
        self._rates: Floats = np.empty((0, 0))
        self._momenta: Floats | None = None

    def add(self) -> None:
        """Make the optimizer of the last lane."""
        own = [torch.nn.Parameter(view) for view in self._layout.views(self._weights()[-1])]
        self._parameters.append(own)
        self._optimizers.append(LaneOptimizer(self._factory, own))
        self._point()

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these lanes' optimizers."""
        self._parameters = [self._parameters[row] for row in rows]
        self._optimizers = [self._optimizers[row] for row in rows]
        self._point()

    def begin_epoch(self, rates: Floats, momenta: Floats | None) -> None:
        """Take the epoch's rates, and tell optimizers that average their weights to go on training."""
        self._rates, self._momenta = rates, momenta
        for optimizer in self._optimizers:
            optimizer.train()

    def step(self, number: int, gradients: torch.Tensor) -> None:
        """Give each lane's optimizer its gradients and its rate."""
        for lane, (own, optimizer) in enumerate(zip(self._parameters, self._optimizers, strict=True)):
            for parameter, gradient in zip(own, self._layout.views(gradients[lane]), strict=True):
                parameter.grad = gradient
            momentum = None if self._momenta is None else float(self._momenta[number, lane])
            optimizer.step(float(self._rates[number, lane]), momentum)

    def end_epoch(self) -> None:
        """Let optimizers that average their weights put the average in their place."""
        for optimizer in self._optimizers:
            optimizer.eval()

    def state_dict(self) -> dict[str, Any]:
        """Return every optimizer's state."""
        return {"optimizers": [optimizer.optimizer.state_dict() for optimizer in self._optimizers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Make the optimizers anew and give them their states."""
        self._parameters, self._optimizers = [], []
        for row, saved in zip(self._weights(), state["optimizers"], strict=True):
            own = [torch.nn.Parameter(view) for view in self._layout.views(row)]
            self._parameters.append(own)
            self._optimizers.append(LaneOptimizer(self._factory, own))
            self._optimizers[-1].optimizer.load_state_dict(saved)
        self._point()

    def _point(self) -> None:
        """Let every parameter be a view of its lane's weights, which may have moved in memory."""
        for row, own in zip(self._weights().detach(), self._parameters, strict=True):
            for parameter, view in zip(own, self._layout.views(row), strict=True):
                parameter.data = view


class LaneOptimizer:
    """One ordinary optimizer whose rate, and momentum where driven, are set before each step."""

    def __init__(self, factory: OptimizerFactory, parameters: Sequence[torch.Tensor]) -> None:
        self.optimizer = factory(list(parameters), 1.0)
        #: Each group's rate as a multiple of the base rate: groups may have rates of their own.
        self.scales = [float(group["lr"]) for group in self.optimizer.param_groups]

    def step(self, rate: float, momentum: float | None) -> None:
        """Take one step along the gradients that the parameters hold; a momentum that is NaN is left to the optimizer."""
        for group, scale in zip(self.optimizer.param_groups, self.scales, strict=True):
            group["lr"] = rate * scale
            if momentum is None or math.isnan(momentum):
                continue
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            elif group.get("momentum"):  # plain SGD stays plain
                group["momentum"] = momentum
        self.optimizer.step()

    def train(self) -> None:
        """Go on training, where the optimizer was told to show its average."""
        _tell(self.optimizer, "train")

    def eval(self) -> None:
        """Show the average, where the optimizer keeps one (schedule-free ones do)."""
        _tell(self.optimizer, "eval")


def _tell(optimizer: torch.optim.Optimizer, mode: str) -> None:
    method = getattr(optimizer, mode, None)
    if callable(method):
        method()


def make_updates(
    factory: OptimizerFactory, layout: Layout, weights: Callable[[], torch.Tensor]
) -> BatchedSGD | BatchedAdam | Ordinary:
    """Return what moves the lanes' weights: a batched formula where there is one for the factory's optimizer.

    Args:
        factory: Makes the optimizer of a lane's parameters.
        layout: How a lane's weights lie in a row.
        weights: Returns the weights ``[L, P]`` as they lie in memory now.
    """
    like = weights()
    row = torch.arange(sum(layout.sizes), device=like.device)
    own = [
        torch.nn.Parameter(torch.zeros(shape, dtype=like.dtype, device=like.device))
        for shape in layout.shapes
    ]
    places = {id(p): part.flatten() for p, part in zip(own, layout.views(row), strict=True)}
    example = factory(own, 1.0)
    groups = [
        torch.cat([places[id(p)] for p in group["params"]]) if group["params"] else row[:0]
        for group in example.param_groups
    ]
    batched = _batched_kind(example)
    whole = sorted(torch.cat(groups).tolist()) == row.tolist()
    return batched(example, groups, weights) if batched and whole else Ordinary(factory, layout, weights)


def _batched_kind(example: torch.optim.Optimizer) -> type[BatchedSGD | BatchedAdam] | None:
    """Return the batched form of an ordinary optimizer, where its settings are among those covered."""
    groups = example.param_groups

    def agree(*names: str) -> bool:
        return all(group.get(name) == groups[0].get(name) for group in groups for name in names)

    def never(*names: str) -> bool:
        return not any(group.get(name) for group in groups for name in names)

    if type(example) is torch.optim.SGD and never("maximize", "dampening") and agree("nesterov"):
        return BatchedSGD
    if (
        type(example) in {torch.optim.Adam, torch.optim.AdamW}
        and never("maximize", "amsgrad")
        and agree("betas", "eps", "decoupled_weight_decay")
    ):
        return BatchedAdam
    return None

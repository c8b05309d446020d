"""L networks of one kind as one batched network, by ``torch.func``.

Notation: L lanes, B examples a minibatch, P trainable weights of one network. All trainable weights are the rows of
one matrix ``[L, P]``; buffers and frozen weights are stacked, ``[L, ...]``. Forward is ``vmap`` of the network over
the lanes, with one shared minibatch; backward is autograd's, of the sum of the lanes' losses, so that a lane's
gradient is its own. Both together are traced, once for each number of lanes and shape of minibatch, into a flat list of
the same operations: batching and differentiating anew in every step costs more than small networks do.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from study.problems.definition import Problem
from study.training.general.batched import Floats
from study.training.general.kernels import LaneKernels
from study.training.general.updates import Layout, make_updates

#: A traced step: weights, buffers, inputs, targets to losses, outputs, gradients.
Graph = Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


class Stacked:
    """Networks that train as one.

    Args:
        problem: What is trained.
        device: Where.
        dtype: Floating-point type of weights and inputs.
        averaging: Share of the weights that each step moves into their running average; ``None`` keeps none.
        bfloat16: Compute the training steps' forward and backward passes in bfloat16.
        trace_after: Steps with as many lanes and as large a minibatch before they are traced: tracing takes as long as
            some dozens of steps.
    """

    fused = True

    def __init__(
        self,
        problem: Problem,
        device: torch.device,
        *,
        dtype: torch.dtype,
        averaging: float | None,
        bfloat16: bool,
        trace_after: int = 20,
    ) -> None:
        self._problem, self._device, self._dtype, self._bfloat16 = problem, device, dtype, bfloat16
        self._averaging = averaging
        self._network = problem.build(0).to(device, dtype)
        self._layout = Layout.of(_trainable(self._network))
        self._weights = torch.empty((0, sum(self._layout.sizes)), dtype=dtype, device=device)
        self._averaged = self._weights
        self._held = {n: t.detach()[None][:0].clone() for n, t in _held(self._network)}
        self.trace_after = trace_after
        self._seen: Counter[tuple[Any, ...]] = Counter()
        self._graphs: dict[tuple[Any, ...], Graph] = {}
        self._updates = make_updates(problem.optimizer, self._layout, lambda: self._weights)

    def __len__(self) -> int:
        """Return the number of lanes, L."""
        return len(self._weights)

    def add(self, seed: int) -> None:
        """Append a network with initial weights drawn from ``seed``."""
        network = self._problem.build(seed).to(self._device, self._dtype)
        row = torch.cat([t.detach().flatten() for _, t in _trainable(network)])
        self._weights = torch.cat([self._weights, row[None]])
        self._averaged = torch.cat([self._averaged, row[None]])
        new = dict(_held(network))
        self._held = {name: torch.cat([held, new[name].detach()[None]]) for name, held in self._held.items()}
        self._updates.add()

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these lanes only."""
        self._weights, self._averaged = self._weights[list(rows)], self._averaged[list(rows)]
        self._held = {name: held[list(rows)] for name, held in self._held.items()}
        self._updates.keep(rows)

    def begin_epoch(self, rates: Floats, momenta: Floats | None) -> None:
        """Get ready to train; rates and, where schedules drive them, momenta are ``[S, L]``."""
        self._network.train()
        self._updates.begin_epoch(rates, momenta)

    def step(
        self, number: int, inputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Train on a minibatch; return the mean losses ``[L]`` and the outputs ``[L, B, ...]``."""
        shapes = (len(self), inputs.shape, targets.shape)
        self._seen[shapes] += 1
        if self._seen[shapes] == self.trace_after + 1:
            self._graphs[shapes] = self._traced(inputs, targets)
        step = self._graphs.get(shapes, self._gradients)
        with torch.no_grad():
            losses, outputs, gradients = step(self._weights, self._held, inputs, targets)
        self._updates.step(number, gradients)
        if self._averaging is not None:
            self._averaged.lerp_(self._weights, self._averaging)
        return losses, outputs

    def end_epoch(self) -> None:
        """Get ready to be measured."""
        self._updates.end_epoch()
        self._network.eval()

    @torch.no_grad()
    def outputs(self, inputs: torch.Tensor, *, averaged: bool = False) -> torch.Tensor:
        """Return the outputs ``[L, B, ...]`` of all lanes, or of their averages, as they are measured."""
        self._network.eval()
        with _batching():
            return self._forward(self._averaged if averaged else self._weights, self._held, inputs)

    @torch.no_grad()
    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return every lane's mean loss ``[L]``."""
        with _batching():
            return self._losses(outputs, targets)

    def weights(self, lane: int, *, averaged: bool = False) -> dict[str, torch.Tensor]:
        """Return one lane's weights and buffers as a lone network's ``state_dict``."""
        rows = self._averaged if averaged else self._weights
        own = dict(zip(self._layout.names, self._layout.views(rows[lane]), strict=True))
        own |= {name: held[lane] for name, held in self._held.items()}
        names = {id(t): name for name, t in [*_trainable(self._network), *_held(self._network)]}
        state = self._network.state_dict(keep_vars=True)  # tied weights stand in it once for every name
        return {name: own[names[id(tensor)]].detach().clone() for name, tensor in state.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later process needs to go on."""
        return {
            "weights": self._weights,
            "averaged": self._averaged if self._averaging is not None else None,
            "held": self._held,
            "updates": self._updates.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        self._weights = state["weights"].to(self._device)
        self._averaged = self._weights if state["averaged"] is None else state["averaged"].to(self._device)
        self._held = {name: held.to(self._device) for name, held in state["held"].items()}
        self._updates.load_state_dict(state["updates"])

    def _traced(self, inputs: torch.Tensor, targets: torch.Tensor) -> Graph:
        """Return :meth:`_gradients` as a flat list of operations for minibatches of this shape.

        Tracing runs the step for real, so that it gets copies of the buffers, and random numbers that are put back.
        """
        held = {name: tensor.clone() for name, tensor in self._held.items()}
        devices = [self._device.index or 0] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            # make_fx counts a bound method's `self` among the arguments; a partial it does not.
            graph: Graph = make_fx(partial(self._gradients))(self._weights, held, inputs, targets)
        return graph

    def _gradients(
        self,
        weights: torch.Tensor,
        held: dict[str, torch.Tensor],
        inputs: torch.Tensor,
        targets: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return losses ``[L]``, outputs ``[L, B, ...]`` and gradients ``[L, P]``; buffers change in place."""
        weights = weights.detach().requires_grad_()
        with (
            torch.enable_grad(),
            _batching(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16),
        ):
            outputs = self._forward(weights, held, inputs)
            losses = self._losses(outputs.to(self._dtype), targets)
            (gradients,) = torch.autograd.grad(losses.sum(), weights)
        return losses.detach(), outputs.detach(), gradients

    def _forward(
        self, rows: torch.Tensor, held: dict[str, torch.Tensor], inputs: torch.Tensor
    ) -> torch.Tensor:
        stacked = dict(zip(self._layout.names, self._layout.views(rows), strict=True))
        outputs: torch.Tensor = vmap(self._one, in_dims=(0, None), randomness="different")(
            {**stacked, **held}, inputs
        )
        return outputs

    def _one(self, tensors: dict[str, torch.Tensor], inputs: torch.Tensor) -> Any:
        return functional_call(self._network, tensors, (inputs,))

    def _losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        losses: torch.Tensor = vmap(self._problem.loss, in_dims=(0, None))(outputs, targets)
        return losses


@contextmanager
def _batching() -> Iterator[None]:
    """Batch with our kernels; an operation that vmap has to run lane by lane is slow, not wrong."""
    with warnings.catch_warnings(), LaneKernels():
        warnings.filterwarnings("ignore", message="There is a performance drop")
        yield


def _trainable(network: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in network.named_parameters() if p.requires_grad]


def _held(network: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Return what is not trained by gradients: frozen weights and buffers."""
    frozen = [(name, p) for name, p in network.named_parameters() if not p.requires_grad]
    return [*frozen, *network.named_buffers()]

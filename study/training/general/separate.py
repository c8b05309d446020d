"""L networks trained one after the other on every minibatch.

That always works, and is what fused lanes are proven against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from study.problems.definition import Problem
from study.training.general.batched import Floats
from study.training.general.updates import LaneOptimizer


@dataclass
class _Lone:
    """A network, its optimizer and, where kept, the running average of its weights."""

    network: nn.Module
    optimizer: LaneOptimizer
    averaged: dict[str, torch.Tensor]


class Separate:
    """Networks that train one after the other; arguments and methods as of ``Stacked``."""

    fused = False

    def __init__(
        self,
        problem: Problem,
        device: torch.device,
        *,
        dtype: torch.dtype,
        averaging: float | None,
        bfloat16: bool,
    ) -> None:
        self._problem, self._device, self._dtype, self._bfloat16 = problem, device, dtype, bfloat16
        self._averaging = averaging
        self._lanes: list[_Lone] = []
        self._rates: Floats
        self._momenta: Floats | None = None

    def __len__(self) -> int:
        """Return the number of lanes, L."""
        return len(self._lanes)

    def add(self, seed: int) -> None:
        """Append a network with initial weights drawn from ``seed``."""
        network = self._problem.build(seed).to(self._device, self._dtype)
        trainable = [p for p in network.parameters() if p.requires_grad]
        averaged = (
            {n: p.detach().clone() for n, p in network.named_parameters()}
            if self._averaging is not None
            else {}
        )
        self._lanes.append(_Lone(network, LaneOptimizer(self._problem.optimizer, trainable), averaged))

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these lanes only."""
        self._lanes = [self._lanes[row] for row in rows]

    def begin_epoch(self, rates: Floats, momenta: Floats | None) -> None:
        """Get ready to train; rates and, where schedules drive them, momenta are ``[S, L]``."""
        self._rates, self._momenta = rates, momenta
        for lane in self._lanes:
            lane.network.train()
            lane.optimizer.train()

    def step(
        self, number: int, inputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Train on a minibatch; return the mean losses ``[L]`` and the outputs ``[L, B, ...]``."""
        both = [self._step(number, index, inputs, targets) for index in range(len(self._lanes))]
        return torch.stack([loss for loss, _ in both]), torch.stack([outputs for _, outputs in both])

    def end_epoch(self) -> None:
        """Get ready to be measured."""
        for lane in self._lanes:
            lane.optimizer.eval()
            lane.network.eval()

    @torch.no_grad()
    def outputs(self, inputs: torch.Tensor, *, averaged: bool = False) -> torch.Tensor:
        """Return the outputs ``[L, B, ...]`` of all lanes, or of their averages, as they are measured."""
        found = []
        for lane in self._lanes:
            lane.network.eval()
            weights = lane.averaged if averaged else {}
            found.append(torch.func.functional_call(lane.network, weights, (inputs,)))
        return torch.stack(found)

    @torch.no_grad()
    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return every lane's mean loss ``[L]``."""
        return torch.stack([torch.as_tensor(self._problem.loss(own, targets)) for own in outputs])

    def weights(self, lane: int) -> dict[str, torch.Tensor]:
        """Return one lane's weights and buffers as its ``state_dict``."""
        return {name: t.detach().clone() for name, t in self._lanes[lane].network.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later process needs to go on."""
        return {
            "lanes": [
                {
                    "network": dict(lane.network.state_dict()),
                    "optimizer": lane.optimizer.optimizer.state_dict(),
                    "averaged": lane.averaged,
                }
                for lane in self._lanes
            ]
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        self._lanes = []
        for saved in state["lanes"]:
            self.add(0)
            lane = self._lanes[-1]
            lane.network.load_state_dict(saved["network"])
            lane.optimizer.optimizer.load_state_dict(saved["optimizer"])
            lane.averaged = {name: tensor.to(self._device) for name, tensor in saved["averaged"].items()}

    def _step(
        self, number: int, index: int, inputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        lane = self._lanes[index]
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            outputs = lane.network(inputs)
            loss = self._problem.loss(outputs.to(self._dtype), targets)
        lane.network.zero_grad(set_to_none=True)
        loss.backward()
        momentum = None if self._momenta is None else float(self._momenta[number, index])
        lane.optimizer.step(float(self._rates[number, index]), momentum)
        if self._averaging is not None:
            self._average(lane, self._averaging)
        return loss.detach(), outputs.detach()

    @torch.no_grad()
    def _average(self, lane: _Lone, share: float) -> None:
        for name, weight in lane.network.named_parameters():
            lane.averaged[name].lerp_(weight, share)

"""SGD, Adam and AdamW for all lanes at once: torch's formulas, each lane with its own rate and count of steps.

Notation: L lanes, P trainable weights of one network, S steps an epoch; weights and gradients ``[L, P]``, rates ``[S, L]``.

Without maximize, dampening and AMSGrad::

    SGD     v = momentum * v + g + decay * w;   w -= rate * (g + momentum * v if nesterov else v)
    AdamW   w *= 1 - rate * decay;   m += (1 - beta1) * (g - m);   v = beta2 * v + (1 - beta2) * g ** 2
            w -= rate / (1 - beta1 ** n) * m / (sqrt(v) / sqrt(1 - beta2 ** n) + eps)      Adam: g += decay * w
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class _Batched:
    """What the batched formulas share: settings by weight, state by lane.

    Args:
        example: An ordinary optimizer of one lane, whose groups say the settings.
        groups: For each of its groups, the places ``[P]`` of its weights in a row.
        weights: Returns the weights ``[L, P]`` as they lie in memory now.
    """

    #: Names of the state tensors ``[L, P]``, zero at first.
    state: tuple[str, ...] = ()

    def __init__(
        self,
        example: torch.optim.Optimizer,
        groups: Sequence[torch.Tensor],
        weights: Callable[[], torch.Tensor],
    ) -> None:
        self._groups = [g for g, places in zip(example.param_groups, groups, strict=True) if len(places)]
        self._places = [places for places in groups if len(places)]
        self._weights = weights
        self._kept = {name: torch.zeros_like(weights()[:0]) for name in self.state}
        self._steps = np.zeros(0, dtype=np.int64)

    def add(self) -> None:
        """Give the last lane a state of zeros."""
        row = self._weights().detach()[-1:]
        self._kept = {name: torch.cat([kept, torch.zeros_like(row)]) for name, kept in self._kept.items()}
        self._steps = np.append(self._steps, 0)

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these lanes' states."""
        self._kept = {name: kept[list(rows)] for name, kept in self._kept.items()}
        self._steps = self._steps[list(rows)]

    def end_epoch(self) -> None:
        """Leave the weights where they are."""

    def state_dict(self) -> dict[str, Any]:
        """Return the states and the steps behind each lane."""
        return {"state": self._kept, "steps": self._steps.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take states and steps."""
        self._kept = {name: kept.to(self._weights().device) for name, kept in state["state"].items()}
        self._steps = np.asarray(state["steps"], dtype=np.int64)

    def _setting(self, value: Callable[[dict[str, Any]], float]) -> float | torch.Tensor:
        """Return a setting: one number where all groups agree, else one a weight, ``[P]``."""
        found = [float(value(group)) for group in self._groups]
        if len(set(found)) == 1:
            return found[0]
        weights = self._weights()
        row = torch.empty(weights.shape[1], dtype=weights.dtype, device=weights.device)
        for number, places in zip(found, self._places, strict=True):
            row[places] = number
        return row

    def _on_device(self, table: Floats) -> torch.Tensor:
        """Return numbers ``[S, L]`` as ``[S, L, 1]`` beside the weights."""
        weights = self._weights()
        return torch.as_tensor(table, dtype=weights.dtype).unsqueeze(-1).to(weights.device)


class BatchedSGD(_Batched):
    """``torch.optim.SGD`` for all lanes at once."""

    state = ("momentum",)

    def begin_epoch(self, rates: Floats, momenta: Floats | None) -> None:
        """Take the epoch's rates and momenta."""
        self._rates = self._on_device(rates)
        self._scale = self._setting(lambda group: group["lr"])
        self._decay = self._setting(lambda group: group["weight_decay"])
        self._momentum = self._setting(lambda group: group["momentum"])
        self._momenta = None if momenta is None else self._on_device(momenta)

    @torch.no_grad()
    def step(self, number: int, gradients: torch.Tensor) -> None:
        """Move every lane's weights by its own rate and momentum."""
        weights, rate = self._weights(), self._rates[number]
        if isinstance(self._scale, torch.Tensor) or self._scale != 1.0:
            rate = rate * self._scale
        if isinstance(self._decay, torch.Tensor) or self._decay:
            gradients = gradients + self._decay * weights
        momentum = self._momentum if self._momenta is None else self._driven(self._momenta[number])
        if isinstance(momentum, torch.Tensor) or momentum:
            velocity = self._kept["momentum"].mul_(momentum).add_(gradients)
            gradients = gradients + velocity * momentum if self._groups[0]["nesterov"] else velocity
        weights.addcmul_(gradients, rate, value=-1)

    def _driven(self, momenta: torch.Tensor) -> torch.Tensor:
        """Return every weight's momentum: a lane's driven one ``[L, 1]`` where it has one; none stays none."""
        own = torch.as_tensor(self._momentum, dtype=momenta.dtype, device=momenta.device)
        return torch.where(torch.isnan(momenta) | (own == 0), own, momenta)


class BatchedAdam(_Batched):
    """``torch.optim.Adam`` and ``AdamW`` for all lanes at once."""

    state = ("mean", "square")

    def begin_epoch(self, rates: Floats, momenta: Floats | None) -> None:
        """Take the epoch's rates and, in place of the first beta, its momenta; correct both for bias."""
        counts = self._steps + 1 + np.arange(len(rates))[:, None]
        own = self._groups[0]["betas"][0]
        first = own if momenta is None else np.where(np.isnan(momenta), own, momenta)
        second = self._groups[0]["betas"][1]
        self._rates = self._on_device(rates)
        self._sizes = self._on_device(rates / (1 - first**counts))
        self._roots = self._on_device(np.sqrt(1 - second**counts))
        self._first: float | torch.Tensor = own if momenta is None else self._on_device(first)
        self._second = second
        self._scale = self._setting(lambda group: group["lr"])
        self._decay = self._setting(lambda group: group["weight_decay"])
        self._eps = self._groups[0]["eps"]
        self._decoupled = bool(self._groups[0].get("decoupled_weight_decay"))

    @torch.no_grad()
    def step(self, number: int, gradients: torch.Tensor) -> None:
        """Move every lane's weights by its own rate, at its own count of steps."""
        weights, size = self._weights(), self._sizes[number]
        if isinstance(self._scale, torch.Tensor) or self._scale != 1.0:
            size = size * self._scale
        if isinstance(self._decay, torch.Tensor) or self._decay:
            if self._decoupled:
                weights.mul_(1 - self._rates[number] * self._scale * self._decay)
            else:
                gradients = gradients + self._decay * weights
        first = self._first[number] if isinstance(self._first, torch.Tensor) else self._first
        mean, square = self._kept["mean"], self._kept["square"]
        mean.lerp_(gradients, 1 - first)
        square.mul_(self._second).addcmul_(gradients, gradients, value=1 - self._second)
        scaled = square.sqrt().div_(self._roots[number]).add_(self._eps)
        weights.addcmul_(mean.div(scaled), size, value=-1)
        if number == len(self._sizes) - 1:
            self._steps = self._steps + len(self._sizes)

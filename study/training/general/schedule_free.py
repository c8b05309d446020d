"""Schedule-free SGD and AdamW: an average of the iterates in place of a decaying rate.

Formula, for step t with rate r, gradients taken at y::

    z  <- z - r * d(y)                 d: the gradient, or Adam's scaled one; plus decay * y
    x  <- (1 - c) * x + c * z          c = r ** 2 / (sum of r ** 2 so far)
    y   = (1 - beta) * z + beta * x

y is trained, x is measured: ``eval()`` puts x into the parameters and ``train()`` puts y back. All three start at the
initial weights. The rate is constant after a warm-up.

Source: Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky, "The Road Less Scheduled", 2024, algorithm 1; compared
in a test with the authors' package ``schedulefree``. Batch norms keep the statistics of y; measured at x they are a
little off, as the authors say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from study.core.errors import InputError
from study.problems.definition import OptimizerFactory


def schedule_free(factory: OptimizerFactory) -> OptimizerFactory:
    """Return a factory of the schedule-free form of another's optimizer: same groups, decay and betas.

    The factory that is returned raises ``InputError`` where the optimizer is neither plain SGD nor AdamW.
    """

    def make(parameters: Iterable[torch.Tensor], lr: float) -> torch.optim.Optimizer:
        return _form_of(factory(list(parameters), lr), lr)

    return make


def _form_of(optimizer: torch.optim.Optimizer, lr: float) -> torch.optim.Optimizer:
    groups = optimizer.param_groups
    kind, name = type(optimizer), type(optimizer).__name__
    if kind is torch.optim.SGD and not _any(groups, "momentum", "maximize"):
        return ScheduleFreeSGD([_said(group) for group in groups], lr)
    coupled = kind is torch.optim.Adam and _any(groups, "weight_decay")
    if kind in {torch.optim.Adam, torch.optim.AdamW} and not (coupled or _any(groups, "amsgrad", "maximize")):
        adam = [{**_said(g), "beta": g["betas"][0], "beta2": g["betas"][1], "eps": g["eps"]} for g in groups]
        return ScheduleFreeAdamW(adam, lr)
    with_momentum = " with momentum" if _any(groups, "momentum") else ""
    raise InputError(
        f"`schedules` schedule_free has a form of plain SGD and of AdamW, not of {name}{with_momentum}; leave it out"
    )


def _any(groups: Sequence[dict[str, Any]], *settings: str) -> bool:
    return any(group.get(setting) for group in groups for setting in settings)


def _said(group: dict[str, Any]) -> dict[str, Any]:
    return {name: group[name] for name in ("params", "lr", "weight_decay")}


class _ScheduleFree(torch.optim.Optimizer):
    """What the two share: the three points and the average."""

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if not defaults["lr"] >= 0:
            raise ValueError(f"lr must be 0 or more, got lr={defaults['lr']}")
        if not 0 < defaults["beta"] < 1:
            raise ValueError(f"beta must be in (0, 1), got beta={defaults['beta']}")
        if not defaults["weight_decay"] >= 0:
            raise ValueError(f"weight_decay must be 0 or more, got weight_decay={defaults['weight_decay']}")
        super().__init__(params, {**defaults, "steps": 0, "squares": 0.0, "training": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no loss is returned
        """Take one step from y, where the gradients were taken.

        Raises:
            ValueError: A closure is given, or the parameters show x.
        """
        if closure is not None:
            raise ValueError("schedule-free optimizers take no closure")
        for group in self.param_groups:
            if not group["training"]:
                raise ValueError("call train() before step(): the parameters show the average")
            group["steps"] += 1
            group["squares"] += group["lr"] ** 2
            share = group["lr"] ** 2 / group["squares"] if group["squares"] else 1.0
            for y in group["params"]:
                if y.grad is not None:
                    self._move(y, group, share)

    def eval(self) -> None:
        """Show x."""
        self._show("x", training=False)

    def train(self) -> None:
        """Show y."""
        self._show("y", training=True)

    def _move(self, y: torch.Tensor, group: dict[str, Any], share: float) -> None:
        state = self.state[y]
        if not state:
            state["z"], state["x"] = y.detach().clone(), y.detach().clone()
        direction = self._direction(y, state, group)
        if group["weight_decay"]:
            direction = direction + group["weight_decay"] * y
        state["z"].sub_(direction, alpha=group["lr"])
        state["x"].lerp_(state["z"], share)
        y.copy_(state["z"].lerp(state["x"], group["beta"]))

    def _direction(self, y: torch.Tensor, _state: dict[str, Any], _group: dict[str, Any]) -> torch.Tensor:
        if y.grad is None:
            raise ValueError("no gradient")
        return y.grad

    @torch.no_grad()
    def _show(self, point: str, *, training: bool) -> None:
        for group in self.param_groups:
            if group["training"] == training:
                continue
            group["training"] = training
            for y in group["params"]:
                state = self.state[y]
                if state:
                    y.copy_(state["x"] if point == "x" else state["z"].lerp(state["x"], group["beta"]))


class ScheduleFreeSGD(_ScheduleFree):
    """SGD: ``d`` is the gradient.

    Args:
        params: Parameters, or groups of them.
        lr: Rate.
        beta: Share of the average in the point that gradients are taken at, in (0, 1).
        weight_decay: Share of y that is added to the gradient.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, *, beta: float = 0.9, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "beta": beta, "weight_decay": weight_decay})


class ScheduleFreeAdamW(_ScheduleFree):
    """AdamW: ``d = g / (sqrt(v / (1 - beta2 ** n)) + eps)`` with ``v = beta2 * v + (1 - beta2) * g ** 2``.

    Args:
        params: Parameters, or groups of them.
        lr: Rate.
        beta: Share of the average in the point that gradients are taken at, in (0, 1).
        beta2: Decay of the average of squared gradients.
        eps: Added to the root.
        weight_decay: Share of y that is added to ``d``.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        beta: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "beta": beta, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
        )

    def _direction(self, y: torch.Tensor, state: dict[str, Any], group: dict[str, Any]) -> torch.Tensor:
        gradient = super()._direction(y, state, group)
        square = state.setdefault("square", torch.zeros_like(gradient))
        square.mul_(group["beta2"]).addcmul_(gradient, gradient, value=1 - group["beta2"])
        root: torch.Tensor = (square / (1 - group["beta2"] ** group["steps"])).sqrt()
        return gradient / root.add_(group["eps"])

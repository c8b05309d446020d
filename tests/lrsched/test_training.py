"""Training comes out the same, whether torch's scheduler drives it or ours read from torch's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as theirs

from lrsched.optimizer import Scheduler
from lrsched.pytorch import from_torch, peak_rates


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)
    return torch.nn.Sequential(*layers).double()


def weights(model: torch.nn.Module) -> torch.Tensor:
    """Return all weights in one row."""
    return torch.cat([p.detach().ravel() for p in model.parameters()])


PAIRS: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "LambdaLR": lambda o: theirs.LambdaLR(o, lambda n: 0.99**n),
    "MultiplicativeLR": lambda o: theirs.MultiplicativeLR(o, lambda n: 0.99 if n % 2 else 1.0),
    "StepLR": lambda o: theirs.StepLR(o, 30, 0.5),
    "MultiStepLR": lambda o: theirs.MultiStepLR(o, [40, 90, 150], 0.3),
    "ConstantLR": lambda o: theirs.ConstantLR(o, 0.25, 50),
    "LinearLR": lambda o: theirs.LinearLR(o, 0.1, 1.0, 80),
    "ExponentialLR": lambda o: theirs.ExponentialLR(o, 0.98),
    "PolynomialLR": lambda o: theirs.PolynomialLR(o, 180, 2.0),
    "CosineAnnealingLR": lambda o: theirs.CosineAnnealingLR(o, 200, 0.001),
    "CosineAnnealingWarmRestarts": lambda o: theirs.CosineAnnealingWarmRestarts(o, 30, 2, 0.001),
    "CyclicLR": lambda o: theirs.CyclicLR(o, 0.01, 0.1, 20, 30, "triangular2", cycle_momentum=False),
    "OneCycleLR": lambda o: theirs.OneCycleLR(o, 0.1, 201, cycle_momentum=False),
    "ReduceLROnPlateau": lambda o: theirs.ReduceLROnPlateau(o, patience=3, factor=0.5, eps=0.0),
    "SequentialLR": lambda o: theirs.SequentialLR(
        o, [theirs.LinearLR(o, 0.1, 1.0, 20), theirs.CosineAnnealingLR(o, 180)], [20]
    ),
}


def trained(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: Callable[[float], None]
) -> torch.Tensor:
    """Train 200 steps on noise; return all weights in one row."""
    data = torch.Generator().manual_seed(1)
    for _ in range(200):
        x = torch.randn(16, 5, generator=data, dtype=torch.float64)
        y = torch.randint(3, (16,), generator=data)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
        optimizer.step()
        step(float(loss.detach()))
    return weights(model)


@pytest.mark.parametrize("kind", PAIRS)
def test_training_equals_torchs(kind: str) -> None:
    """A small network in float64, 200 steps with momentum: weights equal to 1e-10."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    torchs = PAIRS[kind](optimizer)
    schedule, peaks = from_torch(torchs), peak_rates(torchs)
    with warnings.catch_warnings():
        # SequentialLR itself calls what torch has deprecated.
        warnings.simplefilter("ignore")
        theirs_weights = trained(
            model, optimizer, torchs.step if kind == "ReduceLROnPlateau" else lambda _: torchs.step()
        )
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=peaks[0], momentum=0.9)
    scheduler = Scheduler(optimizer, schedule)
    ours_weights = trained(model, optimizer, lambda loss: scheduler.step(metric=loss))
    assert float((ours_weights - theirs_weights).abs().max()) <= 1e-10
    untrained = weights(network())
    assert float((ours_weights - untrained).abs().max()) > 1e-3

"""Schedule-free optimizers follow the paper: equal to its authors' package, and what is measured is the average."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from study.training.general.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD


def some_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def gradients(network: nn.Module, step: int) -> None:
    draw = torch.Generator().manual_seed(step)
    x = torch.randn(16, 6, generator=draw, dtype=torch.float64)
    y = torch.randint(3, (16,), generator=draw)
    network.zero_grad()
    functional.cross_entropy(network(x), y).backward()  # type: ignore[no-untyped-call]  # torch has no type for it


def warmed_up(step: int) -> float:
    return 0.05 * min(1.0, (step + 1) / 10)


@pytest.mark.peers
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_as_the_authors_package(kind: str, decay: float) -> None:
    """50 steps with a warm-up, looked at every seventh: both points equal to 1e-12."""
    import schedulefree

    ours, theirs = some_network(), some_network()
    one: ScheduleFreeSGD | ScheduleFreeAdamW
    if kind == "SGD":
        one = ScheduleFreeSGD(ours.parameters(), 0.05, beta=0.8, weight_decay=decay)
        other = schedulefree.SGDScheduleFree(theirs.parameters(), 0.05, momentum=0.8, weight_decay=decay)
    else:
        one = ScheduleFreeAdamW(ours.parameters(), 0.05, beta=0.8, weight_decay=decay)
        other = schedulefree.AdamWScheduleFree(
            theirs.parameters(), 0.05, betas=(0.8, 0.999), weight_decay=decay
        )
    other.train()
    for step in range(50):
        for network, optimizer in ((ours, one), (theirs, other)):
            gradients(network, step)
            optimizer.param_groups[0]["lr"] = warmed_up(step)
            optimizer.step()
        same(ours, theirs)
        if step % 7 == 0:
            one.eval()
            other.eval()
            same(ours, theirs)
            one.train()
            other.train()


def same(one: nn.Module, other: nn.Module) -> None:
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert float((mine - theirs).detach().abs().max()) < 1e-12


def test_the_average_is_weighted_by_the_squared_rate() -> None:
    """With SGD, x is the mean of all z so far, each weighted by its rate squared."""
    network = some_network()
    optimizer = ScheduleFreeSGD(network.parameters(), 0.05)
    weight = next(network.parameters())
    z, points, weights = weight.detach().clone(), [], []
    for step in range(20):
        gradients(network, step)
        rate = optimizer.param_groups[0]["lr"] = warmed_up(step)
        assert weight.grad is not None
        z = z - rate * weight.grad
        points.append(z)
        weights.append(rate**2)
        optimizer.step()
    optimizer.eval()
    expected = sum(w * p for w, p in zip(weights, points, strict=True)) / sum(weights)
    assert float((weight.detach() - expected).abs().max()) < 1e-12
    optimizer.train()
    assert float((weight.detach() - (0.1 * z + 0.9 * expected)).abs().max()) < 1e-12


def test_showing_the_average_twice_changes_nothing() -> None:
    network = some_network()
    optimizer = ScheduleFreeAdamW(network.parameters(), 0.05)
    gradients(network, 0)
    optimizer.step()
    before = copy.deepcopy(network.state_dict())
    for _ in range(2):
        optimizer.eval()
        optimizer.eval()
        optimizer.train()
        optimizer.train()
    assert all(torch.equal(w, before[name]) for name, w in network.state_dict().items())


def test_mistakes_are_named() -> None:
    network = some_network()
    optimizer = ScheduleFreeSGD(network.parameters(), 0.05)
    gradients(network, 0)
    with pytest.raises(ValueError, match="take no closure"):
        optimizer.step(lambda: 0.0)
    optimizer.eval()
    with pytest.raises(ValueError, match=r"call train\(\) before step\(\)"):
        optimizer.step()
    with pytest.raises(ValueError, match=r"beta must be in \(0, 1\), got beta=1"):
        ScheduleFreeSGD(network.parameters(), 0.05, beta=1)
    with pytest.raises(ValueError, match="lr must be 0 or more, got lr=-1"):
        ScheduleFreeSGD(network.parameters(), -1)
    with pytest.raises(ValueError, match="weight_decay must be 0 or more, got weight_decay=-1"):
        ScheduleFreeAdamW(network.parameters(), 0.1, weight_decay=-1)

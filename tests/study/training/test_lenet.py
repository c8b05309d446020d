"""One LeNet alone and many side by side are the same function of the same weights."""

from __future__ import annotations

import pytest
import torch

from study.problems.fashion_mnist import Split
from study.training.lenet import forward, lenet, stack, unstack

CPU = torch.device("cpu")


def test_it_is_the_textbooks_size() -> None:
    """5x5 kernels to 6 and 16 channels, then 400, 120, 84 and 10 units: 61,706 parameters."""
    parameters = dict(lenet(0).named_parameters())
    assert sum(p.numel() for p in parameters.values()) == 61_706
    assert {name: tuple(p.shape) for name, p in parameters.items() if name.endswith("weight")} == {
        "conv1.weight": (6, 1, 5, 5),
        "conv2.weight": (16, 6, 5, 5),
        "linear1.weight": (120, 400),
        "linear2.weight": (84, 120),
        "linear3.weight": (10, 84),
    }


def test_a_seed_is_a_network() -> None:
    """The seed alone decides the weights, in any precision, and the process's generator is left alone."""
    before = torch.random.get_rng_state()
    one, same, other, double = lenet(7), lenet(7), lenet(8), lenet(7, torch.float64)
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, same.state_dict()[name])
        assert not torch.equal(weight, other.state_dict()[name])
        assert torch.equal(weight.double(), double.state_dict()[name])


@pytest.mark.parametrize("lanes", [1, 3])
def test_unstack_is_the_inverse_of_stack(lanes: int) -> None:
    networks = [lenet(seed).state_dict() for seed in range(lanes)]
    stacked = stack(networks, CPU)
    assert {len(weight) for weight in stacked.values()} == {lanes}
    for lane, network in enumerate(networks):
        alone = unstack(stacked, lane)
        assert alone.keys() == network.keys()
        assert all(torch.equal(alone[name], weight) for name, weight in network.items())


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_every_lane_is_a_lone_network(lanes: int, few: Split) -> None:
    """Logits of lane k equal those of network k as torch.nn computes them, pooling after ReLU or before."""
    networks = [lenet(seed, torch.float64) for seed in range(lanes)]
    pixels = few.train.pixels[:13].double()
    together = forward(stack([n.state_dict() for n in networks], CPU), pixels)
    assert together.shape == (lanes, 13, 10)
    for lane, network in enumerate(networks):
        assert (together[lane] - network(pixels.unsqueeze(1))).abs().max() < 1e-12

"""How much memory a lane of a user's problem takes, counted on one minibatch before anything is made."""

from __future__ import annotations

import torch
from torch import nn

from study.problems.definition import Problem

#: Weights, their gradients, two moments of an optimizer and the running average.
_COPIES = 5


def lane_memory(
    problem: Problem, network: nn.Module, device: torch.device, batch_size: int, *, fused: bool
) -> int:
    """Return the bytes that a lane takes while it trains: an estimate from what autograd keeps of one minibatch.

    Args:
        problem: The problem.
        network: One of its networks, on ``device``; its weights and gradients stay as they are.
        device: Where it is trained.
        batch_size: Examples a minibatch.
        fused: Whether lanes train in one pass: else one minibatch of one lane is in memory at a time.
    """
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    if not fused:
        return _COPIES * weights
    train = problem.examples("train", device)
    inputs, targets = train.part(0, min(len(train), batch_size))
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    was_training = network.training
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    # Dropout draws from the generators, which the study's own draws must not notice.
    with (
        torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        problem.loss(network.train()(inputs), targets)
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
    network.train(was_training)
    own = {p.data_ptr() for p in network.parameters()} | {inputs.data_ptr(), targets.data_ptr()}
    activations = sum(size for place, size in kept.items() if place not in own)
    return _COPIES * weights + 2 * activations  # an activation's gradient is as large as it is

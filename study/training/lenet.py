"""The textbook's modernised LeNet: alone, and many side by side.

Notation: L lanes, B images a minibatch, C = 10 classes. A lane is one network; all lanes see the same
minibatch. The first convolution is one dense convolution to 6L channels, since its input is shared;
the second is grouped, one group a lane; the linear layers are batched products. Weights of lane k are
the weights of a lone LeNet, so they can be moved from one form to the other.

Pooling stands before ReLU: the same function (both are monotone), with a quarter of the ReLU's work.
Images and convolution weights are laid out channels-last, which the CPU kernels are fastest with.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from study.training.layers.convolution import grouped_convolution
from study.training.layers.pooling import pool_relu

CLASSES = 10
Weights = Mapping[str, torch.Tensor]


def lenet(seed: int, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Return one LeNet with PyTorch's default initial weights drawn from ``seed``: 61,706 parameters.

    Input ``[B, 1, 28, 28]``, output ``[B, 10]`` logits. The weights are drawn in float32 whatever
    ``dtype`` is, so that one seed means one network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[tuple[str, nn.Module]] = [
            ("conv1", nn.Conv2d(1, 6, 5, padding=2)),
            ("pool1", nn.MaxPool2d(2)),
            ("relu1", nn.ReLU()),
            ("conv2", nn.Conv2d(6, 16, 5)),
            ("pool2", nn.MaxPool2d(2)),
            ("relu2", nn.ReLU()),
            ("flatten", nn.Flatten()),
            ("linear1", nn.Linear(400, 120)),
            ("relu3", nn.ReLU()),
            ("linear2", nn.Linear(120, 84)),
            ("relu4", nn.ReLU()),
            ("linear3", nn.Linear(84, CLASSES)),
        ]
        return nn.Sequential(OrderedDict(layers)).to(dtype)


_NAMES = tuple(f"{layer}.{kind}" for layer in ("conv1", "conv2", "linear1", "linear2", "linear3")
               for kind in ("weight", "bias"))  # fmt: skip


def stack(networks: Sequence[Weights], device: torch.device) -> dict[str, torch.Tensor]:
    """Return the weights of L lone networks as one set of stacked tensors, each ``[L, ...]``.

    Kernels ``[L, out, 5, 5, in]`` as channels-last lays them out, their biases ``[L, out]``; linear weights
    transposed to ``[L, in, out]`` with biases ``[L, 1, out]``, as ``baddbmm`` takes them.
    """
    return {
        name: torch.stack([_to_lane(name, network[name]) for network in networks]).to(device)
        for name in _NAMES
    }


def unstack(weights: Weights, lane: int) -> dict[str, torch.Tensor]:
    """Return one lane's weights as a lone network's ``state_dict``; the inverse of :func:`stack`."""
    return {name: _from_lane(name, weights[name][lane]).detach().clone().contiguous() for name in _NAMES}


def forward(weights: Weights, pixels: torch.Tensor) -> torch.Tensor:
    """Return the logits ``[L, B, 10]`` of every lane for one minibatch ``[B, 28, 28]``."""
    lanes, batch = len(weights["conv1.weight"]), len(pixels)
    images = pixels.unsqueeze(-1).permute(0, 3, 1, 2)  # strides that say channels-last, also for one channel
    h = functional.conv2d(
        images, _kernels(weights["conv1.weight"]), weights["conv1.bias"].flatten(), padding=2
    )
    h = pool_relu(h)
    h = grouped_convolution(h, _kernels(weights["conv2.weight"]), weights["conv2.bias"].flatten(), lanes)
    h = pool_relu(h)
    h = h.reshape(batch, lanes, 400).transpose(0, 1)
    h = functional.relu(torch.baddbmm(weights["linear1.bias"], h, weights["linear1.weight"]))
    h = functional.relu(torch.baddbmm(weights["linear2.bias"], h, weights["linear2.weight"]))
    return torch.baddbmm(weights["linear3.bias"], h, weights["linear3.weight"])


def _kernels(stacked: torch.Tensor) -> torch.Tensor:
    """Return kernels ``[L, out, 5, 5, in]`` as a convolution takes them: ``[L * out, in, 5, 5]``, channels-last."""
    return stacked.flatten(0, 1).permute(0, 3, 1, 2)


def _to_lane(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if name.endswith("bias"):
        return tensor.unsqueeze(0) if name.startswith("linear") else tensor
    return tensor.t() if name.startswith("linear") else tensor.permute(0, 2, 3, 1)


def _from_lane(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if name.endswith("bias"):
        return tensor.flatten()
    return tensor.t() if name.startswith("linear") else tensor.permute(0, 3, 1, 2)


def lenet_memory(batch_size: int, *, bfloat16: bool) -> int:
    """Return the bytes that a lane takes on a CPU while it trains, with the average of its weights.

    Measured as resident memory: 13.8 MB a lane between 16 and 64 of them in batches of 256, 62 MB in batches of 1,024;
    with bfloat16 21 MB. In smaller batches the measuring of 500 images at once takes the most.
    """
    return (84_000 if bfloat16 else 62_000) * max(batch_size, 200)

"""Which schedule wins for a small ResNet with batch norm on Fashion-MNIST, trained by SGD with momentum?

    python -m study.search --problem examples/fashion_resnet.py:problem --trials 24

The data is that of the default problem (``make data``), as a user would hand in any vision data set: tensors
``[N, 1, 28, 28]`` that functions return, so that the test images are read by ``study.confirm`` alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional

from study.problems import Problem
from study.problems.fashion_mnist import Images, load_final, load_search

CPU = torch.device("cpu")
#: Images to train on: all 50,000 unless the environment says fewer, for a quick look.
TRAIN_IMAGES = int(os.environ.get("FASHION_RESNET_IMAGES", "50000"))


class Block(nn.Module):
    """Two convolutions with batch norm around a shortcut; ``stride`` halves the image."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = (
            nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``relu(body(x) + shortcut(x))``."""
        return functional.relu(self.body(x) + self.shortcut(x))


def network() -> nn.Module:
    """Return a ResNet of 8, 16 and 32 channels: 20,010 weights."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        Block(8, 8, 1), Block(8, 16, 2), Block(16, 32, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


def momentum(parameters: Iterable[torch.Tensor], lr: float) -> torch.optim.Optimizer:
    """Return SGD with Nesterov's momentum."""
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)


def pair(images: Images | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images as a network takes them, centred, with their labels."""
    if images is None:
        raise ValueError("no images")
    return (images.pixels.unsqueeze(1) - 0.286) / 0.353, images.labels


problem = Problem(
    name="fashion-resnet",
    model=network,
    train=lambda: pair(load_search(None, CPU, train_images=TRAIN_IMAGES).train),
    validation=lambda: pair(load_search(None, CPU).evaluation),
    test=lambda: pair(load_final(None, CPU).evaluation),
    loss=functional.cross_entropy,
    metric="accuracy",
    chance=0.1,
    optimizer=momentum,
    base_rate=(1e-3, 1.0),
    batch_size=128,
    epochs=10,
)

if __name__ == "__main__":
    print(f"Try {problem.name}: python -m study.problem examples/fashion_resnet.py:problem --check")

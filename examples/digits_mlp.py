"""Which schedule wins for a small network on handwritten digits, trained by AdamW?

    python -m study.search --problem examples/digits_mlp.py:problem --trials 24

scikit-learn's digits: 1,797 images of 8 x 8 pixels, ten classes. It comes with the package, nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from study.problems import Problem


def network() -> nn.Module:
    """Return two hidden layers of 32: 3,466 weights for 1,152 images."""
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))


def adamw(parameters: Iterable[torch.Tensor], lr: float) -> torch.optim.Optimizer:
    """Return AdamW with a weight decay of 0.05."""
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.05)


pixels, labels = load_digits(return_X_y=True)
inputs = torch.as_tensor(pixels, dtype=torch.float32) / 16
targets = torch.as_tensor(labels)

problem = Problem(
    name="digits-mlp",
    model=network,
    train=(inputs[:1152], targets[:1152]),
    validation=(inputs[1152:1472], targets[1152:1472]),
    test=(inputs[1472:], targets[1472:]),
    loss=functional.cross_entropy,
    metric="accuracy",
    chance=0.1,
    optimizer=adamw,
    base_rate=(1e-4, 3e-2),
    batch_size=32,
    epochs=15,
)

if __name__ == "__main__":
    print(f"Try {problem.name}: python -m study.problem examples/digits_mlp.py:problem --check")

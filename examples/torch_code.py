"""A schedule as PyTorch code that needs nothing of ours, and torch's own schedulers as schedules."""

from __future__ import annotations

import torch

from lrsched import MultiStep, Warmup
from lrsched.pytorch import from_torch, to_torch_code

print(
    to_torch_code(
        Warmup(MultiStep((15, 25), factor=0.1), length=2), base_rate=0.3, epochs=30, steps_per_epoch=196
    )
)

optimizer = torch.optim.SGD(torch.nn.Linear(784, 10).parameters(), lr=0.3)
theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
print(from_torch(theirs))

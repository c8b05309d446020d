"""A schedule in a training loop of one's own: the rate moves with every step."""

from __future__ import annotations

import torch

from lrsched import Cosine, Warmup
from lrsched.optimizer import Scheduler

model = torch.nn.Linear(784, 10)
optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
schedule = Warmup(Cosine(T_max=30, final=0.01), length=2)  # time in epochs here; any unit will do
scheduler = Scheduler(optimizer, schedule, steps_per_epoch=196)  # an LRScheduler: step() after each batch

for epoch in range(30):
    for _ in range(196):
        optimizer.zero_grad()
        images, labels = torch.randn(8, 784), torch.randint(10, (8,))
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        scheduler.step()
    if epoch % 10 == 9:
        print(f"after epoch {epoch + 1}: rate {scheduler.get_last_lr()[0]:.4f}")

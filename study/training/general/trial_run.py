"""Try a problem for a few steps: how long does an epoch take, how much memory, at which rates does it train?

The rates are tried side by side, one a lane: each lane trains for some steps at a rate of its own.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch

from study.problems.definition import Problem
from study.training.general.fused import ProblemLanes

#: Steps that each rate is tried for.
STEPS = 20
#: Rates tried, from a tenth of the lowest base rate to ten times the highest.
RATES = 12
#: A rate trains where the loss of the last steps is under this share of the loss before training.
LEARNS_BELOW = 0.98


@dataclass(frozen=True)
class TrialRun:
    """What a few steps showed.

    Attributes:
        rates: The rates tried, in order.
        losses: Mean training loss of the last quarter of the steps at each; NaN where it was not finite.
        before: Loss before training.
        seconds: Seconds that an epoch of one lane takes, measured among as many lanes as rates.
        memory: Largest memory of the process (CPU) or of the device (CUDA) so far, in bytes; ``None`` where unknown.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    before: float
    seconds: float
    memory: int | None

    @property
    def trains(self) -> tuple[float, float] | None:
        """The lowest and the highest rate that trains; ``None`` where none does."""
        good = [
            r for r, loss in zip(self.rates, self.losses, strict=True) if loss < LEARNS_BELOW * self.before
        ]
        return (good[0], good[-1]) if good else None

    @property
    def best(self) -> float | None:
        """The rate with the lowest loss; ``None`` where none trains."""
        if self.trains is None:
            return None
        finite = [
            (loss, rate) for rate, loss in zip(self.rates, self.losses, strict=True) if math.isfinite(loss)
        ]
        return min(finite)[1]


def trial_run(problem: Problem, device: torch.device, *, fused: bool) -> TrialRun:
    """Train one lane a rate for ``STEPS`` steps."""
    low, high = problem.base_rate
    rates = tuple(float(r) for r in np.geomspace(low / 10, high * 10, RATES))
    train = problem.examples("train", device)
    quarter = max(1, STEPS // 4)
    size = min(len(train), quarter * problem.batch_size)
    lanes = ProblemLanes(problem, train.part(0, size), None, fused=fused, order_seed=0)
    for key in range(len(rates)):
        lanes.add(key, seed=0)
    before = lanes.evaluate(train.part(0, size))[0][0]
    table = {key: np.full(lanes.steps, rate) for key, rate in enumerate(rates)}
    lanes.train_epoch(table)  # which also warms up
    started, turns = time.perf_counter(), max(1, math.ceil(STEPS / lanes.steps) - 1)
    for _ in range(turns):
        last = lanes.train_epoch(table)
    taken = (time.perf_counter() - started) / (turns * lanes.steps * len(rates))
    losses = tuple(last[key].train_loss if math.isfinite(last[key].train_loss) else math.nan for key in table)
    return TrialRun(rates, losses, before, taken * -(-len(train) // problem.batch_size), _memory(device))


def _memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type != "cpu":
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak

"""What a schedule costs: a million values at once, and one value in a training loop.

    python benchmarks/schedules.py

Claims: a million values of any schedule but a user's own function take under 50 ms; a ``step()`` of
``lrsched.optimizer.Scheduler`` costs no more than one of torch's own scheduler. Everything is measured in one run on
one thread, in turns, in processor time, so that a busy neighbour does not count; for the loop the ratio is the claim.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler as theirs

import lrsched
from lrsched.optimizer import Scheduler
from lrsched.pytorch import from_torch

VALUES = 1_000_000
STEPS = 5_000
#: A user's own Python function is called once a value: no speed is claimed for it.
OWN = {"function", "multiplicative"}

PAIRS: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "LambdaLR": lambda o: theirs.LambdaLR(o, lambda n: 0.9999**n),
    "StepLR": lambda o: theirs.StepLR(o, 700),
    "MultiStepLR": lambda o: theirs.MultiStepLR(o, [1000, 3000]),
    "ConstantLR": lambda o: theirs.ConstantLR(o, 0.5, 2000),
    "LinearLR": lambda o: theirs.LinearLR(o, 0.5, 1.0, 2000),
    "ExponentialLR": lambda o: theirs.ExponentialLR(o, 0.9999),
    "PolynomialLR": lambda o: theirs.PolynomialLR(o, 1_000_000, 2.0),
    "CosineAnnealingLR": lambda o: theirs.CosineAnnealingLR(o, 1_000_000),
    "CosineAnnealingWarmRestarts": lambda o: theirs.CosineAnnealingWarmRestarts(o, 1000),
    "CyclicLR": lambda o: theirs.CyclicLR(o, 0.01, 0.1, 500, cycle_momentum=False),
    "OneCycleLR": lambda o: theirs.OneCycleLR(o, 0.1, 1_000_000, cycle_momentum=False),
}


def optimizer() -> torch.optim.SGD:
    """Return an optimizer with one parameter."""
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of some work."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def steps_of(scheduler: Any) -> Callable[[], None]:
    """Return the work of stepping a scheduler many times."""

    def run() -> None:
        for _ in range(STEPS):
            scheduler.step()

    return run


def million(repeats: int) -> bool:
    """Time a million values of each schedule of the catalogue; return whether the claim holds."""
    print(f"\nA million values, milliseconds (median of {repeats}, worst), limit 50")
    times, holds = np.linspace(0.0, 40.0, VALUES), True
    for name, cls in lrsched.REGISTRY.items():
        if name in OWN:
            continue
        schedule = cls.example()
        schedule(times)
        taken = [1e3 * seconds(lambda s=schedule: s(times)) for _ in range(repeats)]  # type: ignore[misc]  # bound now
        holds &= statistics.median(taken) < 50
        print(f"  {name:22} {statistics.median(taken):6.1f} {max(taken):6.1f}")
    return holds


def loop(repeats: int) -> bool:
    """Time ``step()`` of torch's scheduler and of ours in turns; return whether ours costs no more."""
    print(
        f"\nOne step(), microseconds (median of {repeats} x {STEPS}), and the ratio's worst; schedule(t) alone"
    )
    print(f"  {'':28} {'torch':>6} {'ours':>6} {'ratio':>6} {'worst':>6} {'alone':>6}")
    holds = True
    for name, make in PAIRS.items():
        opt = optimizer()
        torchs = make(opt)
        opt.step()
        schedule = from_torch(torchs)
        ours = Scheduler(optimizer(), schedule)
        both = [(seconds(steps_of(torchs)), seconds(steps_of(ours))) for _ in range(repeats)]
        alone = [
            seconds(lambda s=schedule: [s(step / 7) for step in range(STEPS)])  # type: ignore[misc]  # bound now
            for _ in range(repeats)
        ]
        ratios = [b / a for a, b in both]
        ratio = statistics.median(ratios)
        holds &= ratio <= 1.0
        torch_us, ours_us, alone_us = (
            1e6 / STEPS * statistics.median(t) for t in (*zip(*both, strict=True), alone)
        )
        print(f"  {name:28} {torch_us:6.2f} {ours_us:6.2f} {ratio:6.2f} {max(ratios):6.2f} {alone_us:6.2f}")
    return holds


def main() -> int:
    """Print both tables; exit with 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7, help="times that each work is measured, >= 1")
    repeats = parser.parse_args().repeats
    if repeats < 1:
        parser.error(f"--repeats must be >= 1, got {repeats}")
    torch.set_num_threads(1)
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}"
    print(f"{platform.machine()}, {os.cpu_count()} cores; {versions}")
    claims = {
        "a million values under 50 ms": million(repeats),
        "step() no dearer than torch's": loop(repeats),
    }
    print()
    for claim, holds in claims.items():
        print(f"{'holds' if holds else 'FAILS'}: {claim}")
    return 0 if all(claims.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

"""What a schedule costs: a million values at once, and one value in a training loop.

    python benchmarks/schedules.py

Claims: a million values of any schedule but a user's own function take under 50 ms; a ``step()`` of
``lrsched.optimizer.Scheduler`` costs no more than one of torch's own scheduler, and neither does
``schedule(t)`` in a loop of one's own. Everything is measured in one run on
one thread, in turns, in processor time, so that a busy neighbour does not count; for the loop the ratio is the claim.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
import warnings
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
    "MultiplicativeLR": lambda o: theirs.MultiplicativeLR(o, lambda n: 0.9999 if n else 1.0),
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
    "SequentialLR": lambda o: theirs.SequentialLR(
        o, [theirs.LinearLR(o, 0.1, 1.0, 500), theirs.CosineAnnealingLR(o, 1_000_000)], [500]
    ),
    "ChainedScheduler": lambda o: theirs.ChainedScheduler(
        [theirs.LinearLR(o, 0.1, 1.0, 500), theirs.StepLR(o, 700)]
    ),
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


def values_of(schedule: lrsched.Schedule) -> Callable[[], None]:
    """Return the work of asking a schedule for one value after another."""

    def run() -> None:
        for step in range(STEPS):
            schedule(step / 7)

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


def loop(repeats: int) -> tuple[bool, bool]:
    """Time torch's ``step()``, ours, and ``schedule(t)`` in turns; return whether each of the two claims holds."""
    print(
        f"\nOne value, microseconds (median of {repeats} x {STEPS}); ratios to torch's step(), median and worst"
    )
    print(
        f"  {'':28} {'torch':>6} {'step()':>7} {'ratio':>6} {'worst':>6} {'f(t)':>7} {'ratio':>6} {'worst':>6}"
    )
    step_holds = call_holds = True
    for name, make in PAIRS.items():
        opt = optimizer()
        torchs = make(opt)
        opt.step()
        schedule = from_torch(torchs)
        ours = Scheduler(optimizer(), schedule)
        # SequentialLR itself calls what torch has deprecated.
        warnings.simplefilter("ignore")
        taken = [
            [seconds(steps_of(torchs)), seconds(steps_of(ours)), seconds(values_of(schedule))]
            for _ in range(repeats)
        ]
        torch_us, step_us, call_us = (1e6 / STEPS * statistics.median(t) for t in zip(*taken, strict=True))
        steps, calls = [b / a for a, b, _ in taken], [c / a for a, _, c in taken]
        step_holds &= statistics.median(steps) <= 1.0
        call_holds &= statistics.median(calls) <= 1.0
        print(
            f"  {name:28} {torch_us:6.2f} {step_us:7.2f} {statistics.median(steps):6.2f} {max(steps):6.2f}"
            f" {call_us:7.2f} {statistics.median(calls):6.2f} {max(calls):6.2f}"
        )
    return step_holds, call_holds


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
    vectorised = million(repeats)
    step, call = loop(repeats)
    claims = {
        "a million values under 50 ms": vectorised,
        "step() no dearer than torch's": step,
        "schedule(t) no dearer than torch's step()": call,
    }
    print()
    for claim, holds in claims.items():
        print(f"{'holds' if holds else 'FAILS'}: {claim}")
    return 0 if all(claims.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

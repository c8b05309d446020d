"""What fusing lanes is worth: one after the other against fused, and LeNet's fast path against the general engine.

    python benchmarks/fused.py [--repetitions 7] [--steps 10]

Compared, ways of each pair interleaved in one process, one epoch of a few steps a turn:

a. ``examples/digits_mlp.py``, 16 lanes: fused against one after the other. The bar: 5 times as fast.
b. LeNet on 28 x 28 images, minibatches of 256, 8 lanes: the hand-made fast path against the general engine. The bar:
   the general engine takes at most 1.8 times as long.
c. The other examples, 8 lanes: fused against one after the other, for information.

Printed: median seconds an epoch of each way and the median of the ratios of each turn with their range, in processor time
of all threads and by the clock. The bars are judged by processor time: beside other work the clock's ratios swing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from study.problems import Problem
from study.problems.examples import Examples
from study.problems.fashion_mnist import Images, Split
from study.problems.loading import load_problem
from study.training.general.fused import ProblemLanes
from study.training.general.proof import prove
from study.training.lanes import Lanes
from study.training.lenet import lenet
from study.training.process import prepare_process

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CPU = torch.device("cpu")

#: Epochs before the clock starts: a fused step is traced once it has been repeated.
WARM_UP = 5

Epoch = Callable[[], object]


def main() -> int:
    """Measure the pairs; return 0 if both bars are reached."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="minibatches an epoch")
    options = parser.parse_args()
    prepare_process()
    load = f", load average {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    print(f"{os.cpu_count()} processors, {torch.get_num_threads()} threads{load}, torch {torch.__version__}")
    digits = load_problem(f"{EXAMPLES / 'digits_mlp.py'}:problem").problem
    one, fused = example(digits, 16, options.steps)
    faster = compare("digits_mlp, 16 lanes: one after the other / fused", one, fused, options.repetitions)
    general, fast = lenets(8, options.steps)
    slower = compare("LeNet, 8 lanes: general engine / fast path", general, fast, options.repetitions)
    for name in ("fashion_resnet", "char_transformer"):
        problem = load_problem(f"{EXAMPLES / f'{name}.py'}:problem").problem
        print(f"  {name}: {prove(problem, CPU)}")
        one, fused = example(problem, 8, max(5, options.steps // 2))
        compare(f"{name}, 8 lanes: one after the other / fused", one, fused, min(3, options.repetitions))
    print(f"digits_mlp at least 5 times as fast: {'reached' if faster >= 5 else 'MISSED'}")
    print(f"LeNet at most 1.8 times as slow: {'reached' if slower <= 1.8 else 'MISSED'}")
    return 0 if faster >= 5 and slower <= 1.8 else 1


def example(problem: Problem, lanes: int, steps: int) -> tuple[Epoch, Epoch]:
    """Return an epoch of a problem one after the other, and fused; nothing is measured, only trained."""
    train = problem.examples("train", CPU).part(0, steps * problem.batch_size)
    ways = []
    for fused in (False, True):
        side_by_side = ProblemLanes(problem, train, None, fused=fused, order_seed=0)
        ways.append(epoch_of(side_by_side, lanes, float(np.sqrt(np.prod(problem.base_rate)))))
    return ways[0], ways[1]


def lenets(lanes: int, steps: int) -> tuple[Epoch, Epoch]:
    """Return an epoch of LeNet in the general engine, and in its fast path; on random images."""
    draw = torch.Generator().manual_seed(0)
    pixels = torch.rand(steps * 256, 28, 28, generator=draw)
    labels = torch.randint(10, (steps * 256,), generator=draw)
    images = Examples(pixels.unsqueeze(1), labels)
    problem = Problem(
        name="lenet", model=lambda: lenet(int(torch.randint(2**31, ()))), train=tuple(images),
        validation=tuple(images.part(0, 256)), loss=torch.nn.functional.cross_entropy, batch_size=256,
    )  # fmt: skip
    general = ProblemLanes(problem, images, None, fused=True, order_seed=0)
    fast = Lanes(Split(Images(pixels, labels), None, {}), batch_size=256, order_seed=0)
    return epoch_of(general, lanes, 0.1), epoch_of(fast, lanes, 0.1)


def epoch_of(side_by_side: ProblemLanes | Lanes, lanes: int, rate: float) -> Epoch:
    """Fill the lanes; return a function that trains them for an epoch."""
    for key in range(lanes):
        side_by_side.add(key, seed=key)
    rates = {key: np.full(side_by_side.steps, rate) for key in range(lanes)}
    return lambda: side_by_side.train_epoch(rates)


def compare(title: str, one: Epoch, other: Epoch, repetitions: int) -> float:
    """Time two ways by turns; print and return the median of the ratios of their times."""
    for way in (one, other) * WARM_UP:
        way()
    pairs = [(seconds(one), seconds(other)) for _ in range(repetitions)]
    ratio = shown(f"{title}, processor time", [(a.cpu, b.cpu) for a, b in pairs])
    shown(f"{title}, by the clock", [(a.clock, b.clock) for a, b in pairs])
    return ratio


def shown(title: str, taken: list[tuple[float, float]]) -> float:
    """Print and return the median of the ratios."""
    ratios = [first / second for first, second in taken]
    ratio = statistics.median(ratios)
    first, second = (statistics.median(way) for way in zip(*taken, strict=True))
    repetitions = len(taken)
    print(
        f"{title}: {ratio:.2f} ({min(ratios):.2f}..{max(ratios):.2f}, n = {repetitions}); {first:.3f} s / {second:.3f} s",
        flush=True,
    )
    return ratio


@dataclass(frozen=True)
class Seconds:
    """What an epoch took: processor time of all threads, and time by the clock."""

    cpu: float
    clock: float


def seconds(way: Epoch) -> Seconds:
    """Run an epoch."""
    cpu, clock = time.process_time(), time.perf_counter()
    way()
    return Seconds(time.process_time() - cpu, time.perf_counter() - clock)


if __name__ == "__main__":
    sys.exit(main())

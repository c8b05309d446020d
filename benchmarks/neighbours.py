"""What a training step costs beside busy neighbours: a fair share of the processors, and no collapse.

    python benchmarks/neighbours.py [--rounds 5] [--seconds 1] [--lanes 8] [--busy 0,1,2]

For each way that OpenMP's threads can wait, one process trains lanes of LeNet; the processes take turns while
zero, one and two others keep a processor busy each. Printed: median over the rounds of the milliseconds a step,
the least of them, and the processor time of a step, which neighbours hardly change unless threads spin. The bar, for
the way that the study sets: beside one neighbour at most 2 times the quiet step, beside two at most 3.3 times.

The machine should be quiet. Where it is not, ``--own-group`` puts all of this into a scheduling group of its own with
the highest weight (Linux, root): what else runs gets next to nothing meanwhile, so keep it short.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from study.core.threads import SPIN_ROUNDS, WAITING, prepare_environment

#: Ways to wait, by name: what is set in the environment instead of what the study sets.
WAYS: dict[str, dict[str, str]] = {
    f"study ({SPIN_ROUNDS} rounds)": {},
    "torch's default": {"KMP_LIBRARY": "throughput"},  # LLVM's default; GNU's runtime does not read it
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "1000 rounds": {"GOMP_SPINCOUNT": "1000"},
    "3000 rounds": {"GOMP_SPINCOUNT": "3000"},
}
BARS = {0: 1.0, 1: 2.0, 2: 3.3}
PRECISIONS = ("float32", "bfloat16")
BATCH, BATCHES = 256, 5

Figures = dict[tuple[str, int, str], list[tuple[float, float]]]


def main() -> int:
    """Measure, print the table, and return 0 if the study's way reaches the bars."""
    options = parse()
    if options.train:
        serve(options.lanes)
        return 0
    if options.own_group:
        os.setsid()
        Path("/proc/self/autogroup").write_text("-19", encoding="ascii")
    trainers = {way: start(settings, options.lanes) for way, settings in WAYS.items()}
    found: Figures = {}
    try:
        for busy in options.busy:
            idlers = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
            try:
                for _, precision in itertools.product(range(options.rounds), PRECISIONS):
                    for way, trainer in trainers.items():
                        taken = ask(trainer, precision, options.seconds)
                        found.setdefault((precision, busy, way), []).append(taken)
            finally:
                for idler in idlers:
                    idler.kill()
    finally:
        for each in trainers.values():
            each.kill()
    return report(found, options.busy)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--busy", type=lambda text: [int(n) for n in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--own-group", action="store_true")
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def start(settings: dict[str, str], lanes: int) -> subprocess.Popen[str]:
    """Start a process that trains when it is told to."""
    environment = {name: value for name, value in os.environ.items() if name not in WAITING} | settings
    prepare_environment(environment)
    trainer = subprocess.Popen(
        [sys.executable, __file__, "--train", "--lanes", str(lanes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    if trainer.stdout is None or trainer.stdout.readline() != "ready\n":
        raise RuntimeError(f"the trainer with {settings} did not start")
    return trainer


def ask(trainer: subprocess.Popen[str], precision: str, seconds: float) -> tuple[float, float]:
    """Let it train for a while; return milliseconds and processor milliseconds a step."""
    if trainer.stdin is None or trainer.stdout is None:
        raise RuntimeError("a trainer is spoken to through pipes")
    trainer.stdin.write(f"{precision} {seconds}\n")
    trainer.stdin.flush()
    wall, processor = map(float, trainer.stdout.readline().split())
    return wall, processor


def serve(lanes: int) -> None:
    """Train whenever a line says so; answer with the median milliseconds of a step."""
    trains = {precision: epoch_of(lanes, precision) for precision in PRECISIONS}
    for train in trains.values():
        train()
    print("ready", flush=True)
    for line in sys.stdin:
        precision, seconds = line.split()
        trains[precision]()
        taken, started, processor = [], time.perf_counter(), time.process_time()
        while time.perf_counter() - started < float(seconds):
            before = time.perf_counter()
            trains[precision]()
            taken.append(time.perf_counter() - before)
        processor = (time.process_time() - processor) / len(taken)
        print(1e3 * statistics.median(taken) / BATCHES, 1e3 * processor / BATCHES, flush=True)


def epoch_of(lanes: int, precision: str) -> Callable[[], object]:
    """Return a short epoch on random images."""
    import numpy as np
    import torch

    from study.problems.fashion_mnist import Images, Split
    from study.training.lanes import Lanes
    from study.training.process import prepare_process

    prepare_process()
    draw = torch.Generator().manual_seed(0)
    size = BATCH * BATCHES
    images = Images(torch.rand(size, 28, 28, generator=draw), torch.randint(0, 10, (size,), generator=draw))
    fleet = Lanes(Split(images, None, {}), batch_size=BATCH, order_seed=0, bfloat16=precision == "bfloat16")
    for key in range(lanes):
        fleet.add(key, key)
    rates = {key: np.full(fleet.steps, 0.01) for key in range(lanes)}
    return lambda: fleet.train_epoch(rates)


def report(found: Figures, busy: Iterable[int]) -> int:
    """Print the table; return 0 if the study's way reaches the bars."""
    print(f"load average {os.getloadavg()[0]:.1f} at the end")
    print("| arithmetic | busy neighbours | threads wait | ms a step | least | processor ms | of quiet |")
    print("|---|---|---|---|---|---|---|")
    ours, reached = next(iter(WAYS)), True
    for precision, n, way in itertools.product(PRECISIONS, busy, WAYS):
        walls, processors = zip(*found[precision, n, way], strict=True)
        median = statistics.median(walls)
        quiet = found.get((precision, 0, way))
        times = median / statistics.median(wall for wall, _ in quiet) if quiet else float("nan")
        print(f"| {precision} | {n} | {way} | {median:.1f} | {min(walls):.1f} "
              f"| {statistics.median(processors):.1f} | {times:.2f} |")  # fmt: skip
        if way == ours and times > BARS.get(n, float("inf")):
            reached = False
    print(f"The bars are {'reached' if reached else 'MISSED'}")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())

"""Training side by side costs a fraction of the textbook's loop: seconds per trial-epoch, in one run.

    python benchmarks/throughput.py [--repetitions 3] [--steps 196] [--lanes 2,4,8,16] [--workers 0,2,4]

One trial-epoch: LeNet trains on 50,000 images in minibatches of 256 and is measured on 10,000. Compared are

a. the textbook's loop: torchvision's dataset, ToTensor, DataLoader, torch.optim.SGD (the best of some
   numbers of workers counts);
b. the same network alone, on tensors in memory;
c. lanes: the study's own training, several networks side by side, in float32 and in bfloat16.

Each measurement has a process of its own, so that what the study sets in its process (the allocator, how threads
wait) does not help the others. Repetitions are interleaved: one of every way, then the next of every way. Printed:
median and range of the seconds per trial-epoch, and how many times the best textbook loop takes. The bars:
lanes are at least 5 times faster than (a) in float32 and 7.5 times in bfloat16.

With --steps N only the first N of 196 minibatches are trained on (and a fifth of as many images measured);
times are scaled to the whole. The DataLoader's start-up is then scaled too, which makes workers look worse.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from study.core.records import SEARCH_IMAGES
from study.core.threads import prepare_environment
from study.problems import fashion_mnist as data
from study.problems.fashion_mnist import Images, Split, load_search
from study.training.lanes import Lanes
from study.training.lenet import lenet
from study.training.process import prepare_process

BATCH = 256
STEPS = -(-SEARCH_IMAGES // BATCH)
RATE = 0.1
BARS = {"float32": 5.0, "bfloat16": 7.5}
CPU = torch.device("cpu")


EpochMetrics = Callable[[], object]
Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Way:
    """One way to train.

    Attributes:
        kind: ``textbook``, ``alone`` or ``lanes``.
        workers: Processes of the textbook's DataLoader.
        trials: Networks that train at once.
        bfloat16: Arithmetic of the lanes' training steps.
    """

    kind: str
    workers: int = 0
    trials: int = 1
    bfloat16: bool = False

    @property
    def precision(self) -> str:
        """Name of the arithmetic."""
        return "bfloat16" if self.bfloat16 else "float32"

    def __str__(self) -> str:
        """Return its name in the table."""
        if self.kind == "textbook":
            return f"a. textbook loop, {self.workers} workers"
        if self.kind == "alone":
            return "b. alone, tensors in memory"
        return f"c. {self.trials} lanes, {self.precision}"


def main() -> int:
    """Measure every way, interleaved; print the table; return 0 if the bar is reached."""
    options = parse()
    ways = [Way("textbook", workers=workers) for workers in options.workers]
    ways.append(Way("alone"))
    ways += [Way("lanes", trials=n, bfloat16=bf) for bf in (False, True) for n in options.lanes]
    images = min(SEARCH_IMAGES, options.steps * BATCH)
    describe(images, options.repetitions)
    seconds: dict[Way, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(prefix="throughput-") as root:
        lay_out(Path(root))
        for repetition in range(options.repetitions):
            for way in ways:
                seconds[way].append(in_a_process(way, images, root))
                print(f"  {repetition + 1}/{options.repetitions} {way}: {seconds[way][-1]:.2f} s", flush=True)
    return report(seconds)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS, help=f"minibatches timed, of {STEPS}")
    parser.add_argument("--lanes", type=whole_numbers, default=[2, 4, 8, 16])
    parser.add_argument("--workers", type=whole_numbers, default=[0, 2, 4])
    options = parser.parse_args()
    if options.repetitions < 1 or not 1 <= options.steps <= STEPS:
        parser.error(f"--repetitions must be 1 or more, --steps 1 to {STEPS}")
    return options


def whole_numbers(text: str) -> list[int]:
    """Read ``2,4,8``."""
    return [int(word) for word in text.split(",")]


def describe(images: int, repetitions: int) -> None:
    """Print on what the figures were taken."""
    load = f", load average {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    print(f"{processor()}, {os.cpu_count()} processors, {torch.get_num_threads()} threads{load}")
    print(f"Python {platform.python_version()}, torch {torch.__version__}, n = {repetitions} repetitions")
    if images < SEARCH_IMAGES:
        print(f"ONLY {images:,} of {SEARCH_IMAGES:,} images timed; seconds are scaled to the whole")


def processor() -> str:
    """Return the processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")


def lay_out(root: Path) -> None:
    """Put the data where torchvision looks for it: ``root/FashionMNIST/raw``, unpacked."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    names = data.TRAIN + data.TEST  # torchvision wants all four; only the training files are read here
    source = data._find(None, names, download=True)  # noqa: SLF001 - the files, not the tensors
    for name in names:
        packed = source / f"{name}.gz"
        content = gzip.decompress(packed.read_bytes()) if packed.exists() else (source / name).read_bytes()
        (raw / name).write_bytes(content)


def in_a_process(way: Way, images: int, root: str) -> float:
    """Return a way's seconds per trial-epoch, measured in a fresh process."""
    before = dict(os.environ)
    if way.kind == "lanes":
        prepare_environment()
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(measure, way, images, root).result()
    finally:
        os.environ.clear()
        os.environ.update(before)


def measure(way: Way, images: int, root: str) -> float:
    """Train a few minibatches to warm up, then an epoch on the clock."""
    make = {"textbook": textbook, "alone": alone, "lanes": lanes}[way.kind]
    make(way, min(images, 4 * BATCH), root)()
    epoch = make(way, images, root)
    started = time.perf_counter()
    epoch()
    return (time.perf_counter() - started) / way.trials * SEARCH_IMAGES / images


def textbook(way: Way, images: int, root: str) -> EpochMetrics:
    """Return an epoch of the textbook's loop: images decoded and stacked by a DataLoader, figures added up."""
    from torchvision.datasets import FashionMNIST
    from torchvision.transforms import ToTensor

    everything = FashionMNIST(root, train=True, transform=ToTensor())
    # The quick way to start workers, Linux's default; this process was spawned and would spawn them as well.
    start = "fork" if way.workers and sys.platform == "linux" else None
    loader = partial(DataLoader, batch_size=BATCH, num_workers=way.workers, multiprocessing_context=start)
    first = SEARCH_IMAGES
    train = loader(Subset(everything, range(images)), shuffle=True)
    held_out = loader(Subset(everything, range(first, first + images // 5)))
    network, sgd = network_and_sgd()

    def epoch() -> None:
        train_epoch(network, sgd, train)
        evaluate(network, held_out)

    return epoch


def alone(_way: Way, images: int, _root: str) -> EpochMetrics:
    """Return an epoch of the same network on minibatches taken from tensors in memory."""
    split = load_search(None, CPU, train_images=images)
    pixels, held_out = split.train.pixels.unsqueeze(1), evaluation(split, images)
    network, sgd = network_and_sgd()

    def epoch() -> None:
        order = torch.randperm(images)
        train_epoch(network, sgd, ((pixels[i], split.train.labels[i]) for i in torch.split(order, BATCH)))
        evaluate(
            network,
            zip(
                torch.split(held_out.pixels.unsqueeze(1), 500),
                torch.split(held_out.labels, 500),
                strict=True,
            ),
        )

    return epoch


def lanes(way: Way, images: int, _root: str) -> EpochMetrics:
    """Return an epoch of the study's lanes, in a process prepared as the study prepares its own."""
    prepare_process()
    split = load_search(None, CPU, train_images=images)
    few = Split(split.train, evaluation(split, images), split.checksums)
    side_by_side = Lanes(few, batch_size=BATCH, order_seed=0, bfloat16=way.bfloat16)
    for key in range(way.trials):
        side_by_side.add(key, seed=key)
    rates = {key: np.full(side_by_side.steps, RATE) for key in range(way.trials)}
    return lambda: side_by_side.train_epoch(rates)


def evaluation(split: Split, images: int) -> Images:
    """Return the images to measure on: a fifth of those trained on, as in the whole split."""
    if split.evaluation is None:
        raise ValueError("the search's split has images to measure on")
    return split.evaluation.part(0, images // 5)


def network_and_sgd() -> tuple[nn.Sequential, torch.optim.SGD]:
    """Return one LeNet and its optimizer."""
    network = lenet(0)
    return network, torch.optim.SGD(network.parameters(), lr=RATE)


def train_epoch(network: nn.Module, sgd: torch.optim.SGD, batches: Batches) -> None:
    """Train on every minibatch, adding up loss and accuracy as the textbook does."""
    loss_sum = right = 0.0
    for pixels, labels in batches:
        sgd.zero_grad()
        logits = network(pixels)
        loss = nn.functional.cross_entropy(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        sgd.step()
        with torch.no_grad():
            loss_sum += float(loss) * len(labels)
            right += float((logits.argmax(1) == labels).sum())


@torch.no_grad()
def evaluate(network: nn.Module, batches: Batches) -> float:
    """Return the number of images classified right."""
    return sum(float((network(pixels).argmax(1) == labels).sum()) for pixels, labels in batches)


def report(seconds: dict[Way, list[float]]) -> int:
    """Print the table; return 0 if the bar is reached."""
    medians = {way: statistics.median(taken) for way, taken in seconds.items()}
    textbook_best = min(median for way, median in medians.items() if way.kind == "textbook")
    print(f"\n{'way':32} {'s/trial-epoch':>14} {'range':>15} {'n':>3} {'a / this':>9}")
    for way, taken in seconds.items():
        spread = f"{min(taken):.2f}..{max(taken):.2f}"
        times = textbook_best / medians[way]
        print(f"{way!s:32} {medians[way]:14.2f} {spread:>15} {len(taken):3} {times:9.1f}")
    reached = True
    for precision, bar in BARS.items():
        lanes_only = [way for way in medians if way.kind == "lanes" and way.precision == precision]
        best = min(lanes_only, key=medians.__getitem__)
        times = textbook_best / medians[best]
        reached &= times >= bar
        print(f"{best}: {times:.1f} times faster than the best textbook loop; the bar is {bar}: "
              f"{'reached' if times >= bar else 'MISSED'}")  # fmt: skip
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())

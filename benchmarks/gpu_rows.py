"""The rows of ``gpu.py``: each measures one thing, prints it, and returns whether its bar was reached."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu_work import (
    CPU,
    FLOAT32_TOLERANCE,
    LAUNCHES,
    RATE,
    TOLERANCE,
    WAITS,
    Scale,
    apart,
    bar,
    calls,
    compiled,
    epochs_of,
    grouped,
    head,
    lanes_of,
    line,
    moved,
    per_step,
    precision,
    print_sum,
    random_split,
    rounding,
    textbook_epoch,
    there_and_back,
    timed,
    trained,
    unfolded,
)
from benchmarks.throughput import BATCH
from study.training.graphs import WARM_UPS


def equality(scale: Scale) -> bool:
    """Lanes on the card against lanes on the CPU."""
    split = random_split(scale.device, 2_000 if scale.device.type == "cuda" else 300, 500)
    there = trained(split, epochs=2, dtype=torch.float64)
    here = trained(moved(split, CPU), epochs=2, dtype=torch.float64, constant=False)
    reached = bar("largest difference of a weight, float64, 2 epochs", apart(there, here), TOLERANCE)
    return reached & bar("largest relative error of a logit, float32", rounding(split), FLOAT32_TOLERANCE)


def replay(scale: Scale) -> bool:
    """Replayed steps against steps that are launched one by one, and against themselves."""
    split = random_split(scale.device, scale.images, 500)
    reached = True
    for bfloat16 in (False, True):
        name = precision(bfloat16=bfloat16)
        first = trained(split, bfloat16=bfloat16)
        again, launched = trained(split, bfloat16=bfloat16), trained(split, bfloat16=bfloat16, graphs=False)
        reached &= bar(f"{name}: replayed against launched, largest difference", apart(first, launched), 0)
        reached &= bar(f"{name}: replayed against replayed again", apart(first, again), 0)
    return reached


def waits(scale: Scale) -> bool:
    """How often the host waits within the steps of an epoch, and what it launches."""
    split = random_split(scale.device, scale.images, 500)
    reached = True
    for graphs in (True, False):
        lanes = lanes_of(split, scale.width, graphs=graphs)
        epochs_of(lanes, WARM_UPS + 1)
        steps, works = lanes._epoch or lanes._prepared()  # noqa: SLF001 - the epoch without its begin and end
        steps.begin(np.full((lanes.steps, scale.width), RATE), torch.arange(scale.images))
        called = calls(works, scale.device)
        found = sum(called.count(name) for name in WAITS)
        launched = sum(called.count(name) for name in LAUNCHES)
        way = "replayed" if graphs else "one by one"
        reached &= bar(
            f"{way}: waits in {lanes.steps} steps and the measuring ({launched} launches)", found, 0
        )
    if scale.device.type == "cuda":
        asked = calls([partial(print_sum, steps.figures)], scale.device)
        if not any(asked.count(name) for name in WAITS):
            raise RuntimeError("the profiler does not see a wait that was made on purpose")
    return reached


def ways(scale: Scale) -> bool:
    """Milliseconds a step by four ways and in two precisions."""
    split = random_split(scale.device, scale.images, 500)
    head(f"{scale.width} lanes", "ms a step", "range", "n")
    for bfloat16 in (False, True):
        for name, graphs, compiler in (
            ("launched one by one", False, None),
            ("replayed", True, None),
            ("compiled", False, scale.compiler),
            ("compiled, replayed", True, scale.compiler),
        ):
            with compiled(compiler):
                taken = per_step(lanes_of(split, scale.width, bfloat16=bfloat16, graphs=graphs), scale)
            line(f"{precision(bfloat16=bfloat16)}, {name}", taken)
    return True


def conv2(scale: Scale) -> bool:
    """The second convolution forward and backward, by two ways."""
    lanes, batch, draw = scale.width, BATCH, torch.Generator().manual_seed(0)
    made = partial(torch.randn, generator=draw)
    head(f"{lanes} lanes, forward and backward", "ms", "range", "n")
    for dtype in (torch.float32, torch.bfloat16):
        images = (
            made(batch, 6 * lanes, 14, 14)
            .to(scale.device, dtype)
            .contiguous(memory_format=torch.channels_last)
        )
        kernels = made(16 * lanes, 6, 5, 5).to(scale.device, dtype)
        given = made(batch, 16 * lanes, 10, 10).to(scale.device, dtype)
        found = []
        for name, convolve in (("grouped", grouped), ("unfold, batched products", unfolded)):
            both = partial(there_and_back, convolve, images, kernels, given)
            found.append(both())
            line(f"{dtype}".removeprefix("torch.") + f", {name}", timed(both, scale, most=20))
        difference = float((found[0] - found[1]).abs().max() / found[0].abs().max())
        print(f"  they differ by {difference:.0e} of the largest value")
    return True


def settings(scale: Scale) -> bool:
    """Milliseconds a float32 step, by what cuDNN and cuBLAS are allowed."""
    split = random_split(scale.device, scale.images, 500)
    cudnn, cublas = torch.backends.cudnn, torch.backends.cuda.matmul
    head(f"float32, {scale.width} lanes, replayed", "ms a step", "range", "n")
    for arithmetic in ("ieee", "tf32"):
        for deterministic, search in ((True, False), (False, False), (False, True)):
            cudnn.conv.fp32_precision = cublas.fp32_precision = arithmetic  # type: ignore[attr-defined]  # made at run time
            cudnn.deterministic, cudnn.benchmark = deterministic, search
            name = f"{arithmetic}, cuDNN {'deterministic' if deterministic else 'free'}{', benchmarked' if search else ''}"
            line(name, per_step(lanes_of(split, scale.width), scale))
    return True


def lanes(scale: Scale) -> bool:
    """What more lanes give."""
    head("replayed, a fifth more images measured", "ms a step", "range", "n", "s/trial-epoch", "peak GiB")
    for bfloat16 in (False, True):
        for width in scale.lanes:
            if scale.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            # As many images for all lanes together, five steps at least: 512 lanes of 50 steps took half a minute.
            images = min(scale.images, max(5 * BATCH, scale.images * scale.lanes[0] // width))
            split = random_split(scale.device, images, images // 5)
            side_by_side = lanes_of(split, width, bfloat16=bfloat16)
            taken = per_step(side_by_side, scale, most=2)
            each = statistics.median(taken) / 1e3 * scale.whole[0] / BATCH / width
            peak = torch.cuda.max_memory_allocated() / 2**30 if scale.device.type == "cuda" else float("nan")
            line(f"{precision(bfloat16=bfloat16)}, {width} lanes", taken, f"{each:13.4f}", f"{peak:8.1f}")
    return True


def textbook(scale: Scale) -> bool:
    """A hundred trials side by side against one trial by the textbook's loop."""
    trials, epochs = scale.trials
    loops = {workers: textbook_epoch(scale, workers) for workers in (0, 2)}
    best = min(loops, key=loops.__getitem__)
    print(
        f"  textbook, {best} workers: {loops[best]:.2f} s an epoch (n = 1), {loops[best] * epochs:.0f} s a trial of {epochs}"
    )
    split = random_split(scale.device, *scale.whole)
    fastest = float("inf")
    for bfloat16 in (False, True):
        side_by_side = lanes_of(split, trials, bfloat16=bfloat16)
        epoch = statistics.median(per_step(side_by_side, scale, most=3)) / 1e3 * side_by_side.steps
        print(
            f"  {trials} trials side by side, {precision(bfloat16=bfloat16)}: {epoch:.2f} s an epoch, {epoch * epochs:.0f} s for {epochs}"
        )
        fastest = min(fastest, epoch)
    # At tiny sizes nothing is known of the goal.
    goal = float("inf") if scale.device.type == "cpu" else 1.0
    return bar(f"{trials} trials' time in textbook trials", fastest / loops[best], goal)


def search(scale: Scale) -> bool:
    """The whole command, in an empty folder."""
    trials, epochs = scale.trials
    few = [] if scale.device.type == "cuda" else ["--train-images", str(scale.images)]
    command = [sys.executable, "-m", "study.search", "--trials", str(trials), "--epochs", str(epochs)]
    environment = dict(os.environ)
    if Path("data").is_dir():
        environment.setdefault("FASHION_MNIST_DIR", str(Path("data").resolve()))
    with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
        started = time.monotonic()
        done = subprocess.run([*command, "--device", scale.device.type, *few], cwd=folder, env=environment,
                              capture_output=True, text=True, check=False)  # fmt: skip
        taken = time.monotonic() - started
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no word"])[-1])
    print(f"  {trials} trials of {epochs} epochs: {taken:.0f} s, everything included (n = 1)")
    return True


ROWS: dict[str, Callable[[Scale], bool]] = {
    row.__name__: row for row in (equality, replay, waits, ways, conv2, settings, lanes, textbook, search)
}

"""What the rows of ``gpu_rows.py`` are made of: sizes, lanes to time, clocks, ways to convolve, lines of a table."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.throughput import BATCH, lay_out, network_and_sgd
from study.problems.fashion_mnist import Images, Split
from study.training import epoch_steps
from study.training.graphs import WARM_UPS, Work
from study.training.lanes import Lanes, automatic_lanes
from study.training.lenet import forward, lenet, stack
from study.training.process import prepare_process

Convolution = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]

CPU = torch.device("cpu")
RATE = 0.1
#: Largest difference of two weights, in float64, after two epochs of which the order of sums alone is to blame.
TOLERANCE = 1e-9
#: Largest error of a logit, as a share of the largest logit, in float32; TF32's, of 10 bits, is a hundred times larger.
FLOAT32_TOLERANCE = 1e-5
#: What a host calls to wait for the card, and what it calls to make it work, as the profiler names them.
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")
LAUNCHES = (
    "cudaLaunchKernel",
    "cudaLaunchKernelExC",
    "cuLaunchKernel",
    "cuLaunchKernelEx",
    "cudaGraphLaunch",
)


@dataclass(frozen=True)
class Scale:
    """How much is measured, and where.

    Attributes:
        device: The card, or the CPU.
        images: Images of an epoch that is timed.
        whole: Images of a study's epoch, trained on and measured on.
        lanes: Numbers of lanes.
        trials: Trials of a search, and their epochs.
        repetitions: Epochs timed, of which the median counts.
        compiler: Backend of ``torch.compile``.
    """

    device: torch.device
    images: int
    whole: tuple[int, int]
    lanes: tuple[int, ...]
    trials: tuple[int, int]
    repetitions: int
    compiler: str

    @property
    def width(self) -> int:
        """Lanes of a study on a card."""
        return min(automatic_lanes(torch.device("cuda")), self.lanes[-1])


CARD = Scale(
    torch.device("cuda"), 50 * BATCH, (50_000, 10_000), (32, 64, 128, 256, 512), (100, 30), 5, "inductor"
)
DRY = Scale(CPU, 2 * BATCH - 56, (2 * BATCH - 56, 100), (2, 3), (2, 1), 1, "eager")


def random_split(device: torch.device, train: int, held_out: int) -> Split:
    """Return images of noise: what is measured does not depend on what they show."""
    draw = torch.Generator().manual_seed(0)

    def images(number: int) -> Images:
        pixels = torch.rand(number, 28, 28, generator=draw)
        return Images(pixels.to(device), torch.randint(0, 10, (number,), generator=draw).to(device))

    return Split(images(train), images(held_out), {})


def moved(split: Split, device: torch.device) -> Split:
    """Return the same images on another device."""
    train, held_out = (
        Images(part.pixels.to(device), part.labels.to(device))
        for part in (split.train, split.evaluation or split.train)
    )
    return Split(train, held_out, {})


def lanes_of(split: Split, width: int, *, graphs: bool = True, constant: bool = True, **how: Any) -> Lanes:
    """Return so many lanes, in a process prepared as the study prepares its own."""
    prepare_process()
    side_by_side = Lanes(split, batch_size=BATCH, order_seed=0, constant=constant, **how)
    if not graphs:
        side_by_side.recorder = None
    for key in range(width):
        side_by_side.add(key, seed=key)
    return side_by_side


def epochs_of(lanes: Lanes, number: int) -> None:
    """Train so many epochs."""
    for _ in range(number):
        lanes.train_epoch({key: np.full(lanes.steps, RATE) for key in lanes.keys})


def trained(split: Split, *, epochs: int = WARM_UPS + 2, **how: Any) -> Lanes:
    """Return four lanes, one of which ended after the first epoch, trained so far that every graph is replayed."""
    lanes = lanes_of(split, 4, **how)
    epochs_of(lanes, 1)
    lanes.drop(2)
    epochs_of(lanes, epochs - 1)
    return lanes


def apart(one: Lanes, other: Lanes) -> float:
    """Return the largest difference of two weights; infinite where there is none to compare."""
    differences = [
        float((weight.cpu() - other.weights(key)[name].cpu()).abs().max())
        for key in one.keys
        for name, weight in one.weights(key).items()
    ]
    return float("inf") if any(map(math.isnan, differences)) else max(differences)


def rounding(split: Split) -> float:
    """Return the largest difference of a logit in float32 on the device from one in float64 on the CPU, relative."""
    prepare_process()
    device = split.train.pixels.device
    with torch.no_grad():
        rough, exact = (
            forward(stack([lenet(0, dtype).state_dict()], there), split.train.pixels.to(there, dtype)).cpu()
            for dtype, there in ((torch.float32, device), (torch.float64, CPU))
        )
    return float((rough - exact).abs().max() / exact.abs().max())


def print_sum(tensor: torch.Tensor) -> None:
    """Ask the card for a value, so that the host waits."""
    print(f"  a value that is asked for on purpose: {float(tensor.sum()):.1f}")


def calls(works: Sequence[Work], device: torch.device) -> list[str]:
    """Return what the host called while it had work done."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiler, record_function("all of it"):
        for work in works:
            work()
    events = profiler.events() or []
    host = [event for event in events if event.device_type.name == "CPU"]
    (all_of_it,) = [event.time_range for event in host if event.name == "all of it"]
    return [event.name for event in host if all_of_it.start <= event.time_range.start <= all_of_it.end]


def per_step(lanes: Lanes, scale: Scale, *, most: int | None = None) -> list[float]:
    """Return milliseconds a step, measuring included, of some epochs after every graph is replayed."""
    epochs_of(lanes, WARM_UPS + 1)
    return [taken / lanes.steps for taken in timed(partial(epochs_of, lanes, 1), scale, most=most)]


def timed(work: Callable[[], object], scale: Scale, *, most: int | None = None) -> list[float]:
    """Return milliseconds that the work takes, each time until the card has done it."""
    taken = []
    for _ in range(scale.repetitions if most is None else min(most, 4 * scale.repetitions)):
        synchronise(scale.device)
        started = time.perf_counter()
        work()
        synchronise(scale.device)
        taken.append(1e3 * (time.perf_counter() - started))
    return taken


def synchronise(device: torch.device) -> None:
    """Wait for the card."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def compiled(backend: str | None) -> AbstractContextManager[object]:
    """Let the steps' forward pass, and with it the backward one, be compiled."""
    if backend is None:
        return nullcontext()
    return patch.object(epoch_steps, "forward", torch.compile(forward, backend=backend, dynamic=False))


def there_and_back(
    convolve: Convolution, images: torch.Tensor, kernels: torch.Tensor, given: torch.Tensor
) -> torch.Tensor:
    """Return a convolution, after its gradients have been computed from the one given."""
    x, w = images.detach().requires_grad_(), kernels.detach().requires_grad_()
    result = convolve(x, w, x.shape[1] // 6)
    torch.autograd.grad(result, [x, w], given)
    return result.detach()


def grouped(images: torch.Tensor, kernels: torch.Tensor, lanes: int) -> torch.Tensor:
    """Return the convolution by groups."""
    return functional.conv2d(images, kernels, groups=lanes)


def unfolded(images: torch.Tensor, kernels: torch.Tensor, lanes: int) -> torch.Tensor:
    """Return the same by one product a lane: kernels ``[L, D, C K K]`` times patches ``[L, C K K, B H W]``."""
    batch = len(images)
    patches = (
        functional.unfold(images, 5).view(batch, lanes, 150, 100).permute(1, 2, 0, 3).reshape(lanes, 150, -1)
    )
    products = torch.bmm(kernels.view(lanes, 16, 150), patches)
    return products.view(lanes, 16, batch, 10, 10).permute(2, 0, 1, 3, 4).reshape(batch, lanes * 16, 10, 10)


def textbook_epoch(scale: Scale, workers: int) -> float:
    """Return the seconds of an epoch of the textbook's loop: torchvision, ToTensor, DataLoader, figures as it goes."""
    from torch.utils.data import DataLoader, Subset
    from torchvision.datasets import FashionMNIST
    from torchvision.transforms import ToTensor

    with tempfile.TemporaryDirectory(prefix="textbook-") as root:
        lay_out(Path(root))
        everything = FashionMNIST(root, train=True, transform=ToTensor())
        loader = partial(
            DataLoader, batch_size=BATCH, num_workers=workers, pin_memory=scale.device.type == "cuda"
        )
        train, held_out = scale.whole
        parts = Subset(everything, range(train)), Subset(everything, range(50_000, 50_000 + held_out))
        network, sgd = network_and_sgd()
        network.to(scale.device)
        for timing in (False, True):
            synchronise(scale.device)
            started = time.perf_counter()
            for pixels, labels in loader(
                parts[0] if timing else Subset(everything, range(2 * BATCH)), shuffle=True
            ):
                textbook_step(network, sgd, pixels.to(scale.device), labels.to(scale.device))
            with torch.no_grad():
                for pixels, labels in loader(parts[1]):
                    float((network(pixels.to(scale.device)).argmax(1) == labels.to(scale.device)).sum())
        return time.perf_counter() - started


def textbook_step(
    network: nn.Module, sgd: torch.optim.SGD, pixels: torch.Tensor, labels: torch.Tensor
) -> float:
    """Train on a minibatch; return its loss, as the textbook adds it up."""
    sgd.zero_grad()
    loss = functional.cross_entropy(network(pixels), labels)
    torch.autograd.backward(loss)
    sgd.step()
    return loss.item()


def precision(*, bfloat16: bool) -> str:
    """Return the name of the steps' arithmetic."""
    return "bfloat16" if bfloat16 else "float32"


def bar(what: str, found: float, limit: float) -> bool:
    """Print a figure that must not be above a limit; return whether it is not."""
    reached = found <= limit
    print(f"  {what}: {found:.3g}, at most {limit:.3g}: {'reached' if reached else 'MISSED'}")
    return reached


def head(what: str, *columns: str) -> None:
    """Print a table's head."""
    widths = (11, 17, 4, 14, 9)
    print(f"  {what:44}" + "".join(f"{c:>{w}}" for c, w in zip(columns, widths, strict=False)))


def line(what: str, taken: list[float], *more: str) -> None:
    """Print a table's row: median, range and number of milliseconds."""
    spread = f"{min(taken):.3f}..{max(taken):.3f}"
    print(
        f"  {what:44}{statistics.median(taken):11.3f}{spread:>17}{len(taken):4}"
        + "".join(f" {m}" for m in more)
    )

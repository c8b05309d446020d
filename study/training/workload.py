"""What a study trains: the default problem, by its fast path or by another optimizer, or a user's problem.

Whichever it is, it answers alike: what it is called and measured by, and lanes to train it in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from study.core.errors import InputError
from study.core.metric import ACCURACY, Metric
from study.core.records import DEFAULT_PROBLEM, SEARCH_IMAGES, StudyConfig
from study.outside.memory import require_room
from study.problems.definition import OptimizerFactory, Problem, sgd
from study.problems.examples import Examples
from study.problems.fashion_mnist import Split, load_search
from study.problems.loading import Loaded, load_problem
from study.problems.probe import probe
from study.training.general.fused import ProblemLanes
from study.training.general.lane_memory import lane_memory
from study.training.general.mixed import Mixed
from study.training.general.proof import Proof, prove, require_bfloat16
from study.training.general.schedule_free import schedule_free as free_form
from study.training.lanes import Lanes
from study.training.lenet import lenet, lenet_memory
from study.training.side_by_side import SideBySide

#: Optimizers of the default problem by name, each with the base rates that are searched with it.
OPTIMIZERS: Mapping[str, tuple[Callable[[float], OptimizerFactory], tuple[float, float]]] = {
    "sgd": (lambda decay: lambda p, lr: torch.optim.SGD(p, lr=lr, weight_decay=decay), (0.02, 2.0)),
    "momentum": (
        lambda decay: lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, weight_decay=decay), (0.002, 0.2)
    ),
    "nesterov": (
        lambda decay: lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, nesterov=True, weight_decay=decay),
        (0.002, 0.2),
    ),
    "adamw": (lambda decay: lambda p, lr: torch.optim.AdamW(p, lr=lr, weight_decay=decay), (1e-4, 2e-2)),
}  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """What a study trains, opened on a device.

    Attributes:
        name: The problem's name.
        epochs: Length of a trial, unless asked otherwise.
        batch_size: Examples a minibatch, likewise.
        train_images: Examples that are trained on.
        base_rate: Range of base rates.
        metric: What trials are measured by.
        data: Checksums of the data.
        source: SHA-256 of the user's file; empty for the default problem.
        optimizer: Name of the optimizer; ``own`` where the problem brings it.
        weight_decay: Its weight decay; 0 where the problem brings it.
        facts: What the study keeps beside its settings: where the problem is found, whether its lanes are fused.
        make: Makes lanes; see :meth:`lanes`.
        memory: Bytes that a lane takes, from the examples a minibatch and whether it trains in bfloat16.
    """

    name: str
    epochs: int
    batch_size: int
    train_images: int
    base_rate: tuple[float, float]
    metric: Metric
    data: Mapping[str, str]
    source: str
    optimizer: str
    weight_decay: float
    facts: Mapping[str, str]
    make: Callable[..., SideBySide] = field(repr=False)
    memory: Callable[..., int] = field(repr=False)

    def lanes(
        self,
        *,
        batch_size: int,
        order_seed: int,
        averaging: float | None = None,
        bfloat16: bool = False,
        clock: int = 0,
    ) -> SideBySide:
        """Return empty lanes; arguments as of ``Lanes``."""
        return self.make(
            batch_size=batch_size, order_seed=order_seed, averaging=averaging, bfloat16=bfloat16, clock=clock
        )

    def require_room(self, lanes: int, config: StudyConfig) -> None:
        """Refuse more lanes than there is memory for, before anything is made.

        Raises:
            InputError: They do not fit.
        """
        require_room(
            lanes, self.memory(config.batch_size, bfloat16=config.precision == "bfloat16"), config.device
        )


def open_workload(
    reference: str | None,
    device: torch.device,
    *,
    data_dir: str | None = None,
    train_images: int | None = None,
    optimizer: str | None = None,
    weight_decay: float | None = None,
    schedule_free: bool = False,
) -> Workload:
    """Return the user's problem that ``reference`` names, or the default one; everything that can be wrong is looked at.

    Args:
        reference: ``FILE.py:name`` or ``module:name``; ``None`` for Fashion-MNIST.
        device: Where it is trained.
        data_dir: Folder of Fashion-MNIST.
        train_images: The first so many examples are trained on; ``None`` for all.
        optimizer: Name of the default problem's optimizer, ``sgd`` unless given.
        weight_decay: Its weight decay.
        schedule_free: Whether lanes of the family ``schedule_free`` are among those to come.

    Raises:
        InputError: The problem cannot be used, or an option does not go with it.
    """
    if reference is None:
        return _default(
            device, data_dir, train_images or SEARCH_IMAGES, optimizer or "sgd", weight_decay or 0.0,
            schedule_free=schedule_free,
        )  # fmt: skip
    for name, given in (("optimizer", optimizer), ("weight_decay", weight_decay), ("data_dir", data_dir)):
        if given is not None:
            raise InputError(f"`{name}` {given} goes with the default problem; a `problem` brings its own")
    return _own(load_problem(reference), device, train_images, schedule_free=schedule_free)


def _own(loaded: Loaded, device: torch.device, train_images: int | None, *, schedule_free: bool) -> Workload:
    problem = loaded.problem
    network = probe(problem, device)
    train = problem.examples("train", device)
    if train_images is not None and train_images > len(train):
        raise InputError(f"`train_images` must be in 1..{len(train)}, got {train_images}")
    engine = _Engine.of(problem, device, train_images, schedule_free=schedule_free)
    data = {part: problem.examples(part, device).digest() for part in ("train", "validation")}
    return Workload(
        name=problem.name,
        epochs=problem.epochs,
        batch_size=problem.batch_size,
        train_images=train_images or len(train),
        base_rate=(float(problem.base_rate[0]), float(problem.base_rate[1])),
        metric=problem.measured,
        data=data,
        source=loaded.source,
        optimizer="own",
        weight_decay=0.0,
        facts={"problem_reference": loaded.reference, "lanes": str(engine)},
        make=engine.lanes,
        memory=lambda batch_size, **_: lane_memory(
            problem, network, device, batch_size, fused=engine.proof.fused
        ),
    )


def _default(
    device: torch.device,
    data_dir: str | None,
    train_images: int,
    optimizer: str,
    weight_decay: float,
    *,
    schedule_free: bool,
) -> Workload:
    if optimizer not in OPTIMIZERS:
        raise InputError(f"`optimizer` must be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    split = load_search(data_dir, device, train_images=train_images)
    factory, base_rate = OPTIMIZERS[optimizer]
    shared: dict[str, Any] = {
        "name": DEFAULT_PROBLEM, "epochs": 30, "batch_size": 256, "train_images": train_images,
        "base_rate": base_rate, "metric": ACCURACY, "data": split.checksums, "source": "",
        "optimizer": optimizer, "weight_decay": weight_decay,
    }  # fmt: skip
    problem = fashion_mnist(split, factory(weight_decay), base_rate)
    if optimizer == "sgd" and weight_decay == 0:
        fast = "lanes are fused: LeNet's hand-made path for plain SGD"
        make = partial(fashion_mnist_lanes, split, schedule_free=schedule_free)
        return Workload(**shared, facts={"lanes": fast}, make=make, memory=lenet_memory)
    engine = _Engine.of(problem, device, schedule_free=schedule_free)
    return Workload(**shared, facts={"lanes": str(engine)}, make=engine.lanes, memory=lenet_memory)


def fashion_mnist_lanes(split: Split, *, schedule_free: bool = False, **how: Any) -> SideBySide:
    """Return lanes of LeNet by plain SGD; those of the family ``schedule_free``, where asked for, on a side of their own.

    Args:
        split: Images to train and to measure on.
        schedule_free: Whether lanes of that family are among those to come.
        how: As of ``Lanes``.
    """
    lanes = Lanes(split, **how)
    if not schedule_free:
        return lanes
    problem = fashion_mnist(split, free_form(sgd), OPTIMIZERS["sgd"][1])
    device = split.train.pixels.device
    unmeasured = split.evaluation is None or split.on_test  # the test set is scored by itself
    measured = None if unmeasured else problem.examples("validation", device)
    free = ProblemLanes(problem, problem.examples("train", device), measured, fused=True, **how)
    return Mixed(lanes, free)


def fashion_mnist(split: Split, optimizer: OptimizerFactory, base_rate: tuple[float, float]) -> Problem:
    """Return the default problem, LeNet on Fashion-MNIST, as a ``Problem`` like any other."""
    parts = [
        (images.pixels.unsqueeze(1), images.labels)
        for images in (split.train, split.evaluation or split.train)
    ]
    return Problem(
        name=DEFAULT_PROBLEM,
        # A Problem's model is drawn from torch's seed; LeNet takes one: the same network for the same seed.
        model=lambda: lenet(torch.initial_seed()),
        train=parts[0],
        validation=parts[1],
        loss=functional.cross_entropy,
        metric="accuracy",
        chance=ACCURACY.chance,
        optimizer=optimizer,
        base_rate=base_rate,
        batch_size=256,
        epochs=30,
    )


@dataclass(frozen=True)
class _Engine:
    """The general engine for a problem: whether its lanes are fused, and the one for its schedule-free form."""

    problem: Problem
    device: torch.device
    proof: Proof
    train: Examples
    free: _Engine | None

    @classmethod
    def of(
        cls,
        problem: Problem,
        device: torch.device,
        train_images: int | None = None,
        *,
        schedule_free: bool = False,
    ) -> _Engine:
        """Prove the problem, and its schedule-free form where that is asked for.

        Raises:
            InputError: There is no such form of its optimizer.
        """
        train = problem.examples("train", device)
        first = train if train_images is None else train.part(0, train_images)
        free = cls.of(_freed(problem, device), device, train_images) if schedule_free else None
        return cls(problem, device, prove(problem, device), first, free)

    def __str__(self) -> str:
        """Return how lanes are trained."""
        return str(self.proof) + _of_opponents(self.free)

    def lanes(self, **how: Any) -> SideBySide:
        """Return empty lanes; those of ``schedule_free`` on a side of their own."""
        lanes = self.one_kind(**how)
        return lanes if self.free is None else Mixed(lanes, self.free.one_kind(**how))

    def one_kind(self, **how: Any) -> ProblemLanes:
        """Return empty lanes of this problem's own optimizer."""
        if how["bfloat16"]:
            require_bfloat16(self.problem, self.device, fused=self.proof.fused)
        measured = self.problem.examples("validation", self.device)
        return ProblemLanes(self.problem, self.train, measured, fused=self.proof.fused, **how)


def _of_opponents(free: _Engine | None) -> str:
    return "" if free is None else f"; of schedule_free, {free.proof}"


def _freed(problem: Problem, device: torch.device) -> Problem:
    """Return a problem with the schedule-free form of its optimizer, on the same data in memory."""
    form = free_form(problem.optimizer)
    form(problem.build(0).parameters(), 1.0)  # which raises where there is none
    train, validation = (tuple(problem.examples(part, device)) for part in ("train", "validation"))
    return replace(problem, optimizer=form, train=train, validation=validation, test=None)

"""What a study trains: the default problem, by its fast path or by another optimizer, or a user's problem.

Whichever it is, it answers alike: what it is called and measured by, and lanes to train it in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch
from torch.nn import functional

from study.core.errors import InputError
from study.core.metric import ACCURACY, Metric
from study.core.records import ALL_IMAGES, DEFAULT_PROBLEM, SEARCH_IMAGES, StudyConfig
from study.outside.memory import require_room
from study.problems.definition import PARTS, OptimizerFactory, Problem, sgd
from study.problems.examples import Examples
from study.problems.fashion_mnist import Images, Split, load_final, load_search, load_training, require_final
from study.problems.loading import Loaded, load_problem
from study.problems.probe import probe
from study.problems.user_code import user_code
from study.training.evaluation import Examination, Scores, score_examples
from study.training.general.fused import ProblemLanes
from study.training.general.lane_memory import lane_memory
from study.training.general.mixed import Engine, Mixed
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
        examine: Makes what finalists are trained on and judged by; see :meth:`examination`.
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
    examine: Callable[[int | None], Examination] = field(repr=False)

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

    def require_room(self, lanes: int, config: StudyConfig, *, what: str = "") -> None:
        """Refuse more lanes than there is memory for, before anything is made.

        Args:
            lanes: Lanes side by side.
            config: The study's settings.
            what: What they are called, unless they are lanes.

        Raises:
            InputError: They do not fit.
        """
        taken = self.memory(config.batch_size, bfloat16=config.precision == "bfloat16")
        require_room(lanes, taken, config.device, *([what] if what else []))

    def examination(self, train_images: int | None = None) -> Examination:
        """Return what finalists are trained on, all but the test data, and what judges them.

        Args:
            train_images: The first so many examples are trained on; ``None`` for all.

        Raises:
            InputError: There is no test data, or there are not so many examples.
        """
        return self.examine(train_images)


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
        return open_default(
            device, data_dir, train_images or SEARCH_IMAGES, optimizer or "sgd", weight_decay or 0.0,
            schedule_free=schedule_free,
        )  # fmt: skip
    for name, given in (("optimizer", optimizer), ("weight_decay", weight_decay), ("data_dir", data_dir)):
        if given is not None:
            raise InputError(f"`{name}` {given} goes with the default problem; a `problem` brings its own")
    return open_own(load_problem(reference), device, train_images, schedule_free=schedule_free)


def open_own(
    loaded: Loaded,
    device: torch.device,
    train_images: int | None,
    *,
    schedule_free: bool = False,
    cut: bool = False,
) -> Workload:
    """Return a user's problem; arguments as of ``open_workload``.

    ``cut``: take all examples where there are fewer than ``train_images``.
    """
    problem = loaded.problem
    network = probe(problem, device)
    train = problem.examples("train", device)
    if cut and train_images is not None:
        train_images = min(train_images, len(train))
    _check_count(train_images, len(train))
    engine = Engine.of(problem, device, schedule_free=schedule_free)
    facts = {"problem_reference": loaded.reference, "lanes": str(engine)}
    if problem.test is None:
        facts["test_data"] = "none, so that study.confirm cannot judge"
    first = train if train_images is None else train.part(0, train_images)
    return Workload(
        name=problem.name,
        epochs=problem.epochs,
        batch_size=problem.batch_size,
        train_images=train_images or len(train),
        base_rate=(float(problem.base_rate[0]), float(problem.base_rate[1])),
        metric=problem.measured,
        data=digests_of(problem, device),
        source=loaded.source,
        optimizer="own",
        weight_decay=0.0,
        facts=facts,
        make=partial(engine.lanes, first, problem.examples("validation", device)),
        memory=lambda batch_size, **_: lane_memory(
            problem, network, device, batch_size, fused=engine.proof.fused
        ),
        examine=lambda count: _examination(engine, count),
    )


def digests_of(problem: Problem, device: torch.device) -> dict[str, str]:
    """Return the SHA-256 of the data that a search reads."""
    return {part: problem.examples(part, device).digest() for part in PARTS if part != "test"}


def _examination(engine: Engine, count: int | None) -> Examination:
    """Return what a user's finalists are trained on and judged by."""
    problem, device = engine.problem, engine.device
    if problem.test is None:
        raise InputError(
            f"problem {problem.name!r} has no test data, and nothing else may judge; give test=(inputs, targets)"
        )
    whole = problem.whole(device)
    _check_count(count, len(whole))
    train = whole if count is None else whole.part(0, count)

    def score(lanes: SideBySide) -> dict[int, Scores]:
        test = problem.examples("test", device)
        with user_code(f"problem {problem.name!r}: measuring on test"):
            return score_examples(lanes, test)

    def digests() -> dict[str, str]:
        return {part: problem.examples(part, device).digest() for part in PARTS}

    return Examination(len(train), len(whole), partial(engine.lanes, train, None), score, digests)


def _check_count(count: int | None, most: int) -> None:
    if count is not None and not 1 <= count <= most:
        raise InputError(f"`train_images` must be in 1..{most}, got {count}")


def open_default(
    device: torch.device,
    data_dir: str | None,
    train_images: int,
    optimizer: str,
    weight_decay: float,
    *,
    schedule_free: bool = False,
) -> Workload:
    """Return the default problem; arguments as of ``open_workload``."""
    if optimizer not in OPTIMIZERS:
        raise InputError(f"`optimizer` must be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    split = load_search(data_dir, device, train_images=train_images)
    factory, base_rate = OPTIMIZERS[optimizer]
    make: Callable[..., SideBySide]
    if optimizer == "sgd" and weight_decay == 0:
        lanes = "lanes are fused: LeNet's hand-made path for plain SGD"
        make = partial(fashion_mnist_lanes, schedule_free=schedule_free)
    else:
        problem = fashion_mnist(split, factory(weight_decay), base_rate)
        engine = Engine.of(problem, device, schedule_free=schedule_free)
        lanes, make = str(engine), partial(_general_lanes, engine)
    return Workload(
        name=DEFAULT_PROBLEM,
        epochs=30,
        batch_size=256,
        train_images=train_images,
        base_rate=base_rate,
        metric=ACCURACY,
        data=split.checksums,
        source="",
        optimizer=optimizer,
        weight_decay=weight_decay,
        facts={"lanes": lanes},
        make=partial(make, split),
        memory=lenet_memory,
        examine=lambda count: _on_images(data_dir, device, count, make),
    )


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
    free = ProblemLanes(problem, _as_examples(split.train), _measured(split), fused=True, **how)
    return Mixed(lanes, free)


def _general_lanes(engine: Engine, split: Split, **how: Any) -> SideBySide:
    """Return lanes of LeNet by another optimizer."""
    return engine.lanes(_as_examples(split.train), _measured(split), **how)


def _measured(split: Split) -> Examples | None:
    """Return what is measured after every epoch: never the test set, which is scored by itself."""
    return None if split.evaluation is None or split.on_test else _as_examples(split.evaluation)


def _on_images(
    data_dir: str | None, device: torch.device, count: int | None, make: Callable[..., SideBySide]
) -> Examination:
    """Return what LeNet's finalists are trained on and judged by."""
    require_final(data_dir)
    split = load_training(data_dir, device, train_images=ALL_IMAGES if count is None else count)
    final = cache(lambda: load_final(data_dir, device))  # opened at a look, and nowhere else

    def score(lanes: SideBySide) -> dict[int, Scores]:
        images = final().evaluation
        if images is None:
            raise ValueError("the final split has no test images")
        return score_examples(lanes, images)

    return Examination(
        len(split.train), ALL_IMAGES, lambda **how: make(split, **how), score, lambda: final().checksums
    )


def _as_examples(images: Images) -> Examples:
    return Examples(images.pixels.unsqueeze(1), images.labels)


def fashion_mnist(split: Split, optimizer: OptimizerFactory, base_rate: tuple[float, float]) -> Problem:
    """Return the default problem, LeNet on Fashion-MNIST, as a ``Problem`` like any other."""
    parts = [tuple(_as_examples(images)) for images in (split.train, split.evaluation or split.train)]
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

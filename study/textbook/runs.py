"""What the sources ran, with the rates that they really used, trained over several seeds.

The sources' loop changes the rate once an epoch. Three things make the rate of an epoch differ from the
schedule that a run is named after; ``shift`` says by how many epochs:

* The loop calls its own schedules after an epoch with that epoch's number. Epoch 0 runs at the optimizer's
  rate, epoch n at schedule(n - 1): ``shift`` -1.
* torch's schedulers are stepped after an epoch and are not late: ``shift`` 0. But the chapter draws its
  multi-factor schedule by stepping the very scheduler that it then trains with: 30 steps, both milestones
  passed. Its run is trained at 0.5 * 0.5 ** 2 = 0.125 from the first epoch to the last: ``shift`` 30.
* The chapter's factor schedule decays its rate before it returns it: what it gives after epoch n - 1 is
  right for epoch n, so its two mistakes cancel: ``shift`` 0.

Corrected, every run has ``shift`` 0. In every source the optimizer's own rate is the schedule's base rate.

Source: Zhang et al., Dive into Deep Learning, chapter "Learning Rate Scheduling", PyTorch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrsched import Constant, Cosine, Factor, Join, Linear, MultiStep, Schedule, SquareRoot
from study.core.records import ALL_IMAGES, EpochMetrics, TrialSpec
from study.loops.passes import FORM, Pass
from study.problems.fashion_mnist import Split
from study.textbook.statistics import Measured, titled
from study.training.lanes import Lanes
from study.training.rates import Rates

BATCH_SIZE = 256
#: Where a run of a replication is recorded in MLflow.
EXPERIMENT = "lr-schedules-replication"
WAYS = ("as published", "corrected")
LATE = -1


@dataclass(frozen=True)
class Row:
    """One run of a source.

    Attributes:
        name: What the source calls it.
        family: Name of its schedule's family in ``lrsched``.
        schedule: The schedule as the source means it; time unit: epochs.
        base_rate: The schedule's base rate, and the rate that the optimizer is made with.
        published: Training loss, training accuracy and test accuracy as printed, if they were.
        shift: By how many epochs the source's loop is ahead of the schedule; negative: late.
    """

    name: str
    family: str
    schedule: Schedule
    base_rate: float
    published: tuple[float, float, float] | None = None
    shift: int = 0


@dataclass(frozen=True)
class Source:
    """One source's runs, and how many epochs it trained them."""

    name: str
    epochs: int
    rows: tuple[Row, ...]


def _cosine(end: float, final: float, warmup: float = 0) -> Schedule:
    """Return the sources' cosine: in a straight line from 0 until ``warmup``, then down until ``end``."""
    if not warmup:
        return Cosine(end, final=final)
    return Join((Linear(warmup, start=0.0, final=1.0), Cosine(end - warmup, final=final)), (warmup,))


CHAPTER = Source(
    "chapter",
    30,
    (
        Row("constant", "constant", Constant(), 0.3, (0.137, 0.949, 0.891)),
        Row("square root", "square_root", SquareRoot(1), 0.1, (0.275, 0.900, 0.883), LATE),
        # Stepped 30 times by the chapter's own plot before it trains.
        Row("multi-factor", "multi_step", MultiStep((15, 30), 0.5), 0.5, (0.187, 0.931, 0.890), 30),
        Row("cosine", "cosine", _cosine(20, 0.01 / 0.3), 0.3, (0.179, 0.935, 0.898), LATE),
        Row("cosine, warm-up", "cosine", _cosine(20, 0.01 / 0.3, 5), 0.3, (0.197, 0.927, 0.899), LATE),
    ),
)  # fmt: skip

#: No figures of the article are known to us, nor whether its plots used up its schedulers: taken as fresh.
ARTICLE = Source(
    "article",
    10,
    (
        Row("constant", "constant", Constant(), 0.3),
        Row("square root", "square_root", SquareRoot(1), 0.1, shift=LATE),
        Row("factor", "factor", Factor(0.8, floor=0.01 / 0.6), 0.6),
        Row("multi-factor", "multi_step", MultiStep((3, 8), 0.5), 0.5),
        Row("cosine", "cosine", _cosine(10, 0.02 / 0.2), 0.2, shift=LATE),
        Row("cosine, warm-up", "cosine", _cosine(10, 0.02 / 0.2, 3), 0.2, shift=LATE),
    ),
)

SOURCES = {source.name: source for source in (CHAPTER, ARTICLE)}


class EpochRates(Rates):
    """Rates that change once an epoch, ahead of their schedule by ``shift`` epochs.

    Every step of epoch n uses ``base_rate * schedule(n + shift)``, and ``base_rate`` where n + shift < 0:
    the optimizer's own rate, before any schedule has been asked.
    """

    def __init__(self, schedule: Schedule, base_rate: float, steps: int, shift: int) -> None:
        super().__init__(schedule, base_rate, steps)
        self._shift = shift

    def current(self) -> NDArray[np.float64]:
        """Return the rates ``[S]`` of the epoch that comes next, all the same."""
        time = self._epoch + self._shift
        multiplier = 1.0 if time < 0 else self._schedule(float(time))
        return np.full(self._within.shape, self._base_rate * multiplier)


def epoch_rates(spec: TrialSpec, steps: int) -> Rates:
    """Return the rates of a run of a replication; its ``params`` hold the shift."""
    return EpochRates(spec.schedule, spec.base_rate, steps, int(spec.params["shift"]))


@dataclass(frozen=True)
class Run:
    """A row in one way: what one lane of every pass trains.

    Attributes:
        row: The row.
        way: One of ``WAYS``, or ``both`` where the row is the same in both.
    """

    row: Row
    way: str

    @property
    def title(self) -> str:
        """Its name, and its way where the other way is another run."""
        return titled(self.row.name, self.way)

    @property
    def shift(self) -> int:
        """By how many epochs the loop is ahead of the schedule in this way."""
        return self.row.shift if self.way == "as published" else 0


@dataclass(frozen=True)
class Replication:
    """What is repeated.

    Attributes:
        source: Whose runs.
        ways: Which of ``WAYS``.
        seeds: Seeds of each run, shared by all: 0, 1, ...
        epochs: Length of each run.
        train_images: Images trained on.
        device: Device type that the runs are trained on.
        data: Checksums of the data files, by file name.
        folder: Where checkpoints of all replications lie.
    """

    source: Source
    ways: tuple[str, ...]
    seeds: int
    epochs: int
    train_images: int
    device: str
    data: Mapping[str, str]
    folder: Path

    @property
    def name(self) -> str:
        """What its records are called: ``replicate chapter``."""
        return f"replicate {self.source.name}"

    def to_json(self) -> dict[str, Any]:
        """Return what tells two replications apart; another number of seeds is the same replication."""
        return {
            "name": self.name,
            "ways": list(self.ways),
            "epochs": self.epochs,
            "batch_size": BATCH_SIZE,
            "train_images": self.train_images,
            "device": self.device,
            "data": dict(self.data),
        }

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs, a lane each; a row that is the same in both ways is trained once."""
        return tuple(
            Run(row, way) for row in self.source.rows for way in (self.ways if row.shift else ("both",))
        )

    @property
    def comparable(self) -> bool:
        """Whether the runs are as long and see as many images as the source's."""
        return self.epochs == self.source.epochs and self.train_images == ALL_IMAGES

    @cached_property
    def place(self) -> Path:
        """The folder of this replication alone; more seeds add to it."""
        about = [FORM, self.to_json(), [spec.to_json() for spec in self._specs(0)]]
        return self.folder / hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]

    @cached_property
    def passes(self) -> tuple[Pass, ...]:
        """One pass a seed: all runs side by side, with the same initial weights and minibatches."""
        return tuple(
            Pass(self._specs(seed), epoch_rates, self.place / f"seed-{seed:04}.pt")
            for seed in range(self.seeds)
        )

    def lanes(self, split: Split, seed: int) -> Lanes:
        """Return empty lanes with a seed's data order."""
        return Lanes(split, batch_size=BATCH_SIZE, order_seed=seed)

    def label(self, lane: int, seed: int) -> tuple[str, dict[str, str]]:
        """Return the name in MLflow of a lane's run, ``cosine, corrected seed 3``, and its tags.

        Seeds are numbered from 1, as those of a confirmation; the first is the number 0 to whoever draws with it.
        """
        run = self.runs[lane]
        return f"{run.title} seed {seed + 1}", {"run": run.row.name, "way": run.way, "seed": str(seed + 1)}

    def measured(self) -> list[Measured]:
        """Return what every run gave with every seed, once all passes are finished."""
        histories = [one.history() for one in self.passes]
        return [
            Measured(
                run.row.name,
                run.way,
                run.row.published if self.comparable else None,
                np.array([[_figures(row[lane]) for row in history] for history in histories]),
            )
            for lane, run in enumerate(self.runs)
        ]

    def _specs(self, seed: int) -> list[TrialSpec]:
        return [
            TrialSpec(
                number=lane,
                family=run.row.family,
                schedule=run.row.schedule,
                base_rate=run.row.base_rate,
                params={"shift": run.shift},
                epochs=self.epochs,
                seed=seed,
                offset=0,
                lanes=len(self.runs),
            )
            for lane, run in enumerate(self.runs)
        ]


def _figures(epoch: EpochMetrics) -> tuple[float, float, float]:
    """Return an epoch's figures in the order of ``study.textbook.statistics.FIGURES``."""
    if epoch.test_accuracy is None:
        raise ValueError(f"epoch {epoch.epoch} was not measured on the test set")
    return epoch.train_loss, epoch.train_accuracy, epoch.test_accuracy

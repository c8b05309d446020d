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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrsched import Constant, Cosine, Factor, Join, Linear, MultiStep, Schedule, SquareRoot
from study.core.records import ALL_IMAGES, EpochMetrics, StudyConfig, TrialSpec
from study.loops.passes import Pass
from study.problems.fashion_mnist import Split
from study.textbook.statistics import Measured
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
        shift: Its shift in this way.
        way: One of ``WAYS``, or ``both`` where the row is the same in both.
    """

    row: Row
    shift: int
    way: str

    @property
    def title(self) -> str:
        """Its name, and its way where the other way is another run."""
        return self.row.name if self.way == "both" else f"{self.row.name}, {self.way}"


@dataclass(frozen=True)
class Replication:
    """What is repeated.

    Attributes:
        source: Whose runs.
        ways: Which of ``WAYS``.
        seeds: Seeds of each run, shared by all: 0, 1, ...
        config: What else tells two replications apart; ``config.epochs`` is each run's length.
        folder: Where checkpoints of all replications lie.
    """

    source: Source
    ways: tuple[str, ...]
    seeds: int
    config: StudyConfig
    folder: Path

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs; a row that is the same in both ways is trained once."""
        found = []
        for row in self.source.rows:
            if row.shift == 0:
                found.append(Run(row, 0, "both"))
            else:
                found += [Run(row, row.shift if way == "as published" else 0, way) for way in self.ways]
        return tuple(found)

    @property
    def comparable(self) -> bool:
        """Whether the runs are as long and see as many images as the source's."""
        return self.config.epochs == self.source.epochs and self.config.train_images == ALL_IMAGES

    @property
    def parameters(self) -> dict[str, Any]:
        """What MLflow shows of it; the rest of ``config`` only fills a form that searches need."""
        config = self.config
        return {
            "source": self.source.name,
            "ways": ", ".join(self.ways),
            "seeds": self.seeds,
            "epochs": config.epochs,
            "batch_size": config.batch_size,
            "train_images": config.train_images,
        }

    @property
    def place(self) -> Path:
        """The folder of this replication alone; more seeds add to it."""
        about = [self.config.to_json(), [self._asked(run, lane, 0).to_json() for lane, run in self._lanes]]
        return self.folder / hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]

    def passes(self) -> list[Pass]:
        """Return one pass a seed: all runs side by side, with the same initial weights and minibatches."""
        place, width = self.place, len(self.runs)
        return [
            Pass(
                [self._asked(run, seed * width + lane, seed) for lane, run in self._lanes],
                epoch_rates,
                place / f"seed-{seed:04}.pt",
            )
            for seed in range(self.seeds)
        ]

    def lanes(self, split: Split, seed: int) -> Lanes:
        """Return empty lanes with a seed's data order."""
        return Lanes(split, batch_size=BATCH_SIZE, order_seed=seed)

    def label(self, spec: TrialSpec, seed: int) -> tuple[str, dict[str, str]]:
        """Return a run's name in MLflow, ``cosine, corrected seed 3``, and its tags."""
        run = self.runs[spec.number % len(self.runs)]
        return f"{run.title} seed {seed}", {"run": run.row.name, "way": run.way, "seed": str(seed)}

    def measured(self) -> list[Measured]:
        """Return what every run gave with every seed, once all passes are finished."""
        histories = [one.history() for one in self.passes()]
        width = len(self.runs)
        return [
            Measured(
                run.row.name,
                run.way,
                run.row.published if self.comparable else None,
                np.array([[_figures(epoch[seed * width + lane]) for epoch in history]
                          for seed, history in enumerate(histories)]),
            )
            for lane, run in self._lanes
        ]  # fmt: skip

    @property
    def _lanes(self) -> Sequence[tuple[int, Run]]:
        return list(enumerate(self.runs))

    def _asked(self, run: Run, number: int, seed: int) -> TrialSpec:
        return TrialSpec(
            number=number,
            family=run.row.family,
            schedule=run.row.schedule,
            base_rate=run.row.base_rate,
            params={"shift": run.shift},
            epochs=self.config.epochs,
            seed=seed,
            offset=0,
            lanes=len(self.runs),
        )


def settings_of(
    source: Source, *, epochs: int | None, train_images: int, device: str, data: dict[str, str]
) -> StudyConfig:
    """Return a replication as the settings that records are made with: nothing is sampled or pruned."""
    return StudyConfig(
        name=f"replicate {source.name}",
        epochs=epochs or source.epochs,
        batch_size=BATCH_SIZE,
        schedules=tuple(dict.fromkeys(row.family for row in source.rows)),
        sampler="none",
        pruner="none",
        n_warmup_steps=0,
        interval_steps=0,
        n_startup_trials=0,
        prune_on="none",
        reprieve=0.0,
        seed=0,
        train_images=train_images,
        device=device,
        data=data,
    )


def _figures(epoch: EpochMetrics) -> tuple[float, float, float]:
    """Return an epoch's figures in the order of ``analysis.replication.FIGURES``."""
    if epoch.test_accuracy is None:
        raise ValueError(f"epoch {epoch.epoch} was not measured on the test set")
    return epoch.train_loss, epoch.train_accuracy, epoch.test_accuracy

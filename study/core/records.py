"""What everything passes along: what a study is, what a trial was asked, what an epoch gave.

Frozen dataclasses that answer questions about themselves, so that a question is answered in one place.
Every other part of the study may import this file; of ours it imports schedules alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import lrsched
from study.core.metric import ACCURACY, Metric

#: How a trial ended. ``finished``: trained to its last epoch. ``pruned``: stopped by the pruner.
#: ``diverged``: stopped because its loss was not finite. ``running``: not ended yet.
#: ``interrupted``: cut off by a signal or a crash; a later run of the same command retries it.
Outcome = Literal["finished", "pruned", "diverged", "running", "interrupted"]
#: The outcomes, in the order in which they are counted to a reader.
OUTCOMES: tuple[Outcome, ...] = ("finished", "pruned", "diverged", "running", "interrupted")
#: How a trial ends that is not tried again.
ENDED: frozenset[Outcome] = frozenset({"finished", "pruned", "diverged"})

#: Images of the search's whole training split, and of the published training set that finalists train on.
SEARCH_IMAGES, ALL_IMAGES = 50_000, 60_000
#: Accuracy of guessing among ten classes.
CHANCE = ACCURACY.chance
DEFAULT_PROBLEM = "fashion-mnist"

#: Names that fields of ``StudyConfig`` had in version 0.1, and have in the studies that it made.
RENAMED = {
    "prune_after": "n_warmup_steps",
    "prune_every": "interval_steps",
    "prune_startup": "n_startup_trials",
    "prune_keep": "keep_best",
}


@dataclass(frozen=True)
class StudyConfig:
    """What makes two studies comparable; stored with the study and never changed afterwards.

    Attributes:
        name: The study's name.
        epochs: Length of a whole trial; the budget that the winner wins at.
        batch_size: Images a minibatch.
        schedules: Names of the schedule families searched, in catalogue order.
        sampler: ``stratified``, ``tpe`` or ``random``.
        pruner: ``family-median``, ``median``, ``predict`` or ``none``.
        n_warmup_steps: Epochs that every trial may train before it can be pruned.
        interval_steps: Epochs between two decisions about one trial.
        n_startup_trials: Trials needed at an epoch before their median counts.
        prune_on: Signal reported to the pruner: ``val`` or ``averaged``.
        reprieve: Share of the trials that the pruner would stop but that train to the end.
        seed: Seed of the sampler, of the initial weights and of the data order.
        train_images: Images trained on (50,000 is the whole training split).
        device: Device type the trials are trained on.
        precision: Arithmetic of the training steps: ``float32`` or ``bfloat16``.
        keep_best: Best trials of each family that are never pruned.
        data: Checksums of the data, by file or part.
        problem: Name of what is trained.
        source: SHA-256 of the file that a user's problem stands in; empty for one of ours.
        optimizer: What trains the default problem, ``own`` for a user's; and its ``weight_decay``.
        metric: What trials are measured by.
        base_rate: Range of base rates that is searched.
    """

    name: str
    epochs: int
    batch_size: int
    schedules: tuple[str, ...]
    sampler: str
    pruner: str
    n_warmup_steps: int
    interval_steps: int
    n_startup_trials: int
    prune_on: str
    reprieve: float
    seed: int
    train_images: int
    device: str
    precision: str = "float32"
    keep_best: int = 0
    data: Mapping[str, str] = field(default_factory=dict)
    problem: str = DEFAULT_PROBLEM
    source: str = ""
    optimizer: str = "sgd"
    weight_decay: float = 0.0
    metric: Metric = ACCURACY
    base_rate: tuple[float, float] = (0.02, 2.0)

    @property
    def noun(self) -> str:
        """What its examples are called: images for the default problem."""
        return "images" if self.problem == DEFAULT_PROBLEM else "examples"

    @property
    def whole(self) -> bool:
        """Whether trials train on the whole training split."""
        return self.problem != DEFAULT_PROBLEM or self.train_images >= SEARCH_IMAGES

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return {**asdict(self), "schedules": list(self.schedules), "data": dict(self.data),
                "metric": self.metric.to_json(), "base_rate": list(self.base_rate)}  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StudyConfig:
        """Read what ``to_json`` wrote, in this version or an earlier one; unknown fields are ignored."""
        today = {RENAMED.get(name, name): value for name, value in data.items()}
        known = {f.name: today[f.name] for f in fields(cls) if f.name in today}
        if "metric" in known:
            known["metric"] = Metric.from_json(known["metric"])
        if "base_rate" in known:
            known["base_rate"] = tuple(known["base_rate"])
        return cls(**{**known, "schedules": tuple(known["schedules"])})

    def differences(self, other: StudyConfig) -> dict[str, tuple[Any, Any]]:
        """Return the fields in which two settings differ, as ``{name: (self, other)}``."""
        mine, theirs = self.to_json(), other.to_json()
        return {k: (mine[k], theirs[k]) for k in mine if mine[k] != theirs[k]}


@dataclass(frozen=True)
class TrialSpec:
    """What one trial is to train.

    Attributes:
        number: The trial's number in its Optuna study, from 0.
        family: Name of the schedule family, a key of ``lrsched.REGISTRY``.
        schedule: The schedule, warm-up included; time unit: epochs.
        base_rate: Learning rate that the schedule's multiplier is applied to.
        params: Sampled parameters by the name that Optuna knows them under.
        epochs: Epochs to train.
        seed: Seed of the initial weights.
        offset: Global epoch of the data order at which this trial's epoch 0 ran.
        lanes: Lanes that trained side by side with it.
    """

    number: int
    family: str
    schedule: lrsched.Schedule
    base_rate: float
    params: Mapping[str, Any]
    epochs: int
    seed: int
    offset: int
    lanes: int

    @property
    def name(self) -> str:
        """The trial as it is called in text: ``cosine #12``."""
        return f"{self.family} #{self.number}"

    @property
    def warmup(self) -> float:
        """Length of the warm-up in epochs, 0 without one."""
        return float(self.params.get("warmup", 0.0))

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return {**{f.name: getattr(self, f.name) for f in fields(self)}, "params": dict(self.params),
                "schedule": self.schedule.to_json()}  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrialSpec:
        """Read what ``to_json`` wrote."""
        known = {f.name: data[f.name] for f in fields(cls)}
        return cls(**{**known, "schedule": lrsched.from_json(known["schedule"])})


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch of one trial gave; a figure is named by the split that it was measured on.

    Attributes:
        epoch: Number of the epoch within the trial, from 0.
        rate: Learning rate of the epoch's last step.
        train_loss: Mean training loss over the epoch's minibatches, while the weights moved.
        train_accuracy: Share of the epoch's training images classified right, likewise.
        val_loss: Mean cross-entropy on the validation split after the epoch, where it is measured.
        val_accuracy: Share of the validation split classified right after the epoch, likewise.
        averaged_accuracy: The same for the exponential average of the weights, where kept.
        seconds: Wall-clock seconds of the epoch divided by the lanes that shared it.
        test_loss: Mean cross-entropy on the test set after the epoch; only where nothing is chosen by it.
        test_accuracy: Share of the test set classified right after the epoch, likewise.
    """

    epoch: int
    rate: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    averaged_accuracy: float | None
    seconds: float
    test_loss: float | None = None
    test_accuracy: float | None = None

    @property
    def finite(self) -> bool:
        """Whether the losses are finite: the run has not diverged."""
        losses = (self.train_loss, self.val_loss, self.test_loss)
        return all(math.isfinite(loss) for loss in losses if loss is not None)

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EpochMetrics:
        """Read what ``to_json`` wrote; versions before this one measured nothing on the test set."""
        return cls(**{f.name: data[f.name] for f in fields(cls) if f.name in data})


@dataclass(frozen=True)
class TrialRecord:
    """One trial as the records know it.

    Attributes:
        spec: What it was to train.
        epochs: What its epochs gave, in order. Known once the trial ended; for a running trial
            only ``reported`` holds the signal so far.
        outcome: How it ended.
        value: Validation accuracy after the final epoch, its search score; ``None`` unless ``finished``.
        reported: The signal reported to the pruner, by epoch.
        reprieved_at: Epoch at which the pruner would have stopped it, had it not been reprieved.
        started: When it was asked for.
        ended: When it ended.
        metric: What it is measured by.
    """

    spec: TrialSpec
    epochs: tuple[EpochMetrics, ...]
    outcome: Outcome
    value: float | None
    reported: Mapping[int, float]
    reprieved_at: int | None
    started: datetime | None
    ended: datetime | None
    metric: Metric = ACCURACY

    @property
    def number(self) -> int:
        """The trial's number in its Optuna study."""
        return self.spec.number

    @property
    def family(self) -> str:
        """Name of its schedule family."""
        return self.spec.family

    @property
    def epochs_trained(self) -> int:
        """Epochs that it has trained so far."""
        return len(self.epochs) or 1 + max(self.reported, default=-1)

    @property
    def last_accuracy(self) -> float | None:
        """Validation accuracy after its last epoch so far, if it has one."""
        if self.value is not None:
            return self.value
        if self.epochs:
            return self.epochs[-1].val_accuracy
        return self.reported[max(self.reported)] if self.reported else None

    @property
    def learned(self) -> bool:
        """Whether it trained to its end and does better than chance."""
        return self.value is not None and not self.metric.better(self.metric.failed, self.value)

    @property
    def to_be_stopped(self) -> bool:
        """Whether the pruner stopped it, or would have, had it not been reprieved."""
        return self.outcome == "pruned" or self.reprieved_at is not None

    @property
    def score(self) -> float:
        """Its value as a key to sort by, larger is better: minus infinity where it has none."""
        return -math.inf if self.value is None else self.metric.gain(self.value)


def best_of(trials: Iterable[TrialRecord]) -> TrialRecord | None:
    """Return the finished trial of best value, the earlier one at a tie; ``None`` if none finished."""
    finished = [t for t in trials if t.value is not None]
    return max(finished, key=lambda t: (t.score, -t.number), default=None)


@dataclass(frozen=True)
class StudyRecord:
    """A study as the records know it.

    Attributes:
        config: What was fixed when the study was made.
        trials: Its trials by number. Left out are those that wait, those whose retry has started, and those
            cut off before it was known what they were to train.
        attributes: Free-form facts kept beside it, such as the MLflow parent run's id.
    """

    config: StudyConfig
    trials: tuple[TrialRecord, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def by_family(self) -> Mapping[str, tuple[TrialRecord, ...]]:
        """Trials by family: those of the settings in catalogue order, then any others that trials name."""
        names = {**dict.fromkeys(self.config.schedules), **dict.fromkeys(t.family for t in self.trials)}
        return {name: tuple(t for t in self.trials if t.family == name) for name in names}

    @property
    def families(self) -> tuple[str, ...]:
        """The families' names, in that order."""
        return tuple(self.by_family)

    @cached_property
    def ended(self) -> tuple[TrialRecord, ...]:
        """Trials that have ended and are not tried again."""
        return tuple(t for t in self.trials if t.outcome in ENDED)

    @cached_property
    def finished(self) -> tuple[TrialRecord, ...]:
        """Trials that trained to their last epoch."""
        return tuple(t for t in self.trials if t.outcome == "finished")

    @cached_property
    def best(self) -> TrialRecord | None:
        """The finished trial of best value, if any finished."""
        return best_of(self.trials)

    @property
    def outcomes(self) -> dict[Outcome, int]:
        """How many trials ended in each way, zeros included."""
        found = Counter(t.outcome for t in self.trials)
        return {outcome: found[outcome] for outcome in OUTCOMES}

    @property
    def epochs_trained(self) -> int:
        """Epochs that the ended trials trained."""
        return sum(len(t.epochs) for t in self.ended)

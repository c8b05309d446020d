"""What everything passes along: what a study is, what a trial was asked, what an epoch gave.

Plain frozen dataclasses over plain data: every other part of the study may import this file, and it
imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

#: How a trial ended. ``finished``: trained to its last epoch. ``pruned``: stopped by the pruner.
#: ``diverged``: stopped because its loss was not finite. ``running``: not ended yet.
#: ``interrupted``: cut off by a signal or a crash; a later run of the same command retries it.
Outcome = Literal["finished", "pruned", "diverged", "running", "interrupted"]


@dataclass(frozen=True)
class StudyConfig:
    """What makes two studies comparable; stored with the study and never changed afterwards.

    Attributes:
        name: The study's name.
        epochs: Length of a whole trial; the budget that the winner wins at.
        batch_size: Images a minibatch.
        schedules: Names of the schedule families searched, in catalogue order.
        sampler: ``stratified``, ``tpe`` or ``random``.
        pruner: ``family-median``, ``median`` or ``none``.
        prune_after: Epochs that every trial may train before it can be pruned.
        prune_every: Epochs between two decisions about one trial.
        prune_startup: Trials needed at an epoch before their median counts.
        prune_on: Signal reported to the pruner: ``val`` or ``averaged``.
        reprieve: Share of the trials that the pruner would stop but that train to the end.
        seed: Seed of the sampler, of the initial weights and of the data order.
        train_images: Images trained on (50,000 is the whole training split).
        device: Device type the trials are trained on.
        precision: Arithmetic of the training steps: ``float32`` or ``bfloat16``.
        prune_keep: Best trials of each family that are never pruned.
        data: Checksums of the data files, by file name.
    """

    name: str
    epochs: int
    batch_size: int
    schedules: tuple[str, ...]
    sampler: str
    pruner: str
    prune_after: int
    prune_every: int
    prune_startup: int
    prune_on: str
    reprieve: float
    seed: int
    train_images: int
    device: str
    precision: str = "float32"
    prune_keep: int = 0
    data: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return {**asdict(self), "schedules": list(self.schedules), "data": dict(self.data)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StudyConfig:
        """Read what ``to_json`` wrote; fields of other versions are ignored."""
        known = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        return cls(**{**known, "schedules": tuple(known["schedules"])})

    def differences(self, other: StudyConfig) -> dict[str, tuple[Any, Any]]:
        """Return the fields in which two settings differ, as ``{name: (self, other)}``."""
        mine, theirs = self.to_json(), other.to_json()
        return {k: (mine[k], theirs[k]) for k in mine if mine[k] != theirs[k]}


@dataclass(frozen=True)
class TrialSpec:
    """What one trial was asked to train.

    Attributes:
        number: The trial's number in its Optuna study, from 0.
        family: Name of the schedule family, a key of ``lrsched.REGISTRY``.
        schedule: The schedule as ``Schedule.to_json()`` gives it, warm-up included; time unit: epochs.
        base_rate: Learning rate that the schedule's multiplier is applied to.
        params: Sampled parameters by the name that Optuna knows them under.
        epochs: Epochs to train.
        seed: Seed of the initial weights.
        offset: Global epoch of the data order at which this trial's epoch 0 ran.
        lanes: Lanes that trained side by side with it.
    """

    number: int
    family: str
    schedule: Mapping[str, Any]
    base_rate: float
    params: Mapping[str, Any]
    epochs: int
    seed: int
    offset: int
    lanes: int

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrialSpec:
        """Read what ``to_json`` wrote."""
        return cls(**{f.name: data[f.name] for f in fields(cls)})


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch of one trial gave.

    Attributes:
        epoch: Number of the epoch within the trial, from 0.
        rate: Learning rate of the epoch's last step.
        train_loss: Mean training loss over the epoch's minibatches, while the weights moved.
        train_accuracy: Share of the epoch's training images classified right, likewise.
        val_loss: Mean cross-entropy on the evaluation split after the epoch, where there is one.
        val_accuracy: Share of the evaluation split classified right after the epoch, likewise.
        averaged_accuracy: The same for the exponential average of the weights, where kept.
        seconds: Wall-clock seconds of the epoch divided by the lanes that shared it.
    """

    epoch: int
    rate: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    averaged_accuracy: float | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EpochMetrics:
        """Read what ``to_json`` wrote."""
        return cls(**{f.name: data[f.name] for f in fields(cls)})


@dataclass(frozen=True)
class TrialRecord:
    """One trial as the records know it: asked, trained, ended.

    Attributes:
        spec: What was asked; ``None`` where the trial was cut off before it was known.
        epochs: What its epochs gave, in order. Known once the trial ended; for a running trial
            only ``reported`` holds the signal so far.
        outcome: How it ended.
        value: Validation accuracy after the final epoch; ``None`` unless ``finished``.
        reported: The signal reported to the pruner, by epoch.
        reprieved_at: Epoch at which the pruner would have stopped it, had it not been reprieved.
        started: When it was asked for.
        ended: When it ended.
    """

    number: int
    spec: TrialSpec | None
    epochs: tuple[EpochMetrics, ...]
    outcome: Outcome
    value: float | None
    reported: Mapping[int, float]
    reprieved_at: int | None
    started: datetime | None
    ended: datetime | None


@dataclass(frozen=True)
class StudyRecord:
    """A study as the records know it.

    Attributes:
        config: What was fixed when the study was made.
        trials: Its trials by number; trials that were retried are left out.
        attributes: Free-form facts kept beside it, such as the MLflow parent run's id.
    """

    config: StudyConfig
    trials: tuple[TrialRecord, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

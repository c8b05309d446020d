"""Records that tests make up: the settings of a study, what a trial is asked, what its epochs gave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import lrsched
from study.core.records import EpochMetrics, StudyConfig, TrialSpec


def config_of(**said: Any) -> StudyConfig:
    """Return the settings of a study: the search's, but for what a test says."""
    usual: dict[str, Any] = {
        "name": "made up",
        "epochs": 30,
        "batch_size": 256,
        "schedules": ("constant", "cosine"),
        "sampler": "stratified",
        "pruner": "family-median",
        "n_warmup_steps": 5,
        "interval_steps": 1,
        "n_startup_trials": 2,
        "prune_on": "val",
        "reprieve": 0.1,
        "seed": 0,
        "train_images": 50_000,
        "device": "cpu",
        "data": {"train-images-idx3-ubyte": "c59f468a"},
    }
    return StudyConfig(**{**usual, **said})


def spec_of(number: int = 0, **said: Any) -> TrialSpec:
    """Return what a trial is asked: a whole cosine from rate 0.1, but for what a test says."""
    epochs = said.get("epochs", 30)
    usual: dict[str, Any] = {
        "family": "cosine",
        "schedule": lrsched.Cosine(T_max=float(epochs)),
        "base_rate": 0.1,
        "params": {},
        "epochs": epochs,
        "seed": 0,
        "offset": 0,
        "lanes": 2,
    }
    return TrialSpec(number, **{**usual, **said})


def epochs_of(accuracies: Iterable[float], **said: Any) -> list[EpochMetrics]:
    """Return epochs with these validation accuracies; a figure that a test gives is that of every epoch.

    Losses are those of a run that learns; a test gives ``loss=nan`` for one that diverges.
    """
    loss = said.pop("loss", 0.5)
    usual: dict[str, Any] = {
        "rate": 0.1,
        "train_loss": loss,
        "train_accuracy": 0.75,
        "val_loss": loss + 0.1,
        "averaged_accuracy": None,
        "seconds": 1.5,
    }
    return [
        EpochMetrics(epoch=e, val_accuracy=accuracy, **{**usual, **said})
        for e, accuracy in enumerate(accuracies)
    ]

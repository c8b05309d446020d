"""What a small study is, a few real images for whatever trains in a test, and an MLflow schema made once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

import lrsched
from study.core.records import EpochMetrics, Outcome, StudyConfig, StudyRecord, TrialRecord
from study.problems.fashion_mnist import Images, Split, load_search
from study.tuning.classic import CLASSIC
from tests.making import config_of, spec_of


@pytest.fixture
def config() -> StudyConfig:
    """The settings of a small study."""
    return config_of(
        name="small", epochs=3, sampler="random", pruner="none", n_warmup_steps=1, n_startup_trials=1,
        data={"train-images-idx3-ubyte.gz": "8d4f"},
    )  # fmt: skip


@pytest.fixture(scope="session")
def search_split() -> Split:
    """The search's whole split, in float32 on the CPU."""
    return load_search(None, torch.device("cpu"), download=False)


@pytest.fixture(scope="session")
def few(search_split: Split) -> Split:
    """200 images to train on and 300 to measure on."""
    assert search_split.evaluation is not None
    evaluation = search_split.evaluation.part(0, 300)
    train = search_split.train.part(0, 200)
    return Split(Images(train.pixels.clone(), train.labels.clone()), evaluation, search_split.checksums)


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with MLflow's schema and nothing in it: making one takes seconds."""
    from study.store.tracking.mlflow_connection import connect

    path = tmp_path_factory.mktemp("schema") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture
def uri(empty_mlflow: Path, tmp_path: Path) -> str:
    """An MLflow database of the test's own."""
    path = tmp_path / "mlflow.db"
    source, target = sqlite3.connect(empty_mlflow), sqlite3.connect(path)
    source.backup(target)
    source.close()
    target.close()
    return f"sqlite:///{path}"


#: Made-up studies have curves of the shape of real ones; their numbers mean nothing.
FAMILIES = CLASSIC
STARTED = datetime(2026, 1, 1, tzinfo=UTC)

Maker = Callable[..., StudyRecord]


def made_up_trial(number: int, config: StudyConfig, rng: np.random.Generator) -> TrialRecord:
    """Return a trial whose accuracy peaks at a base rate of 0.3 and which may be pruned or diverge."""
    families = config.schedules
    family = families[number % len(families)]
    epochs = config.epochs
    base_rate = float(np.exp(rng.uniform(np.log(0.02), np.log(2.0))))
    warmup = float(rng.uniform(0.0, 0.3 * epochs))
    final = 0.905 - 0.004 * (number % len(families)) / 4 - 0.006 * np.log(base_rate / 0.3) ** 2
    final += float(rng.normal(0.0, 0.002))
    outcome: Outcome = "finished"
    if base_rate > 1.7:
        outcome = "diverged"
    elif final < 0.894 and rng.uniform() < 0.8:
        outcome = "pruned"
    trained = {"finished": epochs, "diverged": 1, "pruned": min(epochs, int(rng.integers(5, max(6, epochs))))}
    t = np.arange(trained[outcome])
    decay = np.cos(np.pi * t / (2 * epochs))
    accuracy = final - 0.30 * np.exp(-t / 2.0) - 0.02 * decay + rng.normal(0, 0.004, len(t)) * decay
    loss = 1.9 * np.exp(-t / 1.5) + 0.30 - 0.1 * t / epochs
    rates = base_rate * (1 + np.cos(np.pi * (t + 1) / epochs)) / 2
    spec = spec_of(
        number,
        family=family,
        schedule=lrsched.schedule_class(family).example(),
        base_rate=base_rate,
        params={"schedule": family, "base_rate": base_rate, "warmup": warmup, f"{family}.final": 0.01},
        epochs=epochs,
        seed=number,
        lanes=8,
    )
    return TrialRecord(
        spec=spec,
        epochs=tuple(
            EpochMetrics(
                epoch=e,
                rate=float(rates[e]),
                train_loss=float(loss[e]) if outcome != "diverged" else float("nan"),
                train_accuracy=float(accuracy[e] + 0.01),
                val_loss=float(loss[e] + 0.03) if outcome != "diverged" else float("nan"),
                val_accuracy=float(accuracy[e]) if outcome != "diverged" else 0.1,
                averaged_accuracy=None,
                seconds=1.5,
            )
            for e in range(len(t))
        ),
        outcome=outcome,
        value=float(accuracy[-1]) if outcome == "finished" else None,
        reported={e: float(a) for e, a in enumerate(accuracy)},
        reprieved_at=None,
        started=STARTED + timedelta(minutes=number),
        ended=STARTED + timedelta(minutes=number + 4),
    )


@pytest.fixture
def made_up() -> Maker:
    """Makes a study of so many trials that nobody ran."""
    config = config_of(schedules=FAMILIES)

    def make(trials: int) -> StudyRecord:
        rng = np.random.default_rng(0)
        return StudyRecord(config, tuple(made_up_trial(n, config, rng) for n in range(trials)))

    return make

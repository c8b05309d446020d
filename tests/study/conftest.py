"""What a small study is, a few real images for whatever trains in a test, and an MLflow schema made once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import torch

from study.core.records import Settings
from study.problems.fashion_mnist import Images, Split, load_search


@pytest.fixture
def settings() -> Settings:
    """The settings of a small study."""
    return Settings(
        name="small",
        epochs=3,
        batch_size=256,
        schedules=("constant", "cosine"),
        sampler="random",
        pruner="none",
        prune_after=1,
        prune_every=1,
        prune_startup=1,
        prune_on="val",
        reprieve=0.1,
        seed=0,
        train_images=50_000,
        device="cpu",
        data={"train-images-idx3-ubyte.gz": "8d4f"},
    )


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
    from study.store import tracking_uri

    path = tmp_path_factory.mktemp("schema") / "mlflow.db"
    tracking_uri.connect(f"sqlite:///{path}")
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

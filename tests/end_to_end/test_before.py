"""A study that version 0.1 made still opens, continues, confirms and reports."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from study.core.records import StudyRecord
from study.store import optuna_storage as store

#: Made by revision 532e6e2 with the flags of its day: 30 trials, 6 of them cut off and queued again.
FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "before"
SCHEDULES = ("constant", "cosine", "one_cycle", "square_root", "plateau", "multi_step")
SEARCH = (
    *("search", "--study", "before", "--trials", "30", "--epochs", "4", "--train-images", "4000"),
    *("--schedules", ",".join(SCHEDULES), "--n-startup-trials", "2", "--n-warmup-steps", "1", "--seed", "1"),
    *("--device", "cpu", "--lanes", "6"),
)


def unpack(folder: Path) -> Path:
    """Put the study into a folder, whose artifacts MLflow then expects there."""
    with tarfile.open(FIXTURE / "databases.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, '/FOLDER', ?)",  # noqa: S608 - our own names
                (str(folder),),
            )
    return folder


def run(folder: Path, *arguments: str) -> str:
    """Run a command of the study in the folder; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", f"study.{arguments[0]}", *arguments[1:]],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def load(folder: Path) -> StudyRecord:
    return store.load(f"sqlite:///{folder}/optuna.db")


def runs(folder: Path, kind: str) -> list[Any]:
    """MLflow's children of one command."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.kind = '{kind}'", max_results=1000)
    return [each for each in found if "mlflow.parentRunId" in each.data.tags]


def test_it_opens(tmp_path: Path) -> None:
    """Settings under today's names; every trial with its schedule and its epochs."""
    record = load(unpack(tmp_path))
    config = record.config
    assert (config.name, config.epochs, config.schedules) == ("before", 4, SCHEDULES)
    assert (config.n_warmup_steps, config.interval_steps, config.n_startup_trials, config.keep_best) == (
        1,
        1,
        2,
        1,
    )
    assert len(record.trials) == 30
    assert Counter(t.outcome for t in record.trials) == {
        "finished": 15,
        "pruned": 8,
        "diverged": 1,
        "interrupted": 6,
    }
    for trial in record.ended:
        assert trial.epochs_trained == len(trial.epochs) > 0
        assert trial.spec.schedule(0.5) >= 0


@pytest.fixture(scope="module")
def continued(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The study continued to its 30 trials, and what was printed."""
    folder = unpack(tmp_path_factory.mktemp("before"))
    return folder, run(folder, *SEARCH)


@pytest.mark.slow
def test_it_continues(continued: tuple[Path, str], tmp_path: Path) -> None:
    """What had ended stays as it was; what waited is trained with the parameters that it was asked with."""
    before, after = load(unpack(tmp_path)), load(continued[0])
    kept = {t.number: t for t in after.trials}
    assert all(repr(kept[t.number]) == repr(t) for t in before.ended)  # one has losses that are no numbers
    assert len(after.ended) == len(after.trials) == 30
    asked = [dict(t.spec.params) for t in before.trials if t.outcome == "interrupted"]
    fresh = [dict(t.spec.params) for t in after.trials if t.number not in {e.number for e in before.ended}]
    assert all(params in fresh for params in asked)
    assert "no verdict" in continued[1]
    assert len(runs(continued[0], "search")) == len(runs(tmp_path, "search")) + 6


@pytest.mark.slow
def test_its_report_is_written(tmp_path: Path) -> None:
    """With the certificate that the version before wrote beside it."""
    folder = unpack(tmp_path)
    (folder / "certificate.json").write_bytes((FIXTURE / "certificate.json").read_bytes())
    run(folder, "report")
    page = (folder / "report.html").read_text("utf-8")
    winner = json.loads((FIXTURE / "certificate.json").read_text("utf-8"))["finalists"][0]["name"]
    assert winner in page
    assert all(schedule in page for schedule in SCHEDULES)


@pytest.mark.slow
def test_it_is_confirmed(tmp_path: Path) -> None:
    """And its runs say what they are: the trial of their finalist, whatever lane trained them."""
    folder = unpack(tmp_path)
    small = ("--finalists", "2", "--seeds", "2", "--train-images", "2000", "--device", "cpu")
    run(folder, "confirm", "--study", "before", *small)
    data = json.loads((folder / "certificate.json").read_text("utf-8"))
    assert {len(runs) for runs in data["values"].values()} == {2}
    numbers = {finalist["name"]: str(finalist["asked"]["number"]) for finalist in data["finalists"]}
    confirmed = [each for each in runs(folder, "confirm") if "confirm_seed" in each.data.tags]
    assert len(confirmed) == 4
    for each in confirmed:
        assert (each.data.tags["trial"], each.data.tags["lanes"]) == (
            numbers[each.data.tags["finalist"]],
            "2",
        )
        assert not {"lanes", "offset"} & each.data.params.keys()

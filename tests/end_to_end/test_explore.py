"""``python -m study.explore`` on a few real images: whole, cut off and continued, with bad input, and its pages."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from study.explore import main
from study.questions.pages import page_text
from study.questions.sweep import read_results
from tests.running import PATIENCE, run_command, started, words

#: A study that has something to vary: one trial a family.
STUDY = (
    "--trials", "2", "--epochs", "2", "--train-images", "500", "--batch-size", "64", "--schedules", "cosine,polynomial",
    "--pruner", "none", "--device", "cpu",
)  # fmt: skip
SMALL = ("optimizer", "--multiples", "1", "--finalists", "1", "--train-images", "300", "--device", "cpu")


@pytest.mark.slow
def test_a_sweep_that_is_cut_off_is_continued_and_makes_its_page(tmp_path: Path) -> None:
    """Four optimizers, one schedule: killed after a batch, it trains the rest once; more seeds add theirs alone."""
    run_command(tmp_path, "study.search", *STUDY)
    file = tmp_path / "docs" / "results" / "optimizer.jsonl"
    assert "4 runs of 8 epochs to train" in run_command(
        tmp_path, "study.explore", *SMALL, "--seeds", "1", "--dry-run"
    )
    assert not file.exists()
    process = started(words("study.explore", *SMALL, "--seeds", "1"), tmp_path, merged=True)
    give_up = time.monotonic() + PATIENCE
    while not file.exists():
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=PATIENCE)
    if process.returncode:  # it may have ended before
        assert process.returncode == 130, printed
        assert "interrupted; the same command continues" in printed
    before = file.read_text("utf-8")

    printed = run_command(tmp_path, "study.explore", "optimizer", "--seeds", "2", "--device", "cpu")
    assert "leads with every optimizer" in printed
    assert file.read_text("utf-8").startswith(before)
    results = read_results(file)
    assert len({run.key for run in results.runs}) == len(results.runs) == 8
    assert {run.cell.optimizer for run in results.runs} == {"sgd", "momentum", "adamw"}
    assert all(0 <= run.test <= 1 and len(run.validation) == 2 for run in results.runs)
    assert not list(tmp_path.glob("runs/explore/**/*.pt"))

    (tmp_path / "optuna.db").unlink()  # the file says it all
    again = run_command(tmp_path, "study.explore", "optimizer", "--seeds", "2", "--device", "cpu")
    assert "0 runs of 0 epochs to train, 8 are in" in again
    assert "wrote docs/results/optimizer.md" in run_command(
        tmp_path, "study.explore", "pages", "--no-figures"
    )
    assert file.with_suffix(".md").read_text("utf-8") == page_text(results)
    refused = run_command(tmp_path, "study.explore", "optimizer", "--epochs", "9", "--device", "cpu", code=2)
    assert (
        "--epochs 9: docs/results/optimizer.jsonl holds a sweep with 2; leave it out to continue" in refused
    )
    _check_records(tmp_path)


def _check_records(folder: Path) -> None:
    """One parent with its answer; each run of the grid finished once a seed, its rate and its optimizer's place recorded."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("lr-schedules-questions")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "FINISHED"
    assert {a.path for a in client.list_artifacts(parent.info.run_id)} == {"answer.txt"}
    finished = [run for run in runs if run is not parent and run.info.status == "FINISHED"]
    places = [(run.data.tags["optimizer"], run.data.tags["seed"]) for run in finished]
    assert len(places) == len(set(places)) == 8
    assert all("lr" in run.data.metrics and "val_accuracy" in run.data.metrics for run in finished)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("warm-up",), "must be one of warmup, exponent, rate, horizon, optimizer, pages"),
        (("warmup", "--values", "3,1"), "--values: must be rising numbers"),
        (("pages", "--results", "nowhere"), "--results 'nowhere' holds no sweep: train one first"),
        (("rate", "--results", "nowhere", "--storage", "sqlite:///none.db"), "holds no study yet"),
        (("rate", "--storage", "none"), "--storage"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    refused: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused(main, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_flags_are_a_decision() -> None:
    options = [p for p in main.params if isinstance(p, click.Option)]
    flags = """
        --seeds --long-seeds --values --multiples --finalists --certificate --epochs --train-images --precision --dry-run --results
        --figures --study --problem --storage --tracking-uri --checkpoints --lanes --device --data-dir
    """
    assert sorted(o for p in options for o in p.opts) == sorted(flags.split())

"""``python -m study.replicate`` on a few real images: whole, cut off and continued, and with bad input."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from study.replicate import main
from tests.running import PATIENCE, run_command, started, words

#: Five runs of two seeds: a few steps an epoch.
SMALL = ("--seeds", "2", "--epochs", "2", "--train-images", "500", "--corrected", "--device", "cpu")
RUNS = ("constant", "square root", "multi-factor", "cosine", "cosine, warm-up")


def replicate(folder: Path, *arguments: str) -> str:
    return run_command(folder, "study.replicate", *SMALL, *arguments)


def tables(printed: str) -> list[str]:
    """What is measured, without what tells of time."""
    lines = printed.splitlines()
    return lines[next(i for i, line in enumerate(lines) if line.startswith("Train loss after")) :]


@pytest.mark.slow
def test_a_replication_that_was_cut_off_is_continued_to_the_same_figures(tmp_path: Path) -> None:
    """Killed after an epoch and started again, it trains the rest, once, and ends where a whole one ends."""
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    for folder in (cut, whole):
        folder.mkdir()
    process = started(words("study.replicate", *SMALL), cut, merged=True)
    give_up = time.monotonic() + PATIENCE
    while not list(cut.glob("runs/replicate/*/seed-0000.pt")):
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, printed
    assert "interrupted; the same command continues" in printed

    printed = replicate(cut, "--markdown", "results.md", "--figure", "curves.html")
    assert "0%  0/20" not in printed
    written = (cut / "results.md").read_text("utf-8")
    assert written.startswith(
        "<!-- begin replicate chapter -->\n\n```\npython -m study.replicate --set chapter"
    )
    assert "--seeds 2 --epochs 2 --corrected --train-images 500" in written
    assert "No published figures beside these" in written
    assert (cut / "curves.html").stat().st_size > 3_000_000  # plotly is inside: it opens offline

    assert tables(replicate(whole)) == [li for li in tables(printed) if not li.startswith("wrote ")]
    again = replicate(cut)
    assert "all 20 epochs are trained already" in again
    _check_records(cut)


def _check_records(folder: Path) -> None:
    """One parent; each run finished once a seed, its metrics named after the test set, its rate recorded."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("lr-schedules-replication")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "FINISHED"
    assert {a.path for a in client.list_artifacts(parent.info.run_id)} == {"curves.html", "tables.md"}
    # Nothing was sampled or pruned, and nothing says so; what was trained is told.
    fixed = {"ways", "epochs", "batch_size", "train_images", "device"}
    assert parent.data.params.keys() == fixed
    assert (parent.data.params["ways"], parent.data.params["train_images"]) == ("corrected", "500")
    children = [run for run in runs if run is not parent]
    assert not any({"study_seed", "sampler", "pruner"} & run.data.params.keys() for run in children)
    assert {run.info.status for run in children} == {"FINISHED", "KILLED"}
    finished = {run.info.run_name: run for run in children if run.info.status == "FINISHED"}
    names = {f"{name} seed {seed}" for name in RUNS for seed in (1, 2)}
    # "constant" is the same run in both ways; the others say which one they are.
    assert {name.replace(", corrected", "") for name in finished} == names
    assert sum(run.info.status == "FINISHED" for run in children) == len(names)
    one = finished["multi-factor, corrected seed 1"].data
    assert {"train_loss", "train_accuracy", "test_accuracy", "test_loss", "lr"} <= one.metrics.keys()
    assert "val_accuracy" not in one.metrics
    assert one.metrics["lr"] == 0.5
    assert one.tags["kind"] == "replicate"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", "0"), "--seeds: must be a whole number from 1 to 1000, got 0"),
        (("--epochs", "x"), "--epochs: must be a whole number of 1 or more, got x"),
        (("--train-images", "60001"), "--train-images: must be a whole number from 1 to 60000, got 60001"),
        (("--set", "chaptr"), "--set: must be one of chapter, article, got chaptr; did you mean chapter?"),
        (("--corrected", "--both"), "--as-published, --corrected and --both exclude each other"),
        (("--markdown", "nowhere/x.md"), "--markdown 'nowhere/x.md': there is no folder 'nowhere'"),
        (
            ("--markdown", "plain.md"),
            "--markdown plain.md: needs the lines '<!-- begin replicate chapter -->'",
        ),
        (("--figure", "x.gif"), "--figure x.gif: must end in .html, .png, .svg"),
        (("--figure", "nowhere/x.png"), "--figure 'nowhere/x.png': there is no folder 'nowhere'"),
        (("--tracking-uri", "nothing"), "--tracking-uri 'nothing' is not a tracking URI"),
        (("--data-dir", "nowhere"), "--data-dir"),
        (("--device", "tpu"), "--device: must be one of auto, cpu, cuda, mps, got tpu"),
        (("--seed", "3"), "no such option --seed; did you mean --seeds?"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.md").write_text("no marks\n", "utf-8")
    assert message in refused(main, *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["plain.md"]


def test_the_flags_are_these() -> None:
    """Widening what a command takes is a decision."""
    assert {name for param in main.params for name in param.opts} == {
        "--set",
        "--seeds",
        "--epochs",
        "--train-images",
        "--as-published",
        "--corrected",
        "--both",
        "--markdown",
        "--figure",
        "--tracking-uri",
        "--checkpoints",
        "--device",
        "--data-dir",
    }

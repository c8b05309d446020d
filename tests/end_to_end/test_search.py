"""``python -m study.search`` as a user runs it: to its end, again, further, cut off, and with bad input."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
import torch

from study.core.records import StudyRecord
from study.loops.searching.search_options import pruning_defaults
from study.search import main
from study.store import optuna_storage as store
from study.terminal.help_pages import Option
from study.training.precision import has_bfloat16
from study.tuning.classic import CLASSIC as FAMILIES
from tests.running import PATIENCE, run_command, run_program, started, words

Refused = Callable[..., str]

LANES = 4
SMALL = ("--epochs", "2", "--train-images", "1000", "--lanes", str(LANES), "--device", "cpu")
#: MLflow's metrics of an epoch.
MEASURED = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


def search(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run the command in a folder; return what it printed."""
    return run_command(folder, "study.search", *arguments, code=code)


def record(folder: Path) -> StudyRecord:
    return store.load(f"sqlite:///{folder}/optuna.db")


def states(folder: Path) -> Counter[str]:
    """Optuna's trials by their state, the retried ones too."""
    with closing(sqlite3.connect(folder / "optuna.db")) as connection:
        return Counter(state for (state,) in connection.execute("SELECT state FROM trials").fetchall())


def runs(folder: Path) -> tuple[list[Any], list[Any]]:
    """MLflow's parent runs and their children."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    found = client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1000)
    children = [run for run in found if "mlflow.parentRunId" in run.data.tags]
    return [run for run in found if run not in children], children


def figures(study: StudyRecord) -> list[Any]:
    """What must be the same in two runs: all but the times."""
    return [
        (t.spec, t.outcome, t.value, [{**e.to_json(), "seconds": 0} for e in t.epochs]) for t in study.trials
    ]


def timed(study: StudyRecord) -> list[Any]:
    return [(t.number, t.started, t.ended, t.epochs) for t in study.trials]


@dataclass(frozen=True)
class Finished:
    """A study of 12 trials that ran through: its folder, what it printed, what it left in the folder."""

    folder: Path
    printed: str
    files: set[str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Tests that change something work on a copy."""
    folder = tmp_path_factory.mktemp("finished")
    printed = search(folder, "--trials", "12", *SMALL)
    return Finished(folder, printed, {p.name for p in folder.iterdir()})


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in finished.files:
        copied = shutil.copytree if (finished.folder / name).is_dir() else shutil.copy
        copied(finished.folder / name, folder / name)
    return folder


# To its end


@pytest.mark.slow
def test_twelve_trials_of_twelve_families(finished: Finished) -> None:
    """Every trial ended, each family once; the terminal names all of them and says that it is no verdict."""
    folder = finished.folder
    trials = record(folder).trials
    assert [t.outcome for t in trials] == ["finished"] * 12
    assert {t.spec.family for t in trials} == set(FAMILIES)
    assert all(len(t.epochs) == 2 for t in trials)
    assert states(folder) == {"COMPLETE": 12}
    for family in FAMILIES:
        assert family in finished.printed
    for sentence in (
        "no verdict",
        "mlflow ui",
        "optuna-dashboard sqlite:///optuna.db",
        "python -m study.confirm",
    ):
        assert sentence in finished.printed
    assert "ONLY 1,000 TRAINING IMAGES" in finished.printed


@pytest.mark.parametrize(("epochs", "after"), [(1, 3), (3, 3), (12, 3), (13, 4), (30, 8), (100, 25)])
def test_nobody_is_pruned_in_the_first_quarter_of_a_run(epochs: int, after: int) -> None:
    assert pruning_defaults("median", epochs) == {"n_warmup_steps": after, "n_startup_trials": 6}
    assert pruning_defaults("family-median", epochs) == {"n_warmup_steps": after, "n_startup_trials": 2}


@pytest.mark.slow
def test_the_defaults_of_pruning_are_recorded(finished: Finished) -> None:
    config = record(finished.folder).config
    assert (config.pruner, config.prune_on, config.keep_best) == ("median", "val", 1)
    assert (config.n_warmup_steps, config.interval_steps, config.n_startup_trials) == (3, 1, 6)


@pytest.mark.slow
def test_mlflow_holds_a_parent_and_its_children(finished: Finished) -> None:
    """One parent, 12 finished children; each has its rate curve, all metrics of both epochs, its dataset."""
    from mlflow import MlflowClient

    folder = finished.folder
    parents, children = runs(folder)
    assert len(parents) == 1
    assert parents[0].info.status == "FINISHED"
    assert len(children) == 12
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    by_number = {t.number: t for t in record(folder).trials}
    for child in children:
        assert child.info.status == "FINISHED"
        assert child.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        trial = by_number[int(child.data.tags["trial"])]
        for name in MEASURED:
            history = sorted((m.step, m.value) for m in client.get_metric_history(child.info.run_id, name))
            assert history == [(e.epoch + 1, getattr(e, name)) for e in trial.epochs]
        curve = {m.step: m.value for m in client.get_metric_history(child.info.run_id, "lr")}
        assert {0, 7} <= curve.keys() <= set(range(8))  # 2 epochs of 4 steps
        assert curve[7] == pytest.approx(trial.epochs[-1].rate)
        assert child.inputs.dataset_inputs
    kept = {a.path for a in client.list_artifacts(parents[0].info.run_id)}
    assert {"summary.json", "rate_curves.html"} <= kept


@pytest.mark.slow
def test_nothing_else_is_left_in_the_folder(finished: Finished) -> None:
    """The two databases and MLflow's artifacts: no journal, no lock, no part of a file."""
    assert finished.files - {"mlartifacts", "mlruns"} == {"optuna.db", "mlflow.db"}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(finished: Finished, tmp_path: Path) -> None:
    """In a fresh folder, the same command gives the same trials with the same figures, to the last bit."""
    search(tmp_path, "--trials", "12", *SMALL)
    assert figures(record(tmp_path)) == figures(record(finished.folder))


# Again, and further


@pytest.mark.slow
def test_a_complete_study_says_so_and_stays_as_it_is(copy: Path) -> None:
    before = timed(record(copy))
    children = {r.info.run_id: (r.info.end_time, r.data.metrics) for r in runs(copy)[1]}
    printed = search(copy, "--trials", "12", *SMALL)
    assert "is complete with 12 trials; --trials 24 would extend it" in printed
    assert timed(record(copy)) == before
    assert {r.info.run_id: (r.info.end_time, r.data.metrics) for r in runs(copy)[1]} == children
    parents, _ = runs(copy)
    assert [p.info.status for p in parents] == ["FINISHED"]


@pytest.mark.slow
def test_a_smaller_total_takes_nothing_away(copy: Path) -> None:
    """Asked for fewer trials than there are, it tells how many there are."""
    before = timed(record(copy))
    assert "is complete with 12 trials; --trials 24 would" in search(copy, "--trials", "5", *SMALL)
    assert timed(record(copy)) == before


@pytest.mark.slow
def test_more_trials_extend_it(copy: Path) -> None:
    before = timed(record(copy))
    search(copy, "--trials", "14", *SMALL)
    after = record(copy)
    assert timed(after)[:12] == before
    assert [t.outcome for t in after.trials] == ["finished"] * 14
    parents, children = runs(copy)
    assert (len(parents), len(children)) == (1, 14)
    clocks = [t.spec.offset for t in after.trials]
    assert min(clocks[12:]) >= max(clocks[:12]) + 2


@pytest.mark.slow
def test_a_trial_can_be_trained_again(finished: Finished) -> None:
    """Alone, from its place in the data order; the study stays as it is."""
    folder = finished.folder
    before = timed(record(folder))
    printed = search(folder, "--rerun", "7", "--device", "cpu")
    assert "trial 7, then and again" in printed
    assert printed.rstrip().endswith(": agrees")
    assert timed(record(folder)) == before
    said = search(folder, "--rerun", "12", "--device", "cpu", code=2)
    assert said == "error: --rerun 12: study lr-schedules has no such ended trial; its last is 11\n"


# Cut off


def wait_for_training(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until trials of the study have ended, and all lanes have begun to train the next ones."""
    begun = """
        SELECT COUNT(*) FROM trials JOIN trial_system_attributes USING (trial_id)
        WHERE state = 'RUNNING' AND key = 'asked' AND trial_id NOT IN (SELECT trial_id FROM trial_intermediate_values)
        AND (SELECT COUNT(*) FROM trials WHERE state = 'COMPLETE') > 0
    """
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
        if (folder / "optuna.db").exists():
            uri = f"file:{folder}/optuna.db?mode=ro"
            try:
                with closing(sqlite3.connect(uri, uri=True)) as connection:
                    (training,) = connection.execute(begun).fetchone()
            except sqlite3.OperationalError:  # no tables yet
                continue
            if training == LANES:
                return
    pytest.fail("no trial ended")


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_cut_off_and_continued(tmp_path: Path, stop: signal.Signals) -> None:
    """Stopped in the middle, the same command ends with exactly 12 finished trials and nothing left open."""
    with started(words("study.search", "--trials", "12", *SMALL), tmp_path) as process:
        wait_for_training(process, tmp_path)
        process.send_signal(stop)
        _, said = process.communicate(timeout=PATIENCE)
    if stop is signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert states(tmp_path)["RUNNING"] > 0
    else:
        assert process.returncode == 130
        assert said.rstrip().endswith("interrupted; the same command continues")
        assert "Traceback" not in said
        assert states(tmp_path)["RUNNING"] == 0
        assert {run.info.status for part in runs(tmp_path) for run in part} == {"FINISHED", "KILLED"}
    ended = [t for t in record(tmp_path).trials if t.outcome == "finished"]
    assert 0 < len(ended) < 12

    printed = search(tmp_path, "--trials", "12", *SMALL)
    assert ("trials were cut off earlier" in printed) == (stop is signal.SIGKILL)
    trials = record(tmp_path).trials
    assert [t.outcome for t in trials] == ["finished"] * 12
    assert {t.spec.family for t in trials} == set(FAMILIES)
    kept = {t.number: t for t in trials}
    assert all(kept[t.number] == t for t in ended)
    after = states(tmp_path)
    assert (after["COMPLETE"], after["RUNNING"], after["WAITING"]) == (12, 0, 0)
    parents, children = runs(tmp_path)
    assert [p.info.status for p in parents] == ["FINISHED"]
    by_state = Counter(f"{run.info.status} {run.data.tags['state']}" for run in children)
    assert by_state["FINISHED finished"] == 12
    assert by_state.keys() <= {"FINISHED finished", "KILLED interrupted"}


# At the terminal


def test_help_is_quick() -> None:
    """Less than a second of work, and none of the heavy imports."""
    best = min(seconds_of_help() for _ in range(3))
    assert best < 1.0
    listed = run_program([sys.executable, "-X", "importtime", "-m", "study.search", "--help"])
    imported = {line.rpartition("|")[2].strip() for line in listed.stderr.splitlines()}
    assert not imported & {"torch", "optuna", "mlflow", "plotly", "scipy", "pandas", "torchvision"}
    assert "--list-schedules" in listed.stdout


def seconds_of_help() -> float:
    """Processor seconds of one ``--help``: what the clock says on a machine that does nothing else."""
    before = os.times()
    run_command(None, "study.search", "--help")
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_flags_are_a_decision() -> None:
    """Adding or removing an option is one: this list changes with it."""
    flags = """
        --trials --epochs --study --problem --optimizer --weight-decay --schedules --batch-size --train-images
        --seed --sampler --pruner
        --n-warmup-steps --interval-steps --n-startup-trials --keep-best --prune-on --reprieve --lanes
        --precision --device --data-dir --storage --storage-timeout --tracking-uri --checkpoints --workers --rerun
        --list-schedules
    """
    earlier = "--prune-after --prune-every --prune-startup --prune-keep"
    options = [p for p in main.params if isinstance(p, click.Option)]
    assert sorted(o for p in options for o in p.opts) == sorted((flags + earlier).split())
    assert sorted(p.old for p in options if isinstance(p, Option) and p.old) == sorted(earlier.split())


def test_the_catalogue_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as left:
        main.main(["--list-schedules"])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    for family in FAMILIES:
        assert family in printed
    assert "base_rate" in printed


# Bad input: one line, exit code 2, nothing created


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--schedules", "cosinus"), "--schedules: unknown name cosinus; did you mean cosine?"),
        (("--schedules", ""), "--schedules: "),
        (("--trials", "0"), "--trials: must be a whole number of 1 or more, got 0"),
        (("--trials", "-1"), "--trials: must be a whole number of 1 or more, got -1"),
        (("--trials", "many"), "--trials: must be a whole number of 1 or more, got many"),
        (("--epochs", "0"), "--epochs: must be a whole number of 1 or more, got 0"),
        (("--epochs", "-1"), "--epochs: must be a whole number of 1 or more, got -1"),
        (("--lanes", "0"), "--lanes: must be auto or a whole number of 1 or more, got 0"),
        (("--batch-size", "0"), "--batch-size: must be"),
        (("--train-images", "50001"), "--train-images must be in 1..50000, got 50001"),
        (("--seed", "-1"), "--seed: must be"),
        (("--reprieve", "1.5"), "--reprieve: must be"),
        (("--pruner", "mean"), "--pruner: "),
        (("--device", "tpu"), "--device: "),
        (("--trails", "3"), "no such option --trails; did you mean --trials?"),
        (("--data-dir", "nowhere"), "--data-dir nowhere: train-images-idx3-ubyte[.gz] is not there"),
        (("--storage", "optuna.db"), "--storage "),
        (("--storage", "sqlite:////no/such/folder/optuna.db"), "--storage "),
        (("--storage", "postgresql+psycopg://nobody@127.0.0.1:9/none"), "--storage "),
        (("--storage", "sqlite:///one.db", "--tracking-uri", "sqlite:///one.db"), "--tracking-uri and --storage"),
        (("--tracking-uri", "somewhere"), "--tracking-uri "),
        (("--tracking-uri", "sqlite:////no/such/folder/mlflow.db"), "--tracking-uri "),
        (("--rerun", "0"), "holds no study yet"),
        (("--rerun", "-1"), "--rerun: must be"),
    ],
)  # fmt: skip
def test_bad_input(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(main, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_a_device_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(main, "--device", "cuda").startswith("--device cuda: PyTorch ")
    assert list(tmp_path.iterdir()) == []


def test_corrupt_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    """The damaged file is named, and nothing is created beside it."""
    monkeypatch.chdir(tmp_path)
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        (tmp_path / name).write_bytes(b"\x1f\x8b damaged")
    said = refused(main, "--data-dir", ".")
    assert said.startswith("train-images-idx3-ubyte.gz: cannot be read or is truncated")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_is_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.db").write_text("a note, longer than the header of a database would be")
    for option in ("--storage", "--tracking-uri"):
        assert "is not a SQLite database" in refused(main, option, "sqlite:///notes.db")
    assert [p.name for p in tmp_path.iterdir()] == ["notes.db"]


@pytest.mark.slow
def test_the_arithmetic_is_chosen_once_and_then_followed(copy: Path, tmp_path: Path) -> None:
    """Auto records what it chose; asked for the other one by name, the study refuses; auto joins either."""
    chosen = "bfloat16" if has_bfloat16(torch.device("cpu")) else "float32"
    other = ({"float32", "bfloat16"} - {chosen}).pop()
    assert store.load(f"sqlite:///{copy}/optuna.db").config.precision == chosen
    said = search(copy, "--trials", "12", *SMALL, "--precision", other, code=2)
    assert f"precision is {chosen}, not {other}; give --precision {chosen} to continue it" in said

    few = ("--trials", "1", "--epochs", "1", "--train-images", "256", "--device", "cpu")
    search(tmp_path, *few, "--precision", other)
    if chosen == "float32":
        said = search(tmp_path, *few, code=2)
        assert said.startswith(
            "error: --precision auto: the study computes in bfloat16, which this cpu has not"
        )
    else:
        search(tmp_path, *few)
    assert store.load(f"sqlite:///{tmp_path}/optuna.db").config.precision == other


def test_other_settings_are_refused_and_change_nothing(copy: Path) -> None:
    """The field, both values and the way out are named; the study stays as it was, down to the bytes."""
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    said = search(copy, "--trials", "12", *SMALL, "--seed", "1", code=2)
    assert said == (
        "error: study 'lr-schedules' exists with other settings: seed is 0, not 1; "
        "give --seed 0 to continue it, or --study OTHER to start another\n"
    )
    assert {p: p.read_bytes() for p in before} == before
    added = {p.name for p in copy.iterdir()} - {p.name for p in before} - {"mlartifacts", "mlruns"}
    assert added <= {"mlflow.db-wal", "mlflow.db-shm"}  # SQLite's, of a reader: empty of data

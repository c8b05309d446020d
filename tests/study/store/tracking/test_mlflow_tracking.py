"""A study in MLflow: everything asked for is there, live, and nothing is left RUNNING."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import math
import os
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Run

import lrsched
from study.core.errors import InputError
from study.core.records import EpochMetrics, StudyConfig, TrialSpec
from study.store import optuna_storage as store
from study.store.tracking import mlflow_connection
from study.store.tracking.mlflow_tracking import RunSpec, Tracker
from study.store.urls import check_tracking
from study.textbook.runs import CHAPTER, Replication
from tests.running import run_python

MakeAsked = Callable[..., TrialSpec]
Epochs = Callable[..., list[EpochMetrics]]
FACTS = {"git_revision": "1234abc", "device": "cpu", "torch": "2.14.1"}
STEPS = 196


@pytest.fixture
def tracker(uri: str, config: StudyConfig) -> Tracker:
    """A study's tracker on a database of the test's own."""
    return Tracker.open(uri, config, attributes=FACTS, key="k")


@pytest.fixture
def client(uri: str) -> MlflowClient:
    """A reader of the same database."""
    return MlflowClient(uri)


def children(client: MlflowClient, tracker: Tracker) -> list[Run]:
    """Return the child runs as a user's query finds them, oldest first."""
    experiment = client.get_run(tracker.run_id).info.experiment_id
    query = f"tags.`mlflow.parentRunId` = '{tracker.run_id}'"
    return list(client.search_runs([experiment], query, order_by=["attributes.start_time ASC"]))


def dataset_of(run: Run) -> DatasetInput:
    """Return a run's only input."""
    assert run.inputs is not None
    (data,) = run.inputs.dataset_inputs
    return data


def rates(epoch: int) -> list[float]:
    """The rates of an epoch whose milestone lies in the middle of the second one."""
    return [0.2 if epoch * STEPS + step < 1.5 * STEPS else 0.1 for step in range(STEPS)]


def test_a_child_holds_what_was_asked(
    tracker: Tracker, client: MlflowClient, config: StudyConfig, spec: MakeAsked
) -> None:
    tracker.start(RunSpec.trial(spec(12, 0.3)))
    (run,) = children(client, tracker)
    assert run.info.run_name == "#12 cosine"
    assert run.data.params == {
        "schedule": "cosine",
        "schedule_json": json.dumps(lrsched.Cosine(T_max=3.0).to_json()),
        "base_rate": "0.3",
        "cosine.final": "0.05",
        "epochs": "3",
        "seed": "7",
        "offset": "2",
        "lanes": "4",
        "study_seed": "0",
        "batch_size": "256",
        "train_images": "50000",
    }
    tags = run.data.tags
    assert {**FACTS, "study": "small", "schedule": "cosine", "trial": "12"}.items() <= tags.items()
    assert (tags["state"], tags["kind"], run.info.status) == ("running", "search", "RUNNING")
    data = dataset_of(run)
    assert data.dataset.name == "fashion-mnist"
    assert json.loads(data.dataset.profile or "")["files"] == config.data
    assert {tag.key: tag.value for tag in data.tags} == {"mlflow.data.context": "training"}


def test_a_fixed_run_shows_nothing_of_the_lane_that_trained_it(
    uri: str, client: MlflowClient, config: StudyConfig, spec: MakeAsked
) -> None:
    """A lane's key is no trial's number, the search's lanes are not those of a confirmation."""
    made = Replication(CHAPTER, ("corrected",), 1, 30, 60_000, "cpu", config.data, Path("runs"))
    tracker = Tracker.open(uri, made, attributes={}, key="k", kind="replicate")
    params = {
        "ways": "corrected",
        "epochs": "30",
        "batch_size": "256",
        "train_images": "60000",
        "device": "cpu",
    }
    assert client.get_run(tracker.run_id).data.params == params
    tracker.start(RunSpec.fixed(spec(12, 0.3), "cosine seed 3", {"run": "cosine"}))
    (run,) = children(client, tracker)
    assert (run.info.run_name, run.data.tags["run"], run.data.tags["schedule"]) == (
        "cosine seed 3",
        "cosine",
        "cosine",
    )
    assert not {"trial", "leading_trial"} & run.data.tags.keys()
    assert not {"lanes", "offset", "study_seed"} & run.data.params.keys()
    assert {"seed": "7", "epochs": "3", "batch_size": "256", "train_images": "60000"}.items() <= (
        run.data.params.items()
    )


def test_other_data_have_another_digest(uri: str, client: MlflowClient, config: StudyConfig) -> None:
    digests = set()
    for checksum in ("8d4f", "other"):
        tracker = Tracker.open(
            uri, dataclasses.replace(config, data={"file": checksum}), attributes={}, key=checksum
        )
        digests.add(dataset_of(client.get_run(tracker.run_id)).dataset.digest)
    assert len(digests) == 2


def test_epochs_are_there_while_the_trial_trains(
    tracker: Tracker, client: MlflowClient, spec: MakeAsked, epochs: Epochs
) -> None:
    """Metrics stand at the number of epochs trained; rates at the step that used them."""
    child = tracker.start(RunSpec.trial(spec()))
    for epoch in epochs(2, averaged=0.7):
        tracker.epoch(child, epoch, rates(epoch.epoch))
    for name, values in {
        "train_loss": [0.5, 0.5],
        "train_accuracy": [0.75, 0.75],
        "val_loss": [0.6, 0.6],
        "val_accuracy": [0.79, 0.8],
        "averaged_accuracy": [0.7, 0.7],
        "lr_epoch": [0.1, 0.1],
    }.items():
        history = client.get_metric_history(child, name)
        assert [(m.step, m.value) for m in history] == list(zip([1, 2], values, strict=True))
    curve = {m.step: m.value for m in client.get_metric_history(child, "lr")}
    assert (curve[293], curve[294]) == (0.2, 0.1), "both sides of the milestone"
    assert {0, STEPS - 1, STEPS, 2 * STEPS - 1} <= curve.keys()
    assert client.get_run(child).info.status == "RUNNING"


def test_what_was_not_measured_is_not_recorded(
    tracker: Tracker, client: MlflowClient, spec: MakeAsked, epochs: Epochs
) -> None:
    child = tracker.start(RunSpec.trial(spec()))
    tracker.epoch(child, dataclasses.replace(epochs(1)[0], val_loss=None, val_accuracy=None), rates(0))
    assert set(client.get_run(child).data.metrics) == {"train_loss", "train_accuracy", "lr", "lr_epoch"}


def test_the_curve_stops_where_training_stopped_and_keeps_to_320_points(
    tracker: Tracker, client: MlflowClient, spec: MakeAsked, epochs: Epochs
) -> None:
    child = tracker.start(RunSpec.trial(spec(epochs=200)))
    (epoch,) = epochs(1)
    for number in range(7):
        wave = [math.sin(number * 50 + step) + 2 for step in range(50)]
        tracker.epoch(child, dataclasses.replace(epoch, epoch=number), wave)
    tracker.end(child, "pruned")
    curve = client.get_metric_history(child, "lr")
    assert max(m.step for m in curve) == 7 * 50 - 1
    assert len(curve) <= 320


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("finished", "FINISHED"), ("pruned", "KILLED"), ("diverged", "FAILED"), ("interrupted", "KILLED")],
)
def test_a_pruned_trial_does_not_show_as_successful(
    tracker: Tracker, client: MlflowClient, spec: MakeAsked, outcome: Any, status: str
) -> None:
    child = tracker.start(RunSpec.trial(spec()))
    tracker.end(child, outcome)
    run = client.get_run(child)
    assert (run.info.status, run.data.tags["state"]) == (status, outcome)
    assert run.info.end_time is not None


def test_a_loss_that_is_not_finite_is_recorded(
    tracker: Tracker, client: MlflowClient, spec: MakeAsked, epochs: Epochs
) -> None:
    child = tracker.start(RunSpec.trial(spec()))
    tracker.epoch(child, dataclasses.replace(epochs(1)[0], train_loss=math.nan, val_loss=math.inf), rates(0))
    tracker.end(child, "diverged")
    assert math.isnan(client.get_run(child).data.metrics["train_loss"])


def test_the_parent_holds_settings_and_summary(
    uri: str, tmp_path: Path, client: MlflowClient, config: StudyConfig
) -> None:
    tracker = Tracker.open(uri, config, attributes=FACTS, key="k")
    run = client.get_run(tracker.run_id)
    assert run.info.run_name == "small"
    assert {
        "epochs": "3",
        "sampler": "random",
        "schedules": "constant, cosine",
    }.items() <= run.data.params.items()
    assert run.info.status == "RUNNING"
    tracker.log_text("<html>curves</html>", "curves.html")
    tracker.close(
        "finished", metrics={"best_val_accuracy": 0.9}, tags={"leader": "cosine"}, summary={"trials": 3}
    )
    run = client.get_run(tracker.run_id)
    assert (run.info.status, run.data.tags["state"]) == ("FINISHED", "finished")
    assert run.data.metrics == {"best_val_accuracy": 0.9}
    assert run.data.tags["leader"] == "cosine"
    assert {a.path for a in client.list_artifacts(tracker.run_id)} == {"curves.html", "summary.json"}
    (kept,) = (tmp_path / "mlartifacts").rglob("summary.json")
    assert json.loads(kept.read_text(encoding="utf-8")) == {"trials": 3}


def test_closing_leaves_nothing_running(tracker: Tracker, client: MlflowClient, spec: MakeAsked) -> None:
    """Ctrl-C in the middle: the children and the parent all say so."""
    for number in range(3):
        tracker.start(RunSpec.trial(spec(number)))
    tracker.close("interrupted")
    runs = [*children(client, tracker), client.get_run(tracker.run_id)]
    assert {(run.info.status, run.data.tags["state"]) for run in runs} == {("KILLED", "interrupted")}


def test_a_resumed_study_has_one_parent_and_no_left_over_children(
    uri: str, tracker: Tracker, client: MlflowClient, config: StudyConfig, spec: MakeAsked
) -> None:
    """The first process was killed: trial 0 had ended, 1 and 2 had not; somebody else trains 2."""
    tracker.end(tracker.start(RunSpec.trial(spec(0))), "finished")
    for number in (1, 2):
        tracker.start(RunSpec.trial(spec(number)))
    again = Tracker.open(uri, config, attributes=FACTS, key="k", running=lambda: {2})
    assert again.run_id == tracker.run_id
    assert [(r.data.tags["trial"], r.data.tags["state"]) for r in children(client, again)] == [
        ("0", "finished"),
        ("1", "interrupted"),
        ("2", "running"),
    ]
    again.close("finished")
    assert client.get_run(again.run_id).info.status == "FINISHED"


def test_another_command_leaves_the_searchs_children_alone(
    uri: str, tracker: Tracker, client: MlflowClient, config: StudyConfig, spec: MakeAsked
) -> None:
    tracker.start(RunSpec.trial(spec(1)))
    confirm = Tracker.open(uri, config, attributes={}, key="k", kind="confirm")
    confirm.start(RunSpec.fixed(spec(1), "cosine, seed 3", {"finalist": "1"}))
    states = {r.info.run_name: (r.data.tags["kind"], r.data.tags["state"]) for r in children(client, tracker)}
    assert states == {"#1 cosine": ("search", "running"), "cosine, seed 3": ("confirm", "running")}


@pytest.mark.parametrize("gone", ["never made", "deleted"])
def test_a_parent_that_is_gone_is_made_anew(
    uri: str, tracker: Tracker, client: MlflowClient, config: StudyConfig, gone: str
) -> None:
    client.delete_run(tracker.run_id)
    resume = tracker.run_id if gone == "deleted" else "0" * 32
    again = Tracker.open(uri, config, attributes={}, key="k", resume_run_id=resume)
    assert again.run_id != resume
    assert client.get_run(again.run_id).info.status == "RUNNING"


def test_a_parent_whose_id_nobody_noted_is_found_by_its_key_and_completed(
    uri: str, tracker: Tracker, client: MlflowClient, config: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process was killed as soon as MLflow had made it; another owner's is another run."""

    class Killed(BaseException):
        """Ends a process where it stands."""

    def stop(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as killed:
        killed.setattr(Tracker, "_describe", stop)
        with pytest.raises(Killed):
            Tracker.open(uri, config, attributes={}, key="mine")
    experiment = client.get_run(tracker.run_id).info.experiment_id
    (orphan,) = [r for r in client.search_runs([experiment]) if r.info.run_id != tracker.run_id]
    found = Tracker.open(uri, config, attributes={}, key="mine")
    assert found.run_id == orphan.info.run_id
    completed = client.get_run(found.run_id)
    assert completed.data.params["epochs"] == "3"
    assert dataset_of(completed).dataset.name == "fashion-mnist"


def test_a_parent_of_an_earlier_version_is_found_by_the_id_that_it_noted(
    uri: str, tracker: Tracker, client: MlflowClient, config: StudyConfig
) -> None:
    client.delete_tag(tracker.run_id, "study_key")
    for _ in range(2):  # the second time by its key
        assert (
            Tracker.open(uri, config, attributes={}, key="k", resume_run_id=tracker.run_id).run_id
            == tracker.run_id
        )


def test_what_was_recorded_of_a_run_that_starts_again_is_interrupted_whatever_it_said(
    tracker: Tracker, client: MlflowClient, spec: MakeAsked
) -> None:
    """A process is killed after MLflow heard that a trial finished and before Optuna did."""
    for number, outcome in ((0, "finished"), (1, "finished"), (1, "pruned")):
        tracker.end(tracker.start(RunSpec.trial(spec(number))), outcome)  # type: ignore[arg-type]  # an Outcome
    tracker.supersede("trial", ["1"])
    tracker.end(tracker.start(RunSpec.trial(spec(1))), "finished")
    states = [(r.data.tags["trial"], r.info.status, r.data.tags["state"]) for r in children(client, tracker)]
    assert states == [
        ("0", "FINISHED", "finished"),
        ("1", "KILLED", "interrupted"),
        ("1", "KILLED", "interrupted"),
        ("1", "FINISHED", "finished"),
    ]


def test_a_second_confirmation_leaves_the_live_runs_of_the_first_alone(
    uri: str, client: MlflowClient, config: StudyConfig, spec: MakeAsked
) -> None:
    """Of the same study, at the same time: opened, and closed."""
    first = Tracker.open(uri, config, attributes={}, key="first", kind="confirm")
    first.start(RunSpec.fixed(spec(1), "cosine seed 1", {}))
    second = Tracker.open(uri, config, attributes={}, key="second", kind="confirm")
    second.start(RunSpec.fixed(spec(1), "cosine seed 1", {}))
    second.supersede("mlflow.runName", ["cosine seed 1"])
    second.close("finished")
    assert [(r.info.status, r.data.tags["state"]) for r in children(client, first)] == [
        ("RUNNING", "running")
    ]


@pytest.mark.parametrize("age", ["killed long ago", "in the making"])
def test_a_database_that_was_not_made_to_its_end_is_made_again(
    tmp_path: Path, config: StudyConfig, age: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow itself refuses it for ever; while it may still be in the making, it is waited for."""
    path = tmp_path / "half.db"
    with contextlib.closing(sqlite3.connect(path)) as file:
        for table in ("experiments", "runs", "tags"):
            file.execute(f"CREATE TABLE {table} (experiment_id)")
    if age == "killed long ago":
        os.utime(path, (0, 0))
    else:
        monkeypatch.setattr(mlflow_connection, "MAKING_SECONDS", 1.0)
    began = time.time()
    tracker = Tracker.open(f"sqlite:///{path}", config, attributes={}, key="k")
    assert (time.time() - began > 0.5) or age == "killed long ago"
    assert MlflowClient(f"sqlite:///{path}").get_run(tracker.run_id).info.status == "RUNNING"


def test_a_database_that_holds_runs_is_never_made_again(tmp_path: Path, config: StudyConfig) -> None:
    path = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE experiments (experiment_id)")
        file.execute("CREATE TABLE runs (run_uuid)")
        file.execute("INSERT INTO runs VALUES ('precious')")
        file.commit()
    os.utime(path, (0, 0))
    with pytest.raises(InputError, match="cannot be used"):
        Tracker.open(f"sqlite:///{path}", config, attributes={}, key="k")
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT * FROM runs").fetchall() == [("precious",)]


def test_an_experiment_in_the_bin_is_taken_out(
    uri: str, tracker: Tracker, client: MlflowClient, config: StudyConfig
) -> None:
    client.delete_experiment(client.get_run(tracker.run_id).info.experiment_id)
    again = Tracker.open(uri, config, attributes={}, key="other")
    assert (
        client.get_run(again.run_id).info.experiment_id == client.get_run(tracker.run_id).info.experiment_id
    )


UNUSABLE = {
    "a path": ("mlruns", "is not a tracking URI"),
    "an unknown scheme": ("ftp://host", "unknown kind of database"),
    "a folder": ("sqlite:///{tmp}", "is a folder"),
    "a file in no folder": ("sqlite:///{tmp}/no/mlflow.db", "there is no folder"),
    "a text file": ("sqlite:///{tmp}/text.db", "is not a SQLite database"),
    "Optuna's database": ("sqlite:///{tmp}/optuna.db", "another program's database, not MLflow's"),
    "a server that is not there": ("http://127.0.0.1:9", "does not answer"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_uri_is_refused_in_one_line(case: str, tmp_path: Path, config: StudyConfig) -> None:
    (tmp_path / "text.db").write_text("my notes, not a database\n")
    store.open_study(f"sqlite:///{tmp_path}/optuna.db", config)
    bad, reason = (text.format(tmp=tmp_path) for text in UNUSABLE[case])
    with pytest.raises(InputError) as refused:
        Tracker.open(bad, config, attributes={}, key="k")
    assert str(refused.value).startswith("`tracking_uri` ")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    in_use = {"optuna.db-wal", "optuna.db-shm"}  # they go when nobody holds the database open any more
    assert {path.name for path in tmp_path.iterdir()} - in_use == {"optuna.db", "text.db"}


def test_optuna_and_mlflow_cannot_share_a_file_even_one_to_be_made(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="use two databases"):
        check_tracking(f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/link/one.db")
    check_tracking(f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/two.db")
    assert {path.name for path in tmp_path.iterdir()} == {"link"}


@pytest.fixture
def locked_server() -> Iterator[str]:
    """A server that answers and lets nobody in."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_asks_for_a_password_answers(locked_server: str) -> None:
    check_tracking(locked_server)


def test_the_file_can_be_read_while_it_is_written(uri: str, tracker: Tracker) -> None:
    del tracker
    reader = sqlite3.connect(uri.removeprefix("sqlite:///"))
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.close()


def test_importing_the_records_does_not_import_mlflow() -> None:
    """It takes two seconds, which `--help` does not have."""
    code = "import sys, study.store.tracking.mlflow_tracking; sys.exit('mlflow' in sys.modules)"
    run_python("-c", code)


@pytest.mark.slow
def test_two_processes_share_one_parent(
    tmp_path: Path, url: str, worker: Callable[..., subprocess.Popen[str]]
) -> None:
    """Started together on nothing, two files and two schemas to make: 1 parent, 12 children, all ended."""
    uri = f"sqlite:///{tmp_path}/new.db"
    for process in [worker("work", url, "12", uri) for _ in range(2)]:
        process.communicate()
        assert process.returncode == 0
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("lr-schedules")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    kinds = Counter(
        ("child" if "mlflow.parentRunId" in r.data.tags else "parent", r.info.status) for r in runs
    )
    assert kinds == {("parent", "FINISHED"): 1, ("child", "FINISHED"): 12}

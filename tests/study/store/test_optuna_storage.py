"""A study is made once, goes on after any crash, and nothing in it is lost or doubled."""

from __future__ import annotations

import dataclasses
import math
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import optuna
import pytest
from optuna.trial import TrialState

from study.core.errors import InputError
from study.core.recorded import kept
from study.core.records import EpochMetrics, StudyConfig, TrialSpec
from study.store import lifecycle as life
from study.store import optuna_storage as store
from study.store import urls
from study.store.liveness import current
from tests.running import run_python

Start = Callable[..., optuna.Trial]
Epochs = Callable[..., list[EpochMetrics]]
Worker = Callable[..., "subprocess.Popen[str]"]


# --------------------------------------------------------------------------- opening


def test_a_study_is_made_once_and_continued(url: str, config: StudyConfig) -> None:
    first = store.open_study(url, config)
    first.set_user_attr("tracking_run", "abc")
    again = store.open_study(url, config)
    assert again.user_attrs["tracking_run"] == "abc"
    assert store.load(url).config == config
    assert optuna.get_all_study_names(url) == ["small"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("epochs", 5, "epochs is 3, not 5; give `epochs` 3"),
        (
            "schedules",
            ("cosine",),
            "schedules is constant,cosine, not cosine; give `schedules` constant,cosine",
        ),
        ("n_warmup_steps", 2, "n_warmup_steps is 1, not 2; give `n_warmup_steps` 1"),
        ("seed", 1, "seed is 0, not 1; give `seed` 0"),
        ("data", {"train": "other"}, "its data files had other checksums; give the same `data_dir`"),
    ],
)
def test_other_settings_are_refused_with_both_values_and_the_fix(
    url: str, config: StudyConfig, field: str, value: Any, said: str
) -> None:
    store.open_study(url, config)
    with pytest.raises(InputError) as refused:
        store.open_study(url, dataclasses.replace(config, **{field: value}))
    assert said in str(refused.value)
    assert "`study` OTHER" in str(refused.value)
    assert store.load(url).config == config


def test_studies_of_one_storage_do_not_meet(url: str, config: StudyConfig, start: Start) -> None:
    one = store.open_study(url, config)
    two = store.open_study(url, dataclasses.replace(config, name="other", epochs=9))
    start(two)
    assert life.remaining(one, 5) == 5
    assert store.load(url, "small").trials == ()
    assert store.load(url).config.name == "other", "the study made last"


UNUSABLE = {
    "no URL": ("optuna.db", "is not a database URL"),
    "nothing": ("", "is not a database URL"),
    "a URL with a slip": ("postgresql+psycopg://u:secret@127.0.0.1:port/x", "is not a database URL"),
    "an unknown backend": ("redis://localhost/0", "unknown kind of database"),
    "a driver that is not there": ("postgresql+pg8000://u@localhost/x", "needs the driver 'pg8000'"),
    "memory": ("sqlite://", "keeps nothing on disk"),
    "a folder": ("sqlite:///{tmp}", "is a folder"),
    "a file in no folder": ("sqlite:///{tmp}/no/such/optuna.db", "there is no folder '{tmp}/no/such'"),
    "a text file": ("sqlite:///{tmp}/text.db", "is not a SQLite database"),
    "a broken database": ("sqlite:///{tmp}/broken.db", "is not a SQLite database"),
    "another program's database": ("sqlite:///{tmp}/foreign.db", "another program's database"),
    "a server that is not there": ("postgresql+psycopg://u:secret@127.0.0.1:9/x", "cannot be reached"),
}


@pytest.mark.parametrize("case", UNUSABLE)
@pytest.mark.parametrize("door", ["open", "load"])
def test_an_unusable_storage_is_refused_in_one_line(
    case: str, door: str, tmp_path: Path, config: StudyConfig
) -> None:
    """The value and the reason are named, a password is not, and nothing is made or changed."""
    (tmp_path / "text.db").write_text("my notes, not a database\n")
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE experiments (x)")
    foreign.close()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    bad, reason = (text.format(tmp=tmp_path) for text in UNUSABLE[case])
    with pytest.raises(InputError) as refused:
        _ = store.open_study(bad, config) if door == "open" else store.load(bad)
    said = str(refused.value)
    assert reason in said
    assert said.startswith("`storage` ")
    assert "\n" not in said
    assert "secret" not in said
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_place_is_refused(tmp_path: Path, config: StudyConfig) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="is not writable"):
        store.open_study(f"sqlite:///{tmp_path}/optuna.db", config)


def test_a_refusal_leaves_no_connection_open(url: str, config: StudyConfig) -> None:
    """SQLite takes its log away when the last connection is closed."""
    store.close(store.open_study(url, config))
    with pytest.raises(InputError, match="seed is 0, not 1") as refused:
        store.open_study(url, dataclasses.replace(config, seed=1))
    assert refused.tb is not None  # holds all that the refused call held
    assert not Path(url.removeprefix("sqlite:///") + "-wal").exists()


def test_braces_and_percent_signs_in_a_path_are_ordinary(tmp_path: Path, config: StudyConfig) -> None:
    """Optuna formats its URL, alembic interpolates it."""
    folder = tmp_path / "50% {x} ü"
    folder.mkdir()
    store.open_study(f"sqlite:///{folder}/optuna.db", config)
    assert (folder / "optuna.db").exists()


def test_a_study_made_otherwise_is_not_taken_for_ours(url: str, config: StudyConfig) -> None:
    optuna.create_study(storage=url, study_name="small", direction="maximize").ask()
    with pytest.raises(InputError, match=r"'small' was not made by study\.search"):
        store.open_study(url, config)


def test_loading_names_the_studies_that_exist(url: str, config: StudyConfig) -> None:
    store.open_study(url, config)
    store.open_study(url, dataclasses.replace(config, name="second"))
    with pytest.raises(InputError, match=r"`study` 'third' is not in .*, which holds: small, second"):
        store.load(url, "third")


def test_loading_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no study yet: run python -m study\.search first"):
        store.load(f"sqlite:///{tmp_path}/optuna.db")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_does_not_lock_a_study_in_progress(url: str, config: StudyConfig, start: Start) -> None:
    """A dashboard that holds a read transaction open neither blocks nor is blocked."""
    study = store.open_study(url, config)
    reader = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM trials").fetchone() == (0,)
    start(study)
    assert reader.execute("SELECT count(*) FROM trials").fetchone() == (0,), "its view is its own"
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM trials").fetchone() == (1,)
    reader.close()


def test_loading_does_not_wait_for_who_writes(url: str, config: StudyConfig, start: Start) -> None:
    start(store.open_study(url, config))
    writer = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    assert len(store.load(url).trials) == 1
    assert time.monotonic() - began < 10
    writer.execute("ROLLBACK")
    writer.close()


def test_looking_keeps_this_process_in_the_file(url: str, config: StudyConfig) -> None:
    """Who holds the study open and looks at it keeps its lock: another's exit takes no log away under it.

    POSIX drops all of a process's locks on a file when any handle of it on that file is closed.
    """
    path = url.removeprefix("sqlite:///")
    store.close(store.open_study(url, config))
    holder = sqlite3.connect(path)
    assert holder.execute("SELECT count(*) FROM studies").fetchone() == (1,)
    urls.tables(urls.parse(url, "storage"), "storage")
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('CREATE TABLE new (x)'); c.close()"
    )
    run_python("-c", script, path)
    assert Path(f"{path}-wal").exists()
    assert "new" in urls.tables(urls.parse(url, "storage"), "storage")
    holder.close()


# --------------------------------------------------------------------------- a trial's life


def test_a_finished_trial_reads_back_whole(
    url: str, config: StudyConfig, start: Start, epochs: Epochs, spec: Callable[..., TrialSpec]
) -> None:
    study = store.open_study(url, config)
    trial = start(study)
    for number, signal in enumerate((0.6, 0.7, 0.8)):
        assert life.report(trial, signal, number)
    assert life.finish(study, trial, epochs(averaged=0.7), "finished", reprieved_at=1)
    (kept,) = store.load(url).trials
    assert kept.spec == spec(0, trial.params["base_rate"])
    assert list(kept.epochs) == epochs(averaged=0.7)
    assert (kept.outcome, kept.value, kept.reprieved_at) == ("finished", 0.8, 1)
    assert kept.reported == {0: 0.6, 1: 0.7, 2: 0.8}
    assert kept.started is not None
    assert kept.ended is not None
    assert study.best_value == 0.8


@pytest.mark.parametrize("outcome", ["pruned", "diverged"])
def test_a_stopped_trial_has_an_outcome_and_no_value(
    url: str, config: StudyConfig, start: Start, epochs: Epochs, outcome: Any
) -> None:
    study = store.open_study(url, config)
    trial = start(study)
    life.report(trial, 0.3, 0)
    assert life.finish(study, trial, epochs(1), outcome)
    (kept,) = store.load(url).trials
    assert (kept.outcome, kept.value) == (outcome, None)
    assert study.trials[0].state is TrialState.PRUNED


def test_losses_that_are_not_finite_survive_as_valid_json(
    url: str, config: StudyConfig, start: Start, epochs: Epochs
) -> None:
    """Browsers refuse NaN in JSON: a dashboard would show nothing at all."""
    study = store.open_study(url, config)
    trial = start(study)
    (last,) = epochs(1)
    life.finish(
        study, trial, [dataclasses.replace(last, train_loss=math.nan, val_loss=-math.inf)], "diverged"
    )
    (kept,) = store.load(url).trials
    assert math.isnan(kept.epochs[0].train_loss)
    assert kept.epochs[0].val_loss == -math.inf
    reader = sqlite3.connect(url.removeprefix("sqlite:///"))
    (text,) = reader.execute("SELECT value_json FROM trial_system_attributes WHERE key = 'epochs'").fetchone()
    reader.close()
    assert '"nan"' in text
    assert "NaN" not in text


@pytest.mark.parametrize("outcome", ["running", "interrupted"])
def test_a_trial_cannot_finish_as_something_else(
    url: str, config: StudyConfig, start: Start, epochs: Epochs, outcome: Any
) -> None:
    study = store.open_study(url, config)
    with pytest.raises(ValueError, match=f"got outcome='{outcome}'"):
        life.finish(study, start(study), epochs(), outcome)
    with pytest.raises(ValueError, match="got none for trial 1"):
        life.finish(study, start(study), [], "finished")


def test_what_is_long_is_no_user_attribute_and_is_read_where_earlier_versions_kept_it(
    url: str, config: StudyConfig, start: Start, epochs: Epochs
) -> None:
    study = store.open_study(url, config)
    life.finish(study, start(study), epochs(), "finished")
    (trial,) = study.trials
    assert all(len(str(value)) <= 250 for value in trial.user_attrs.values())
    before = store.record(study)
    store.close(study)
    with closing(sqlite3.connect(urls.sqlite_path(urls.parse(url, "storage")))) as database:
        database.execute(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) "
            "SELECT trial_id, key, value_json FROM trial_system_attributes"
        )
        database.execute("DELETE FROM trial_system_attributes")
        database.commit()
    assert store.load(url, config.name) == before


def test_the_total_is_the_studys(url: str, config: StudyConfig, start: Start, epochs: Epochs) -> None:
    """Finished, pruned, diverged and running trials count; interrupted ones do not."""
    study = store.open_study(url, config)
    for outcome in ("finished", "pruned", "diverged"):
        life.finish(study, start(study), epochs(), outcome)
    running = start(study)
    assert life.remaining(study, 6) == 2
    life.interrupt(study, [running])
    assert life.remaining(study, 6) == 3
    for _ in range(3):
        start(study, 6)
    assert life.ask(study, 6) is None
    assert life.remaining(study, 6) == 0
    assert life.remaining(study, 2) == 0


def test_of_two_that_ask_for_the_last_trial_one_withdraws(
    url: str, config: StudyConfig, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both saw room for one more before either had asked."""
    study = store.open_study(url, config)
    start(study, 1)
    rooms = iter([1, 1, 0])  # as this one saw it, until it had asked
    monkeypatch.setattr(life, "_room", lambda *_: next(rooms))
    monkeypatch.setattr(sys, "platform", "win32")  # where there is no lock
    assert life.ask(study, 1) is None
    monkeypatch.undo()
    assert [t.number for t in store.load(url).trials] == [0]
    assert life.remaining(study, 2) == 1


# --------------------------------------------------------------------------- crashes


def test_interrupted_trials_go_on_with_their_numbers_and_parameters(
    url: str, config: StudyConfig, start: Start, epochs: Epochs
) -> None:
    study = store.open_study(url, config)
    trials = [start(study) for _ in range(3)]
    life.finish(study, trials[0], epochs(), "finished")
    assert life.interrupt(study, trials[1:]) == 2
    assert life.interrupt(study, trials[1:]) == 0
    assert life.recover(study) == 0
    assert [t.outcome for t in store.load(url).trials] == ["finished", "interrupted", "interrupted"]
    again = [start(study, 3) for _ in range(2)]
    assert [(t.number, t.params) for t in again] == [(t.number, t.params) for t in trials[1:]]
    assert [life.was_begun(t) for t in again] == [(1,), (2,)]
    assert life.ask(study, 3) is None
    assert [t.number for t in store.load(url).trials] == [0, 1, 2]


def test_a_trial_that_reported_starts_again_under_a_new_number_unless_its_checkpoint_is_there(
    url: str,
    config: StudyConfig,
    start: Start,
    spec: Callable[..., TrialSpec],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its reports are of weights that only the checkpoint has. Killed on the way, it is not started twice."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    study = store.open_study(url, config)
    kept, lost = start(study), start(study)
    for trial in (kept, lost):
        life.report(trial, 0.5, 0)
    life.interrupt(study)
    taken = life.take(study, 0, spec(0, kept.params["base_rate"]))
    assert taken is not None
    assert taken.number == 0
    assert life.report(taken, 0.5, 0), "what was reported is not reported again"
    assert life.take(study, 1, spec(1, 0.123)) is None, "of another study's checkpoint"
    with monkeypatch.context() as killed:
        killed.setattr(study._storage, "set_trial_state_values", interrupted)
        with pytest.raises(KeyboardInterrupt):
            life.ask(study, 2)  # killed between the new trial and the end of the old one
    again = start(study, 2)
    assert (again.number, again.params) == (2, lost.params)
    assert life.was_begun(again) == (2, 1), "under both numbers by now"
    assert life.ask(study, 2) is None
    assert [t.state.name for t in study.trials] == ["RUNNING", "FAIL", "RUNNING"]
    assert [t.number for t in store.load(url).trials] == [0, 2], "retried ones are left out"


def test_a_trial_cut_off_before_it_began_keeps_its_number(url: str, config: StudyConfig) -> None:
    study = store.open_study(url, config)
    trial = life.ask(study, 1)
    assert trial is not None
    assert life.interrupt(study, [trial]) == 1
    assert life.remaining(study, 1) == 1
    fresh = life.ask(study, 1)
    assert fresh is not None
    assert fresh.number == trial.number
    assert life.was_begun(fresh) == ()


def test_a_trial_that_this_process_asked_for_in_vain_is_put_back(
    url: str, config: StudyConfig, start: Start
) -> None:
    """A server fell before it could answer: the trial is ours, and nobody trains it."""
    study = store.open_study(url, config)
    trials = [start(study) for _ in range(2)]
    assert life.recover(study) == 0
    assert life.recover(study, mine=[trials[0].number]) == 1
    assert life.running(study) == {trials[0].number}


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_an_empty_study_of_the_name_is_completed(
    url: str, config: StudyConfig, direction: Literal["maximize", "minimize"]
) -> None:
    """Its process was killed before it wrote the settings; one that is to be minimized is somebody else's."""
    optuna.create_study(storage=url, study_name="small", direction=direction)
    if direction == "minimize":
        with pytest.raises(InputError, match=r"'small' was not made by study\.search"):
            store.open_study(url, config)
        return
    study = store.open_study(url, config)
    assert store.load(url).config == config
    assert len(study.user_attrs["key"]) == 32
    assert store.open_study(url, config).user_attrs["key"] == study.user_attrs["key"]


def test_a_killed_process_is_recovered_from_at_once(url: str, config: StudyConfig, worker: Worker) -> None:
    """SIGKILL leaves trials RUNNING; the next start puts them back, exactly once."""
    process = worker("hang", url, "3")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    study = store.existing_study(url)
    assert life.recover(study) == 0, "it lives: its trials are its own"
    assert life.remaining(study, 5) == 2, "and count"
    assert life.running(study) == {0, 1, 2}
    process.kill()
    process.wait()
    assert life.recover(study) == 3
    assert life.recover(study) == 0
    assert life.remaining(study, 5) == 5
    assert [t.state for t in study.trials] == [TrialState.WAITING] * 3
    assert all({"base_rate"} == t.params.keys() and "asked" in kept(t) for t in study.trials)


LONG_AGO = "2000-01-01 00:00:00"


def _silence(url: str) -> None:
    """Let every trial's last heartbeat be long ago."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.execute("UPDATE trial_heartbeats SET heartbeat = ?", (LONG_AGO,))


def test_a_paused_process_keeps_its_trials(url: str, config: StudyConfig, start: Start) -> None:
    """Without a heartbeat for longer than the grace, but seen to live on this machine."""
    study = store.open_study(url, config)
    start(study)
    _silence(url)
    assert life.recover(study) == 0
    assert life.running(study) == {0}


def _move(trial: optuna.Trial, **changes: Any) -> None:
    """Let a trial belong to another process."""
    trial.set_user_attr("owner", dataclasses.asdict(dataclasses.replace(current(), **changes)))


def test_a_trial_of_a_machine_out_of_sight_lives_while_it_sends_heartbeats(
    url: str, config: StudyConfig, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "HEARTBEAT_SECONDS", 0)
    study = store.open_study(url, config)
    heard, silent = start(study), start(study)
    for trial in (heard, silent):
        _move(trial, host="far", kernel="away")
    assert life.recover(study) == 0, "both were heard of a moment ago"
    _silence(url)
    life.heartbeat(study, [heard])
    assert life.recover(study) == 1
    assert life.running(study) == {heard.number}


def test_a_local_file_outlives_the_machines_restart(url: str, config: StudyConfig, start: Start) -> None:
    study = store.open_study(url, config)
    _move(start(study), kernel="an earlier boot")
    assert life.recover(study) == 1


def test_who_lost_a_trial_is_told(url: str, config: StudyConfig, start: Start, epochs: Epochs) -> None:
    """A laptop that slept for an hour must not crash, nor end a trial that others have taken over."""
    study = store.open_study(url, config)
    trial, kept = start(study), start(study)
    assert life.trained_here(study).keys() == {0, 1}
    life.interrupt(store.existing_study(url), [trial])
    ours = life.trained_here(study)
    assert ours.keys() == {1}
    assert [life.report(each, 0.5, 0, ours) for each in (trial, kept)] == [False, True]
    assert life.report(trial, 0.5, 0) is False
    assert life.finish(study, trial, epochs(), "finished") is False
    assert study.trials[0].state is TrialState.WAITING


def test_heartbeats_are_written_at_most_once_in_a_while(url: str, config: StudyConfig, start: Start) -> None:
    study = store.open_study(url, config)
    trial = start(study)
    life.heartbeat(study, [trial])
    _silence(url)
    life.heartbeat(study, [trial])
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as reader:
        assert reader.execute("SELECT heartbeat FROM trial_heartbeats").fetchone() == (LONG_AGO,)


@pytest.mark.slow
def test_two_processes_share_a_sqlite_study_without_doubling(url: str, worker: Worker) -> None:
    """Started together on nothing: one schema, one study, each trial once."""
    outputs = [p.communicate()[0] for p in [worker("work", url, "12") for _ in range(2)]]
    numbers = [int(line) for output in outputs for line in output.split()]
    assert sorted(numbers) == sorted(t.number for t in store.load(url).trials)
    assert len(numbers) == 12

"""Several machines: the same laws on PostgreSQL, with real processes."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable

import pytest

from study.core.errors import InputError
from study.core.records import StudyConfig
from study.store import lifecycle as life
from study.store import optuna_storage as store

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

Databases = Callable[[str], str]
Worker = Callable[..., "subprocess.Popen[str]"]


def test_three_processes_work_on_one_study(postgres: Databases, worker: Worker) -> None:
    """Started together on two empty databases: nothing is made twice, no trial is lost or doubled."""
    import psycopg

    storage, tracking = postgres("optuna"), postgres("mlflow")
    processes = [worker("work", storage, "9", tracking) for _ in range(3)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    numbers = [int(line) for output in outputs for line in output.split()]
    record = store.load(storage)
    assert sorted(numbers) == [trial.number for trial in record.trials]
    assert len(numbers) == 9
    assert {trial.outcome for trial in record.trials} == {"finished"}
    with psycopg.connect(tracking.replace("+psycopg", "")) as connection:
        rows = connection.execute(
            "SELECT runs.status, tags.key FROM runs LEFT JOIN tags"
            " ON tags.run_uuid = runs.run_uuid AND tags.key = 'mlflow.parentRunId'"
        ).fetchall()
    assert Counter(rows) == {("FINISHED", None): 1, ("FINISHED", "mlflow.parentRunId"): 9}


def test_who_reads_a_database_in_the_making_finds_nothing_and_leaves_nothing(
    postgres: Databases, config: StudyConfig
) -> None:
    """Between Optuna's tables and their version, which Optuna would write for a reader as well, beside the one who makes them."""
    import sqlalchemy
    from optuna.storages._rdb.models import BaseModel

    storage = postgres("optuna")
    engine = sqlalchemy.create_engine(storage)
    BaseModel.metadata.create_all(engine)
    before = set(sqlalchemy.inspect(engine).get_table_names())
    with pytest.raises(InputError, match="holds no study yet"):
        store.load(storage)
    assert store.settings_of(storage, config.name) is None
    assert set(sqlalchemy.inspect(engine).get_table_names()) == before
    engine.dispose()
    store.close(store.open_study(storage, config))
    assert store.load(storage).config == config


def test_a_killed_process_is_replaced_while_another_lives(postgres: Databases, worker: Worker) -> None:
    """Several that start at once after a crash put each trial back once, and leave the living alone."""
    storage = postgres("optuna")
    dead = worker("hang", storage, "4")
    assert dead.stdout is not None
    assert dead.stdout.readline() == "ready\n"
    alive = worker("hang", storage, "6")
    assert alive.stdout is not None
    assert alive.stdout.readline() == "ready\n"
    dead.kill()
    dead.wait()
    outputs = [p.communicate()[0] for p in [worker("work", storage, "10") for _ in range(3)]]
    assert sum(len(output.split()) for output in outputs) == 8
    study = store.existing_study(storage)
    assert [t.number for t in study.trials] == list(range(10))  # those of the dead keep their numbers
    assert life.running(study) == {4, 5}
    store.close(study)
    assert Counter(t.outcome for t in store.load(storage).trials) == {"finished": 8, "running": 2}


def test_a_database_holds_one_of_the_two(postgres: Databases, worker: Worker) -> None:
    """Both libraries keep their schema's version in a table of the same name."""
    from study.store.urls import check_tracking

    storage = postgres("optuna")
    assert worker("work", storage, "1").wait() == 0
    with pytest.raises(InputError, match="another program's database, not MLflow's"):
        check_tracking(storage)


def test_a_database_that_is_not_there_is_refused(postgres_server: str) -> None:
    with pytest.raises(InputError, match=r"cannot be reached: .*nowhere"):
        store.load(f"{postgres_server}/nowhere")

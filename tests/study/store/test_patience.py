"""A store that goes away is waited for, aloud, as long as was said or until a signal comes; what it refuses is one line."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
import sqlalchemy
from optuna.storages import RDBStorage

from study.core.errors import InputError
from study.core.records import StudyConfig
from study.core.signals import stoppable
from study.store import lifecycle as life
from study.store import optuna_storage as store
from study.store.patience import CALLS, LostError, Patience, PatientStorage, server_away
from study.store.tracking.mlflow_connection import _unanswered
from tests.servers import Postgres


class Store:
    """Is away for so many calls."""

    def __init__(self, away: float) -> None:
        self.away, self.calls = away, 0

    def call(self) -> str:
        self.calls += 1
        if self.calls <= self.away:
            raise ConnectionError("refused")
        return "answer"


def reason(error: Exception) -> str | None:
    return str(error) if isinstance(error, ConnectionError) else None


def test_a_break_is_mended_in_silence_and_more_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    patience = Patience("the server", reason)
    assert patience.call(Store(1).call) == "answer"
    assert capsys.readouterr().err == ""
    assert patience.call(Store(3).call) == "answer"
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "the server does not answer (refused); waiting, Ctrl-C stops"
    assert said[1].startswith("the server answers again after ")
    assert (len(said), patience.falls) == (2, 2)


def test_after_its_limit_it_is_lost_and_later_calls_do_not_wait() -> None:
    patience, away = Patience("the server", reason, limit=0.5), Store(10**6)
    with pytest.raises(LostError, match=r"the server does not answer: refused; the same command continues"):
        patience.call(away.call)
    before, began = away.calls, time.monotonic()
    with pytest.raises(LostError):
        patience.call(away.call)
    assert away.calls == before + 1
    assert time.monotonic() - began < 0.2


def test_a_signal_ends_the_waiting() -> None:
    patience, away = Patience("the server", reason), Store(10**6)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGTERM]).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), stoppable():
        patience.call(away.call)
    signal.signal(signal.SIGTERM, before)
    assert time.monotonic() - began < 5


def test_any_other_error_is_what_it_was() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Patience("the server", reason).call(fail)


def test_every_call_of_optunas_that_reaches_the_database_is_patient() -> None:
    """Whatever opens a session: a new version's new call is named here, or this fails."""
    reaching = {
        name
        for name, method in vars(RDBStorage).items()
        if "_create_scoped_session" in getattr(getattr(method, "__code__", None), "co_names", ())
    }
    assert reaching <= set(CALLS)
    assert all(getattr(PatientStorage, name) is not getattr(RDBStorage, name) for name in CALLS)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "API request to http://h:1/api failed with exception HTTPConnectionPool(host='h', port=1): (Caused by NewConnectionError('...: Failed: [Errno 111] Connection refused'))",
            "Connection refused",
        ),
        ("API request to http://h:1/api failed with timeout exception HTTPConnectionPool: Read timed out. ...", "Read timed out"),
        ("API request to http://h/api failed with exception ... too many 503 error responses", "too many 503 error responses"),
        ("API request to endpoint /api failed with error code 401 != 200. Response body: ''", None),
        ("RESOURCE_DOES_NOT_EXIST: no such run", None),
    ],
)  # fmt: skip
def test_what_mlflows_client_says_of_a_server_that_is_away(said: str, why: str | None) -> None:
    assert _unanswered(Exception(said)) == why


@pytest.mark.postgres
@pytest.mark.slow
def test_postgres_may_restart_within_a_study(
    server: Postgres, postgres: Callable[[str], str], config: StudyConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between any two calls, and for seconds; within a lock it is lost, and one trial too many is withdrawn."""
    study = store.open_study(postgres("optuna"), config, timeout=60)
    first = life.ask(study, 3)
    server.stop()
    threading.Timer(3, server.start).start()
    second = life.ask(study, 3)
    assert first is not None
    assert second is not None
    assert "does not answer" in capsys.readouterr().err
    with life.alone(study):
        server.stop()
        server.start()
        third = life.ask(study, 3)
        assert third is not None
    assert [first.number, second.number, third.number] == [0, 1, 2]
    assert life.ask(study, 3) is None
    assert life.running(study) == {0, 1, 2}
    store.close(study)


@pytest.mark.postgres
@pytest.mark.slow
def test_of_two_transactions_in_each_others_way_the_one_taken_back_is_made_again(
    postgres: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Two that change the same two rows in opposite order: PostgreSQL ends one, which then finds its way free."""
    engine = sqlalchemy.create_engine(postgres("rows"))
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text("CREATE TABLE counts AS SELECT n, 0 AS count FROM generate_series(1, 2) AS n")
        )
    each_holds_one, made = threading.Barrier(2), []

    def change(rows: tuple[int, int]) -> None:
        made.append(rows)
        first_time = made.count(rows) == 1
        with engine.begin() as connection:
            for row in rows:
                connection.execute(
                    sqlalchemy.text("UPDATE counts SET count = count + 1 WHERE n = :n"), {"n": row}
                )
                if first_time and row == rows[0]:
                    each_holds_one.wait(timeout=60)

    def patiently(rows: tuple[int, int]) -> None:
        Patience("the server", server_away).call(change, rows)

    threads = [threading.Thread(target=patiently, args=(rows,)) for rows in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    with engine.connect() as connection:
        counts = connection.execute(sqlalchemy.text("SELECT count FROM counts")).scalars().all()
    engine.dispose()
    assert (counts, len(made)) == ([2, 2], 3)
    assert capsys.readouterr().err == ""


@pytest.mark.postgres
@pytest.mark.slow
def test_postgres_gone_for_good_is_one_line(
    server: Postgres, postgres: Callable[[str], str], config: StudyConfig
) -> None:
    study = store.open_study(postgres("optuna"), config, timeout=1)
    server.stop()
    try:
        with pytest.raises(
            LostError, match=r"^`storage` 'postgresql.*' does not answer: [^\n]*; the same command continues$"
        ):
            life.ask(study, 3)
    finally:
        server.start()


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_does_not_hold_every_name_is_refused(
    server: Postgres, config: StudyConfig, encoding: str
) -> None:
    """Before anything is made there: a name beyond it would break a study in the middle."""
    import psycopg

    name = encoding.lower()
    with psycopg.connect(f"{server.url.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        )
    url = f"{server.url}/{name}"
    with pytest.raises(InputError, match=rf"^`storage` .* keeps text as {encoding}, .*ENCODING 'UTF8'$"):
        store.open_study(url, config)
    assert tables_of(url) == set()


def tables_of(url: str) -> set[str]:
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        rows = connection.execute("SELECT tablename::bytea FROM pg_tables WHERE schemaname = 'public'")
        return {str(row[0]) for row in rows}


@pytest.mark.postgres
@pytest.mark.slow
def test_what_postgres_refuses_is_one_line(
    server: Postgres, postgres: Callable[[str], str], config: StudyConfig
) -> None:
    """A name that is too long, no right to make tables, nothing but reading."""
    from dataclasses import replace

    import psycopg

    url = postgres("optuna")
    with pytest.raises(InputError, match=r"^`storage` .*value too long for type character varying\(512\)$"):
        store.open_study(url, replace(config, name="x" * 600))
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    bare = postgres("bare").replace("tester@", "guest@")
    with pytest.raises(InputError, match=r"^`storage` .*permission denied for schema public$"):
        store.open_study(bare, config)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("ALTER ROLE tester SET default_transaction_read_only = on")
    try:
        with pytest.raises(InputError, match=r"^`storage` .*read-only transaction$"):
            store.open_study(url, config)
    finally:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER ROLE tester RESET default_transaction_read_only")

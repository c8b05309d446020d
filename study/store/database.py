"""How processes share a database: readers beside a writer, and one process at a time where that is needed."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import sqlalchemy

from study.core.signals import stop_asked
from study.store.urls import BUSY_SECONDS, is_sqlite, sqlite_path

#: What this process holds of ``exclusively``: folders and servers' URLs.
_held: set[str] = set()


def use_wal(url: sqlalchemy.URL) -> None:
    """Let a SQLite file be read while it is written: a dashboard on a live study does not lock it.

    Write-ahead logging is a property of the file: set once, it holds for every program that opens it.
    Makes the file where there is none. Does nothing for servers.
    """
    if is_sqlite(url):
        if not sqlalchemy.event.contains(sqlalchemy.Pool, "connect", _commit_lightly):
            sqlalchemy.event.listen(sqlalchemy.Pool, "connect", _commit_lightly)
        connection = sqlite3.connect(sqlite_path(url), timeout=BUSY_SECONDS)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        finally:
            connection.close()


def _commit_lightly(connection: object, _record: object) -> None:
    """Do not wait for the disk at each commit to a file with a write-ahead log.

    A killed process loses nothing by it; a power cut may cost the last commits, never the file. It is
    set for every connection of this process because MLflow gives no access to its own; with it, recording
    takes about half the time.
    """
    if (
        isinstance(connection, sqlite3.Connection)
        and connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    ):
        connection.execute("PRAGMA synchronous=NORMAL")


def make_beside(url: sqlalchemy.URL, make: Callable[[sqlalchemy.URL], None]) -> None:
    """Make a SQLite file whole or not at all: beside it under another name, then in its place.

    A process that is killed while a library makes its tables, or a full disk, would leave half of them, which
    the library refuses for ever. Call it within ``exclusively``.

    Args:
        url: The file's; nothing is done where it exists with a table in it, nor for a server.
        make: Makes the tables in the database of a URL, and closes it.
    """
    if not is_sqlite(url):
        return
    path = sqlite_path(url).resolve()  # of a link, the file that it means
    if path.exists() and rows_of(path) is not None:
        return
    part = path.with_name(f".part-{path.name}")
    beside = url.set(database=str(part))
    remove(part)
    try:
        use_wal(beside)
        make(beside)
        with closing(sqlite3.connect(part, timeout=BUSY_SECONDS)) as file:  # nothing of it stays in the log
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        part.replace(path)
    finally:
        remove(part)


def remove(path: Path) -> None:
    """Remove a SQLite file and what SQLite keeps beside it, whatever of them is there."""
    for file in (path, *(path.with_name(path.name + more) for more in ("-journal", "-wal", "-shm"))):
        with suppress(OSError):
            file.unlink()


def rows_of(path: Path) -> dict[str, int] | None:
    """Return the number of rows of each table of a SQLite file; ``None`` where it has no table."""
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as file:
        names = [n for (n,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
        counts = {n: int(file.execute(f'SELECT COUNT(*) FROM "{n}"').fetchone()[0]) for n in names}  # noqa: S608 - names that the file gave
    return counts or None


def lock_at_begin(engine: sqlalchemy.Engine) -> None:
    """Make SQLite transactions take the write lock when they begin.

    Optuna reads a trial's state "for update" before it changes it. SQLite ignores these words, so that
    two processes could both take one waiting trial; with the lock taken first they mean what they say.
    """

    def connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves

    def begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections made so far know nothing of this
    sqlalchemy.event.listen(engine, "connect", connect)
    sqlalchemy.event.listen(engine, "begin", begin)


@contextmanager
def exclusively(url: sqlalchemy.URL) -> Iterator[None]:
    """Keep every other process out of the same block for the same database.

    First creation of a schema and "look, then create" are not safe side by side in either library. A
    server's own advisory lock is used, or a lock on the folder of a SQLite file (which leaves no file).
    Both end with the process, whatever happens to it. A process that is inside may enter again: the
    two SQLite files of one folder share a lock.
    """
    key = str(sqlite_path(url).parent.resolve()) if is_sqlite(url) else url.render_as_string()
    if key in _held:
        yield
        return
    with _folder_lock(key) if is_sqlite(url) else _server_lock(url):
        _held.add(key)
        try:
            yield
        finally:
            _held.discard(key)


@contextmanager
def _folder_lock(folder: str) -> Iterator[None]:
    if sys.platform == "win32":  # no locks on folders there
        yield
        return
    import fcntl

    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


@contextmanager
def _server_lock(url: sqlalchemy.URL) -> Iterator[None]:
    key = _number_of(str(url.database))
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as connection:
            if url.get_backend_name() == "postgresql":
                connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": key})
            yield
    finally:
        engine.dispose()


@contextmanager
def alone_on(engine: sqlalchemy.Engine, about: str) -> Iterator[None]:
    """Keep every other process out of the same block for the same thing in an engine's database.

    On PostgreSQL an advisory lock of the session, taken on the engine's own connection: whoever waits for it
    holds no second one. The engine must keep one connection in its pool. A server that restarts drops the lock.
    On SQLite the folder's lock, as in ``exclusively``.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The server does not give the lock.
    """
    if engine.dialect.name != "postgresql":
        with exclusively(engine.url):
            yield
        return
    key = {"key": _number_of(f"{engine.url.database} {about}")}
    while not _advisory_lock(engine, key):  # many ask before us
        if stop_asked():
            raise KeyboardInterrupt
    try:
        yield
    finally:
        with (
            suppress(sqlalchemy.exc.SQLAlchemyError),
            engine.connect() as connection,
        ):  # gone with its session
            connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), key)


def _advisory_lock(engine: sqlalchemy.Engine, key: dict[str, int]) -> bool:
    """Take a lock of the session; ``False`` after a minute in which others held it."""
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SET LOCAL lock_timeout = '60s'"))
            connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), key)
    except sqlalchemy.exc.OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == "55P03":  # lock_not_available
            return False
        raise
    return True


def _number_of(text: str) -> int:
    """Return a number of 63 bits that all clients of a server derive alike."""
    return int.from_bytes(hashlib.sha256(f"lrsched-study {text}".encode()).digest()[:8]) >> 1

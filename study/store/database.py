"""What the two databases of a study have in common: their URLs, SQLite's habits, one writer at a time.

Optuna and MLflow keep a database each (they cannot share a SQLite file: both own a table named
``alembic_version``). Everything that can be wrong with a URL is found here, before anything is made.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from study.core.errors import InputError

#: How long a connection waits for another one's write before it gives up.
BUSY_SECONDS = 60
#: What this process holds of ``exclusively``: folders and servers' URLs.
_held: set[str] = set()
_EXAMPLES = "sqlite:///FILE.db or postgresql+psycopg://USER@HOST/NAME"


def parse(url: str, flag: str) -> sqlalchemy.URL:
    """Read a database URL.

    Args:
        url: For example ``sqlite:///optuna.db``.
        flag: The command's option that gave it, named in errors.

    Raises:
        InputError: It is no URL, of an unknown backend, or names no file or server to keep records in.
    """
    try:
        parsed = sqlalchemy.make_url(url)
        parsed.get_dialect().import_dbapi()
    except NoSuchModuleError:
        raise InputError(
            f"{flag} {_hidden(url)!r} names an unknown kind of database: use {_EXAMPLES}"
        ) from None
    except (ArgumentError, ValueError):
        raise InputError(f"{flag} {_hidden(url)!r} is not a database URL: use {_EXAMPLES}") from None
    except ImportError as missing:
        raise InputError(
            f"{flag} {_hidden(url)!r} needs the driver {missing.name!r}, which is not installed: "
            "use postgresql+psycopg:// and pip install '.[postgres]'"
        ) from None
    if is_sqlite(parsed) and (parsed.database or ":memory:").startswith((":memory:", "file:")):
        raise InputError(f"{flag} {url!r} keeps nothing on disk: use sqlite:///FILE.db")
    return parsed


def is_sqlite(url: sqlalchemy.URL) -> bool:
    """Return whether the database is a local SQLite file."""
    return url.get_backend_name() == "sqlite"


def sqlite_path(url: sqlalchemy.URL) -> Path:
    """Return the absolute path of a SQLite URL's file."""
    return Path(url.database or "").absolute()


def tables(url: sqlalchemy.URL, flag: str) -> frozenset[str]:
    """Return the names of the database's tables; none where the file does not exist yet.

    Nothing is created, and nothing is changed.

    Raises:
        InputError: The file cannot be read or made, is no database, or the server does not answer.
    """
    if is_sqlite(url):
        return _sqlite_tables(sqlite_path(url), f"{flag} {url.render_as_string()!r}")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    try:
        return frozenset(sqlalchemy.inspect(engine).get_table_names())
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise InputError(f"{flag} {url.render_as_string()!r} cannot be reached: {reason}") from None
    finally:
        engine.dispose()


def _sqlite_tables(path: Path, named: str) -> frozenset[str]:
    """Ask SQLite alone, never the file: closing a plain handle drops every lock of this process on it."""
    if path.is_dir():
        raise InputError(f"{named} is a folder: name a file in it")
    if not path.exists():
        if not path.parent.is_dir():
            raise InputError(f"{named} cannot be made: there is no folder {str(path.parent)!r}")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise InputError(f"{named} cannot be made: the folder {str(path.parent)!r} is not writable")
        return frozenset()
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        try:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise InputError(f"{named} is not a SQLite database: name another file") from None
        raise InputError(f"{named} cannot be read: {error}") from None
    return frozenset(name for (name,) in rows)


def require_writable(url: sqlalchemy.URL, flag: str) -> None:
    """Refuse an existing SQLite file that cannot be written.

    Raises:
        InputError: It cannot.
    """
    if is_sqlite(url) and sqlite_path(url).exists() and not os.access(sqlite_path(url), os.W_OK):
        raise InputError(f"{flag} {url.render_as_string()!r} is not writable")


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
    set for every connection of this process because MLflow lets nobody at its own; with it, recording
    takes about half the time.
    """
    if (
        isinstance(connection, sqlite3.Connection)
        and connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    ):
        connection.execute("PRAGMA synchronous=NORMAL")


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
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as connection:
            if url.get_backend_name() == "postgresql":
                connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": _lock_key(url)})
            yield
    finally:
        engine.dispose()


def _lock_key(url: sqlalchemy.URL) -> int:
    """Return a 63-bit number: the same for all of a server's clients that mean this database."""
    return int.from_bytes(hashlib.sha256(f"lrsched-study {url.database}".encode()).digest()[:8]) >> 1


def writer_options(url: sqlalchemy.URL) -> dict[str, Any]:
    """Return SQLAlchemy engine options for a program that waits its turn to write."""
    return {"connect_args": {"timeout": BUSY_SECONDS}} if is_sqlite(url) else {"pool_pre_ping": True}


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


def _hidden(url: str) -> str:
    """Return the URL without its password, also where it cannot be parsed."""
    return re.sub(r"(?<=://)([^:/]*):[^/]*@", r"\1:***@", url)

"""URLs of the study's databases, and of MLflow's server: what is wrong with one is found before anything is made.

Optuna and MLflow keep a database each; they cannot share one, as both own a table named ``alembic_version``.
``named`` is the argument that a URL was given as, for errors.
"""

from __future__ import annotations

import base64
import http.client
import os
import sqlite3
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote

import sqlalchemy
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from study.core.errors import InputError
from study.outside.passwords import hidden

#: How long a connection waits for another one's write before it gives up.
BUSY_SECONDS = 60

Owner = Literal["Optuna", "MLflow"]
#: Tables by which the database of each is known.
_TABLES: dict[Owner, frozenset[str]] = {
    "Optuna": frozenset({"studies", "trials"}),
    "MLflow": frozenset({"experiments"}),
}
#: The table in which both keep their tables' version.
_VERSION = "alembic_version"
_EXAMPLES = "sqlite:///FILE.db or postgresql+psycopg://USER@HOST/NAME"


def parse(url: str, named: str) -> sqlalchemy.URL:
    """Read a database URL such as ``sqlite:///optuna.db``.

    Raises:
        InputError: It is no URL, of an unknown backend, or names no file or server to keep records in.
    """
    shown = f"`{named}` {hidden(url)!r}"
    try:
        parsed = sqlalchemy.make_url(url)
        parsed.get_dialect().import_dbapi()
    except NoSuchModuleError:
        raise InputError(f"{shown} names an unknown kind of database: use {_EXAMPLES}") from None
    except (ArgumentError, ValueError):
        raise InputError(f"{shown} is not a database URL: use {_EXAMPLES}") from None
    except ImportError as missing:
        raise InputError(
            f"{shown} needs the driver {missing.name!r}, which is not installed: "
            "use postgresql+psycopg:// and pip install '.[postgres]'"
        ) from None
    if is_sqlite(parsed) and (parsed.database or ":memory:").startswith((":memory:", "file:")):
        raise InputError(f"{shown} keeps nothing on disk: use sqlite:///FILE.db")
    if is_sqlite(parsed) and (parsed.query or parsed.host):
        raise InputError(f"{shown} must be sqlite:/// and a file's path, without host and options")
    return parsed


def is_sqlite(url: sqlalchemy.URL) -> bool:
    """Return whether the database is a local SQLite file."""
    return url.get_backend_name() == "sqlite"


def sqlite_path(url: sqlalchemy.URL) -> Path:
    """Return the absolute path of a SQLite URL's file."""
    return Path(url.database or "").absolute()


def is_made(url: sqlalchemy.URL, named: str, owner: Owner) -> bool:
    """Return whether the database holds the owner's tables already, all of them. Nothing is created or changed.

    On a server tables are made before their version is written. Optuna writes a version that is missing for a reader as well,
    beside whoever makes the tables; so until it stands there is nothing to open.

    Raises:
        InputError: It is another program's, cannot be read or made, or does not answer.
    """
    found = tables(url, named)
    if _TABLES[owner] <= found:
        return is_sqlite(url) or (_VERSION in found and _has_version(url, named))
    others = frozenset().union(*_TABLES.values())
    if found and (is_sqlite(url) or found & others):
        raise InputError(
            f"{shown_url(url, named)} is another program's database, not {owner}'s: "
            "name a file or database of its own"
        )
    return False


def _has_version(url: sqlalchemy.URL, named: str) -> bool:
    """Return whether a server's database has the version of its tables."""
    query = sqlalchemy.select(sqlalchemy.literal(1)).select_from(sqlalchemy.table(_VERSION))
    with _asking(url, shown_url(url, named)) as engine, engine.connect() as connection:
        return connection.execute(query).first() is not None


@contextmanager
def _asking(url: sqlalchemy.URL, shown: str) -> Iterator[sqlalchemy.Engine]:
    """Yield what asks a server; what it refuses is one line.

    Raises:
        InputError: It does not answer, or refuses.
    """
    try:
        engine = _probe(url)
        try:
            yield engine
        finally:
            engine.dispose()
    except InputError:
        raise
    except SQLAlchemyError as error:
        lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{shown} cannot be reached: {lines[0]}") from None
    except (TypeError, ValueError, LookupError) as error:  # a driver, of an option that it does not know
        raise InputError(f"{shown} has an option that its driver does not take: {error}") from None


def _probe(url: sqlalchemy.URL) -> sqlalchemy.Engine:
    """Return an engine that looks at a server once; text comes as UTF-8, whatever the database keeps it in."""
    # Without it psycopg hands out bytes where a PostgreSQL database is in SQL_ASCII, which SQLAlchemy cannot read.
    more = {"client_encoding": "utf8"} if url.get_driver_name() == "psycopg" else {}
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **more)


def _require_unicode(engine: sqlalchemy.Engine, shown: str) -> None:
    """Refuse a PostgreSQL database that cannot hold every name."""
    if engine.dialect.name != "postgresql":
        return
    with engine.connect() as connection:
        encoding = connection.execute(sqlalchemy.text("SHOW server_encoding")).scalar()
    if encoding != "UTF8":
        raise InputError(
            f"{shown} keeps text as {encoding}, which does not hold every name: make the database with ENCODING 'UTF8'"
        )


def tables(url: sqlalchemy.URL, named: str) -> frozenset[str]:
    """Return the names of the database's tables; none where the file does not exist yet.

    Raises:
        InputError: The file cannot be read or made, is no database, or the server does not answer.
    """
    shown = shown_url(url, named)
    if is_sqlite(url):
        return _sqlite_tables(sqlite_path(url), shown)
    with _asking(url, shown) as engine:
        _require_unicode(engine, shown)
        return frozenset(sqlalchemy.inspect(engine).get_table_names())


def _sqlite_tables(path: Path, shown: str) -> frozenset[str]:
    """Ask SQLite alone, never the file: closing a plain handle drops every lock of this process on it."""
    if not _is_there(path, shown):
        if not path.parent.is_dir():
            raise InputError(f"{shown} cannot be made: there is no folder {str(path.parent)!r}")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise InputError(f"{shown} cannot be made: the folder {str(path.parent)!r} is not writable")
        return frozenset()
    try:
        connection = sqlite3.connect(read_only(path), uri=True, timeout=BUSY_SECONDS)
        try:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise InputError(f"{shown} is not a SQLite database: name another file") from None
        raise InputError(f"{shown} cannot be read: {error}") from None
    return frozenset(name for (name,) in rows)


def shown_url(url: sqlalchemy.URL, named: str) -> str:
    """Return a URL as errors show it, under its argument's name and without what is secret in it."""
    return f"`{named}` {hidden(url.render_as_string())!r}"


def read_only(path: Path) -> str:
    """Return SQLite's own address of a file that is only read.

    A file with a write-ahead log needs files beside it, also to be read. Where none can be made and no log waits
    to be read, the file is whole by itself, and SQLite is told that nobody changes it.
    """
    alone = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    return f"file:{quote(str(path))}?mode=ro{'&immutable=1' * alone}"


def for_reading(url: sqlalchemy.URL) -> sqlalchemy.URL:
    """Return the URL to read a database by: a SQLite file that cannot be written is opened as such."""
    if not is_sqlite(url):
        return url
    path = sqlite_path(url)
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return url
    place, _, options = read_only(path).partition("?")
    return url.set(database=place, query={"uri": "true", **dict(parse_qsl(options))})


def _is_there(path: Path, shown: str) -> bool:
    """Return whether there is a file; what is there and is none is refused before SQLite waits on it."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise InputError(f"{shown} is a link to nothing: remove it, or name another file") from None
        return False
    except NotADirectoryError:
        return False  # its folder is a file, which is said there
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{shown} names no file: {error}") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{shown} is a folder: name a file in it")
    if not stat.S_ISREG(mode):
        raise InputError(f"{shown} is a pipe or a device, no file: name a file")
    return True


def require_writable(url: sqlalchemy.URL, named: str) -> None:
    """Refuse an existing SQLite file that cannot be written.

    Raises:
        InputError: It cannot.
    """
    if is_sqlite(url) and sqlite_path(url).exists() and not os.access(sqlite_path(url), os.W_OK):
        raise InputError(f"{shown_url(url, named)} is not writable")


def check_tracking(tracking_uri: str, storage: str | None = None) -> None:
    """Refuse a tracking URI that MLflow cannot use. Nothing is created, and MLflow is not imported.

    Args:
        tracking_uri: URL of a database, or http address of a server.
        storage: Optuna's storage, where the two are about to be made together.

    Raises:
        InputError: It is no database or server of MLflow's, or does not answer.
    """
    if tracking_uri.startswith(("http://", "https://")):
        _require_server(tracking_uri)
        return
    if "://" not in tracking_uri:
        raise InputError(
            f"`tracking_uri` {hidden(tracking_uri)!r} is not a tracking URI: use sqlite:///FILE.db or http://HOST:PORT"
        )
    parsed = parse(tracking_uri, "tracking_uri")
    if storage is not None and _same(parsed, parse(storage, "storage")):
        raise InputError(
            f"`tracking_uri` and `storage` are both {hidden(parsed.render_as_string())!r}: use two databases"
        )
    if not is_made(parsed, "tracking_uri", "MLflow") and {"'", '"'} <= set(str(Path.cwd())):
        raise InputError(
            f"{shown_url(parsed, 'tracking_uri')}: MLflow cannot make a database while this runs in a folder whose path "
            "holds both ' and \": run it from another folder, or rename this one"
        )
    require_writable(parsed, "tracking_uri")


def _same(one: sqlalchemy.URL, other: sqlalchemy.URL) -> bool:
    if is_sqlite(one) and is_sqlite(other):
        return os.path.realpath(sqlite_path(one)) == os.path.realpath(sqlite_path(other))  # links may loop
    return (one.host, one.port, one.database) == (other.host, other.port, other.database)


def _require_server(uri: str) -> None:
    """Refuse a server that does not answer or is not MLflow's; MLflow itself would try again for minutes."""
    shown = f"`tracking_uri` {hidden(uri)!r}"
    try:
        request = urllib.request.Request(f"{uri.rstrip('/')}/health", headers=_login())  # noqa: S310 - http by its prefix
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            content = answer.read(100).strip()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in {401, 403}:
            return  # it answers; whether it lets us in, MLflow will say
        raise InputError(
            f"{shown} is no MLflow server: it answers /health with status {error.code}"
        ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise InputError(f"{shown} does not answer: {reason or type(error).__name__}") from None
    if content != b"OK":
        raise InputError(f"{shown} is no MLflow server: it does not answer /health with OK")


def _login() -> dict[str, str]:
    """Return the header that says who asks, from MLflow's own variables."""
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
    if user:
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
    return {"Authorization": f"Bearer {token}"} if token else {}

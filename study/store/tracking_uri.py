"""Where MLflow records: a database or a server, looked at before anything is made.

MLflow is imported inside functions only: it takes two seconds.
"""

from __future__ import annotations

import logging
import os
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import sqlalchemy

from study.core.errors import InputError
from study.store import database

if TYPE_CHECKING:
    from mlflow import MlflowClient

FLAG = "--tracking-uri"
#: MLflow's own default: a bare ``mlflow ui`` in the same folder opens it.
DEFAULT_URI = "sqlite:///mlflow.db"


def resolve(uri: str | None) -> str:
    """Return where to record: the option, else ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` here."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def check(uri: str | None, storage: str | None = None) -> None:
    """Refuse a tracking URI that cannot be used; nothing is created, and MLflow is not imported.

    Args:
        uri: As for ``resolve``.
        storage: Optuna's storage, where the two are about to be made together.

    Raises:
        InputError: It is no database or server of MLflow's, or does not answer.
    """
    where = resolve(uri)
    if where.startswith(("http://", "https://")):
        _require_server(where)
        return
    if "://" not in where:
        raise InputError(f"{FLAG} {where!r} is not a tracking URI: use sqlite:///FILE.db or http://HOST:PORT")
    parsed = database.parse(where, FLAG)
    if storage is not None and _same(parsed, database.parse(storage, "--storage")):
        raise InputError(f"{FLAG} and --storage are both {parsed.render_as_string()!r}: use two databases")
    found = database.tables(parsed, FLAG)
    if found and "experiments" not in found and (database.is_sqlite(parsed) or "studies" in found):
        raise InputError(
            f"{FLAG} {parsed.render_as_string()!r} is another program's database, not MLflow's: "
            "name a file or database of its own"
        )
    database.require_writable(parsed, FLAG)


def _same(one: sqlalchemy.URL, other: sqlalchemy.URL) -> bool:
    if database.is_sqlite(one) and database.is_sqlite(other):
        return database.sqlite_path(one).resolve() == database.sqlite_path(other).resolve()
    return (one.host, one.port, one.database) == (other.host, other.port, other.database)


def connect(uri: str) -> MlflowClient:
    """Return a client of a database whose schema is there, made by this process alone if need be."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before the import: it looks up a host then
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    for chatty in ("mlflow", "alembic"):  # it sets its own level when it is imported
        logging.getLogger(chatty).setLevel(logging.WARNING)

    try:
        if uri.startswith("http"):
            return MlflowClient(tracking_uri=uri)
        parsed = database.parse(uri, FLAG)
        with database.exclusively(parsed):
            database.use_wal(parsed)
            client = MlflowClient(tracking_uri=uri)  # makes the schema
    except MlflowException as error:
        raise InputError(f"{FLAG} {uri!r} cannot be used: {_first_line(error)}") from None
    return client


def experiment_in(client: MlflowClient, uri: str, name: str) -> str:
    """Return the experiment's id; its artifacts lie beside a SQLite file, not wherever one happens to be."""
    from mlflow.exceptions import MlflowException

    location = None
    if uri.startswith("sqlite"):
        location = (database.sqlite_path(database.parse(uri, FLAG)).parent / "mlartifacts" / name).as_uri()
    try:
        found = client.get_experiment_by_name(name)
        if found is None:
            return str(client.create_experiment(name, location))
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    except MlflowException as error:
        found = client.get_experiment_by_name(name)
        if found is not None:  # another process made it meanwhile
            return str(found.experiment_id)
        raise InputError(f"{FLAG} {uri!r} cannot be used: {_first_line(error)}") from None


def _require_server(uri: str) -> None:
    """Refuse a server that does not answer; MLflow itself would try again for minutes."""
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10).close()  # noqa: S310 - http by its prefix
    except urllib.error.HTTPError:
        return  # it answers; whether it lets us in, MLflow will say
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise InputError(f"{FLAG} {uri!r} does not answer: {reason}") from None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]

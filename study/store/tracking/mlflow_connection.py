"""A connection to MLflow's database or server, and the experiment to record in.

MLflow is imported inside functions only: it takes two seconds.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy

from study.core.errors import InputError
from study.core.signals import pause
from study.outside.passwords import hidden
from study.store import urls
from study.store.database import exclusively, make_beside, remove, rows_of, use_wal
from study.store.patience import Patience, Patient, file_locked, reason_of, server_away

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Set before MLflow is imported: no look-up of its makers' host; one attempt a request, of at most 20 s, because
#: MLflow's own retries take minutes, say nothing and stop for no signal.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines a trial
}
#: Tables in which a database that MLflow did not finish making would hold what somebody recorded.
_RECORDS = ("runs", "registered_models", "trace_info", "logged_models")
#: Seconds without a change after which a half-made file is nobody's.
MAKING_SECONDS = 10.0


def connect(tracking_uri: str) -> MlflowClient:
    """Return a client of a server, or of a database whose schema is made where there is none.

    A server that goes away afterwards is waited for, until it answers or a signal comes.

    Raises:
        InputError: MLflow cannot use it.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    for chatty in ("mlflow", "alembic"):  # it sets its own level when it is imported
        logging.getLogger(chatty).setLevel(logging.WARNING)
    for twice in ("mlflow.store.db.utils", "urllib3.connectionpool"):  # what they log is raised as well
        logging.getLogger(twice).setLevel(logging.CRITICAL)
    shown = f"`tracking_uri` {hidden(tracking_uri)!r}"
    try:
        if tracking_uri.startswith("http"):
            client = MlflowClient(tracking_uri=tracking_uri)
            return cast("MlflowClient", Patient(client, Patience(shown, _unanswered)))
        url = urls.parse(tracking_uri, "tracking_uri")
        shown = f"`tracking_uri` {url.render_as_string()!r}"
        with exclusively(url):
            _remove_half_made(url)
            make_beside(url, _make)
            use_wal(url)
            client = MlflowClient(tracking_uri=tracking_uri)  # makes a server's schema
        away = file_locked if urls.is_sqlite(url) else server_away
        return cast("MlflowClient", Patient(client, Patience(shown, away)))
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, sqlite3.Error) as error:
        raise InputError(f"{shown} cannot be used: {reason_of(error)}") from None


def _make(url: sqlalchemy.URL) -> None:
    """Make MLflow's tables in a file."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    made: Any = SqlAlchemyStore
    made(url.render_as_string(), Path(url.database or "").parent.as_uri()).engine.dispose()


def _remove_half_made(url: sqlalchemy.URL) -> None:
    """Remove a file whose tables MLflow did not finish making, and which holds nothing yet.

    It is left by a process that was killed while it made them, and MLflow would refuse it for ever. A file that
    changed a moment ago may be in the making: it is waited for.
    """
    if not urls.is_sqlite(url) or not urls.sqlite_path(url).exists():
        return
    path = urls.sqlite_path(url).resolve()
    while _is_half_made(path):
        if time.time() - path.stat().st_mtime > MAKING_SECONDS:
            remove(path)
            return
        if pause(0.2):
            raise KeyboardInterrupt


def _is_half_made(path: Path) -> bool:
    from mlflow.store.db import utils

    latest: Any = utils._get_latest_schema_revision  # noqa: SLF001 - MLflow has no public way
    rows = rows_of(path)
    if rows is None or rows.get("experiments", 0) > 1 or any(rows.get(name) for name in _RECORDS):
        return False
    with closing(sqlite3.connect(path)) as file:
        found = (
            file.execute("SELECT version_num FROM alembic_version").fetchall()
            if "alembic_version" in rows
            else []
        )
    return found != [(latest(),)]


def _unanswered(error: Exception) -> str | None:
    """Return the reason where an error says that MLflow's server is away; ``None`` for any other error."""
    found = re.search(r"API request to \S+ failed with (?:timeout )?exception (.*)", str(error), re.DOTALL)
    if found is None:
        return None
    whole = " ".join(found[1].split())
    known = re.search(r"\[Errno -?\d+\] ([\w ]+)|(Read timed out|too many \d+ error responses)", whole)
    return str(known[1] or known[2]) if known else whole[:100]


def experiment_in(client: MlflowClient, tracking_uri: str, name: str) -> str:
    """Return the experiment's id; its artifacts lie beside a SQLite file, not wherever one happens to be."""
    from mlflow.exceptions import MlflowException

    location = None
    if tracking_uri.startswith("sqlite"):
        file = urls.sqlite_path(urls.parse(tracking_uri, "tracking_uri"))
        location = (file.parent / "mlartifacts" / name).as_uri()
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
        raise InputError(
            f"`tracking_uri` {hidden(tracking_uri)!r} cannot be used: {reason_of(error)}"
        ) from None

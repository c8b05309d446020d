"""A connection to MLflow's database or server, and the experiment to record in.

MLflow is imported inside functions only: it takes two seconds.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from study.core.errors import InputError
from study.outside.passwords import hidden
from study.store import urls
from study.store.database import exclusively, use_wal

if TYPE_CHECKING:
    from mlflow import MlflowClient


def connect(tracking_uri: str) -> MlflowClient:
    """Return a client of a server, or of a database whose schema is made where there is none.

    Raises:
        InputError: MLflow cannot use it.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before the import: it looks up a host then
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines a trial
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    for chatty in ("mlflow", "alembic"):  # it sets its own level when it is imported
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        if tracking_uri.startswith("http"):
            return MlflowClient(tracking_uri=tracking_uri)
        url = urls.parse(tracking_uri, "tracking_uri")
        with exclusively(url):
            use_wal(url)
            return MlflowClient(tracking_uri=tracking_uri)  # makes the schema
    except MlflowException as error:
        raise _unusable(tracking_uri, error) from None


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
        raise _unusable(tracking_uri, error) from None


def _unusable(tracking_uri: str, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0]
    return InputError(f"`tracking_uri` {hidden(tracking_uri)!r} cannot be used: {reason}")

"""MLflow's runs, found by what was known of them before they were made.

A process may be killed after MLflow made a run and before the run's id was noted anywhere. So a parent run carries
its owner's ``key``, and a child the name that it has within its parent: whoever goes on finds them by these.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT = "mlflow.parentRunId"
#: Tag of a parent run that says whose it is.
KEY = "study_key"


def find_parent(client: MlflowClient, experiment_id: str, key: str, run_id: str | None) -> Any | None:
    """Return the parent run of an owner, opened again; ``None`` where there is none yet.

    Args:
        client: MLflow's client.
        experiment_id: Where to look.
        key: The owner's key.
        run_id: Id of a parent run that an earlier version noted, without a key.
    """
    from mlflow.exceptions import MlflowException

    found = client.search_runs(
        [experiment_id], f"tags.{KEY} = '{key}'", order_by=["attributes.start_time ASC"]
    )
    run = found[0] if found else None
    if run is None and run_id is not None:
        try:
            run = client.get_run(run_id)
        except MlflowException:
            return None
        if run.info.lifecycle_stage != "active":
            return None
        client.set_tag(run_id, KEY, key)
    if run is not None:
        client.update_run(run.info.run_id, status="RUNNING")
        client.set_tag(run.info.run_id, "state", "running")
    return run


def children(client: MlflowClient, experiment_id: str, parent: str, more: str) -> list[Any]:
    """Return the children of a parent run that a further condition holds for."""
    return list(_pages(client, experiment_id, f"tags.`{PARENT}` = '{parent}' AND {more}"))


def interrupt(client: MlflowClient, runs: Collection[Any]) -> None:
    """Mark runs as interrupted: whatever they were, others take their place."""
    for run in runs:
        if run.data.tags.get("state") != "interrupted" or run.info.status == "RUNNING":
            client.set_tag(run.info.run_id, "state", "interrupted")
            client.set_terminated(run.info.run_id, "KILLED")


def _pages(client: MlflowClient, experiment_id: str, query: str) -> Iterator[Any]:
    """Yield every run that a query finds."""
    token = None
    while True:
        page = client.search_runs([experiment_id], query, page_token=token)
        yield from page
        token = page.token
        if not token:
            return

"""Where a study is seen: its curves and each trial's run in MLflow, its pages in optuna-dashboard."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import optuna

from study.core.records import StudyConfig
from study.outside.passwords import hidden
from study.store import urls
from study.store.tracking.mlflow_connection import connect

#: Where ``mlflow ui`` and ``optuna-dashboard`` answer unless told otherwise.
MLFLOW, DASHBOARD = "http://127.0.0.1:5000", "http://127.0.0.1:8080"
_BATCH = 1_000  # runs that MLflow gives at once


@dataclass(frozen=True)
class RunLinks:
    """Addresses of a study's records.

    Attributes:
        mlflow: Where MLflow's pages of the experiment are; empty where it does not hold the study.
        study_run: Id of the study's parent run.
        runs: Id of each trial's run, by the trial's number.
        dashboard: Where optuna-dashboard's pages of the study are.
    """

    mlflow: str
    study_run: str
    runs: Mapping[int, str]
    dashboard: str

    @property
    def study(self) -> str:
        """The study's parent run in MLflow; empty where there is none."""
        return f"{self.mlflow}/runs/{self.study_run}" if self.mlflow else ""

    def run(self, number: int) -> str:
        """Return the address of a trial's curves in MLflow; empty where there is no run of it."""
        return f"{self.mlflow}/runs/{self.runs[number]}/model-metrics" if number in self.runs else ""

    def trial(self, number: int) -> str:
        """Return the address of a trial's page in optuna-dashboard."""
        return f"{self.dashboard}/trials?numbers={number}"


def run_links(study: optuna.Study, tracking_uri: str) -> RunLinks:
    """Look up the runs of a study's trials; nothing is made.

    Args:
        study: The study, open.
        tracking_uri: Where MLflow records.

    Raises:
        InputError: That is nowhere that MLflow can record, or a server that does not answer.
    """
    dashboard = f"{DASHBOARD}/dashboard/studies/{study._study_id}"  # noqa: SLF001 - the number in its address
    parent = study.user_attrs.get("mlflow_run_id")
    nowhere = RunLinks("", "", {}, dashboard)
    if parent is None:
        return nowhere
    urls.check_tracking(tracking_uri)
    server = tracking_uri.startswith(("http://", "https://"))
    if not server and not urls.is_made(urls.parse(tracking_uri, "tracking_uri"), "tracking_uri", "MLflow"):
        return nowhere
    client = connect(tracking_uri)
    from mlflow.exceptions import MlflowException

    try:
        experiment = client.get_run(parent).info.experiment_id
    except MlflowException:
        return nowhere
    query = f"tags.`mlflow.parentRunId` = '{parent}' AND tags.kind = 'search'"
    found: dict[int, str] = {}
    token = None
    while True:
        page = client.search_runs(
            [experiment], query, max_results=_BATCH, order_by=["attributes.start_time ASC"], page_token=token
        )
        found |= {int(run.data.tags["trial"]): run.info.run_id for run in page if "trial" in run.data.tags}
        token = page.token
        if not token:
            base = hidden(tracking_uri).rstrip("/") if server else MLFLOW
            return RunLinks(f"{base}/#/experiments/{experiment}", parent, found, dashboard)


def where_to_look(config: StudyConfig, storage: str, tracking_uri: str, experiment: str) -> list[str]:
    """Return the commands and addresses that show a study while it runs and later, a line each.

    Args:
        config: The study's settings.
        storage: Optuna's URL.
        tracking_uri: MLflow's URI.
        experiment: Id of the study's experiment in MLflow.
    """
    curves = curves_in_mlflow(experiment, config)
    if tracking_uri.startswith(("http://", "https://")):
        served = [f"  {hidden(tracking_uri).rstrip('/')}/#/{curves}"]
    else:
        database = "" if tracking_uri == "sqlite:///mlflow.db" else shlex.quote(hidden(tracking_uri))
        command = f"mlflow ui --backend-store-uri {database}" if database else "mlflow ui"
        served = [f"  {command}", f"    and {MLFLOW}/#/{curves}"]
    return [*served, f"  optuna-dashboard {shlex.quote(hidden(storage))}", f"    and {DASHBOARD}/dashboard"]


def curves_in_mlflow(experiment: str, config: StudyConfig) -> str:
    """Return the page of MLflow that shows the curves of the study's best finished trials, behind its ``#/``.

    Sorted by creation, as MLflow does unless told otherwise, the trials' runs are folded away under their parent.

    Args:
        experiment: Id of the study's experiment.
        config: The study's settings.
    """
    query = f'tags.study = "{config.name}" and tags.kind = "search" and tags.state = "finished"'
    best = f"metrics.`val_{config.metric.name}`"
    return (
        f"experiments/{experiment}/runs?workflowType=machine_learning&compareRunsMode=CHART"
        f"&searchFilter={quote(query)}&orderByKey={quote(best)}"
        f"&orderByAsc={str(config.metric.direction == 'minimize').lower()}"
    )

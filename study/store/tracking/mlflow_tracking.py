"""The study in MLflow: one parent run a study, one child a trial, written while they train.

Runs are named by their ids, never by MLflow's "active run", so that many trials are open at once.

| outcome | MLflow's status | tag ``state`` |
|---|---|---|
| running | RUNNING | running |
| finished | FINISHED | finished |
| pruned | KILLED | pruned |
| diverged | FAILED | diverged |
| interrupted | KILLED | interrupted |

Metrics of an epoch, ``lr_epoch`` (its last rate) among them, stand at step = epochs trained (1 after the first);
``lr`` stands at the optimizer step that used it, from 0, in at most 320 points.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.core.metric import ACCURACY
from study.core.recorded import Recorded
from study.core.records import DEFAULT_PROBLEM, EpochMetrics, Outcome, TrialSpec
from study.store.tracking.budget import Budget
from study.store.tracking.curve import GrowingCurve
from study.store.tracking.mlflow_connection import connect, experiment_in
from study.store.tracking.mlflow_runs import KEY, PARENT, children, find_parent, interrupt
from study.store.urls import check_tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

EXPERIMENT = "lr-schedules"

_STATUS = {"finished": "FINISHED", "pruned": "KILLED", "diverged": "FAILED", "interrupted": "KILLED"}
_BATCH = 1_000  # metrics that MLflow takes at once


@dataclass(frozen=True)
class RunSpec:
    """What a child run is.

    Attributes:
        name: Its name, as MLflow lists it.
        epochs: Epochs that it is to train.
        tags: Its own tags, beside those of the study.
        params: Its own parameters, likewise.
    """

    name: str
    epochs: int
    tags: Mapping[str, str]
    params: Mapping[str, Any]

    @classmethod
    def trial(cls, spec: TrialSpec) -> RunSpec:
        """Describe a trial of a search: its number, where it trained, what was sampled."""
        sampled = {key: value for key, value in spec.params.items() if key != "schedule"}
        return cls(
            f"#{spec.number} {spec.family}",
            spec.epochs,
            {"schedule": spec.family, "trial": str(spec.number)},
            {**sampled, **_schedule_parameters(spec), "offset": spec.offset, "lanes": spec.lanes},
        )

    @classmethod
    def fixed(cls, spec: TrialSpec, name: str, tags: Mapping[str, str]) -> RunSpec:
        """Describe a run of a fixed list, as ``confirm`` and ``replicate`` train: no trial of a search.

        Args:
            spec: What it is to train; its number is a lane's key and means nothing to a reader.
            name: Its name.
            tags: What tells it apart, such as a finalist and a seed.
        """
        own = {**spec.params, **_schedule_parameters(spec)}
        return cls(name, spec.epochs, {"schedule": spec.family, **tags}, own)


class Tracker:
    """Writes one study's runs; made by ``Tracker.open``."""

    def __init__(
        self,
        client: MlflowClient,
        experiment_id: str,
        dataset: Any,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        metric: str,
        running: Callable[[], Collection[int]],
    ) -> None:
        self._metric = metric
        self._client = client
        self._running = running
        self.experiment_id = experiment_id
        self.run_id = ""
        self._dataset, self._tags, self._params = dataset, tags, params
        self._open: dict[str, GrowingCurve] = {}  # children by run id
        self._held: dict[str, list[Metric]] = {}  # metrics not written yet, likewise
        self._budget = Budget()

    @classmethod
    def open(
        cls,
        tracking_uri: str,
        config: Recorded,
        *,
        attributes: Mapping[str, str],
        key: str,
        resume_run_id: str | None = None,
        experiment: str = EXPERIMENT,
        kind: str = "search",
        name: str | None = None,
        running: Callable[[], Collection[int]] = tuple,
    ) -> Tracker:
        """Start a study's parent run, or go on with the one that carries its key.

        Children that an ended process left RUNNING are closed as interrupted.

        Args:
            tracking_uri: MLflow's database or server.
            config: What is recorded: its settings are the parent's parameters. Children repeat
                ``batch_size``, ``train_images`` and, as ``study_seed``, ``seed`` where they are among them.
            attributes: Facts for every run's tags, such as git revision, device and versions.
            key: Tells the owner from all others, and is known before the parent is made.
            resume_run_id: The parent's id that an earlier version noted, before there were keys.
            experiment: The experiment's name; made where there is none.
            kind: What the children of this command are: ``search``, ``confirm``, ``replicate``.
                Only left-over children of the same kind are closed.
            name: What a new parent run is called; by default as what is recorded.
            running: Numbers of the trials that living processes train now; asked at the start and the end.

        Raises:
            InputError: The URI cannot be used.
        """
        check_tracking(tracking_uri)
        client = connect(tracking_uri)
        experiment_id = experiment_in(client, tracking_uri, experiment)
        # MLflow's columns "Source" and "User" are tags.
        tags = {**attributes, "study": config.name, "kind": kind, "mlflow.source.name": f"study.{kind}"}
        tags["mlflow.user"] = _user()
        if "git_revision" in attributes:
            tags["mlflow.source.git.commit"] = attributes["git_revision"]
        own = _study_parameters(config)
        shared = {"batch_size": "batch_size", "train_images": "train_images", "seed": "study_seed"}
        tracker = cls(
            client,
            experiment_id,
            _dataset(config),
            tags,
            {child: own[name] for name, child in shared.items() if name in own},
            config.to_json().get("metric", {}).get("name", ACCURACY.name),
            running,
        )
        parent = find_parent(client, experiment_id, key, resume_run_id)
        if parent is None:
            tracker.run_id = tracker._create(name or config.name, {**tags, KEY: key}, own)
        else:
            tracker.run_id = str(parent.info.run_id)
            if not parent.inputs.dataset_inputs:  # its process was killed before it wrote them
                tracker._describe(tracker.run_id, own)
        tracker._close_left_over()
        return tracker

    def start(self, run: RunSpec) -> str:
        """Open a child run; return its run id."""
        tags = {**self._tags, **run.tags, PARENT: self.run_id}
        child = self._create(run.name, tags, {**self._params, **run.params})
        self._open[child] = GrowingCurve(run.epochs)
        return child

    def _create(self, name: str, tags: Mapping[str, str], params: Mapping[str, Any]) -> str:
        """Make a run with its parameters and its dataset; return its id."""
        run = self._client.create_run(self.experiment_id, tags={**tags, "state": "running"}, run_name=name)
        run_id = str(run.info.run_id)
        self._describe(run_id, params)
        return run_id

    def _describe(self, run_id: str, params: Mapping[str, Any]) -> None:
        """Write a run's parameters, then its dataset."""
        from mlflow.entities import Param

        self._client.log_batch(run_id, params=[Param(k, str(v)) for k, v in params.items()])
        self._client.log_inputs(run_id, [self._dataset])

    def supersede(self, tag: str, values: Collection[str]) -> None:
        """Mark as interrupted what earlier processes recorded of runs that are about to be recorded again.

        Whatever their state: a process may have been killed after it closed a run and before it told that it had.

        Args:
            tag: Tag by which they are found among the children of this kind, such as ``trial``.
            values: Its values.
        """
        kind = f"tags.kind = '{self._tags['kind']}'"
        for value in values:
            query = f"{kind} AND tags.`{tag}` = '{value}'"
            interrupt(self._client, children(self._client, self.experiment_id, self.run_id, query))

    def epoch(self, child: str, epoch: EpochMetrics, rates: Sequence[float]) -> None:
        """Record an epoch of a child: its metrics, and the rates that its steps used, in order.

        Written at once, unless writing has taken more than its share of the time (see ``Budget``): then
        with a later epoch, or at the child's end.
        """
        from mlflow.entities import Metric

        now = _now()
        # The fields named after accuracy hold the study's metric, whichever it is; a loss is then there twice.
        named = {k.replace("_accuracy", f"_{self._metric}"): v for k, v in epoch.to_json().items()}
        measured = {k: v for k, v in named.items() if k.endswith(("_loss", f"_{self._metric}"))}
        metrics = [Metric(k, v, now, epoch.epoch + 1) for k, v in measured.items() if v is not None]
        metrics += [Metric("lr_epoch", epoch.rate, now, epoch.epoch + 1)]  # beside accuracies, on their axis
        metrics += [Metric("lr", rate, now, step) for step, rate in self._open[child].add(rates)]
        self._held.setdefault(child, []).extend(metrics)
        if self._budget.allows():
            self._write(child)

    def end(self, child: str, outcome: Outcome) -> None:
        """Close a child. Call it before Optuna learns that the trial ended: see ``_close_left_over``.

        Args:
            child: Its run id.
            outcome: How the trial ended; sets the run's status and its tag ``state``.
        """
        from mlflow.entities import Metric

        now = _now()
        last = [Metric("lr", rate, now, step) for step, rate in self._open[child].rest()]
        self._held.setdefault(child, []).extend(last)
        self._write(child)
        self._client.set_tag(child, "state", outcome)
        self._client.set_terminated(child, _STATUS[outcome])
        del self._open[child]  # last: what failed can be tried again

    def mark_interrupted(self, child: str) -> None:
        """Mark a child that was closed already: its trial turned out to be another process's."""
        interrupt(self._client, [self._client.get_run(child)])

    def _write(self, child: str) -> None:
        """Write the metrics that are held back, in batches that MLflow takes."""
        metrics = self._held.pop(child, [])
        with self._budget.spending():
            for first in range(0, len(metrics), _BATCH):
                self._client.log_batch(child, metrics[first : first + _BATCH])

    def close(
        self,
        outcome: Outcome,
        *,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        summary: Mapping[str, Any] | None = None,
    ) -> None:
        """Close the parent; children still open, or left open by who died, are closed as interrupted first.

        Args:
            outcome: ``finished``, or ``interrupted`` for a study to be continued.
            metrics: Summary metrics of the study, such as ``best_val_accuracy``.
            tags: Summary tags, such as the leading schedule.
            summary: Kept as the artifact ``summary.json``.
        """
        from mlflow.entities import Metric, RunTag

        for child in list(self._open):
            self.end(child, "interrupted")
        self._close_left_over()
        now = _now()
        self._client.log_batch(
            self.run_id,
            [Metric(key, value, now, 0) for key, value in (metrics or {}).items()],
            tags=[RunTag(k, v) for k, v in {**(tags or {}), "state": outcome}.items()],
        )
        if summary is not None:
            self.log_text(json.dumps(summary, indent=2, ensure_ascii=False), "summary.json")
        self._client.set_terminated(self.run_id, _STATUS[outcome])

    def log_text(self, text: str, path: str) -> None:
        """Keep a text file, such as a figure's HTML, with the parent."""
        self._client.log_text(self.run_id, text, path)

    def _close_left_over(self) -> None:
        """Close the RUNNING children of this kind whose trial nobody trains any more.

        Safe beside other machines on the same study: a process asks Optuna for a trial before it opens
        the child, and closes the child before it tells Optuna. So a child seen RUNNING first, of a trial
        not in training afterwards, is either left over or closed by now, which is looked up again.
        """
        query = f"attributes.status = 'RUNNING' AND tags.kind = '{self._tags['kind']}'"
        seen = children(self._client, self.experiment_id, self.run_id, query)
        alive = {str(number) for number in self._running()} if seen else set()
        again = [self._client.get_run(r.info.run_id) for r in seen if r.data.tags.get("trial") not in alive]
        interrupt(self._client, [run for run in again if run.info.status == "RUNNING"])


def _dataset(config: Recorded) -> Any:
    """Return the data as MLflow's input: the checksums of its files are its digest."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    checksums = json.dumps(dict(config.data), sort_keys=True)
    digest = hashlib.sha256(checksums.encode()).hexdigest()[:16]
    settings = config.to_json()
    problem, file = settings.get("problem", DEFAULT_PROBLEM), settings.get("source")
    origin = {"sha256": file} if file else {"url": "https://github.com/zalandoresearch/fashion-mnist"}
    profile = json.dumps({"train_images": config.train_images, "files": dict(config.data)})
    dataset = Dataset(problem, digest, "code" if file else "http", json.dumps(origin), profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _study_parameters(config: Recorded) -> dict[str, Any]:
    """Return the settings but for the name and the data, which MLflow shows otherwise."""
    fields = {k: v for k, v in config.to_json().items() if k not in {"name", "data"}}
    return {k: ", ".join(map(str, v)) if isinstance(v, list) else v for k, v in fields.items()}


def _schedule_parameters(spec: TrialSpec) -> dict[str, Any]:
    return {
        "schedule": spec.family,
        "schedule_json": json.dumps(spec.schedule.to_json()),
        "base_rate": spec.base_rate,
        "epochs": spec.epochs,
        "seed": spec.seed,
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "unknown"


def _now() -> int:
    """Return milliseconds since the epoch, as MLflow counts time."""
    return time.time_ns() // 1_000_000

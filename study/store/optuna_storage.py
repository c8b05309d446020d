"""A study in Optuna's storage: made, opened again under the same settings, read back.

Everything that could be wrong is looked at first: a refusal leaves no file and no table behind. How a
trial's outcome is kept:

| outcome | Optuna's state | value |
|---|---|---|
| finished | COMPLETE | validation accuracy after the final epoch |
| pruned, diverged | PRUNED (the attribute ``outcome`` tells which) | last signal reported |
| interrupted | WAITING, with its parameters and reports; or FAIL, and a new trial with ``retry_of`` follows | none |

A trial that is put back keeps its number, so that whoever holds its checkpoint goes on in the middle. Who has none
starts it again as a new trial: the reports of the first attempt belong to other weights.
"""

from __future__ import annotations

import sqlite3
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.trial import FrozenTrial, TrialState

from study.core.errors import InputError
from study.core.metric import Metric
from study.core.recorded import kept
from study.core.records import EpochMetrics, Outcome, StudyConfig, StudyRecord, TrialRecord, TrialSpec
from study.core.same_problem import changed_problem
from study.store import urls
from study.store.database import exclusively, lock_at_begin, make_beside, use_wal
from study.store.patience import (
    STORAGE_TIMEOUT,
    Patience,
    PatientStorage,
    file_locked,
    reason_of,
    server_away,
)

#: Seconds between two heartbeats of a trial in training.
HEARTBEAT_SECONDS = 60
#: Seconds without a heartbeat after which a trial of another machine counts as cut off. Longer than any epoch.
GRACE_SECONDS = 600

_OUTCOMES: dict[TrialState, Outcome] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.RUNNING: "running",
    TrialState.FAIL: "interrupted",
    TrialState.WAITING: "interrupted",
}


def open_study(storage: str, config: StudyConfig, *, timeout: float = STORAGE_TIMEOUT) -> optuna.Study:
    """Create a study, or open the one of the same name and settings to continue it.

    Args:
        storage: SQLAlchemy URL of Optuna's database; its schema is made where there is none.
        config: What makes two studies comparable; kept with the study.
        timeout: Seconds that a server which goes away later is waited for.

    Raises:
        InputError: The storage cannot be used, or the study exists with other settings. Then nothing
            was created or changed.
    """
    url = urls.parse(storage, "storage")
    urls.is_made(url, "storage", "Optuna")
    urls.require_writable(url, "storage")
    with _one_line(url), exclusively(url):
        make_beside(url, _make)
        use_wal(url)
        opened = _connect(url, create=True, timeout=timeout)
        try:
            return _continued(opened, config) or _made(opened, config)
        except InputError:
            opened.engine.dispose()
            raise


@contextmanager
def _one_line(url: sqlalchemy.URL) -> Iterator[None]:
    """Say in one line what a database refuses."""
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error) as error:
        raise InputError(f"`storage` {url.render_as_string()!r} cannot be used: {reason_of(error)}") from None


def _continued(storage: PatientStorage, config: StudyConfig) -> optuna.Study | None:
    """Return the study of this name, if there is one; refuse one that is not the same."""
    kept = _settings_by_name(storage).get(config.name)
    if kept is not None:
        _require_same(config, StudyConfig.from_json(kept))
        study = optuna.load_study(study_name=config.name, storage=storage)
        if "key" not in study.user_attrs:  # of an earlier version
            study.set_user_attr("key", uuid.uuid4().hex)
        return study
    if config.name not in optuna.get_all_study_names(storage):
        return None
    study = optuna.load_study(study_name=config.name, storage=storage)
    if study.get_trials(deepcopy=False) or study.direction.name.lower() != config.metric.direction:
        raise InputError(
            f"study {config.name!r} was not made by study.search: choose another name with `study`"
        )
    return _completed(study, config)  # its process was killed before it wrote the settings


def _require_same(asked: StudyConfig, kept: StudyConfig) -> None:
    """Refuse to continue a study that was made with other settings."""
    differences = asked.differences(kept)
    if not differences:
        return
    start = f"study {asked.name!r} exists with other settings: "
    changed = changed_problem(kept, asked.problem, asked.source, asked.data)
    if changed is not None:
        raise InputError(f"{start}{changed}, or `study` OTHER")
    said = ", ".join(
        f"{name} is {_shown(old)}, not {_shown(new)}" for name, (new, old) in differences.items()
    )
    same = " ".join(f"`{name}` {_shown(old)}" for name, (_, old) in differences.items())
    raise InputError(f"{start}{said}; give {same} to continue it, or `study` OTHER to start another")


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _made(storage: PatientStorage, config: StudyConfig) -> optuna.Study:
    study = optuna.create_study(study_name=config.name, storage=storage, direction=config.metric.direction)
    return _completed(study, config)


def _completed(study: optuna.Study, config: StudyConfig) -> optuna.Study:
    """Write what makes an Optuna study one of ours: the settings last, so that a study which has them is whole.

    ``key`` is the study's own name among all that ever were: its checkpoints and its run in MLflow are found by it.
    """
    with _experimental_features():
        study.set_metric_names([f"val_{config.metric.name}"])
    study.set_user_attr("key", uuid.uuid4().hex)
    study.set_user_attr("settings", config.to_json())
    return study


def existing_study(storage: str, name: str | None = None) -> optuna.Study:
    """Open a study that exists; ``None`` means the one made last. Nothing is created or migrated.

    Raises:
        InputError: There is no such storage or study; the studies that exist are named.
    """
    url = urls.parse(storage, "storage")
    shown = urls.shown_url(url, "storage")
    none_yet = f"{shown} holds no study yet: run python -m study.search first"
    if not urls.is_made(url, "storage", "Optuna"):
        raise InputError(none_yet)
    opened = _connect(url, create=False)
    names = list(_settings_by_name(opened))
    if not names or name not in {None, *names}:
        opened.engine.dispose()
        raise InputError(
            f"`study` {name!r} is not in {shown}, which holds: {', '.join(names)}" if names else none_yet
        )
    return optuna.load_study(study_name=name or names[-1], storage=opened)


def settings_of(storage: str, name: str) -> StudyConfig | None:
    """Return the settings of the study of this name; ``None`` where there is none. Nothing is created or migrated."""
    url = urls.parse(storage, "storage")
    if not urls.is_made(url, "storage", "Optuna"):
        return None
    urls.require_writable(url, "storage")
    opened = _connect(url, create=False)
    kept = _settings_by_name(opened).get(name)
    opened.engine.dispose()
    return None if kept is None else StudyConfig.from_json(kept)


def _settings_by_name(storage: optuna.storages.BaseStorage) -> dict[str, Mapping[str, Any]]:
    """Return the settings of every study of ours, oldest first."""
    studies = sorted(storage.get_all_studies(), key=lambda study: study._study_id)  # noqa: SLF001 - order of creation
    return {s.study_name: s.user_attrs["settings"] for s in studies if "settings" in s.user_attrs}


def load(storage: str, name: str | None = None) -> StudyRecord:
    """Read a study as ``record`` does: the one of this name, or the one made last.

    Raises:
        InputError: There is no such storage or study; the studies that exist are named.
    """
    study = existing_study(storage, name)
    try:
        return record(study)
    finally:
        close(study)


def record(study: optuna.Study) -> StudyRecord:
    """Return an open study of ours as plain data, be it in progress, empty or failed.

    Left out are trials that never began, and those whose retry has started; one that was put back is interrupted.
    """
    attributes = dict(study.user_attrs)
    config = StudyConfig.from_json(attributes.pop("settings"))
    trials = study.get_trials(deepcopy=False)
    begun = [t for t in trials if t.state is not TrialState.WAITING or "asked" in kept(t)]
    retried = {t.user_attrs.get("retry_of") for t in begun}
    there = [t for t in begun if t.number not in retried and "asked" in kept(t)]
    return StudyRecord(config, tuple(_trial_record(t, config.metric) for t in there), attributes)


def _trial_record(trial: FrozenTrial, metric: Metric) -> TrialRecord:
    known = kept(trial)
    outcome = _OUTCOMES[trial.state]
    return TrialRecord(
        spec=TrialSpec.from_json(known["asked"]),
        epochs=tuple(_epoch(data) for data in known.get("epochs", ())),
        outcome="diverged" if outcome == "pruned" and known.get("outcome") == "diverged" else outcome,
        value=trial.value if outcome == "finished" else None,
        reported=dict(sorted(trial.intermediate_values.items())),
        reprieved_at=known.get("reprieved_at"),
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        metric=metric,
    )


def _epoch(data: Mapping[str, Any]) -> EpochMetrics:
    """Read an epoch; figures that are not finite are kept as words."""
    return EpochMetrics.from_json({k: float(v) if isinstance(v, str) else v for k, v in data.items()})


def close(study: optuna.Study) -> None:
    """Close the connections to a study's storage; the study can be used again all the same."""
    engine_of(study).dispose()


def is_local(study: optuna.Study) -> bool:
    """Return whether the study's storage is a SQLite file."""
    return engine_of(study).name == "sqlite"


def patience_of(study: optuna.Study) -> Patience:
    """Return how long the study's storage is waited for."""
    return _backend(study).patience


def engine_of(study: optuna.Study) -> sqlalchemy.Engine:
    """Return what the study's storage is reached by."""
    return _backend(study).engine


def _backend(study: optuna.Study) -> PatientStorage:
    storage: PatientStorage = study._storage._backend  # type: ignore[attr-defined] # noqa: SLF001 - ours, in the cache that Optuna wraps it in
    return storage


def _make(url: sqlalchemy.URL) -> None:
    """Make Optuna's tables in a file."""
    _connect(url, create=True).engine.dispose()


def _connect(url: sqlalchemy.URL, *, create: bool, timeout: float = STORAGE_TIMEOUT) -> PatientStorage:
    # Optuna says on stderr what a command's user did not ask.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shown = urls.shown_url(url, "storage")
    opened = url if create else urls.for_reading(url)
    text = opened.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    waiting: dict[str, Any] = {"connect_args": {"timeout": urls.BUSY_SECONDS}}
    if not urls.is_sqlite(
        url
    ):  # one connection a process, which also holds the lock of ``database.alone_on``
        waiting = {"pool_size": 1, "max_overflow": 2}  # more only to make its tables
    away = file_locked if urls.is_sqlite(url) else server_away
    with _experimental_features():
        try:
            storage = PatientStorage(
                text,
                engine_kwargs=waiting,
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
                skip_table_creation=not create,
                patience=Patience(shown, away, timeout),
            )
        except RuntimeError as error:  # the schema of another version of Optuna
            raise InputError(f"{shown}: {error}") from None
        except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
            raise InputError(f"{shown} cannot be used: {reason_of(error)}") from None
    if create and urls.is_sqlite(url):  # readers neither need the lock nor should hold it
        lock_at_begin(storage.engine)
    return storage


@contextmanager
def _experimental_features() -> Iterator[None]:
    """Use heartbeats and metric names without a warning each; the lock file pins Optuna's version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield

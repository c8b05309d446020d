"""A study's place in Optuna's storage: made, or opened again under the same settings.

Everything that could be wrong is looked at first: a refusal leaves no file and no table behind.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning

from study.core.errors import InputError
from study.core.records import StudyConfig
from study.store import database

FLAG = "--storage"
#: Seconds between two signs of life of a trial in training.
HEARTBEAT_SECONDS = 60
#: Silence after which a trial of another machine counts as cut off. Longer than any epoch.
GRACE_SECONDS = 600


def open_study(url: str, config: StudyConfig) -> optuna.Study:
    """Create a study, or open the one of the same name and settings to continue it.

    Args:
        url: SQLAlchemy URL of the storage; its schema is made where there is none.
        config: What makes two studies comparable; kept with the study.

    Raises:
        InputError: The storage cannot be used, or the study exists with other settings. Then nothing
            was created or changed.
    """
    parsed = database.parse(url, FLAG)
    _require_optuna(parsed)
    database.require_writable(parsed, FLAG)
    with database.exclusively(parsed):
        database.use_wal(parsed)
        storage = _storage(parsed, create=True)
        try:
            return _continued(storage, config) or _made(storage, config)
        except InputError:
            storage.engine.dispose()
            raise


def _continued(storage: optuna.storages.RDBStorage, config: StudyConfig) -> optuna.Study | None:
    """Return the study of this name, if there is one; refuse one that is not the same."""
    kept = _settings_by_name(storage).get(config.name)
    if kept is not None:
        _require_same(config, kept)
        return optuna.load_study(study_name=config.name, storage=storage)
    if config.name in optuna.get_all_study_names(storage):
        raise InputError(
            f"study {config.name!r} was not made by study.search: choose another name with --study"
        )
    return None


def _made(storage: optuna.storages.RDBStorage, config: StudyConfig) -> optuna.Study:
    study = optuna.create_study(study_name=config.name, storage=storage, direction="maximize")
    with _experimental_features():
        study.set_metric_names(["val_accuracy"])
    study.set_user_attr("settings", config.to_json())
    return study


def existing_study(url: str, name: str | None = None) -> optuna.Study:
    """Open a study that exists; ``None`` means the one made last. Nothing is created or migrated.

    Raises:
        InputError: There is no such storage or study; the studies that exist are named.
    """
    parsed = database.parse(url, FLAG)
    shown = parsed.render_as_string()
    if not _require_optuna(parsed):
        raise InputError(f"{FLAG} {shown!r} holds no study yet: run python -m study.search first")
    storage = _storage(parsed, create=False)
    names = list(_settings_by_name(storage))
    if not names or name not in {None, *names}:
        storage.engine.dispose()
        if not names:
            raise InputError(f"{FLAG} {shown!r} holds no study yet: run python -m study.search first")
        raise InputError(f"--study {name!r} is not in {shown!r}, which holds: {', '.join(names)}")
    return optuna.load_study(study_name=name or names[-1], storage=storage)


def close(study: optuna.Study) -> None:
    """Close the connections to a study's storage; the study can be used again all the same."""
    engine = _engine(study)
    if engine is not None:
        engine.dispose()


def is_local(study: optuna.Study) -> bool:
    """Return whether the study's storage is a SQLite file."""
    engine = _engine(study)
    return engine is not None and engine.name == "sqlite"


def _engine(study: optuna.Study) -> sqlalchemy.Engine | None:
    storage = getattr(study._storage, "_backend", study._storage)  # noqa: SLF001 - Optuna wraps it in a cache
    return storage.engine if isinstance(storage, optuna.storages.RDBStorage) else None


@contextmanager
def exclusively(url: str) -> Iterator[None]:
    """Keep other runs of any command on this storage out of a block; see ``database.exclusively``."""
    with database.exclusively(database.parse(url, FLAG)):
        yield


def _require_optuna(url: sqlalchemy.URL) -> bool:
    """Return whether Optuna's tables are there already; refuse a database of something else."""
    found = database.tables(url, FLAG)
    if "studies" in found and "trials" in found:
        return True
    if found and (database.is_sqlite(url) or "experiments" in found):
        raise InputError(
            f"{FLAG} {url.render_as_string()!r} is another program's database, not Optuna's: "
            "name a file or database of its own"
        )
    return False


def _storage(url: sqlalchemy.URL, *, create: bool) -> optuna.storages.RDBStorage:
    # Optuna says on stderr what a command's user did not ask.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    with _experimental_features():
        try:
            storage = optuna.storages.RDBStorage(
                text,
                engine_kwargs=database.writer_options(url),
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
                skip_table_creation=not create,
            )
        except RuntimeError as error:  # the schema of another version of Optuna
            raise InputError(f"{FLAG} {url.render_as_string()!r}: {error}") from None
        except sqlalchemy.exc.OperationalError as error:
            raise InputError(f"{FLAG} {url.render_as_string()!r} cannot be used: {error.orig}") from None
    if create and database.is_sqlite(url):  # readers neither need the lock nor should hold it
        database.lock_at_begin(storage.engine)
    return storage


@contextmanager
def _experimental_features() -> Iterator[None]:
    """Use heartbeats and metric names without a warning each; the lock file pins Optuna's version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _settings_by_name(storage: optuna.storages.BaseStorage) -> dict[str, Mapping[str, Any]]:
    """Return the settings of every study of ours, oldest first."""
    studies = sorted(storage.get_all_studies(), key=lambda study: study._study_id)  # noqa: SLF001 - order of creation
    return {s.study_name: s.user_attrs["settings"] for s in studies if "settings" in s.user_attrs}


def _require_same(asked: StudyConfig, kept: Mapping[str, Any]) -> None:
    """Refuse to continue a study that was made with other settings."""
    differences = asked.differences(StudyConfig.from_json(kept))
    if not differences:
        return
    start = f"study {asked.name!r} exists with other settings: "
    if "data" in differences:
        raise InputError(
            start + "its data files had other checksums; give the same --data-dir, or --study OTHER"
        )
    said = ", ".join(
        f"{name} is {_shown(old)}, not {_shown(new)}" for name, (new, old) in differences.items()
    )
    same = " ".join(f"--{name.replace('_', '-')} {_shown(old)}" for name, (_, old) in differences.items())
    raise InputError(f"{start}{said}; give {same} to continue it, or --study OTHER to start another")


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

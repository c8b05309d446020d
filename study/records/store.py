"""The study in Optuna's storage: opened, continued after a crash, written, read back.

A trial's life: ``ask`` (RUNNING, ours, heart beating) - ``begin`` (what was asked is written) -
``report`` and ``beat`` while it trains - ``finish``, or ``interrupt`` when it is cut off. What a dead
process left behind is found by ``recover`` and put back with the same parameters, exactly once.

| outcome | Optuna's state | value |
|---|---|---|
| finished | COMPLETE | validation accuracy after the final epoch |
| pruned, diverged | PRUNED (``outcome`` tells which) | last signal reported |
| interrupted | FAIL | none; a new trial with ``retry_of`` follows |
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from study.records import database
from study.records.errors import InputError
from study.records.process import Process, current
from study.records.trial import Asked, Epoch, Outcome, Settings, StudyRecord, TrialRecord

FLAG = "--storage"
#: Seconds between two signs of life of a trial in training.
HEARTBEAT_SECONDS = 60
#: Silence after which a trial of another machine counts as cut off. Longer than any epoch.
GRACE_SECONDS = 600

_COUNTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
_last_beat: WeakKeyDictionary[optuna.Study, float] = WeakKeyDictionary()


# --------------------------------------------------------------------------- opening


def open_study(url: str, settings: Settings) -> optuna.Study:
    """Create a study, or open the one of the same name and settings to continue it.

    Args:
        url: SQLAlchemy URL of the storage; its schema is made where there is none.
        settings: What makes two studies comparable; kept with the study.

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
        if settings.name in _settings_by_name(storage):
            study = optuna.load_study(study_name=settings.name, storage=storage)
            _require_same(settings, study.user_attrs["settings"])
            return study
        if settings.name in optuna.get_all_study_names(storage):
            raise InputError(
                f"study {settings.name!r} was not made by study.search: choose another name with --study"
            )
        study = optuna.create_study(study_name=settings.name, storage=storage, direction="maximize")
        with _experimental_features():
            study.set_metric_names(["val_accuracy"])
        study.set_user_attr("settings", settings.to_json())
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
    if not names:
        raise InputError(f"{FLAG} {shown!r} holds no study yet: run python -m study.search first")
    if name is not None and name not in names:
        raise InputError(f"--study {name!r} is not in {shown!r}, which holds: {', '.join(names)}")
    return optuna.load_study(study_name=name or names[-1], storage=storage)


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
                heartbeat_stale_trial_callback=_put_back_stale,
                skip_table_creation=not create,
            )
        except RuntimeError as error:  # the schema of another version of Optuna
            raise InputError(f"{FLAG} {url.render_as_string()!r}: {error}") from None
        except sqlalchemy.exc.OperationalError as error:
            raise InputError(f"{FLAG} {url.render_as_string()!r} cannot be used: {error.orig}") from None
    if database.is_sqlite(url):
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


def _require_same(asked: Settings, kept: Mapping[str, Any]) -> None:
    """Refuse to continue a study that was made with other settings."""
    differences = asked.differences(Settings.from_json(kept))
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


# --------------------------------------------------------------------------- a trial's life


def ask(study: optuna.Study, total: int) -> optuna.Trial | None:
    """Start the next trial of a study of ``total`` trials; ``None`` when there is none left to start.

    Trials put back by ``recover`` come first. Several processes may ask at once: where two ask for the
    last trial, the one with the higher number withdraws.
    """
    if remaining(study, total) <= 0:
        return None
    with warnings.catch_warnings():
        # "Heartbeat is supposed to be used with Study.optimize": here `beat` sends it.
        warnings.filterwarnings("ignore", message="Heartbeat of storage")
        trial = study.ask()
    trial.set_user_attr("owner", current().to_json())
    _record_heartbeat(trial)
    earlier = [t for t in _trials(study, *_COUNTED, TrialState.WAITING) if t.number < trial.number]
    if len(earlier) >= total:
        trial.set_user_attr("surplus", True)  # noqa: FBT003 - a value, not a switch
        study.tell(trial, state=TrialState.FAIL)
        return None
    return trial


def remaining(study: optuna.Study, total: int) -> int:
    """Return how many more trials to start so that the study has ``total`` of them.

    Finished, pruned and diverged ones count, and those in training anywhere; interrupted ones do not.
    """
    return max(0, total - len(_trials(study, *_COUNTED)))


def running(study: optuna.Study) -> frozenset[int]:
    """Return the numbers of the trials that some process trains right now."""
    return frozenset(trial.number for trial in _trials(study, TrialState.RUNNING))


def begin(trial: optuna.Trial, asked: Asked) -> None:
    """Write what a trial was asked, before it trains. Only then is it retried when it is cut off."""
    trial.set_user_attr("asked", asked.to_json())


def report(trial: optuna.Trial, signal: float, epoch: int) -> bool:
    """Report the signal after an epoch (counted from 0); ``False`` when the trial is no longer ours.

    It is no longer ours when this process was silent for so long (a sleeping laptop) that another one
    put the trial back. Its lane should be given to another trial.
    """
    try:
        trial.report(signal, epoch)
    except UpdateFinishedTrialError:
        return False
    return True


def beat(study: optuna.Study, trials: Sequence[optuna.Trial]) -> None:
    """Say that these trials are still in training; call it once an epoch.

    At most one sign of life in ``HEARTBEAT_SECONDS`` is written.
    """
    now = time.monotonic()
    if now - _last_beat.get(study, -math.inf) < HEARTBEAT_SECONDS:
        return
    _last_beat[study] = now
    for trial in trials:
        _record_heartbeat(trial)


def finish(
    study: optuna.Study,
    trial: optuna.Trial,
    epochs: Sequence[Epoch],
    outcome: Outcome,
    *,
    reprieved_at: int | None = None,
) -> bool:
    """End a trial; ``False`` when another process had put it back meanwhile.

    Args:
        study: The trial's study.
        trial: The trial, from ``ask``.
        epochs: What its epochs gave, in order; a finished trial's value is the last one's accuracy.
        outcome: ``finished``, ``pruned`` or ``diverged``.
        reprieved_at: Epoch at which the pruner would have stopped it, had it not been reprieved.

    Raises:
        ValueError: The outcome is another one, or a finished trial has no epochs.
    """
    if outcome not in {"finished", "pruned", "diverged"}:
        raise ValueError(f"outcome must be finished, pruned or diverged, got outcome={outcome!r}")
    if outcome == "finished" and not epochs:
        raise ValueError(f"a finished trial has epochs, got none for trial {trial.number}")
    state = TrialState.COMPLETE if outcome == "finished" else TrialState.PRUNED
    try:
        trial.set_user_attr("epochs", [_plain(epoch) for epoch in epochs])
        trial.set_user_attr("outcome", outcome)
        if reprieved_at is not None:
            trial.set_user_attr("reprieved_at", reprieved_at)
    except UpdateFinishedTrialError:
        return False
    return _tell(study, trial, state, epochs[-1].val_accuracy if outcome == "finished" else None)


def interrupt(study: optuna.Study, trials: Sequence[optuna.Trial]) -> int:
    """Cut off trials in training (Ctrl-C) and put them back; return how many were put back."""
    return sum(_cut_off(study, trial.number) for trial in trials)


def recover(study: optuna.Study) -> int:
    """Put back what dead processes left in training; return how many trials were put back.

    A process of this machine is known to be dead at once, by its number and start time. One of
    another machine counts as dead after ``GRACE_SECONDS`` without a sign of life. Trials of living
    processes are left alone, and of several processes that recover at once one gets each trial.
    """
    before = _waiting(study)
    for trial in _trials(study, TrialState.RUNNING):
        if _is_orphan(trial, one_machine=_on_one_machine(study)):
            _cut_off(study, trial.number)
    with _experimental_features():
        optuna.storages.fail_stale_trials(study)
    return len(_waiting(study) - before)


def _is_orphan(trial: FrozenTrial, *, one_machine: bool) -> bool:
    owner = trial.user_attrs.get("owner")
    if owner is not None:
        return Process.from_json(owner).surely_dead(one_machine=one_machine)
    # Cut off between being asked for and being signed, unless that is happening right now.
    started = trial.datetime_start
    return started is None or datetime.now() - started > timedelta(seconds=GRACE_SECONDS)  # noqa: DTZ005 - Optuna's clock


def _cut_off(study: optuna.Study, number: int) -> bool:
    """Fail one trial and put it back; ``False`` when somebody else was faster or nothing had begun."""
    return _tell(study, number, TrialState.FAIL) and _put_back(study, study.trials[number])


def _put_back(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Queue a trial with a cut-off one's parameters, unless that one had not begun to train."""
    if "asked" not in trial.user_attrs:
        return False
    study.add_trial(
        optuna.trial.create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={"retry_of": trial.number},
        )
    )
    return True


def _put_back_stale(study: optuna.Study, trial: FrozenTrial) -> None:
    _put_back(study, trial)


def _tell(
    study: optuna.Study, trial: optuna.Trial | int, state: TrialState, value: float | None = None
) -> bool:
    """Tell a trial's end; ``False`` when it had ended before."""
    try:
        study.tell(trial, value, state)
    except UpdateFinishedTrialError:
        return False
    except ValueError as error:
        if str(error).startswith("Cannot tell a "):  # it ended before Optuna looked
            return False
        raise
    return True


def _trials(study: optuna.Study, *states: TrialState) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=states)


def _waiting(study: optuna.Study) -> frozenset[int]:
    return frozenset(trial.number for trial in _trials(study, TrialState.WAITING))


def _record_heartbeat(trial: optuna.Trial) -> None:
    storage = trial.study._storage  # noqa: SLF001 - Optuna has no public way under ask-and-tell
    if isinstance(storage, optuna.storages._heartbeat.BaseHeartbeat):  # noqa: SLF001
        storage.record_heartbeat(trial._trial_id)  # noqa: SLF001


def _on_one_machine(study: optuna.Study) -> bool:
    backend = getattr(study._storage, "_backend", study._storage)  # noqa: SLF001 - Optuna wraps it in a cache
    return isinstance(backend, optuna.storages.RDBStorage) and backend.engine.name == "sqlite"


# --------------------------------------------------------------------------- reading


def load(url: str, name: str | None = None) -> StudyRecord:
    """Read a study: the one of this name, or the one made last.

    Works on a study in progress, an empty and a failed one. Left out are trials that wait to start,
    and interrupted ones whose retry has started.

    Raises:
        InputError: There is no such storage or study; the studies that exist are named.
    """
    return record(existing_study(url, name))


def record(study: optuna.Study) -> StudyRecord:
    """Return an open study of ours as plain data; see ``load``."""
    attributes = dict(study.user_attrs)
    settings = Settings.from_json(attributes.pop("settings"))
    begun = [t for t in study.get_trials(deepcopy=False) if t.state is not TrialState.WAITING]
    retried = {t.user_attrs.get("retry_of") for t in begun}
    kept = [t for t in begun if t.number not in retried and not t.user_attrs.get("surplus")]
    return StudyRecord(settings, tuple(_trial_record(t) for t in kept), attributes)


def _trial_record(trial: FrozenTrial) -> TrialRecord:
    known = trial.user_attrs
    return TrialRecord(
        number=trial.number,
        asked=Asked.from_json(known["asked"]) if "asked" in known else None,
        epochs=tuple(_epoch(data) for data in known.get("epochs", ())),
        outcome=_outcome(trial),
        value=trial.value if trial.state is TrialState.COMPLETE else None,
        reported=dict(sorted(trial.intermediate_values.items())),
        reprieved_at=known.get("reprieved_at"),
        started=trial.datetime_start,
        ended=trial.datetime_complete,
    )


def _outcome(trial: FrozenTrial) -> Outcome:
    if trial.state is TrialState.PRUNED:
        return "diverged" if trial.user_attrs.get("outcome") == "diverged" else "pruned"
    return {
        TrialState.COMPLETE: "finished",
        TrialState.RUNNING: "running",
        TrialState.FAIL: "interrupted",
    }[trial.state]  # type: ignore[return-value]  # mypy widens the values to str


def _plain(epoch: Epoch) -> dict[str, Any]:
    """Return an epoch as JSON that browsers read: a loss that is not finite becomes a word."""
    return {
        key: repr(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in epoch.to_json().items()
    }


def _epoch(data: Mapping[str, Any]) -> Epoch:
    return Epoch.from_json({k: float(v) if isinstance(v, str) else v for k, v in data.items()})

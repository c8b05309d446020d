"""A finished study as small text files, and databases made of them again without training.

A folder holds ``study.json`` (the study's settings and facts), ``trials.jsonl`` (Optuna's trials, one a line) and,
where there is one, ``certificate.json``. Both are as Optuna keeps them, so that nothing is lost on the way; rate curves
are not kept, since a schedule is a pure function of time: they are computed again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from study.core.errors import InputError
from study.core.files import write_text
from study.core.recorded import kept
from study.core.records import StudyConfig, StudyRecord, TrialRecord
from study.store import optuna_storage as store
from study.store.tracking.mlflow_tracking import RunSpec, Tracker
from study.training.rates import Rates

FORMAT = "learning-rate schedule study"
VERSION = 1
STUDY, TRIALS, CERTIFICATE = "study.json", "trials.jsonl", "certificate.json"
#: Facts of a study that hold for the databases it was recorded in, not for others made of it.
#: What is kept of a trial out of sight, and what else its user attributes do not say again: it is of one process.
_LONG, _ELSEWHERE = {"asked", "epochs"}, {"asked", "epochs", "owner"}
_OF_ONE_DATABASE = {"settings", "mlflow_run_id", "key"}


def save(study: optuna.Study, folder: Path) -> int:
    """Write a study whose trials have ended into a folder; return their number.

    Raises:
        InputError: Trials of it are in training or wait, or the folder cannot be written.
    """
    trials = study.get_trials(deepcopy=False)
    open_ones = [t.number for t in trials if not t.state.is_finished()]
    if open_ones:
        raise InputError(
            f"study {study.study_name!r}: {len(open_ones)} trials have not ended; run its search to the end first"
        )
    facts = {name: fact for name, fact in study.user_attrs.items() if name not in _OF_ONE_DATABASE}
    about = {"format": FORMAT, "version": VERSION, "settings": study.user_attrs["settings"], "facts": facts}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"`save` {str(folder)!r} cannot be made: {error.strerror or error}") from None
    write_text(folder / STUDY, json.dumps(about, indent=1) + "\n", "`save`")
    write_text(folder / TRIALS, "".join(json.dumps(_row(t)) + "\n" for t in trials), "`save`")
    return len(trials)


def read(folder: Path) -> tuple[dict[str, Any], list[FrozenTrial]]:
    """Return a kept study: its settings and facts, and its trials.

    Raises:
        InputError: The folder holds no such study.
    """
    try:
        about = json.loads((folder / STUDY).read_text("utf-8"))
        if (about["format"], about["version"]) != (FORMAT, VERSION):
            raise InputError(f"`restore` {str(folder)!r}: its format is not {FORMAT!r}, version {VERSION}")
        rows = [json.loads(line) for line in (folder / TRIALS).read_text("utf-8").splitlines()]
        return about, [_trial(row) for row in rows]
    except OSError as error:
        raise InputError(f"`restore` {str(folder)!r} holds no study: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"`restore` {str(folder)!r} is damaged: {error!r:.200}") from None


def restore(folder: Path, storage: str) -> optuna.Study:
    """Make a kept study again in Optuna's storage; return it, open.

    Raises:
        InputError: The folder holds no such study, or the storage holds one of that name.
    """
    about, trials = read(folder)
    config = StudyConfig.from_json(about["settings"])
    if store.settings_of(storage, config.name) is not None:
        raise InputError(f"`storage` {storage!r} holds a study {config.name!r} already; name another storage")
    study = store.open_study(storage, config)
    study.add_trials(trials)
    for name, fact in about["facts"].items():
        study.set_user_attr(name, fact)
    return study


def track(record: StudyRecord, tracker: Tracker, advanced: Callable[[int], None]) -> None:
    """Record a study's trials in MLflow as their training did, with the rates computed again.

    Args:
        record: The study.
        tracker: Opened on its parent run, which stays open.
        advanced: Called after every trial with how many are recorded.
    """
    for count, trial in enumerate(record.trials, start=1):
        _track(trial, record.config, tracker)
        advanced(count)


def _track(trial: TrialRecord, config: StudyConfig, tracker: Tracker) -> None:
    """Record one trial."""
    spec = trial.spec
    run = tracker.start(RunSpec.trial(spec))
    rates = Rates(spec.schedule, spec.base_rate, -(-config.train_images // config.batch_size))
    for epoch in trial.epochs:
        tracker.epoch(run, epoch, rates.current().tolist())
        rates.observe(epoch.train_loss)
    tracker.end(run, trial.outcome)


def _row(trial: FrozenTrial) -> dict[str, Any]:
    """Return a trial as plain data."""
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": trial.value,
        "params": trial.params,
        "distributions": {
            name: json.loads(distribution_to_json(d)) for name, d in trial.distributions.items()
        },
        "reported": {str(epoch): value for epoch, value in sorted(trial.intermediate_values.items())},
        "attributes": {name: value for name, value in trial.user_attrs.items() if name not in _ELSEWHERE},
        "kept": {name: value for name, value in kept(trial).items() if name in _LONG},
        "started": _moment(trial.datetime_start),
        "ended": _moment(trial.datetime_complete),
    }


def _trial(row: dict[str, Any]) -> FrozenTrial:
    """Read what ``_row`` wrote."""
    return FrozenTrial(
        number=row["number"],
        state=TrialState[row["state"]],
        value=row["value"],
        datetime_start=datetime.fromisoformat(row["started"]),
        datetime_complete=datetime.fromisoformat(row["ended"]),
        params=row["params"],
        distributions={n: json_to_distribution(json.dumps(d)) for n, d in row["distributions"].items()},
        user_attrs=row["attributes"],
        system_attrs=row["kept"],
        intermediate_values={int(epoch): value for epoch, value in row["reported"].items()},
        trial_id=row["number"],
    )


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()

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

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from study.core.records import EpochMetrics, Outcome, StudyConfig, StudyRecord, TrialRecord, TrialSpec
from study.store.lifecycle import ask, beat, begin, finish, interrupt, recover, remaining, report, running
from study.store.opening import close, exclusively, existing_study, open_study

__all__ = [
    "ask",
    "beat",
    "begin",
    "close",
    "exclusively",
    "existing_study",
    "finish",
    "interrupt",
    "load",
    "open_study",
    "record",
    "recover",
    "remaining",
    "report",
    "running",
]


def load(url: str, name: str | None = None) -> StudyRecord:
    """Read a study: the one of this name, or the one made last.

    Works on a study in progress, an empty and a failed one. Left out are trials that wait to start,
    and interrupted ones whose retry has started.

    Raises:
        InputError: There is no such storage or study; the studies that exist are named.
    """
    study = existing_study(url, name)
    try:
        return record(study)
    finally:
        close(study)


def record(study: optuna.Study) -> StudyRecord:
    """Return an open study of ours as plain data; see ``load``."""
    attributes = dict(study.user_attrs)
    config = StudyConfig.from_json(attributes.pop("settings"))
    begun = [t for t in study.get_trials(deepcopy=False) if t.state is not TrialState.WAITING]
    retried = {t.user_attrs.get("retry_of") for t in begun}
    kept = [t for t in begun if t.number not in retried and "asked" in t.user_attrs]
    return StudyRecord(config, tuple(_trial_record(t) for t in kept), attributes)


def _trial_record(trial: FrozenTrial) -> TrialRecord:
    known = trial.user_attrs
    return TrialRecord(
        spec=TrialSpec.from_json(known["asked"]),
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


def _epoch(data: Mapping[str, Any]) -> EpochMetrics:
    return EpochMetrics.from_json({k: float(v) if isinstance(v, str) else v for k, v in data.items()})

"""A trial's life in Optuna's storage, and what becomes of trials whose process died.

``ask`` (RUNNING, owned by this process) - ``begin`` (what it is to train is written) - ``report`` and
``heartbeat`` while it trains - ``finish``, or ``interrupt`` when it is cut off. ``recover`` finds what a
dead process left in training and queues it again with the same parameters, exactly once.

A trial of a living process is never touched. A process on this machine is looked up by its number and
start time; one elsewhere counts as dead when its heartbeats stop.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial, TrialState

from study.core.records import EpochMetrics, Outcome, TrialSpec
from study.store.liveness import Process, current
from study.store.optuna_storage import GRACE_SECONDS, HEARTBEAT_SECONDS, is_local

#: Longest that one machine may take to write the owner of a trial just asked for.
CLAIM_SECONDS = 10

_COUNTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
_last_heartbeat: WeakKeyDictionary[optuna.Study, float] = WeakKeyDictionary()


def ask(study: optuna.Study, total: int) -> optuna.Trial | None:
    """Start the next trial of a study of ``total`` trials; ``None`` when there is none left to start.

    Trials that were queued again come first. Several processes may ask at once: where two ask for the
    last trial, the one with the higher number withdraws.
    """
    if remaining(study, total) <= 0:
        return None
    with warnings.catch_warnings():
        # "Heartbeat is supposed to be used with Study.optimize": here `heartbeat` sends it.
        warnings.filterwarnings("ignore", message="Heartbeat of storage")
        trial = study.ask()
    trial.set_user_attr("owner", asdict(current()))
    _record_heartbeat(study, trial)
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


def begin(trial: optuna.Trial, spec: TrialSpec) -> None:
    """Write what a trial was asked, before it trains. Only then is it retried when it is cut off."""
    trial.set_user_attr("asked", spec.to_json())


def report(trial: optuna.Trial, signal: float, epoch: int) -> bool:
    """Report the signal after an epoch (counted from 0); ``False`` when the trial is no longer ours.

    It is no longer ours when this process was suspended for so long (a sleeping laptop) that another one
    queued the trial again. Its lane should be given to another trial.
    """
    try:
        trial.report(signal, epoch)
    except UpdateFinishedTrialError:
        return False
    return True


def heartbeat(study: optuna.Study, trials: Sequence[optuna.Trial]) -> None:
    """Record that these trials are still in training; call it once an epoch.

    At most one heartbeat in ``HEARTBEAT_SECONDS`` is written.
    """
    now = time.monotonic()
    if now - _last_heartbeat.get(study, -math.inf) < HEARTBEAT_SECONDS:
        return
    _last_heartbeat[study] = now
    for trial in trials:
        _record_heartbeat(study, trial)


def finish(
    study: optuna.Study,
    trial: optuna.Trial,
    epochs: Sequence[EpochMetrics],
    outcome: Outcome,
    *,
    reprieved_at: int | None = None,
) -> bool:
    """End a trial; ``False`` when another process had queued it again meanwhile.

    Args:
        study: The trial's study.
        trial: The trial, from ``ask``.
        epochs: What its epochs gave, in order; a finished trial's value is the last one's accuracy.
        outcome: ``finished``, ``pruned`` or ``diverged``.
        reprieved_at: Epoch at which the pruner would have stopped it, had it not been reprieved.

    Raises:
        ValueError: The outcome is another one, or a finished trial has no accuracy to be valued by.
    """
    if outcome not in {"finished", "pruned", "diverged"}:
        raise ValueError(f"outcome must be finished, pruned or diverged, got outcome={outcome!r}")
    value = epochs[-1].val_accuracy if outcome == "finished" and epochs else None
    if outcome == "finished" and value is None:
        raise ValueError(
            f"a finished trial has a last epoch's val_accuracy, got none for trial {trial.number}"
        )
    state = TrialState.COMPLETE if outcome == "finished" else TrialState.PRUNED
    try:
        trial.set_user_attr("epochs", [_plain(epoch) for epoch in epochs])
        trial.set_user_attr("outcome", outcome)
        if reprieved_at is not None:
            trial.set_user_attr("reprieved_at", reprieved_at)
    except UpdateFinishedTrialError:
        return False
    return _tell(study, trial, state, value)


def interrupt(study: optuna.Study, trials: Sequence[optuna.Trial]) -> int:
    """Cut off trials in training (Ctrl-C) and queue them again; return how many were queued."""
    return sum(_cut_off(study, trial.number) for trial in trials)


def recover(study: optuna.Study) -> int:
    """Queue again what dead processes left in training; return how many trials were queued.

    A process of this machine is known to be alive or dead at once, by its number and start time. One
    of another machine counts as dead after ``GRACE_SECONDS`` without a heartbeat. Trials of living
    processes are left alone, and of several processes that recover at once one gets each trial.
    """
    trials = _trials(study, TrialState.RUNNING)
    alive = {trial.number: _is_in_training(study, trial) for trial in trials}
    for trial in trials:
        if alive[trial.number]:
            _record_heartbeat(study, trial)  # on behalf of its process, which may be paused
    storage = study._storage  # noqa: SLF001 - no public way that leaves paused processes alone
    # The database's clock decides what is stale, not those of the machines.
    stale = storage._get_stale_trial_ids(study._study_id) if isinstance(storage, BaseHeartbeat) else ()  # noqa: SLF001
    lost = [t.number for t in trials if alive[t.number] is False or t._trial_id in stale]  # noqa: SLF001 - as above
    return sum(_cut_off(study, number) for number in lost)


def _is_in_training(study: optuna.Study, trial: FrozenTrial) -> bool | None:
    """Return whether some process trains a RUNNING trial; ``None`` where only its heartbeats can tell."""
    if "owner" not in trial.user_attrs:
        # Cut off between being asked for and getting an owner, unless that is happening right now: here that
        # takes milliseconds, on a server's clients as long as their clocks may differ.
        started, grace = trial.datetime_start, CLAIM_SECONDS if is_local(study) else GRACE_SECONDS
        old = started is None or datetime.now() - started > timedelta(seconds=grace)  # noqa: DTZ005 - Optuna's clock
        return False if old else None
    owner = Process(**trial.user_attrs["owner"])
    alive = owner.is_alive()
    if alive is None and owner.host == current().host and is_local(study):
        return False  # a file of this machine, before it was started again
    return alive


def _cut_off(study: optuna.Study, number: int) -> bool:
    """Fail a trial and queue one with its parameters; ``False`` if it had ended, or had not begun to train."""
    if not _tell(study, number, TrialState.FAIL):
        return False
    trial = _trials(study, *TrialState)[number]
    if not {"asked", "retry_of"} & trial.user_attrs.keys():
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


def _record_heartbeat(study: optuna.Study, trial: optuna.Trial | FrozenTrial) -> None:
    storage = study._storage  # noqa: SLF001 - Optuna has no public way under ask-and-tell
    if isinstance(storage, BaseHeartbeat):
        storage.record_heartbeat(trial._trial_id)  # noqa: SLF001 - as above


def _plain(epoch: EpochMetrics) -> dict[str, Any]:
    """Return an epoch as JSON that browsers read: a loss that is not finite becomes a word."""
    return {
        key: repr(float(value)) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in epoch.to_json().items()
    }

"""A trial's life in Optuna's storage, and what becomes of trials whose process died.

``ask`` (RUNNING, owned by this process) - ``begin`` (what it is to train is written) - ``report`` and
``heartbeat`` while it trains - ``finish``, or ``interrupt`` when it is cut off. ``recover`` finds what a
dead process left in training and puts it back, by a single write: WAITING, with its number, its parameters and
its reports. Who asks next takes it over: goes on where its checkpoint ends, or starts it again.

Every write may be a process's last one, and every state between two of them is one that ``ask`` and ``recover``
start from. What must not be done by two processes at a time is done within ``alone``.

A trial of a living process is never touched. A process on this machine is looked up by its number and
start time; one elsewhere counts as dead when its heartbeats stop.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.core.recorded import kept
from study.core.records import EpochMetrics, Outcome, TrialSpec
from study.store.database import alone_on
from study.store.liveness import Process, current
from study.store.optuna_storage import GRACE_SECONDS, HEARTBEAT_SECONDS, engine_of, is_local, patience_of

#: Longest that one machine of an earlier version may take to write the owner of a trial just asked for.
CLAIM_SECONDS = 10

_COUNTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
_last_heartbeat: WeakKeyDictionary[optuna.Study, float] = WeakKeyDictionary()


@contextmanager
def alone(study: optuna.Study) -> Iterator[None]:
    """Keep every other process from asking for a trial of the study, and from putting one back, meanwhile.

    What is asked, and drawn, within one such block sees all that was drawn before: shares stay equal and totals
    exact, however many processes ask.
    """
    with ExitStack() as stack:
        patience_of(study).call(lambda: stack.enter_context(alone_on(engine_of(study), study.study_name)))
        yield


def ask(study: optuna.Study, total: int) -> optuna.Trial | None:
    """Start the next trial of a study of ``total`` trials; ``None`` when there is none left to start.

    Trials that were put back come first. A new one waits as well, signed, before it is taken: no trial is
    RUNNING without an owner. Draw its parameters in the same block of ``alone``.
    """
    patience = patience_of(study)
    with alone(study):
        falls = patience.falls
        while _room(trials := study.get_trials(deepcopy=False), total) > 0:
            waiting = next((t for t in trials if t.state is TrialState.WAITING), None)
            if waiting is None:
                study.add_trial(
                    create_trial(state=TrialState.WAITING, user_attrs={"owner": asdict(current())})
                )
            elif waiting.intermediate_values:  # reported, with other weights than a new process has
                _start_again(study, waiting)
            elif _take(study, waiting):
                trial = optuna.Trial(study, waiting._trial_id)  # noqa: SLF001 - as `Study.ask` makes it
                if patience.falls == falls and sys.platform != "win32":
                    return trial
                return trial if _fits(study, trial, total) else None
    return None


def take(study: optuna.Study, number: int, spec: TrialSpec) -> optuna.Trial | None:
    """Take over a trial that was put back, to go on with it in the middle; ``None`` where it is another's by now.

    Args:
        study: The study.
        number: The trial's number.
        spec: What the checkpoint says that it trains.
    """
    with alone(study):
        waiting = [t for t in _trials(study, TrialState.WAITING) if t.number == number]
        asked = json.loads(json.dumps(spec.to_json()))
        if not waiting or kept(waiting[0]).get("asked") != asked or not _take(study, waiting[0]):
            return None
        return optuna.Trial(study, waiting[0]._trial_id)  # noqa: SLF001 - as above


def remaining(study: optuna.Study, total: int) -> int:
    """Return how many more trials to start so that the study has ``total`` of them.

    Finished, pruned and diverged ones count, and those in training anywhere; interrupted ones do not.
    """
    return max(0, _room(study.get_trials(deepcopy=False), total))


def running(study: optuna.Study) -> frozenset[int]:
    """Return the numbers of the trials that some process trains right now."""
    return frozenset(trial.number for trial in _trials(study, TrialState.RUNNING))


def is_over(study: optuna.Study) -> bool:
    """Return whether no trial is in training or waits to be."""
    return not _trials(study, TrialState.WAITING, TrialState.RUNNING)


def was_begun(trial: optuna.Trial) -> tuple[int, ...]:
    """Return the numbers under which an earlier process began a trial that was just asked for or taken."""
    known = kept(trial.study._storage.get_trial(trial._trial_id))  # noqa: SLF001 - a trial in training hides half of it
    return (
        *([trial.number] if "asked" in known else []),
        *([known["retry_of"]] if "retry_of" in known else []),
    )


def begin(trial: optuna.Trial, spec: TrialSpec) -> None:
    """Write what a trial was asked, before it trains. Only then is it retried when it is cut off."""
    _keep(trial, "asked", spec.to_json())


def _keep(trial: optuna.Trial, name: str, value: Any) -> None:
    """Keep something long with a trial, out of optuna-dashboard's sight; read back by ``core.recorded.kept``."""
    trial.study._storage.set_trial_system_attr(trial._trial_id, name, value)  # noqa: SLF001 - Optuna's own way is deprecated


def trained_here(study: optuna.Study) -> dict[int, FrozenTrial]:
    """Return the trials that this process has in training by number, as the storage has them now."""
    return {trial.number: trial for trial in _trials(study, TrialState.RUNNING) if _is_ours(trial)}


def report(
    trial: optuna.Trial, signal: float, epoch: int, seen: Mapping[int, FrozenTrial] | None = None
) -> bool:
    """Report the signal after an epoch (counted from 0); ``False`` when the trial is no longer ours.

    It is no longer ours when this process was suspended for so long (a sleeping laptop) that another one
    put the trial back. Its lane should be given to another trial. What was reported already, by a process that
    was killed before it could go on, is not reported again.

    ``seen`` is what ``trained_here`` returned a moment ago, where several trials report together: reading them one by one
    takes as long as reporting them. Without it, they are read here.
    """
    seen = trained_here(trial.study) if seen is None else seen
    if trial.number not in seen:
        return False
    if epoch not in seen[trial.number].intermediate_values:
        try:
            trial.report(signal, epoch)
        except UpdateFinishedTrialError:
            return False
    return True


def heartbeat(study: optuna.Study, trials: Sequence[optuna.Trial]) -> bool:
    """Record that these trials are still in training; call it once an epoch.

    At most one heartbeat in ``HEARTBEAT_SECONDS`` is written; returns whether this one was.
    """
    now = time.monotonic()
    if now - _last_heartbeat.get(study, -math.inf) < HEARTBEAT_SECONDS:
        return False
    _last_heartbeat[study] = now
    for trial in trials:
        _record_heartbeat(study, trial)
    return True


def finish(
    study: optuna.Study,
    trial: optuna.Trial,
    epochs: Sequence[EpochMetrics],
    outcome: Outcome,
    *,
    reprieved_at: int | None = None,
) -> bool:
    """End a trial; ``False`` when another process had put it back meanwhile, or ended it.

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
    if not _is_ours(study._storage.get_trial(trial._trial_id)):  # noqa: SLF001 - the state as others left it
        return False
    try:
        _keep(trial, "epochs", [_plain(epoch) for epoch in epochs])
        trial.set_user_attr("outcome", outcome)
        if reprieved_at is not None:
            trial.set_user_attr("reprieved_at", reprieved_at)
    except UpdateFinishedTrialError:
        return False
    return _tell(study, trial, state, value)


def interrupt(study: optuna.Study, trials: Sequence[optuna.Trial] | None = None) -> int:
    """Put back trials that this process has in training (Ctrl-C), by default all; return how many."""
    with alone(study):
        mine = trained_here(study)
        some = mine.keys() if trials is None else {trial.number for trial in trials}
        return sum(_put_back(study, trial) for number, trial in mine.items() if number in some)


def recover(study: optuna.Study, mine: Collection[int] | None = None) -> int:
    """Put back what dead processes left in training; return how many trials.

    A process of this machine is known to be alive or dead at once, by its number and start time. One
    of another machine counts as dead after ``GRACE_SECONDS`` without a heartbeat. Trials of living
    processes are left alone, and of several processes that recover at once one gets each trial.

    Args:
        study: The study.
        mine: Numbers of the trials that this process trains. Another one that it signed was asked for by a call
            that failed, and is put back as well. ``None``: all that it signed.
    """
    with alone(study):
        trials = _trials(study, TrialState.RUNNING)
        alive = {trial.number: _is_in_training(study, trial, mine) for trial in trials}
        for trial in trials:
            if alive[trial.number]:
                _record_heartbeat(study, trial)  # on behalf of its process, which may be paused
        storage = study._storage  # noqa: SLF001 - no public way that leaves paused processes alone
        # The database's clock decides what is stale, not those of the machines.
        stale = storage._get_stale_trial_ids(study._study_id) if isinstance(storage, BaseHeartbeat) else ()  # noqa: SLF001
        lost = [t for t in trials if alive[t.number] is False or t._trial_id in stale]  # noqa: SLF001 - as above
        return sum(_put_back(study, trial) for trial in lost)


def _room(trials: Sequence[FrozenTrial], total: int) -> int:
    return total - sum(trial.state in _COUNTED for trial in trials)


def _take(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Make a waiting trial ours: signed and heard of before it is RUNNING, so that it is never RUNNING unsigned."""
    storage = study._storage  # noqa: SLF001 - Optuna takes the first that waits, signed or not
    if trial.user_attrs.get("owner") != asdict(current()):
        storage.set_trial_user_attr(trial._trial_id, "owner", asdict(current()))  # noqa: SLF001 - as above
    _record_heartbeat(study, trial)
    study._thread_local.cached_all_trials = None  # noqa: SLF001 - as `Study.ask` does: samplers see the state of now
    try:
        return bool(storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING))  # noqa: SLF001 - as above
    except UpdateFinishedTrialError:
        return False


def _fits(study: optuna.Study, trial: optuna.Trial, total: int) -> bool:
    """Withdraw from a trial beyond the total: two processes asked at once, where there was no lock, or it was lost."""
    if _room(study.get_trials(deepcopy=False)[: trial.number], total) > 0:
        return True
    trial.set_user_attr("surplus", True)  # noqa: FBT003 - a value, not a switch
    study.tell(trial, state=TrialState.FAIL)
    return False


def _put_back(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Let a trial wait for whoever asks next; ``False`` where it has ended."""
    try:
        return bool(study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING))  # noqa: SLF001 - Optuna fails it and loses its number
    except UpdateFinishedTrialError:
        return False


def _start_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Let a new trial with the same parameters wait in the place of one, once."""
    if not any(t.user_attrs.get("retry_of") == trial.number for t in study.get_trials(deepcopy=False)):
        study.add_trial(
            create_trial(
                state=TrialState.WAITING,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs={"retry_of": trial.number},
            )
        )
    study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)  # noqa: SLF001 - Optuna fails RUNNING trials only


def _is_ours(trial: FrozenTrial) -> bool:
    return trial.state is TrialState.RUNNING and trial.user_attrs.get("owner") == asdict(current())


def _is_in_training(study: optuna.Study, trial: FrozenTrial, mine: Collection[int] | None) -> bool | None:
    """Return whether some process trains a RUNNING trial; ``None`` where only its heartbeats can tell."""
    if "owner" not in trial.user_attrs:
        # Cut off between being asked for and getting an owner, unless that is happening right now: here that
        # takes milliseconds, on a server's clients as long as their clocks may differ.
        started, grace = trial.datetime_start, CLAIM_SECONDS if is_local(study) else GRACE_SECONDS
        old = started is None or datetime.now() - started > timedelta(seconds=grace)  # noqa: DTZ005 - Optuna's clock
        return False if old else None
    owner = Process(**trial.user_attrs["owner"])
    if owner == current():
        return mine is None or trial.number in mine
    alive = owner.is_alive()
    if alive is None and owner.host == current().host and is_local(study):
        return False  # a file of this machine, before it was started again
    return alive


def _tell(study: optuna.Study, trial: optuna.Trial, state: TrialState, value: float | None) -> bool:
    """Tell a trial's end; ``False`` when another process had ended it before."""
    try:
        study.tell(trial, value, state)
    except (UpdateFinishedTrialError, ValueError) as error:
        if isinstance(error, ValueError) and not str(error).startswith("Cannot tell a "):
            raise
        # By another process; or by us, where the server fell before it could answer.
        now = study._storage.get_trial(trial._trial_id)  # noqa: SLF001 - the state as others left it
        return now.state is state and now.user_attrs.get("owner") == asdict(current())
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

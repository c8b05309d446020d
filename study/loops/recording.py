"""Train passes one after another, each run recorded in MLflow: the loop of ``confirm`` and ``replicate``."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from study.core.errors import InputError
from study.core.records import EpochMetrics, Outcome, TrialSpec
from study.loops.passes import Pass
from study.loops.signals import held_back
from study.store.mlflow_tracking import RunSpec, Tracker
from study.training.lanes import Lanes

#: Names a run for MLflow: its name and its further tags, from what it is asked and its pass's number.
Label = Callable[[TrialSpec, int], tuple[str, Mapping[str, str]]]


def train_recorded(
    passes: Sequence[Pass],
    lanes: Callable[[int], Lanes],
    tracker: Tracker,
    label: Label,
    show: Callable[[int, int], None],
) -> None:
    """Train every pass that is not finished yet, recording each of its runs.

    What an earlier process left unfinished, be it training or recording, is recorded from its first epoch
    again, in new runs. Runs that are open when this ends early are the tracker's to close.

    Args:
        passes: One a seed, all of as many runs.
        lanes: Makes empty lanes for a pass, from its number.
        tracker: Opened on the parent run.
        label: Names the runs.
        show: Called with epochs of runs trained so far, by all processes, and the pass in training,
            after every epoch of a pass.
    """
    done = sum(one.trained() * len(one.runs) for one in passes)
    for number, one in enumerate(passes):
        if not is_recorded(one):
            done = _train_one(one, number, done, lanes(number), tracker, label, show)


def is_recorded(one: Pass) -> bool:
    """Return whether a pass is trained to its end and its runs are closed in MLflow."""
    return one.trained() == one.epochs and not _mark(one).exists()


@contextmanager
def closing(tracker: Tracker) -> Iterator[Tracker]:
    """Close a parent run after a block: finished, or interrupted where the block breaks off."""
    outcome: Outcome = "interrupted"
    try:
        yield tracker
        outcome = "finished"
    finally:
        with held_back():
            tracker.close(outcome)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep every other process from training the passes of a folder: both would write the same checkpoints.

    The lock ends with the process, whatever happens to it; its file stays.

    Raises:
        InputError: Another process trains them, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError as error:
        raise InputError(
            f"`checkpoints`: cannot write to {folder} ({error.strerror}); name another folder"
        ) from None
    with file:
        if sys.platform != "win32":  # no such locks there
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"`checkpoints`: another process trains the same runs in {folder}; wait until it ends"
                ) from None
        yield


def _train_one(
    one: Pass,
    number: int,
    done: int,
    lanes: Lanes,
    tracker: Tracker,
    label: Label,
    show: Callable[[int, int], None],
) -> int:
    """Train one pass to its end and close its runs; return ``done`` with the epochs trained here added."""
    before = one.trained()
    last: dict[int, EpochMetrics] = {}
    children: dict[int, str] = {}

    def on_epoch(run: TrialSpec, epoch: EpochMetrics, rates: NDArray[np.float64]) -> None:
        nonlocal done
        tracker.epoch(children[run.number], epoch, rates.tolist())
        last[run.number] = epoch
        if epoch.epoch >= before:
            done += 1
            show(done, number)

    with held_back():
        _mark(one).parent.mkdir(parents=True, exist_ok=True)
        _mark(one).touch()
        for run in one.runs:
            name, tags = label(run, number)
            children[run.number] = tracker.start(RunSpec.fixed(run, name, tags))
    one.train(lanes, on_epoch)
    with held_back():
        for key, child in children.items():
            tracker.end(child, "finished" if math.isfinite(last[key].train_loss) else "diverged")
        _mark(one).unlink()
    return done


def _mark(one: Pass) -> Path:
    """Return the file that stands while a pass is recorded, and outlives a process that is killed at it.

    The checkpoint alone does not tell: its last epoch is saved before MLflow has heard of it.
    """
    return one.checkpoint.with_suffix(".recording")

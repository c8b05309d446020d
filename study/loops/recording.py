"""A pass trained with each of its runs recorded in MLflow: what ``confirm`` and ``replicate`` share."""

from __future__ import annotations

import math
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from study.core.errors import InputError
from study.core.files import write_text
from study.core.provenance import provenance
from study.core.records import EpochMetrics, Outcome, StudyConfig
from study.core.signals import held_back
from study.loops.passes import Pass
from study.store.tracking.mlflow_tracking import RunSpec, Tracker
from study.training.side_by_side import SideBySide

#: Names a run for MLflow, from its lane: its name and its further tags.
Label = Callable[[int], tuple[str, Mapping[str, str]]]
#: Called after every epoch that is trained, with what it gave, an entry a run.
Show = Callable[[Sequence[EpochMetrics]], None]


#: Called after every step with the epochs of runs that are under way, a fraction of them.
Within = Callable[[float], None]


def unseen(_: float) -> None:
    """Show nothing within an epoch."""


@dataclass
class Limit:
    """Time that training may take.

    Attributes:
        seconds: The limit; ``None`` for none.
        clock: Seconds that only grow.
    """

    seconds: float | None = None
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)
    _longest: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Start the clock."""
        self._started = self.clock()

    def allows_another(self) -> bool:
        """Whether a seed that takes as long as the longest so far would end in time."""
        gone = self.clock() - self._started
        return self.seconds is None or gone + self._longest <= self.seconds

    @contextmanager
    def another(self) -> Iterator[None]:
        """Take in how long a seed takes, which is trained in the block."""
        started = self.clock()
        yield
        self._longest = max(self._longest, self.clock() - started)


def train_recorded(
    one: Pass, lanes: SideBySide, tracker: Tracker, label: Label, show: Show, within: Within = unseen
) -> None:
    """Train a pass that is not finished yet, recording each of its runs.

    What an earlier process left unfinished, be it training or recording, is recorded from its first epoch
    again, in new runs. Runs that are open when this ends early are the tracker's to close.

    Args:
        one: The pass; nothing is done where it ``is_recorded``.
        lanes: Empty lanes for it.
        tracker: Opened on the parent run.
        label: Names the runs.
        show: Called after every epoch trained here.
        within: Called after every step of it.
    """
    if is_recorded(one):
        return
    before, mark = one.trained(), mark_of(one.checkpoint)
    row: list[EpochMetrics] = []
    children: list[str] = []

    def on_epoch(lane: int, epoch: EpochMetrics, rates: NDArray[np.float64]) -> None:
        with held_back():  # a signal within MLflow's transaction would leave its database locked
            tracker.epoch(children[lane], epoch, rates.tolist())
        row[lane:] = [epoch]
        if epoch.epoch >= before and len(row) == len(one.runs):
            show(row)

    with held_back():
        specs = [RunSpec.fixed(run, *label(lane)) for lane, run in enumerate(one.runs)]
        if mark.exists():  # an earlier process was killed; it may have closed some of them as finished
            tracker.supersede("mlflow.runName", [spec.name for spec in specs])
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        children.extend(map(tracker.start, specs))
    lanes.on_step = lambda share: within(share * len(one.runs))
    one.train(lanes, on_epoch)
    with held_back():
        for lane, child in enumerate(children):
            tracker.end(child, "finished" if math.isfinite(row[lane].train_loss) else "diverged")
        mark.unlink()


def is_recorded(one: Pass) -> bool:
    """Return whether a pass is trained to its end and its runs are closed in MLflow."""
    return one.trained() == one.epochs and not mark_of(one.checkpoint).exists()


def recording_key(place: Path) -> str:
    """Return the key by which the parent run of a folder's passes is found in MLflow; made before the run is."""
    file = place / "mlflow-key"
    if not file.exists():
        write_text(file, uuid.uuid4().hex)
    return file.read_text("utf-8")


def open_parent(tracking_uri: str, config: StudyConfig, place: Path, kind: str) -> Tracker:
    """Open the parent run that earlier processes recorded the passes of a folder in, or a new one."""
    noted = place / "mlflow-run"  # by an earlier version
    return Tracker.open(
        tracking_uri,
        config,
        attributes=provenance(config.device),
        key=recording_key(place),
        resume_run_id=noted.read_text("utf-8") if noted.exists() else None,
        kind=kind,
        name=f"{kind} {config.name}",
    )


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


def is_open(folder: Path) -> bool:
    """Return whether a process that held a folder ``open_until_ended`` did not come to the end of its block."""
    return _open_mark(folder).exists()


@contextmanager
def open_until_ended(folder: Path) -> Iterator[None]:
    """Let a folder be known as open from the beginning of a block until it has ended well, whatever the process dies of."""
    _open_mark(folder).touch()
    yield
    _open_mark(folder).unlink()


def _open_mark(folder: Path) -> Path:
    return folder / "all.recording"


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


def mark_of(checkpoint: Path) -> Path:
    """Return the file that stands while a pass is recorded, and outlives a process that is killed at it.

    The checkpoint alone does not tell: its last epoch is saved before MLflow has heard of it.
    """
    return checkpoint.with_suffix(".recording")

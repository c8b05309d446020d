"""What a search's process needs to go on in the middle of its trials, kept after every epoch.

A process has a slot of its own in the study's folder, so that several on one machine keep apart: whoever starts takes
the first slot that nobody holds, and goes on with what lies in it. In a slot lie two files, each written whole:

- ``lanes-N.pt``: all lanes after their last epoch, and what each trial has behind it;
- ``lanes-N.json``: what was decided about them after that epoch. It is written before any of it is done, because a
  decision that is made again, after half of the others were carried out, could be another one.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from study.core.errors import InputError
from study.core.files import part_of, whole_file, write_text
from study.core.records import EpochMetrics, TrialSpec
from study.training.side_by_side import SideBySide


@dataclass(frozen=True)
class SavedJob:
    """A trial in training, as a checkpoint keeps it.

    Attributes:
        spec: What it trains.
        epochs: What its epochs gave, in order.
        reprieved_at: Epoch at which the pruner would have stopped it, had it not been reprieved.
    """

    spec: TrialSpec
    epochs: tuple[EpochMetrics, ...]
    reprieved_at: int | None

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        epochs = [epoch.to_json() for epoch in self.epochs]
        return {"spec": self.spec.to_json(), "epochs": epochs, "reprieved_at": self.reprieved_at}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SavedJob:
        """Read what ``to_json`` wrote."""
        epochs = tuple(EpochMetrics.from_json(epoch) for epoch in data["epochs"])
        return cls(TrialSpec.from_json(data["spec"]), epochs, data["reprieved_at"])


@dataclass(frozen=True)
class Saved:
    """The last epoch of a process.

    Attributes:
        jobs: Its trials, in lane order.
        state: Its lanes.
        decisions: What was decided about trials after that epoch, by number; ``None`` where nothing was yet.
    """

    jobs: tuple[SavedJob, ...]
    state: Mapping[str, Any]
    decisions: Mapping[int, str] | None


class Slot:
    """A process's place in a study's folder; made by ``free_slot``."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self._lanes = folder / f"lanes-{number}.pt"
        self._decisions = folder / f"lanes-{number}.json"

    def save(self, jobs: Sequence[SavedJob], lanes: SideBySide) -> None:
        """Keep the lanes after an epoch."""
        saved = {"jobs": json.dumps([job.to_json() for job in jobs]), "state": lanes.state_dict()}
        with whole_file(self._lanes, "`checkpoints`") as part:
            torch.save(saved, part)

    def save_decisions(self, clock: int, decisions: Mapping[int, str]) -> None:
        """Keep what is about to be done after the epoch at whose end the lanes' clock shows ``clock``."""
        text = json.dumps({"clock": clock, "decisions": list(decisions.items())})
        write_text(self._decisions, text, "`checkpoints`")

    def load(self) -> Saved | None:
        """Return what an earlier process kept here; ``None`` where there is nothing.

        Raises:
            InputError: It cannot be read.
        """
        if not self._lanes.exists():
            return None
        try:
            saved = torch.load(self._lanes, map_location="cpu", weights_only=True)  # runs no code
            jobs = tuple(SavedJob.from_json(job) for job in json.loads(saved["jobs"]))
            return Saved(jobs, saved["state"], self._decided(saved["state"]["clock"]))
        except Exception as error:  # torch and pickle raise what they like on a damaged file
            raise InputError(
                f"{self._lanes}: damaged, or no checkpoint of ours; remove it, and its trials start again"
            ) from error

    def clear(self) -> None:
        """Remove what is kept here: the study is complete."""
        for file in (self._lanes, self._decisions):
            file.unlink(missing_ok=True)
            part_of(file).unlink(missing_ok=True)

    def _decided(self, clock: int) -> dict[int, str] | None:
        if not self._decisions.exists():
            return None
        found = json.loads(self._decisions.read_text("utf-8"))
        return dict(found["decisions"]) if found["clock"] == clock else None


@contextmanager
def free_slot(folder: Path) -> Iterator[Slot]:
    """Take the first slot of a folder that no other process holds, until the block or the process ends.

    The folder is removed where it holds nothing afterwards, and so are those above it that a relative path names.

    Raises:
        InputError: The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number, lock = next(held for n in range(10_000) if (held := _hold(folder, n)) is not None)
    except OSError as error:
        raise InputError(
            f"`checkpoints`: cannot write to {folder} ({error.strerror}); name another folder"
        ) from None
    try:
        yield Slot(folder, number)
    finally:
        _release(folder, number, lock)


def clear_slots(folder: Path) -> None:
    """Remove what processes that are gone left in the folder of a study that is complete, and the folder with it."""
    found = (re.search(r"(?:lanes|lock)-(\d+)", file.name) for file in folder.glob("*"))
    for number in {int(name[1]) for name in found if name is not None}:
        held = _hold(folder, number)
        if held is not None:
            Slot(folder, number).clear()
            _release(folder, *held)
    _remove_empty(folder)


def _release(folder: Path, number: int, lock: int) -> None:
    """Give a slot up, and remove its folder where it holds nothing."""
    (folder / f"lock-{number}").unlink(missing_ok=True)  # while it is ours
    os.close(lock)
    _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    """Remove a folder that holds nothing, and those above it that a relative path names."""
    for each in (folder, *(above for above in folder.parents if not above.is_absolute())):
        with suppress(OSError):  # not empty
            each.rmdir()


def _hold(folder: Path, number: int) -> tuple[int, int] | None:
    """Lock a slot; ``None`` where another process holds it, or has just given it up and removed its file."""
    path = folder / f"lock-{number}"
    opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    with suppress(FileNotFoundError):
        if _locked(opened) and path.stat().st_ino == os.fstat(opened).st_ino:
            return number, opened
    os.close(opened)
    return None


def _locked(opened: int) -> bool:
    if sys.platform != "win32":  # no such locks there
        import fcntl

        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True

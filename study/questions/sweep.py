"""What a sweep trains and what its runs gave: one small file, to be continued on any machine by the same command.

The file is JSON lines. The first says what the sweep is: its schedules, its grid, how it trains. Each further line is a
run: its place in the grid, all that it trained, and what it gave. Lines are added and never changed; a run that has its
line is not trained again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lrsched import Schedule, from_json
from study.core.errors import InputError
from study.core.files import write_text
from study.core.records import StudyConfig, TrialSpec
from study.stats.leaderboard import Finalist

VERSION = 2
#: Runs of more epochs than so many times the sweep's are long: they may have fewer seeds.
LONG = 2


@dataclass(frozen=True)
class Sweep:
    """What all runs of a sweep share.

    Attributes:
        question: Which question it answers.
        finalists: The schedules that it varies, tuned by a search.
        source: Where they come from, in words.
        values: The question's own axis, such as lengths of a warm-up.
        multiples: Multiples of the base rates.
        config: The study's settings as the sweep trains by them: its problem, data, optimizer and metric; the epochs of a
            run, unless that is what is varied; the examples trained on, none of which measures; the precision.
        reference: The study's own problem as the user named it; empty for the default one.
    """

    question: str
    finalists: tuple[Finalist, ...]
    source: str
    values: tuple[float, ...]
    multiples: tuple[float, ...]
    config: StudyConfig
    reference: str = ""

    @property
    def by(self) -> tuple[str, float]:
        """Name of the study's optimizer and its weight decay."""
        return self.config.optimizer, self.config.weight_decay

    @property
    def name(self) -> str:
        """What its records are called: ``explore warmup``."""
        return f"explore {self.question}"

    @property
    def digest(self) -> str:
        """What tells it from all other sweeps."""
        return hashlib.sha256(json.dumps(self.header(), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def data(self) -> Mapping[str, str]:
        """Checksums of the data."""
        return self.config.data

    @property
    def train_images(self) -> int:
        """Examples trained on."""
        return self.config.train_images

    def to_json(self) -> dict[str, Any]:
        """Return plain data; what MLflow shows as the parent run's parameters."""
        trained = (
            "epochs",
            "batch_size",
            "train_images",
            "precision",
            "data",
            "metric",
            "problem",
            "optimizer",
        )
        config = self.config.to_json()
        return {
            "name": self.name,
            "source": self.config.source,
            "finalists": [finalist.name for finalist in self.finalists],
            "finalists_of": self.source,
            **{name: list(getattr(self, name)) for name in ("values", "multiples")},
            **{name: config[name] for name in trained},
        }

    def header(self) -> dict[str, Any]:
        """Return the first line of the file; ``of`` reads it."""
        finalists = [{"name": f.name, "score": f.score, "asked": f.spec.to_json()} for f in self.finalists]
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        return {"version": VERSION, **kept, "finalists": finalists, "config": self.config.to_json()}

    @classmethod
    def of(cls, header: Mapping[str, Any]) -> Sweep:
        """Read what ``header`` returned."""
        known = {f.name: header[f.name] for f in fields(cls)}
        finalists = tuple(
            Finalist(f["name"], TrialSpec.from_json(f["asked"]), f["score"]) for f in header["finalists"]
        )
        several = {name: tuple(header[name]) for name in ("values", "multiples")}
        config = StudyConfig.from_json(header["config"])
        return cls(**{**known, **several, "finalists": finalists, "config": config})


@dataclass(frozen=True)
class Cell:
    """One point of the grid: what is trained, once a seed.

    Attributes:
        place: Where it stands on the grid, by axis, such as ``{"schedule": "cosine #4", "warm-up": 3}``.
        family: Family of its schedule.
        schedule: The schedule; time in epochs.
        base_rate: Rate that the schedule multiplies.
        epochs: Length of the run.
        optimizer: Name of the optimizer.
        weight_decay: Its weight decay.
    """

    place: Mapping[str, float | str]
    family: str
    schedule: Schedule
    base_rate: float
    epochs: int
    optimizer: str
    weight_decay: float

    def key(self, seed: int) -> str:
        """Return what tells a run of a sweep from all others: all that is trained, and not how its place is called."""
        trained = [self.family, self.schedule.to_json(), self.base_rate, self.epochs, self.optimizer]
        return json.dumps([*trained, self.weight_decay, seed], sort_keys=True)


@dataclass(frozen=True)
class Run:
    """What a run gave.

    Attributes:
        cell: What it trained.
        seed: Seed of its initial weights and its data order, from 1.
        validation: The metric on the validation data after each epoch; NaN where it was not finite.
        test: The metric on the test data after the last epoch; NaN for a diverged run.
        train_loss: Training loss of the last epoch.
        seconds: Seconds that its epochs took, each shared among the lanes side by side.
        when: Date, ISO 8601.
        device: What it was trained on.
        versions: Versions of what trained it.
        revision: Our commit that trained it.
    """

    cell: Cell
    seed: int
    validation: tuple[float, ...]
    test: float
    train_loss: float
    seconds: float
    when: str
    device: str
    versions: Mapping[str, str]
    revision: str

    @property
    def key(self) -> str:
        """What tells it from all other runs of its sweep."""
        return self.cell.key(self.seed)

    def to_json(self) -> dict[str, Any]:
        """Return the run's line as plain data; what is not finite is ``None``."""
        cell = {f.name: getattr(self.cell, f.name) for f in fields(Cell)}
        return {
            **cell,
            "place": dict(self.cell.place),
            "schedule": self.cell.schedule.to_json(),
            "seed": self.seed,
            "validation": [_kept(value) for value in self.validation],
            "test": _kept(self.test),
            "train_loss": _kept(self.train_loss),
            "seconds": round(self.seconds, 2),
            "when": self.when,
            "device": self.device,
            "versions": dict(self.versions),
            "revision": self.revision,
        }

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Run:
        """Read what ``to_json`` wrote."""
        cell = {f.name: line[f.name] for f in fields(Cell)}
        own = {f.name: line[f.name] for f in fields(cls) if f.name != "cell"}
        measured = {name: _number(line[name]) for name in ("test", "train_loss")}
        validation = tuple(map(_number, line["validation"]))
        return cls(
            cell=Cell(**{**cell, "schedule": from_json(cell["schedule"])}),
            **{**own, **measured, "validation": validation},
        )


@dataclass(frozen=True)
class Results:
    """A sweep's file: the sweep and its runs."""

    path: Path
    sweep: Sweep
    runs: tuple[Run, ...]

    def with_runs(self, more: Iterable[Run]) -> Results:
        """Add runs to the file, all or none of them, and return what it holds now."""
        found = Results(self.path, self.sweep, (*self.runs, *more))
        lines = [self.sweep.header(), *(run.to_json() for run in found.runs)]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"`out` {str(self.path.parent)!r} cannot be made: {error.strerror or error}"
            ) from None
        text = "".join(
            json.dumps(line, allow_nan=False, separators=(",", ":"), ensure_ascii=False) + "\n"
            for line in lines
        )
        write_text(self.path, text, "`out`")
        return found


def read_results(path: Path) -> Results:
    """Return what a file holds.

    Raises:
        InputError: It cannot be read, or is none of ours.
    """
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        if lines[0]["version"] != VERSION:
            raise InputError(f"`out` {str(path)!r} is of version {lines[0]['version']}, not {VERSION}")
        return Results(path, Sweep.of(lines[0]), tuple(map(Run.from_json, lines[1:])))
    except OSError as error:
        raise InputError(f"`out` {str(path)!r} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise InputError(f"`out` {str(path)!r} is damaged, or no sweep of ours: {error!r:.160}") from None


def to_train(
    cells: Sequence[Cell], seeds: int, results: Results, long_seeds: int | None = None
) -> list[tuple[Cell, int]]:
    """Return the runs that have no line yet, seed by seed; a cell that stands twice is trained once.

    Args:
        cells: The grid.
        seeds: Seeds a cell.
        results: The sweep, and its runs that have a line.
        long_seeds: Seeds at most of a cell that is over ``LONG`` times as long as the sweep's runs.
    """
    known = {run.key for run in results.runs}
    long = LONG * results.sweep.config.epochs
    fewer = seeds if long_seeds is None else min(seeds, long_seeds)
    wanted = {
        cell.key(seed): (cell, seed)
        for seed in range(1, seeds + 1)
        for cell in cells
        if seed <= (fewer if cell.epochs > long else seeds)
    }
    return [one for key, one in wanted.items() if key not in known]


def _kept(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)

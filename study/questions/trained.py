"""A sweep trained: what has no line yet, side by side, each batch of runs added to the file as it ends.

Runs of one seed start from the same initial weights and see the same minibatches, so that seeds pair all cells of a sweep.
A batch keeps a checkpoint after every epoch and goes on from there; its curves are in MLflow.

The runs train on the search's training data and are measured on its validation data after every epoch. Each is scored
once on the test data, after its last epoch: what is chosen is chosen by the validation data.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from pathlib import Path

from study.core.errors import InputError
from study.core.files import part_of
from study.core.provenance import short_revision, versions
from study.core.records import EpochMetrics, TrialSpec
from study.loops.passes import FORM, Pass, asked, schedule_rates
from study.loops.recording import Within, mark_of, train_recorded, unseen
from study.questions.sweep import Cell, Results, Run, Sweep
from study.store.tracking.mlflow_tracking import Tracker
from study.training.evaluation import Scores
from study.training.side_by_side import SideBySide
from study.training.workload import Workload

#: Added to the seeds, so that none of them is one of a search or of a confirmation.
FRESH = 3_000_000
#: Where the runs of sweeps are recorded in MLflow.
EXPERIMENT = "lr-schedules-questions"


@dataclass(frozen=True)
class Batch:
    """Runs that train side by side: one seed, one optimizer, one length.

    Attributes:
        seed: Their seed.
        cells: What they train, a lane each.
    """

    seed: int
    cells: tuple[Cell, ...]

    @property
    def epochs(self) -> int:
        """Epochs of all its runs together."""
        return sum(cell.epochs for cell in self.cells)

    def passing(self, sweep: Sweep, folder: Path) -> Pass:
        """Return its runs as a pass, whose checkpoint lies in ``folder``."""
        runs = [
            TrialSpec(
                number=lane,
                family=cell.family,
                schedule=cell.schedule,
                base_rate=cell.base_rate,
                params=dict(cell.place),
                epochs=cell.epochs,
                seed=FRESH + self.seed,
                offset=0,
                lanes=len(self.cells),
            )
            for lane, cell in enumerate(self.cells)
        ]
        about = [FORM, sweep.to_json(), self.cells[0].optimizer, [run.to_json() for run in runs]]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        return Pass(runs, schedule_rates, folder / f"{digest[:16]}.pt")


def batches(pending: Sequence[tuple[Cell, int]], width: int) -> Iterator[Batch]:
    """Yield the runs to train, at most ``width`` at once; earlier seeds and shorter runs come first."""

    def alike(one: tuple[Cell, int]) -> tuple[int, int, str, float]:
        cell, seed = one
        return seed, cell.epochs, cell.optimizer, cell.weight_decay

    for (seed, *_), group in groupby(sorted(pending, key=alike), key=alike):
        cells = [cell for cell, _ in group]
        for first in range(0, len(cells), width):
            yield Batch(seed, tuple(cells[first : first + width]))


def train_sweep(
    results: Results,
    pending: Sequence[tuple[Cell, int]],
    workload: Callable[[Cell], Workload],
    score: Callable[[SideBySide], Mapping[int, Scores]],
    tracker: Tracker,
    folder: Path,
    *,
    device: str,
    width: int,
    show: Callable[[int, Batch], None],
    within: Within = unseen,
) -> Results:
    """Train what is pending; return the file's new content.

    Args:
        results: The sweep and the runs that have a line.
        pending: Runs that have none.
        workload: Opens what trains a cell: its optimizer on the search's data.
        score: Scores lanes on the test data.
        tracker: Opened on the sweep's parent run.
        folder: Where checkpoints lie; each is removed when its runs have their lines.
        device: What they are trained on, as the runs' lines say it.
        width: Runs side by side.
        show: Called after every epoch with the epochs of runs trained so far and the batch in training.
        within: Called after every step.
    """
    done = 0
    for batch in batches(pending, width):
        one = batch.passing(results.sweep, folder)
        opened = workload(batch.cells[0])
        done += one.trained() * len(one.runs)

        def after_epoch(row: Sequence[EpochMetrics], batch: Batch = batch) -> None:
            nonlocal done
            done += len(row)
            show(done, batch)

        def label(lane: int, batch: Batch = batch) -> tuple[str, Mapping[str, str]]:
            place = {axis: _said(value) for axis, value in batch.cells[lane].place.items()}
            name = ", ".join(f"{axis} {value}" for axis, value in place.items())
            return f"{name}, seed {batch.seed}", {**place, "seed": str(batch.seed)}

        lanes = partial(
            opened.lanes,
            batch_size=results.sweep.config.batch_size,
            order_seed=FRESH + batch.seed,
            bfloat16=results.sweep.config.precision == "bfloat16",
        )
        train_recorded(one, lanes(), tracker, label, after_epoch, within)
        ended = lanes()
        one.load(ended)
        scores = score(ended)
        history = one.history()
        results = results.with_runs(
            _run(cell, batch.seed, [row[lane] for row in history], scores[lane].value, device)
            for lane, cell in enumerate(batch.cells)
        )
        one.checkpoint.unlink(missing_ok=True)
    return results


def remove_ended(folder: Path, results: Results) -> None:
    """Remove the checkpoints of runs that all have their lines.

    A process that ends between a line and its checkpoint leaves such a one, and so does a batch that was cut off and
    whose runs other batches took over, since more seeds or other lanes were asked for.
    """
    ended = {_standing(run.cell.place, FRESH + run.seed) for run in results.runs}
    for file in folder.glob("[!.]*.pt"):
        with suppress(InputError):  # what cannot be read is told once it is to be trained on
            if ended.issuperset(_standing(run.params, run.seed) for run in asked(file)):
                for left in (mark_of(file), part_of(file), file):
                    left.unlink(missing_ok=True)


def _standing(place: Mapping[str, float | str], seed: int) -> str:
    return json.dumps([dict(place), seed], sort_keys=True)


def _run(cell: Cell, seed: int, epochs: Sequence[EpochMetrics], test: float, device: str) -> Run:
    last = epochs[-1]
    return Run(
        cell=cell,
        seed=seed,
        validation=tuple(
            e.val_accuracy if e.finite and e.val_accuracy is not None else math.nan for e in epochs
        ),
        test=test,
        train_loss=last.train_loss,
        seconds=sum(epoch.seconds for epoch in epochs),
        when=f"{datetime.now(UTC):%Y-%m-%d}",
        device=device,
        versions=versions(),
        revision=short_revision(),
    )


def _said(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"

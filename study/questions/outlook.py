"""What a sweep has still to train, and how long that takes by what its runs have taken."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from study.questions.sweep import Cell, Results


def outlook(results: Results, points: int, seeds: int, pending: Sequence[tuple[Cell, int]]) -> str:
    """Return a line that says what will be trained, and how long that takes where runs have told.

    Args:
        results: The sweep and the runs that it has.
        points: Points of its grid.
        seeds: Seeds a point.
        pending: Runs to train.
    """
    epochs = sum(cell.epochs for cell, _ in pending)
    text = (
        f"{results.sweep.question}: {points} points, {seeds} seeds; {len(pending)} runs of {epochs:,} epochs to train, "
        f"{len(results.runs)} are in {results.path}"
    )
    if not pending:
        return text
    seconds = seconds_for(results, pending)
    if seconds is None:
        return f"{text}; how long, the first epochs will tell"
    minutes = max(1, round(seconds / 60))
    return f"{text}; about {minutes:,} minute{'s' * (minutes > 1)}"


def seconds_for(results: Results, pending: Sequence[tuple[Cell, int]]) -> float | None:
    """Return how long runs will take, by the median seconds an epoch of the kept runs of each optimizer."""
    speeds: dict[tuple[str, bool], list[float]] = {}
    for run in results.runs:
        speeds.setdefault(_trained_by(run.cell), []).append(run.seconds / run.cell.epochs)
    if not all(_trained_by(cell) in speeds for cell, _ in pending):
        return None
    return sum(cell.epochs * median(speeds[_trained_by(cell)]) for cell, _ in pending)


def _trained_by(cell: Cell) -> tuple[str, bool]:
    """Return what a cell's speed depends on: plain SGD has a path of its own."""
    return cell.optimizer, cell.weight_decay > 0

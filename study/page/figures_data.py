"""The data behind each figure, as plain arrays: what is drawn can be tested without drawing it.

Lines that share a colour are one trace: their points stand behind one another with a NaN between
two trials. A thousand trials are then a dozen traces, which a browser draws at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from study.core.records import FAILED_BELOW, Outcome, StudyRecord, TrialRecord

Floats = NDArray[np.float64]

#: Number of colours between the worst and the best accuracy drawn.
COLOUR_BINS = 10
#: A rate curve is thinned until it leaves the full one by at most this share of its highest rate.
RATE_TOLERANCE = 0.002


@dataclass(frozen=True)
class RateCurve:
    """The learning rate of one trial over its epochs.

    Attributes:
        number: The trial's number.
        family: Its schedule family.
        outcome: How it ended.
        accuracy: Validation accuracy after its last epoch so far; ``None`` before the first.
        times: Time in epochs, shape [points].
        rates: Learning rate at those times, shape [points].
    """

    number: int
    family: str
    outcome: Outcome
    accuracy: float | None
    times: Floats
    rates: Floats


@dataclass(frozen=True)
class Lines:
    """Several lines as one trace.

    Attributes:
        x: All points' abscissae, NaN after each line but the last, shape [points].
        y: All points' ordinates, likewise.
        numbers: The trial that each point belongs to, shape [points].
    """

    x: Floats
    y: Floats
    numbers: NDArray[np.int64]


@dataclass(frozen=True)
class AccuracyScale:
    """Accuracy to colour, in ``COLOUR_BINS`` equal steps from ``low`` to ``high``, clamped outside."""

    low: float
    high: float

    def position(self, accuracy: float) -> float:
        """Return where an accuracy lies on the colour scale: 0 is ``low``, 1 is ``high``."""
        return min(1.0, max(0.0, (accuracy - self.low) / (self.high - self.low)))

    def bin(self, accuracy: float) -> int:
        """Return the number of its colour, from 0 (worst) to ``COLOUR_BINS - 1``."""
        return min(COLOUR_BINS - 1, int(self.position(accuracy) * COLOUR_BINS))


@dataclass(frozen=True)
class Points:
    """Trials as points, shape [trials] each.

    Attributes:
        x: The abscissae.
        accuracies: Validation accuracy: the final one, or where the trial stopped.
        numbers: The trials' numbers.
        finished: Whether the trial trained to its end; the others' accuracies cannot be compared.
    """

    x: Floats
    accuracies: Floats
    numbers: NDArray[np.int64]
    finished: NDArray[np.bool_]


@dataclass(frozen=True)
class Trend:
    """Medians of a cloud of points over equally filled intervals.

    Attributes:
        x: Median abscissa of each interval, shape [intervals].
        median: Median accuracy there.
        low: Lower quartile.
        high: Upper quartile.
    """

    x: Floats
    median: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class EpochsSpent:
    """Where one family's epochs went.

    Attributes:
        family: The family.
        finished: Epochs trained by trials that reached their end.
        stopped: Epochs trained by trials that were pruned or diverged.
        saved: Epochs that pruned trials did not train.
    """

    family: str
    finished: int
    stopped: int
    saved: int


def rate_curves_of(
    record: StudyRecord, rates: Callable[[TrialRecord], tuple[Floats, Floats]]
) -> tuple[RateCurve, ...]:
    """Return the rate curve of every trial that has one.

    Args:
        record: The study.
        rates: Returns a trial's times in epochs and its learning rates, as ``study.page.rate_curve_data``
            does; empty arrays where there is nothing to draw.
    """
    curves = []
    for trial in record.trials:
        times, values = rates(trial)
        if len(times):
            accuracy = trial.last_accuracy
            curves.append(RateCurve(trial.number, trial.family, trial.outcome, accuracy, times, values))
    return tuple(curves)


def accuracy_scale(accuracies: Iterable[float | None]) -> AccuracyScale:
    """Return the scale from the lower decile of the runs that learned something to the best.

    Dead runs may be one in five of a search, and bad ones are always some: if either set the lower end,
    all others would be of one colour. Both are drawn in the lowest colour.
    """
    known = np.array([a for a in accuracies if a is not None and math.isfinite(a)])
    if known.size == 0:
        return AccuracyScale(0.0, 1.0)
    alive = known[known >= FAILED_BELOW]
    low, high = float(np.quantile(alive if alive.size else known, 0.1)), float(known.max())
    return AccuracyScale(low, high) if high - low > 1e-9 else AccuracyScale(low - 0.01, high + 0.01)


def accuracy_range(accuracies: Iterable[float | None]) -> tuple[float, float]:
    """Return the part of the accuracy axis worth showing: what ``accuracy_scale`` tells apart, and air."""
    scale = accuracy_scale(accuracies)
    air = 0.06 * (scale.high - scale.low)
    return scale.low - air, scale.high + air


def thin(times: Floats, values: Floats, tolerance: float) -> NDArray[np.int64]:
    """Return the indices of the points that keep a curve's shape (Ramer 1972, Douglas and Peucker 1973).

    Straight lines between the points kept leave the full curve by at most ``tolerance``, measured
    vertically. The first and the last point are always kept.

    Args:
        times: Ascending times, shape [points].
        values: The curve's values, shape [points].
        tolerance: Largest vertical distance allowed, in units of ``values``.
    """
    keep = {0, len(times) - 1} if len(times) else set()
    spans = [(0, len(times) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        inner = slice(first + 1, last)
        chord = np.interp(times[inner], times[[first, last]], values[[first, last]])
        apart = np.abs(values[inner] - chord)
        worst = first + 1 + int(apart.argmax())
        if apart[worst - first - 1] > tolerance:
            keep.add(worst)
            spans += [(first, worst), (worst, last)]
    return np.array(sorted(keep), dtype=np.int64)


def thinned(curve: RateCurve) -> RateCurve:
    """Return the curve with the fewest points that show its shape and its corners."""
    highest = float(curve.rates.max(initial=0.0))
    kept = thin(curve.times, curve.rates, RATE_TOLERANCE * highest)
    return RateCurve(
        curve.number, curve.family, curve.outcome, curve.accuracy, curve.times[kept], curve.rates[kept]
    )


def joined(lines: Iterable[tuple[int, Floats, Floats]]) -> Lines:
    """Return lines given as (trial number, x, y) as one trace with a gap after each."""
    xs: list[Floats] = []
    ys: list[Floats] = []
    numbers: list[NDArray[np.int64]] = []
    gap = np.array([np.nan])
    for number, x, y in lines:
        xs += [x, gap]
        ys += [y, gap]
        numbers.append(np.full(len(x) + 1, number, dtype=np.int64))
    if not xs:
        return Lines(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
    return Lines(np.concatenate(xs)[:-1], np.concatenate(ys)[:-1], np.concatenate(numbers)[:-1])


def binned(curves: Sequence[RateCurve], scale: AccuracyScale) -> dict[int | None, Lines]:
    """Return the curves by the colour of their accuracy, worst first; ``None``: not trained to the end."""
    groups: dict[int | None, list[RateCurve]] = {}
    for curve in curves:
        finished = curve.outcome == "finished" and curve.accuracy is not None
        key = scale.bin(curve.accuracy) if finished and curve.accuracy is not None else None
        groups.setdefault(key, []).append(curve)
    ordered = sorted(groups, key=lambda key: -1 if key is None else key)
    return {key: joined((c.number, c.times, c.rates) for c in groups[key]) for key in ordered}


Quantity = Literal["val_accuracy", "val_loss", "train_loss"]


def learning_curves(trials: Iterable[TrialRecord], quantity: Quantity) -> Lines:
    """Return a quantity after each epoch of each trial; epochs count from 1 on the axis."""
    lines = []
    for trial in trials:
        if not trial.epochs:
            continue
        y = np.array([getattr(epoch, quantity) for epoch in trial.epochs], dtype=np.float64)
        y[~np.isfinite(y)] = np.nan
        lines.append((trial.number, np.arange(1.0, len(y) + 1.0), y))
    return joined(lines)


def points(trials: Iterable[TrialRecord], abscissa: Mapping[int, float]) -> Points:
    """Return the trials that have an accuracy and an abscissa, given by trial number."""
    known = [
        (abscissa[t.number], accuracy, t.number, t.outcome == "finished")
        for t in trials
        if t.number in abscissa and (accuracy := t.last_accuracy) is not None and math.isfinite(accuracy)
    ]
    x, y, numbers, finished = zip(*known, strict=True) if known else ((), (), (), ())
    return Points(
        np.array(x, dtype=np.float64),
        np.array(y, dtype=np.float64),
        np.array(numbers, dtype=np.int64),
        np.array(finished, dtype=np.bool_),
    )


def by_base_rate(trials: Iterable[TrialRecord]) -> Points:
    """Return accuracy against base rate."""
    trials = tuple(trials)
    return points(trials, {t.number: t.spec.base_rate for t in trials})


def by_warm_up(trials: Iterable[TrialRecord]) -> Points:
    """Return accuracy against warm-up length in epochs; a trial without one counts as 0."""
    trials = tuple(trials)
    return points(trials, {t.number: t.spec.warmup for t in trials})


def trend(cloud: Points, intervals: int = 5) -> Trend | None:
    """Return the median accuracy and its quartiles over equally filled intervals of finished trials.

    ``None`` with fewer than four trials an interval: a median of three says nothing.
    """
    x, y = cloud.x[cloud.finished], cloud.accuracies[cloud.finished]
    if len(x) < 4 * intervals:
        return None
    parts = np.array_split(np.argsort(x, kind="stable"), intervals)
    quartiles = np.array([np.quantile(y[part], [0.25, 0.5, 0.75]) for part in parts])
    middle = np.array([np.median(x[part]) for part in parts])
    return Trend(middle, quartiles[:, 1], quartiles[:, 0], quartiles[:, 2])


def epochs_spent(record: StudyRecord) -> tuple[EpochsSpent, ...]:
    """Return where each family's epochs went; running and interrupted trials count for nothing yet."""
    spent = []
    for family, trials in record.by_family.items():
        finished = sum(len(t.epochs) for t in trials if t.outcome == "finished")
        stopped = sum(len(t.epochs) for t in trials if t.outcome in {"pruned", "diverged"})
        saved = sum(t.spec.epochs - len(t.epochs) for t in trials if t.outcome == "pruned")
        spent.append(EpochsSpent(family, finished, stopped, saved))
    return tuple(spent)

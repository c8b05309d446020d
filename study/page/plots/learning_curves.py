"""Learning curves: every trial in grey, each family's best in its colour."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from study.core.records import StudyRecord, TrialRecord, best_of
from study.page.look.palette import GREY
from study.page.style import Drawing, Floats, Table, accuracy_range, blank, f4, family_style, title_of
from study.terminal.cells import cell

Quantity = Literal["val_accuracy", "val_loss", "train_loss"]
_TITLES: dict[Quantity, tuple[str, str]] = {
    "val_accuracy": ("accuracy", "Validation accuracy"),
    "val_loss": ("validation-loss", "Validation loss"),
    "train_loss": ("training-loss", "Training loss"),
}
# Few enough to be read; Plotly's own choice on a short log axis shows a lone "5".
_LOG_TICKS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


#: Trials of which lines are drawn: more cannot be told apart, and a page of 10,000 would weigh 34 MB.
DRAWN = 1000


def drawn(record: StudyRecord, at_most: int = DRAWN) -> StudyRecord:
    """Return a study with so many of its trials as lines are drawn of.

    The best of each family is among them; the others are taken at equal distances by number.
    """
    if len(record.trials) <= at_most:
        return record
    best = {t.number for t in map(best_of, record.by_family.values()) if t is not None}
    others = [t.number for t in record.trials if t.number not in best]
    count = max(0, at_most - len(best))
    kept = best | {others[i] for i in np.linspace(0, len(others) - 1, count).round().astype(int)}
    return replace(record, trials=tuple(t for t in record.trials if t.number in kept))


@dataclass(frozen=True)
class Lines:
    """Several lines as one trace, with a gap after each: a thousand trials are then a dozen traces.

    Attributes:
        x: All points' abscissae, NaN after each line but the last, shape [points].
        y: All points' ordinates, likewise.
        numbers: The trial that each point belongs to, shape [points].
    """

    x: Floats
    y: Floats
    numbers: NDArray[np.int64]


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


def learning_lines(trials: Iterable[TrialRecord], quantity: Quantity) -> Lines:
    """Return a quantity after each epoch of each trial; epochs count from 1 on the axis."""
    lines = []
    for trial in trials:
        if not trial.epochs:
            continue
        y = np.array([getattr(epoch, quantity) for epoch in trial.epochs], dtype=np.float64)
        y[~np.isfinite(y)] = np.nan
        lines.append((trial.number, np.arange(1.0, len(y) + 1.0), y))
    return joined(lines)


def draw(record: StudyRecord) -> tuple[Drawing, ...]:
    """Return a figure of each quantity that was measured."""
    return tuple(
        Drawing(
            id_,
            learning_figure(record, quantity),
            _finding(record, quantity),
            title,
            table=_table(record, quantity),
        )
        for quantity, (id_, title) in _TITLES.items()
        # A metric that is the loss is drawn once.
        if not (quantity == "val_accuracy" and record.config.metric.name == "loss")
        and np.isfinite(learning_lines(record.trials, quantity).y).any()
    )


def _finding(record: StudyRecord, quantity: Quantity) -> str:
    """Return the figure's finding, for those who cannot see it."""
    said = f"{_TITLES[quantity][1]} after each epoch of {len(record.trials)} trials, each family's best in its colour."
    best = record.best
    if best is None or not best.epochs:
        return said
    first, last = (cell(getattr(best.epochs[i], quantity), ".4g") for i in (0, -1))
    return (
        f"The best trial, {best.spec.name}, goes from {first} to {last} in {len(best.epochs)} epochs. {said}"
    )


def _table(record: StudyRecord, quantity: Quantity) -> Table:
    """Return each family's best trial as text, at quarters of the run."""
    epochs = sorted({max(1, round(share * record.config.epochs)) for share in (0, 0.25, 0.5, 0.75, 1)})
    best = [t for trials in record.by_family.values() if (t := best_of(trials)) is not None]
    rows = [
        (t.spec.name, *(cell(getattr(t.epochs[e - 1], quantity), ".4g") for e in epochs))
        for t in best
        if len(t.epochs) == record.config.epochs
    ]
    return Table(("trial", *(f"epoch {e}" for e in epochs)), tuple(rows))


def learning_figure(record: StudyRecord, quantity: Quantity, *, height: int = 340) -> go.Figure:
    """Draw a quantity after each epoch: every trial in grey, each family's best in its colour."""
    figure = blank("epoch", _TITLES[quantity][1].lower(), height=height)
    every = learning_lines(record.trials, quantity)
    if len(every.x):
        figure.add_scatter(
            x=np.nan_to_num(every.x).astype(np.uint16),  # whole numbers take half the room; the gaps are in y
            y=f4(every.y),
            mode="lines",
            line={"color": GREY, "width": 0.6},
            hoverinfo="skip",
            showlegend=False,
        )
    for family, trials in record.by_family.items():
        best = best_of(trials)
        if best is None:
            continue
        style, lines = family_style(family), learning_lines([best], quantity)
        figure.add_scatter(
            x=lines.x,
            y=f4(lines.y),
            mode="lines",
            line={"color": style.colour, "dash": style.dash, "width": 2},
            name=title_of(family),
            hovertemplate=f"{title_of(family)}, trial {best.number}<br>"
            "epoch %{x}: %{y:.4g}<extra></extra>",
        )
    if quantity == "val_accuracy":
        finals = [t.epochs[-1].val_accuracy for t in record.finished if t.epochs]
        metric = record.config.metric
        low, high = accuracy_range(finals, metric)
        wide = 1.5 * (high - low)
        shown = [max(metric.low, low - wide), high] if metric.maximized else [low, high + wide]
        figure.update_yaxes(range=shown, tickformat=".2f" if metric.share else None)
    else:
        figure.update_yaxes(type="log", **_log_axis(every.y))
    return figure


def _log_axis(values: Floats) -> dict[str, Any]:
    """Return range and ticks of a logarithmic axis; Plotly's own ticks where ours are too few."""
    known = values[np.isfinite(values) & (values > 0)]
    if not known.size:
        return {}
    low, high = (float(v) for v in np.log10(np.quantile(known, [0.0, 0.98])))
    axis: dict[str, Any] = {"range": [low - 0.03, high + 0.03]}
    ticks = [tick for tick in _LOG_TICKS if low <= math.log10(tick) <= high]
    return {**axis, "tickvals": ticks, "ticktext": [f"{v:g}" for v in ticks]} if len(ticks) > 1 else axis

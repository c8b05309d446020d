"""Final accuracy against warm-up length over all families, with medians and quartiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from study.core.metric import ACCURACY, Metric
from study.core.records import StudyRecord, TrialRecord
from study.page.look.palette import INK
from study.page.plots.base_rate_cloud import Points, points
from study.page.style import (
    Drawing,
    Floats,
    Table,
    accuracy_range,
    blank,
    error_bars,
    family_style,
    title_of,
)

_TITLE = "Final accuracy against warm-up length"


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


def by_warm_up(trials: Iterable[TrialRecord]) -> Points:
    """Return accuracy against warm-up length in epochs; a trial without one counts as 0."""
    return points(trials, lambda trial: trial.spec.warmup)


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


def draw(record: StudyRecord) -> tuple[Drawing, ...]:
    """Return the figure of a study of which a trial has finished."""
    if not record.finished:
        return ()
    metric = record.config.metric
    figure = warm_up_figure(record.by_family, metric)
    medians = trend(by_warm_up(record.trials))
    if medians is None:
        return (Drawing("warm-up", figure, f"{_TITLE} of {len(record.finished)} trials.", _TITLE),)
    best = int(np.argmax([metric.gain(value) for value in medians.median.tolist()]))
    said = (
        f"Over equally many trials each, final accuracy is best around a warm-up of {medians.x[best]:.1f} epochs: a median "
        f"of {metric.value(medians.median[best])}, against {metric.value(medians.median[0])} around {medians.x[0]:.1f}."
    )
    columns = np.stack([medians.median, medians.low, medians.high], axis=1).tolist()
    rows = [
        (f"{x:.1f}", *(metric.value(value) for value in row))
        for x, row in zip(medians.x.tolist(), columns, strict=True)
    ]
    table = Table(("warm-up, epochs", "median accuracy", "lower quartile", "upper quartile"), tuple(rows))
    return (Drawing("warm-up", figure, said, _TITLE, table=table),)


def warm_up_figure(by_family: Mapping[str, Sequence[TrialRecord]], metric: Metric = ACCURACY) -> go.Figure:
    """Draw the finished trials of each family in its colour, and the medians of all."""
    together = by_warm_up(trial for trials in by_family.values() for trial in trials)
    low, high = accuracy_range(together.accuracies[together.finished], metric)
    figure = blank("warm-up, epochs", "validation accuracy", height=420)
    for family, trials in by_family.items():
        cloud = by_warm_up(trials)
        if not cloud.finished.any():
            continue
        style, name = family_style(family), title_of(family)
        figure.add_scatter(
            x=cloud.x[cloud.finished],
            y=np.clip(cloud.accuracies[cloud.finished], low, high),
            customdata=np.stack([cloud.numbers, cloud.accuracies], axis=1)[cloud.finished],
            mode="markers",
            marker={"color": style.colour, "symbol": style.symbol, "size": 7},
            name=name,
            hovertemplate=f"{name}, trial %{{customdata[0]}}<br>warm-up %{{x:.1f}} epochs<br>"
            "accuracy %{customdata[1]:.4f}<extra></extra>",
            cliponaxis=False,
        )
    medians = trend(together)
    if medians is not None:
        figure.add_scatter(
            x=medians.x,
            y=medians.median,
            error_y=error_bars(medians.median, medians.low, medians.high, INK),
            mode="lines+markers",
            line={"color": INK, "width": 2},
            marker={"symbol": "line-ew-open", "size": 14, "color": INK},
            name="median and quartiles",
            hovertemplate="about %{x:.1f} epochs: median %{y:.4f}<extra></extra>",
        )
    figure.update_yaxes(range=[low, high], tickformat=".3f")
    return figure

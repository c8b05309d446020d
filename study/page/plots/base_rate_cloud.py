"""Accuracy against base rate, a small figure a family; all share their axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from study.core.metric import Metric
from study.core.records import StudyRecord, TrialRecord
from study.page.look.palette import GREY
from study.page.style import SMALL, Drawing, Floats, Table, accuracy_range, blank, family_style, slug, words

_RATES = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)


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


def points(trials: Iterable[TrialRecord], x: Callable[[TrialRecord], float]) -> Points:
    """Return the trials that have an accuracy, each at its ``x``."""
    known = [
        (x(t), t.last_accuracy, t.number, t.outcome == "finished")
        for t in trials
        if t.last_accuracy is not None and np.isfinite(t.last_accuracy)
    ]
    columns = zip(*known, strict=True) if known else ((), (), (), ())
    kinds = (np.float64, np.float64, np.int64, np.bool_)
    return Points(*(np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)))


def by_base_rate(trials: Iterable[TrialRecord]) -> Points:
    """Return accuracy against base rate."""
    return points(trials, lambda trial: trial.spec.base_rate)


def draw(record: StudyRecord) -> tuple[Drawing, ...]:
    """Return a figure of each family of which a trial has an accuracy."""
    every = {family: by_base_rate(trials) for family, trials in record.by_family.items()}
    clouds = {family: cloud for family, cloud in every.items() if cloud.x.size}
    if not clouds:
        return ()
    rates = (min(c.x.min() for c in clouds.values()), max(c.x.max() for c in clouds.values()))
    finals = [t.value for t in record.finished]
    accuracies = accuracy_range(finals or [t.last_accuracy for t in record.trials], record.config.metric)
    return tuple(
        Drawing(
            f"base-rate-{slug(family)}",
            base_rate_figure(family, cloud, rates, accuracies),
            _finding(family, cloud, record.config.metric),
            words(family),
            table=_table(cloud, record.config.metric),
        )
        for family, cloud in clouds.items()
    )


def _finding(family: str, cloud: Points, metric: Metric) -> str:
    """Return the figure's finding, for those who cannot see it."""
    said = f"{words(family)}: accuracy against base rate of {len(cloud.x)} trials, {int(cloud.finished.sum())} finished"
    if not cloud.finished.any():
        return f"{said}."
    best = _best(cloud, metric)
    return f"{said}; the best, {metric.value(cloud.accuracies[best])}, at base rate {cloud.x[best]:.3g}."


def _best(cloud: Points, metric: Metric) -> int:
    gains = np.array([metric.gain(value) for value in cloud.accuracies.tolist()])
    return int(np.where(cloud.finished, gains, -np.inf).argmax())


def _table(cloud: Points, metric: Metric) -> Table:
    """Return finished trials as text, by their base rates."""
    kept = np.flatnonzero(cloud.finished)
    rows = [
        (f"{cloud.x[i]:.4g}", metric.value(cloud.accuracies[i]), f"#{cloud.numbers[i]}")
        for i in kept[np.argsort(cloud.x[kept])].tolist()
    ]
    return Table(("base rate", "accuracy", "trial"), tuple(rows))


def base_rate_figure(
    family: str, cloud: Points, rates: tuple[float, float], accuracies: tuple[float, float]
) -> go.Figure:
    """Draw one family's accuracy against base rate: dots trained to the end, rings did not."""
    figure = blank("base rate", "accuracy", height=SMALL)
    style = family_style(family)
    for finished, marker in (
        (False, {"color": GREY, "symbol": "circle-open", "size": 6}),
        (True, {"color": style.colour, "symbol": "circle", "size": 7}),
    ):
        chosen = cloud.finished == finished
        if not chosen.any():
            continue
        figure.add_scatter(
            x=cloud.x[chosen],
            y=np.clip(cloud.accuracies[chosen], *accuracies),
            customdata=np.stack([cloud.numbers[chosen], cloud.accuracies[chosen]], axis=1),
            mode="markers",
            marker=marker,
            hovertemplate="trial %{customdata[0]}<br>base rate %{x:.3g}<br>accuracy %{customdata[1]:.4f}"
            f"<extra>{'' if finished else 'stopped early'}</extra>",
            showlegend=False,
            cliponaxis=False,
        )
    figure.update_xaxes(type="log", range=[np.log10(rates[0]) - 0.08, np.log10(rates[1]) + 0.08])
    figure.update_xaxes(tickvals=_RATES, ticktext=[f"{rate:g}" for rate in _RATES])
    low, high = accuracies
    figure.update_yaxes(range=[low - 0.06 * (high - low), high], tickformat=".3f", nticks=4, title_text="")
    return figure

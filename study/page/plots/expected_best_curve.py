"""The expected best accuracy of a smaller search: against its number of trials, and against what they cost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from study.core.records import ENDED, StudyRecord
from study.page.look.palette import ACCENT, BAND
from study.page.style import Drawing, Table, accuracy_range, blank, f4, family_style, title_of
from study.stats.expected_best import BestOf, expected_best
from study.stats.pruning_cost import ALL

_COUNTS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10_000)


def draw(record: StudyRecord) -> tuple[Drawing, ...]:
    """Return the figure of a study in which two trials have finished."""
    curves = by_family(record)
    if not curves:
        return ()
    # Few trials, each dead by chance, are expected to give little: in full this presses all else into a line.
    limits = accuracy_range((t.value for t in record.trials), record.config.metric)
    costs = {name: _epochs_a_trial(record, name) for name in curves}
    value, best = record.config.metric.value, curves[ALL]
    half = int(np.searchsorted(best.trials, best.trials[-1] / 2))
    said = (
        f"{best.trials[half]} trials would have been expected to find {value(best.expected[half])}, all {best.trials[-1]} "
        f"found {value(best.expected[-1])} (95 % band {value(best.low[-1])} to {value(best.high[-1])})."
    )
    places = sorted({int(np.searchsorted(best.trials, n)) for n in _COUNTS if n <= best.trials[-1]})
    rows = tuple(
        (
            str(best.trials[i]),
            f"{best.trials[i] * costs[ALL]:.0f}",
            value(best.expected[i]),
            value(best.low[i]),
            value(best.high[i]),
        )
        for i in places
    )
    table = Table(("trials", "epochs", "expected best accuracy", "from", "to"), rows)
    return (
        Drawing(
            "expected-best",
            expected_best_figure(curves, limits),
            said,
            "Expected best of fewer trials",
            table=table,
        ),
        Drawing(
            "expected-best-cost",
            expected_best_figure(curves, limits, costs),
            said,
            "Expected best against epochs trained",
        ),
    )


def _epochs_a_trial(record: StudyRecord, name: str) -> float:
    """Return the mean number of epochs that a trial of a family, or of all, trained until it ended."""
    ended = [t.epochs_trained for t in record.ended if name in {ALL, t.family}]
    return sum(ended) / len(ended)


def by_family(record: StudyRecord) -> dict[str, BestOf]:
    """Return the curve over all families, then that of each with two finished trials or more."""
    groups = {ALL: record.trials, **record.by_family}
    scores = {name: [t.value for t in trials if t.outcome in ENDED] for name, trials in groups.items()}
    return {
        name: expected_best(own, metric=record.config.metric)
        for name, own in scores.items()
        if sum(score is not None for score in own) >= 2
    }


def expected_best_figure(
    curves: Mapping[str, BestOf],
    limits: tuple[float, float] | None = None,
    costs: Mapping[str, float] | None = None,
) -> go.Figure:
    """Draw the expected best accuracy against the number of trials or their cost, with its interval.

    Args:
        curves: By name; the first has its interval drawn, the others are lines.
        limits: Range of accuracies shown, by default all.
        costs: Epochs of a trial by name, to draw against epochs.
    """
    unit = "trials" if costs is None else "epochs trained"
    figure = blank(unit, "expected best accuracy", height=380)
    for place, (name, best) in enumerate(curves.items()):
        style, title = family_style(name), title_of(name)
        colour = ACCENT if place == 0 else style.colour
        x = best.trials.astype(np.float64) * (1.0 if costs is None else costs[name])
        if place == 0:
            figure.add_scatter(
                x=f4(np.concatenate([x, x[::-1]])),
                y=f4(np.concatenate([best.high, best.low[::-1]])),
                mode="lines",
                fill="toself",
                fillcolor=BAND,
                line={"width": 0.8, "color": ACCENT, "dash": "dot"},
                hoverinfo="skip",
                showlegend=False,
            )
        figure.add_scatter(
            x=f4(x),
            y=f4(best.expected),
            customdata=f4(np.stack([best.low, best.high], axis=1)),
            mode="lines",
            line={
                "color": colour,
                "dash": "solid" if place == 0 else style.dash,
                "width": 3 if place == 0 else 1.5,
            },
            name=title,
            hovertemplate=f"{title}<br>%{{x:.4g}} {unit}: %{{y:.4f}}<br>"
            "%{customdata[0]:.4f} to %{customdata[1]:.4f}<extra></extra>",
        )
    counts = _COUNTS[::2] if costs else _COUNTS
    figure.update_xaxes(type="log", tickvals=counts, ticktext=[f"{count:,}" for count in counts])
    figure.update_yaxes(tickformat=".3f", range=limits)
    return figure

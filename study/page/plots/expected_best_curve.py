"""The expected best accuracy against the number of trials: what a smaller search would have found."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from study.core.records import ENDED, StudyRecord
from study.page.style import ACCENT, Drawing, accuracy_range, blank, family_style, title_of
from study.stats.expected_best import BestOf, expected_best
from study.stats.pruning_cost import ALL

_COUNTS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10_000)


def draw(record: StudyRecord) -> tuple[Drawing, ...]:
    """Return the figure of a study in which two trials have finished."""
    curves = by_family(record)
    if not curves:
        return ()
    # Few trials, each dead by chance, are expected to give little: in full this presses all else into a line.
    figure = expected_best_figure(
        curves, accuracy_range((t.value for t in record.trials), record.config.metric)
    )
    return (Drawing("expected-best", figure, "Expected best accuracy against the number of trials"),)


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
    curves: Mapping[str, BestOf], limits: tuple[float, float] | None = None
) -> go.Figure:
    """Draw the expected best accuracy against the number of trials, with its interval.

    Args:
        curves: By name; the first has its interval drawn, the others are lines.
        limits: Range of accuracies shown, by default all.
    """
    figure = blank("trials", "expected best accuracy", height=420)
    for place, (name, best) in enumerate(curves.items()):
        style, title = family_style(name), title_of(name)
        colour = ACCENT if place == 0 else style.colour
        if place == 0:
            figure.add_scatter(
                x=np.concatenate([best.trials, best.trials[::-1]]),
                y=np.concatenate([best.high, best.low[::-1]]),
                mode="lines",
                fill="toself",
                fillcolor="rgba(209, 73, 91, 0.16)",
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
            )
        figure.add_scatter(
            x=best.trials,
            y=best.expected,
            customdata=np.stack([best.low, best.high], axis=1),
            mode="lines",
            line={
                "color": colour,
                "dash": "solid" if place == 0 else style.dash,
                "width": 3 if place == 0 else 1.5,
            },
            name=title,
            hovertemplate=f"{title}<br>%{{x}} trials: %{{y:.4f}}<br>"
            "%{customdata[0]:.4f} to %{customdata[1]:.4f}<extra></extra>",
        )
    figure.update_xaxes(type="log", tickvals=_COUNTS, ticktext=[f"{count:,}" for count in _COUNTS])
    figure.update_yaxes(tickformat=".3f", range=limits)
    return figure

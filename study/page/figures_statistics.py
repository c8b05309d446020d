"""Draw estimates with their intervals: the verdict, the expected best, the cost of pruning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from study.page.figures_data import Floats
from study.page.style import ACCENT, BLUE, INK, blank, family_style, safe, title_of

_COUNTS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10_000)


def intervals_figure(
    rows: Sequence[tuple[str, float, float, float]], axis: str, *, limits: tuple[float, float] | None = None
) -> go.Figure:
    """Draw estimates with intervals, first row on top.

    Args:
        rows: (name, estimate, low, high) each.
        axis: What is estimated.
        limits: Range of the axis, by default what is drawn.
    """
    figure = blank(axis, "", height=72 + 26 * len(rows))
    names = [safe(name) for name, *_ in rows]
    estimates, lows, highs = (np.array([row[i] for row in rows], dtype=np.float64) for i in (1, 2, 3))
    figure.add_scatter(
        x=estimates,
        y=names,
        error_x=_bars(estimates, lows, highs, INK),
        customdata=np.stack([lows, highs], axis=1) if rows else None,
        mode="markers",
        marker={"color": BLUE, "size": 9},
        hovertemplate="%{y}: %{x:.3g} (%{customdata[0]:.3g} to %{customdata[1]:.3g})<extra></extra>",
        showlegend=False,
    )
    figure.update_yaxes(autorange="reversed")
    if limits is not None:
        figure.update_xaxes(range=list(limits))
    return figure


def expected_best_figure(
    curves: Mapping[str, tuple[Floats, Floats, Floats, Floats]], limits: tuple[float, float] | None = None
) -> go.Figure:
    """Draw the expected best accuracy against the number of trials, with its interval.

    Args:
        curves: By name, (trials, expected, low, high), shape [points] each; the first has its
            interval drawn, the others are lines.
        limits: Range of accuracies shown, by default all.
    """
    figure = blank("trials", "expected best accuracy", height=420)
    for place, (name, (trials, expected, low, high)) in enumerate(curves.items()):
        style, title = family_style(name), title_of(name)
        colour = ACCENT if place == 0 else style.colour
        if place == 0:
            figure.add_scatter(
                x=np.concatenate([trials, trials[::-1]]),
                y=np.concatenate([high, low[::-1]]),
                mode="lines",
                fill="toself",
                fillcolor="rgba(209, 73, 91, 0.16)",
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
            )
        figure.add_scatter(
            x=trials,
            y=expected,
            customdata=np.stack([low, high], axis=1),
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


def _bars(centres: Floats, lows: Floats, highs: Floats, colour: str) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": highs - centres,
        "arrayminus": centres - lows,
        "color": colour,
        "thickness": 1.5,
        "width": 5,
    }

"""Draw what parameters do in each family, and where its epochs went.

A figure of one family is one of a row of small ones that share their axes: those ranges come from the
caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from study.page.figures_data import EpochsSpent, Points, accuracy_range, trend
from study.page.style import BLUE, GREY, INK, ORANGE, blank, family_style, safe, title_of

#: Height of one of a row of small figures, in pixels.
SMALL = 210
_RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def base_rate_figure(
    family: str, cloud: Points, rates: tuple[float, float], accuracies: tuple[float, float]
) -> go.Figure:
    """Draw one family's accuracy against base rate: dots trained to the end, rings did not."""
    figure = blank("base rate", "accuracy", height=SMALL)
    style = family_style(family)
    for finished, marker in (
        (False, {"color": GREY, "symbol": "circle-open", "size": 6}),
        (True, {"color": style.colour, "symbol": "circle", "size": 7, "opacity": 0.85}),
    ):
        chosen = cloud.finished == finished
        if not chosen.any():
            continue
        figure.add_scatter(
            x=cloud.x[chosen],
            y=np.clip(cloud.accuracies[chosen], accuracies[0], None),
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


def warm_up_figure(clouds: Mapping[str, Points]) -> go.Figure:
    """Draw final accuracy against warm-up length over all families, with medians and quartiles."""
    together = _together(clouds.values())
    low, high = accuracy_range(together.accuracies[together.finished])
    figure = blank("warm-up, epochs", "validation accuracy", height=420)
    for family, cloud in clouds.items():
        if not cloud.finished.any():
            continue
        style, name = family_style(family), title_of(family)
        figure.add_scatter(
            x=cloud.x[cloud.finished],
            y=np.clip(cloud.accuracies[cloud.finished], low, None),
            customdata=np.stack([cloud.numbers, cloud.accuracies], axis=1)[cloud.finished],
            mode="markers",
            marker={"color": style.colour, "symbol": style.symbol, "size": 7, "opacity": 0.85},
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
            error_y={
                "type": "data",
                "symmetric": False,
                "array": medians.high - medians.median,
                "arrayminus": medians.median - medians.low,
                "color": INK,
                "thickness": 1.5,
                "width": 4,
            },
            mode="lines+markers",
            line={"color": INK, "width": 2},
            marker={"symbol": "line-ew-open", "size": 14, "color": INK},
            name="median and quartiles",
            hovertemplate="about %{x:.1f} epochs: median %{y:.4f}<extra></extra>",
        )
    figure.update_yaxes(range=[low, high], tickformat=".3f")
    return figure


def importance_figure(shares: Mapping[str, float]) -> go.Figure:
    """Draw the share of the accuracy's variance that each parameter explains, largest on top."""
    ordered = sorted(shares.items(), key=lambda item: item[1])
    figure = blank("", "", height=64 + 26 * len(ordered))
    figure.add_bar(
        x=[share for _, share in ordered],
        y=[safe(name) for name, _ in ordered],
        orientation="h",
        marker={"color": BLUE},
        text=[f"{share:.0%}" for _, share in ordered],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1.15], tickformat=".0%", tickvals=[0, 0.5, 1])
    return figure


def epochs_figure(spent: Sequence[EpochsSpent]) -> go.Figure:
    """Draw where each family's epochs went: finished, stopped early, saved."""
    rows = spent[::-1]
    figure = blank("epochs", "", height=72 + 26 * len(rows))
    names = [title_of(row.family) for row in rows]
    for name, counts, colour in (
        ("in trials that finished", [row.finished for row in rows], BLUE),
        ("in trials stopped early", [row.stopped for row in rows], ORANGE),
        ("saved by pruning", [row.saved for row in rows], "rgba(128, 134, 142, 0.28)"),
    ):
        figure.add_bar(
            x=counts,
            y=names,
            orientation="h",
            name=name,
            marker={"color": colour},
            hovertemplate="%{y}: %{x} epochs " + name + "<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.35, margin_t=40, legend_traceorder="normal")
    return figure


def _together(clouds: Iterable[Points]) -> Points:
    every = list(clouds)
    if not every:
        return Points(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_))
    return Points(
        np.concatenate([c.x for c in every]),
        np.concatenate([c.accuracies for c in every]),
        np.concatenate([c.numbers for c in every]),
        np.concatenate([c.finished for c in every]),
    )

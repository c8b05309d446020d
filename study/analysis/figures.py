"""Draw the figures from the data that ``figures_data`` collects.

A figure of one family is one of a row of small ones that share their axes and colours: the functions
take those ranges from the caller. Text that a user chose (names of studies) never enters a figure;
what plotly would read as markup is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from study.analysis.figures_data import (
    AccuracyScale,
    EpochsSpent,
    Floats,
    Points,
    Quantity,
    RateCurve,
    accuracy_range,
    accuracy_scale,
    best_trial,
    binned,
    families,
    last_accuracy,
    learning_curves,
    of_family,
    thinned,
    trend,
)
from study.analysis.figures_style import (
    ACCENT,
    ACCURACY_COLOURS,
    GREY,
    INK,
    TEMPLATE,
    blank,
    family_style,
    title_of,
)
from study.records.trial import StudyRecord, TrialRecord

SMALL = 210
_QUANTITIES: dict[Quantity, str] = {
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
    "train_loss": "training loss",
}


def rate_curves(
    curves: Sequence[RateCurve],
    scale: AccuracyScale | None = None,
    *,
    colour_bar: bool = True,
    height: int = 460,
    highest: float | None = None,
) -> go.Figure:
    """Draw learning rate against time, coloured by accuracy, the best on top.

    Trials that did not train to the end are grey and stop where they stopped.

    Args:
        curves: One a trial.
        scale: Accuracy to colour; by default from the finished curves themselves.
        colour_bar: Show the scale.
        height: Pixels.
        highest: Top of the rate axis; by default the highest rate drawn.
    """
    finished = [c.accuracy for c in curves if c.outcome == "finished"]
    scale = scale or accuracy_scale(finished)
    figure = blank("epoch", "learning rate", height=height)
    labels = {c.number: _label(c) for c in curves}
    for colour, lines in binned([thinned(c) for c in curves], scale).items():
        figure.add_scatter(
            x=_f4(lines.x),
            y=_f4(lines.y),
            text=[labels[n] for n in lines.numbers.tolist()],
            mode="lines",
            line={
                "color": GREY if colour is None else ACCURACY_COLOURS[colour],
                "width": 1 if colour is None else 1.2 + 1.0 * colour / (len(ACCURACY_COLOURS) - 1),
            },
            opacity=0.35 if colour is None else 0.9,
            hovertemplate="%{text}<br>epoch %{x:.1f}: rate %{y:.3g}<extra></extra>",
            showlegend=False,
        )
    if colour_bar and any(a is not None for a in finished):
        figure.add_trace(_colour_bar(scale))
        figure.update_layout(margin_t=64)
    figure.update_yaxes(rangemode="tozero")
    if highest is not None:
        figure.update_yaxes(range=[-0.02 * highest, 1.04 * highest])
    return figure


def learning_figure(record: StudyRecord, quantity: Quantity, *, height: int = 380) -> go.Figure:
    """Draw a quantity after each epoch: every trial in grey, each family's best in its colour."""
    figure = blank("epoch", _QUANTITIES[quantity], height=height)
    every = learning_curves(record.trials, quantity)
    if len(every.x):
        figure.add_scatter(
            x=_f4(every.x),
            y=_f4(every.y),
            mode="lines",
            line={"color": GREY, "width": 0.7},
            opacity=0.35,
            hoverinfo="skip",
            showlegend=False,
        )
    for family in families(record):
        best = best_trial(of_family(record, family))
        if best is None:
            continue
        style, lines = family_style(family), learning_curves([best], quantity)
        figure.add_scatter(
            x=lines.x,
            y=_f4(lines.y),
            mode="lines",
            line={"color": style.colour, "dash": style.dash, "width": 2},
            name=_safe(title_of(family)),
            hovertemplate=f"{_safe(title_of(family))}, trial {best.number}<br>"
            "epoch %{x}: %{y:.4f}<extra></extra>",
        )
    if quantity == "val_accuracy":
        finals = [t.epochs[-1].val_accuracy for t in record.trials if t.epochs and t.outcome == "finished"]
        low, high = accuracy_range(finals)
        figure.update_yaxes(range=[low - 1.5 * (high - low), high], tickformat=".2f")
    else:
        figure.update_yaxes(type="log", range=_log_range(every.y), dtick="D1" if _narrow(every.y) else "D2")
    return figure


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
    figure.update_xaxes(tickvals=[0.001, 0.01, 0.1, 1, 10], ticktext=["0.001", "0.01", "0.1", "1", "10"])
    figure.update_yaxes(range=list(accuracies), tickformat=".2f", nticks=5)
    return figure


def warm_up_figure(clouds: Mapping[str, Points]) -> go.Figure:
    """Draw final accuracy against warm-up length over all families, with medians and quartiles."""
    figure = blank("warm-up, epochs", "validation accuracy", height=420)
    for family, cloud in clouds.items():
        if not cloud.finished.any():
            continue
        style, name = family_style(family), _safe(title_of(family))
        figure.add_scatter(
            x=cloud.x[cloud.finished],
            y=cloud.accuracies[cloud.finished],
            customdata=cloud.numbers[cloud.finished],
            mode="markers",
            marker={"color": style.colour, "symbol": style.symbol, "size": 7, "opacity": 0.85},
            name=name,
            hovertemplate=f"{name}, trial %{{customdata}}<br>warm-up %{{x:.1f}} epochs<br>"
            "accuracy %{y:.4f}<extra></extra>",
        )
    together = _together(clouds.values())
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
    figure.update_yaxes(range=list(accuracy_range(together.accuracies[together.finished])), tickformat=".3f")
    return figure


def importance_figure(shares: Mapping[str, float]) -> go.Figure:
    """Draw the share of the accuracy's variance that each parameter explains, largest on top."""
    ordered = sorted(shares.items(), key=lambda item: item[1])
    figure = blank("", "", height=64 + 26 * len(ordered))
    figure.add_bar(
        x=[share for _, share in ordered],
        y=[_safe(name) for name, _ in ordered],
        orientation="h",
        marker={"color": "#3b82c4"},
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
    names = [_safe(title_of(row.family)) for row in rows]
    for name, counts, colour in (
        ("in trials that finished", [row.finished for row in rows], "#3b82c4"),
        ("in trials stopped early", [row.stopped for row in rows], "#e08a1e"),
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
    names = [_safe(name) for name, *_ in rows]
    estimates, lows, highs = (np.array([row[i] for row in rows], dtype=np.float64) for i in (1, 2, 3))
    figure.add_scatter(
        x=estimates,
        y=names,
        error_x={
            "type": "data",
            "symmetric": False,
            "array": highs - estimates,
            "arrayminus": estimates - lows,
            "color": INK,
            "thickness": 1.5,
            "width": 4,
        },
        customdata=np.stack([lows, highs], axis=1) if rows else None,
        mode="markers",
        marker={"color": "#3b82c4", "size": 9},
        hovertemplate="%{y}: %{x:.3g} (%{customdata[0]:.3g} to %{customdata[1]:.3g})<extra></extra>",
        showlegend=False,
    )
    figure.update_yaxes(autorange="reversed")
    if limits is not None:
        figure.update_xaxes(range=list(limits))
    return figure


def expected_best_figure(curves: Mapping[str, tuple[Floats, Floats, Floats, Floats]]) -> go.Figure:
    """Draw the expected best accuracy against the number of trials, with its interval.

    Args:
        curves: By name, (trials, expected, low, high), shape [points] each; the first has its
            interval drawn, the others are lines.
    """
    figure = blank("trials", "expected best accuracy", height=420)
    for place, (name, (trials, expected, low, high)) in enumerate(curves.items()):
        style, safe = family_style(name), _safe(title_of(name))
        colour = ACCENT if place == 0 else style.colour
        if place == 0:
            figure.add_scatter(
                x=np.concatenate([trials, trials[::-1]]),
                y=np.concatenate([high, low[::-1]]),
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
            name=safe,
            hovertemplate=f"{safe}<br>%{{x}} trials: %{{y:.4f}}<br>"
            "%{customdata[0]:.4f} to %{customdata[1]:.4f}<extra></extra>",
        )
    figure.update_yaxes(tickformat=".3f")
    return figure


def seeds_figure(scores: Mapping[str, Floats], intervals: Mapping[str, tuple[float, float]]) -> go.Figure:
    """Draw each finalist's accuracy on each seed, and its mean with interval, first on top."""
    figure = blank("test accuracy", "", height=84 + 44 * len(scores))
    names = {name: _safe(name) for name in scores}
    for name, values in scores.items():
        figure.add_scatter(
            x=values,
            y=[names[name]] * len(values),
            customdata=np.arange(1, len(values) + 1),
            mode="markers",
            marker={"color": "#3b82c4", "size": 8, "opacity": 0.45},
            hovertemplate="seed %{customdata} of " + names[name] + ": %{x:.4f}<extra></extra>",
            showlegend=False,
        )
    known = [name for name in scores if name in intervals]
    means = np.array([np.nanmean(scores[name]) for name in known])
    lows, highs = (np.array([intervals[name][i] for name in known]) for i in (0, 1))
    figure.add_scatter(
        x=means,
        y=[names[name] for name in known],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": highs - means,
            "arrayminus": means - lows,
            "color": ACCENT,
            "thickness": 2,
            "width": 6,
        },
        mode="markers",
        marker={"color": ACCENT, "size": 9, "symbol": "diamond"},
        hovertemplate="mean of %{y}: %{x:.4f}<extra></extra>",
        showlegend=False,
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(tickformat=".3f")
    return figure


def grid(figures: Mapping[str, go.Figure], columns: int = 4) -> go.Figure:
    """Return small figures of one pair of axes each as one sheet, titled by their names."""
    rows = -(-len(figures) // columns)
    sheet = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[_safe(name) for name in figures],
        horizontal_spacing=0.06,
        vertical_spacing=0.3 / max(rows, 2),
    )
    for place, figure in enumerate(figures.values()):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        for trace in figure.data:
            sheet.add_trace(trace, **at)
        sheet.update_xaxes(figure.layout.xaxis, **at)
        sheet.update_yaxes(figure.layout.yaxis, **at)
    return sheet.update_layout(template=TEMPLATE, height=80 + 240 * rows, margin_t=48)


def _label(curve: RateCurve) -> str:
    accuracy = "" if curve.accuracy is None else f": {curve.accuracy:.4f}"
    ended = "" if curve.outcome == "finished" else f" ({curve.outcome})"
    return f"trial {curve.number}, {_safe(title_of(curve.family))}{accuracy}{ended}"


def _colour_bar(scale: AccuracyScale) -> go.Scatter:
    steps = [[i / (len(ACCURACY_COLOURS) - 1), c] for i, c in enumerate(ACCURACY_COLOURS)]
    return go.Scatter(
        x=[None],
        y=[None],
        mode="markers",
        marker={
            "color": [scale.low],
            "cmin": scale.low,
            "cmax": scale.high,
            "colorscale": steps,
            "showscale": True,
            "colorbar": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.01,
                "yanchor": "bottom",
                "len": 0.5,
                "thickness": 8,
                "outlinewidth": 0,
                "tickformat": ".3f",
                "nticks": 4,
                "title": {"text": "final validation accuracy", "side": "top", "font": {"size": 11}},
            },
        },
        hoverinfo="skip",
        showlegend=False,
    )


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


def _log_range(values: Floats) -> list[float] | None:
    known = values[np.isfinite(values) & (values > 0)]
    if not known.size:
        return None
    low, high = np.log10(np.quantile(known, [0.0, 0.98]))
    return [float(low) - 0.03, float(high) + 0.03]


def _narrow(values: Floats) -> bool:
    limits = _log_range(values)
    return limits is not None and limits[1] - limits[0] < 0.6


def _f4(values: Floats) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Half the bytes on the page; seven digits are more than a screen shows."""
    return values.astype(np.float32)


def _safe(text: str) -> str:
    return html.escape(text, quote=False)

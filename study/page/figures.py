"""Draw the figures from the data that ``figures_data`` collects.

Text is escaped: plotly reads some markup in it, and names are the user's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from study.core.records import StudyRecord, best_of
from study.page.figures_data import (
    AccuracyScale,
    Floats,
    Quantity,
    RateCurve,
    accuracy_range,
    accuracy_scale,
    binned,
    learning_curves,
    thinned,
)
from study.page.style import (
    ACCURACY_COLOURS,
    GREY,
    TEMPLATE,
    blank,
    family_style,
    safe,
    title_of,
)

#: Name of the trace that holds nothing but the scale of accuracy.
COLOUR_BAR = "scale of accuracy"
#: Said before the accuracy of the lowest colour, which whatever ended below it has as well.
AT_MOST = "≤ "
# Few enough to be read; Plotly's own choice on a short log axis shows a lone "5".
_LOG_TICKS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
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


def learning_figure(record: StudyRecord, quantity: Quantity, *, height: int = 340) -> go.Figure:
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
    for family, trials in record.by_family.items():
        best = best_of(trials)
        if best is None:
            continue
        style, lines = family_style(family), learning_curves([best], quantity)
        figure.add_scatter(
            x=lines.x,
            y=_f4(lines.y),
            mode="lines",
            line={"color": style.colour, "dash": style.dash, "width": 2},
            name=title_of(family),
            hovertemplate=f"{title_of(family)}, trial {best.number}<br>"
            "epoch %{x}: %{y:.4f}<extra></extra>",
        )
    if quantity == "val_accuracy":
        finals = [t.epochs[-1].val_accuracy for t in record.finished if t.epochs]
        low, high = accuracy_range(finals)
        figure.update_yaxes(range=[max(0.0, low - 1.5 * (high - low)), high], tickformat=".2f")
    else:
        figure.update_yaxes(
            type="log",
            range=_log_range(every.y),
            tickvals=_LOG_TICKS,
            ticktext=[f"{v:g}" for v in _LOG_TICKS],
        )
    return figure


def grid(figures: Mapping[str, go.Figure], columns: int = 4) -> go.Figure:
    """Return small figures of one pair of axes each as one sheet, titled by their names."""
    rows = -(-len(figures) // columns)
    sheet = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[safe(name) for name in figures],
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
    return f"trial {curve.number}, {title_of(curve.family)}{accuracy}{ended}"


def _colour_bar(scale: AccuracyScale) -> go.Scatter:
    steps = [[i / (len(ACCURACY_COLOURS) - 1), c] for i, c in enumerate(ACCURACY_COLOURS)]
    ticks = np.linspace(scale.low, scale.high, 4).tolist()
    return go.Scatter(
        x=[None],
        y=[None],
        name=COLOUR_BAR,
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
                "tickvals": ticks,
                "ticktext": [f"{AT_MOST}{ticks[0]:.3f}", *(f"{tick:.3f}" for tick in ticks[1:])],
                "title": {"text": "final validation accuracy", "side": "top", "font": {"size": 11}},
            },
        },
        hoverinfo="skip",
        showlegend=False,
    )


def _log_range(values: Floats) -> list[float] | None:
    known = values[np.isfinite(values) & (values > 0)]
    if not known.size:
        return None
    low, high = np.log10(np.quantile(known, [0.0, 0.98]))
    return [float(low) - 0.03, float(high) + 0.03]


def _f4(values: Floats) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Half the bytes on the page; seven digits are more than a screen shows."""
    return values.astype(np.float32)

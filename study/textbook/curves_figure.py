"""The figure that the textbook draws for each run: three curves over epochs; here for every seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from study.page.style import TEMPLATE, on_white, safe
from study.textbook.statistics import FIGURES, Measured

#: One colour and dash a figure, as the textbook tells them apart.
_LINES = (("#3b82c4", "solid"), ("#8e63c7", "dash"), ("#2a9d6f", "dashdot"))
_COLUMNS = 3
_PANEL = 300


def curves_figure(measured: Sequence[Measured], title: str) -> go.Figure:
    """Draw training loss, training accuracy and test accuracy over epochs, one panel a run.

    The median over seeds is a strong line, every seed a faint one.

    Args:
        measured: The runs.
        title: What stands above.
    """
    columns = min(_COLUMNS, len(measured))
    rows = -(-len(measured) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[safe(one.title) for one in measured],
        horizontal_spacing=0.06,
        vertical_spacing=0.22 / rows,
    )
    for place, one in enumerate(measured):
        for trace in _traces(one, legend=place == 0):
            figure.add_trace(trace, row=place // columns + 1, col=place % columns + 1)
    figure.update_layout(template=TEMPLATE, height=_PANEL * rows + 60, margin_t=72, legend_y=1 + 0.12 / rows)
    figure.update_xaxes(title_text="epoch", row=rows)
    figure.update_yaxes(rangemode="tozero")
    return on_white(figure, title)


def _traces(one: Measured, *, legend: bool) -> list[go.Scatter]:
    """Return the lines of one panel: each figure's seeds in one faint trace, then their median."""
    epochs = np.arange(1, one.curves.shape[1] + 1)
    gap = np.full((len(one.curves), 1), np.nan)
    traces = []
    for place, (figure, (colour, dash)) in enumerate(zip(FIGURES, _LINES, strict=True)):
        values = one.curves[:, :, place]
        traces.append(
            go.Scatter(
                x=np.tile(np.append(epochs, np.nan), len(values)),
                y=np.hstack([values, gap]).ravel(),
                mode="lines",
                line={"color": colour, "width": 0.8},
                opacity=0.35,
                hoverinfo="skip",
                showlegend=False,
            )
        )
        traces.append(
            go.Scatter(
                x=epochs,
                y=np.median(values, axis=0),
                mode="lines",
                line={"color": colour, "dash": dash, "width": 2},
                name=figure,
                legendgroup=figure,
                showlegend=legend,
                hovertemplate=f"{figure}, median of {len(values)}<br>epoch %{{x}}: %{{y:.4f}}<extra></extra>",
            )
        )
    return traces

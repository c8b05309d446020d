"""Why each trial was stopped: how far behind the median it was, at which epoch."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
import plotly.graph_objects as go

from study.core.metric import Metric
from study.page.style import Drawing, blank, family_style, title_of
from study.tuning.stops import Stop


def draw(stops: Sequence[Stop], metric: Metric) -> tuple[Drawing, ...]:
    """Return the figure of a study of which a trial was stopped, or would have been."""
    told = [stop for stop in stops if stop.follows and np.isfinite(stop.margin)]
    if not told:
        return ()
    epochs = [stop.epochs for stop in told]
    said = (
        f"Half of {len(told)} stopped trials were more than {metric.difference(median(s.margin for s in told))} behind the "
        f"median of the others at the epoch that stopped them, epochs {min(epochs)} to {max(epochs)}. A mark a trial; "
        "hollow ones were reprieved and trained on."
    )
    return (Drawing("stopped", stopped_figure(told, metric), said, "How far behind the median each was"),)


def stopped_figure(stops: Sequence[Stop], metric: Metric) -> go.Figure:
    """Draw each stop's margin against its epoch, in its family's colour and symbol."""
    unit, scale = ("points", 100.0) if metric.share else (metric.name, 1.0)
    figure = blank("epochs trained", f"behind the median, {unit}", height=340)
    for family in dict.fromkeys(stop.trial.family for stop in stops):
        style, own = family_style(family), [stop for stop in stops if stop.trial.family == family]
        spared = [stop.trial.outcome != "pruned" for stop in own]
        hollow = style.symbol if style.symbol.endswith("-open") else f"{style.symbol}-open"
        figure.add_scatter(
            x=[stop.epochs for stop in own],
            y=[scale * stop.margin for stop in own],
            customdata=[
                [stop.trial.number, metric.value(stop.best), metric.value(stop.median), stop.others]
                for stop in own
            ],
            mode="markers",
            marker={
                "color": style.colour,
                "symbol": [hollow if free else style.symbol for free in spared],
                "size": 8,
            },
            name=title_of(family),
            hovertemplate=f"{title_of(family)}, trial %{{customdata[0]}}, after epoch %{{x}}<br>its best "
            "%{customdata[1]}, the median of %{customdata[3]} others %{customdata[2]}<extra></extra>",
            cliponaxis=False,
        )
    return figure.update_yaxes(rangemode="tozero")

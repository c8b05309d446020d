"""Why each trial was stopped: how far behind the median of the others it was at that epoch."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
import plotly.graph_objects as go

from study.core.metric import Metric
from study.page.style import Drawing, blank, family_style, title_of
from study.tuning.stops import Stop

_TICKS = tuple(n * 10.0**k for k in range(-5, 4) for n in (1, 3))


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
    """Draw each stop's margin over the trials, in its family's colour and symbol."""
    unit, scale = ("points", 100.0) if metric.share else (metric.name, 1.0)
    figure = blank("trial", f"behind the median, {unit}", height=340)
    for family in dict.fromkeys(stop.trial.family for stop in stops):
        style, own = family_style(family), [stop for stop in stops if stop.trial.family == family]
        spared = [stop.trial.outcome != "pruned" for stop in own]
        hollow = style.symbol if style.symbol.endswith("-open") else f"{style.symbol}-open"
        figure.add_scatter(
            x=[stop.trial.number for stop in own],
            y=[scale * stop.margin for stop in own],
            customdata=[
                [stop.epochs, metric.value(stop.best), metric.value(stop.median), stop.others] for stop in own
            ],
            mode="markers",
            marker={
                "color": style.colour,
                "symbol": [hollow if free else style.symbol for free in spared],
                "size": 8,
            },
            name=title_of(family),
            hovertemplate=f"{title_of(family)}, trial %{{x}}, after epoch %{{customdata[0]}}<br>its best "
            "%{customdata[1]}, the median of %{customdata[3]} others %{customdata[2]}<extra></extra>",
            cliponaxis=False,
        )
    return figure.update_yaxes(type="log", tickvals=_TICKS, ticktext=[f"{tick:g}" for tick in _TICKS])

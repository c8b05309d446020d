"""What pruning cost each family: the share of its stopped trials that would have ended best, with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from study.page.look.palette import BLUE, INK
from study.page.style import Drawing, Table, blank, error_bars, title_of, words
from study.stats.pruning_cost import Cost


def draw(costs: Sequence[Cost]) -> tuple[Drawing, ...]:
    """Return the figure of the families in which a stopped trial was trained on; none, without one."""
    known = [cost for cost in costs if cost.beat_family.value is not None]
    if not known:
        return ()
    return (
        Drawing(
            "pruning-cost",
            pruning_cost_figure(known),
            f"{known[-1].sentence} A row for each family in which a stopped trial was trained on: the estimated share that "
            "would have ended best of its family, with its 95 % interval.",
            "Stopped, but would have ended best of its family",
            "estimate, 95 % interval",
            Table(
                ("family", "estimate", "from", "to"),
                tuple((words(c.family), *map(_percent, _share(c))) for c in known),
            ),
        ),
    )


def _share(cost: Cost) -> tuple[float, float, float]:
    return cost.beat_family.value or 0.0, cost.beat_family.low, cost.beat_family.high


def _percent(share: float) -> str:
    return f"{share:.0%}"


def pruning_cost_figure(costs: Sequence[Cost]) -> go.Figure:
    """Draw the estimated shares with their intervals, first family on top."""
    figure = blank("share of stopped trials", "", height=72 + 26 * len(costs))
    shares = [cost.beat_family for cost in costs]
    estimates = np.array([share.value for share in shares], dtype=np.float64)
    lows, highs = np.array([share.low for share in shares]), np.array([share.high for share in shares])
    figure.add_scatter(
        x=estimates,
        y=[title_of(cost.family) for cost in costs],
        error_x=error_bars(estimates, lows, highs, INK),
        customdata=np.stack([lows, highs], axis=1),
        mode="markers",
        marker={"color": BLUE, "size": 9},
        hovertemplate="%{y}: %{x:.3g} (%{customdata[0]:.3g} to %{customdata[1]:.3g})<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(range=[-0.02, 1.02], tickformat=".0%")
    return figure.update_yaxes(autorange="reversed")

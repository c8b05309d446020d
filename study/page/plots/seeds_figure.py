"""The finalists' accuracies on each seed, with their typical means."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from study.page.style import ACCENT, BLUE, ORANGE, Floats, blank, error_bars, safe


def seeds_figure(
    scores: Mapping[str, Floats], typical: Mapping[str, tuple[float, float, float]]
) -> go.Figure:
    """Draw each finalist's accuracy on each seed and its typical mean with interval, first on top.

    Args:
        scores: Accuracies by finalist, one a seed; NaN, a diverged run.
        typical: (mean, low, high) by finalist, where there is one.
    """
    figure = blank("test accuracy", "", height=84 + 44 * len(scores))
    low, high = _where_runs_went_well(scores, typical)
    for name, values in scores.items():
        _add_seeds(figure, safe(name), values, low)
    means, lows, highs = np.array([*typical.values()], dtype=np.float64).reshape(-1, 3).T
    figure.add_scatter(
        x=means,
        y=[safe(name) for name in typical],
        error_x=error_bars(means, lows, highs, ACCENT),
        mode="markers",
        marker={"color": ACCENT, "size": 9, "symbol": "diamond"},
        hovertemplate="typical: %{x:.4f}<extra></extra>",
        showlegend=False,
    )
    figure.update_yaxes(
        categoryorder="array", categoryarray=[safe(name) for name in scores], autorange="reversed"
    )
    figure.update_xaxes(tickformat=".3f", range=[low - 0.02 * (high - low), high + 0.05 * (high - low)])
    return figure


def _add_seeds(figure: go.Figure, name: str, values: Floats, low: float) -> None:
    """Add a finalist's runs: dots, and triangles at ``low`` for those below it.

    One run in ten may end ten points low: drawn in place it would press all others into a corner.
    """
    seeds = np.arange(1, len(values) + 1)
    well = values >= low
    told = [f"{value:.4f}" if np.isfinite(value) else "diverged" for value in values.tolist()]
    for chosen, marker in (
        (well, {"color": BLUE, "size": 9, "opacity": 0.45}),
        (~well, {"color": ORANGE, "size": 10, "symbol": "triangle-left", "opacity": 0.8}),
    ):
        if chosen.any():
            figure.add_scatter(
                x=np.where(well, values, low)[chosen],
                y=[name] * int(chosen.sum()),
                text=[f"seed {seeds[i]}: {told[i]}" for i in np.flatnonzero(chosen).tolist()],
                mode="markers",
                marker=marker,
                hovertemplate="%{text}<extra></extra>",
                showlegend=False,
                cliponaxis=False,
            )


def _where_runs_went_well(
    scores: Mapping[str, Floats], typical: Mapping[str, tuple[float, float, float]]
) -> tuple[float, float]:
    """Return the part of the axis from one breadth below the lowest interval to the highest run."""
    every = np.concatenate([*scores.values()])
    known = every[np.isfinite(every)]
    lowest = min([low for _, low, _ in typical.values()], default=float(known.min(initial=1.0)))
    highest = max([*(high for _, _, high in typical.values()), float(known.max(initial=lowest))])
    below = known[known >= lowest - (highest - lowest)]
    return min(lowest, float(below.min(initial=lowest))) - 1e-4, highest

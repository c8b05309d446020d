"""Which parameters explain a family's accuracies: a bar a parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from study.page.style import BLUE, Drawing, blank, slug, title_of, words
from study.tuning.importance import Importance


def draw(importances: Sequence[Importance]) -> tuple[Drawing, ...]:
    """Return a figure of each family with trials enough."""
    return tuple(
        Drawing(
            f"importance-{slug(row.family)}",
            importance_figure(row.shares),
            f"Explained shares of variance in {words(row.family)}",
            words(row.family),
            f"n = {row.trials}",
        )
        for row in importances
        if row.shares is not None
    )


def importance_figure(shares: Mapping[str, float]) -> go.Figure:
    """Draw the share of the accuracy's variance that each parameter explains, largest on top."""
    ordered = sorted(shares.items(), key=lambda item: item[1])
    figure = blank("", "", height=64 + 26 * len(ordered))
    figure.add_bar(
        x=[share for _, share in ordered],
        y=[title_of(name) for name, _ in ordered],
        orientation="h",
        marker={"color": BLUE},
        text=[f"{share:.0%}" for _, share in ordered],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1.15], tickformat=".0%", tickvals=[0, 0.5, 1])
    return figure

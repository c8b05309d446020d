"""Which parameters explain a family's accuracies: a bar a parameter, as shares or, of few trials, as correlations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from study.page.look.palette import BLUE, GREY, INK
from study.page.style import Drawing, Table, blank, safe, slug, words
from study.tuning.importance import Importance, Ranks


def draw(importances: Sequence[Importance]) -> tuple[Drawing, ...]:
    """Return a figure of each family with trials enough for shares."""
    return tuple(
        Drawing(
            f"importance-{slug(row.family)}",
            importance_figure(row.shares),
            _finding(row.family, row.shares),
            words(row.family),
            f"{row.trials} finished trials",
            Table(
                ("parameter", "share"), tuple((name, f"{share:.0%}") for name, share in row.shares.items())
            ),
        )
        for row in importances
        if row.shares is not None
    )


def draw_ranks(importances: Sequence[Importance]) -> tuple[Drawing, ...]:
    """Return a figure of each family with trials enough for ranks only."""
    return tuple(
        Drawing(
            f"ranks-{slug(row.family)}",
            ranks_figure(row.ranks),
            f"{words(row.family)}: {ranks_sentence(row.ranks)}",
            words(row.family),
            f"{row.ranks.trials} ended trials",
            Table(
                ("parameter", "rank correlation"),
                tuple((name, f"{value:+.2f}") for name, value in row.ranks.correlations.items()),
            ),
        )
        for row in importances
        if row.ranks is not None
    )


def ranks_sentence(ranks: Ranks) -> str:
    """Return which parameters stand out of chance, in words."""
    if not ranks.found:
        return f"no parameter stands out of chance in {ranks.trials} trials."
    told = [f"{'more' if ranks.correlations[name] > 0 else 'less'} {name}" for name in ranks.found]
    return f"{' and '.join(told)} was better, beyond chance, in {ranks.trials} trials."


def ranks_figure(ranks: Ranks) -> go.Figure:
    """Draw the rank correlation of score and each parameter; dashed lines: what chance gives in one case of 20."""
    ordered = sorted(ranks.correlations.items(), key=lambda item: abs(item[1]))
    figure = blank("", "", height=64 + 26 * len(ordered))
    figure.add_bar(
        x=[value for _, value in ordered],
        y=[safe(name) for name, _ in ordered],
        orientation="h",
        marker={"color": [BLUE if name in ranks.found else GREY for name, _ in ordered]},
        hovertemplate="%{y}: %{x:+.2f}<extra></extra>",
        showlegend=False,
    )
    for side in (-ranks.clear, ranks.clear):
        figure.add_vline(x=side, line={"color": INK, "width": 1, "dash": "dash"})
    return figure.update_xaxes(range=[-1.05, 1.05], tickvals=[-1, 0, 1])


def _finding(family: str, shares: Mapping[str, float]) -> str:
    most = max(shares, key=lambda name: shares[name])
    return f"{words(family)}: {most} explains {shares[most]:.0%} of the variance; a bar a parameter."


def importance_figure(shares: Mapping[str, float]) -> go.Figure:
    """Draw the share of the accuracy's variance that each parameter explains, largest on top."""
    ordered = sorted(shares.items(), key=lambda item: item[1])
    figure = blank("", "", height=64 + 26 * len(ordered))
    figure.add_bar(
        x=[share for _, share in ordered],
        y=[safe(name) for name, _ in ordered],
        orientation="h",
        marker={"color": BLUE},
        showlegend=False,
        text=[f"{share:.0%}" for _, share in ordered],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1.15], tickformat=".0%", tickvals=[0, 0.5, 1])
    return figure

"""What each finalist loses at multiples of its base rate: figure and description."""

from __future__ import annotations

import plotly.graph_objects as go

from study.page.look.palette import GREY
from study.page.style import blank, family_style, safe
from study.stats.base_rates import BaseRates


def other_rates_figure(rates: BaseRates) -> go.Figure:
    """Draw what is lost against a finalist's own rate, over the multiple, and the point that is judged by."""
    metric = rates.metric
    lost = f"{metric.unit or metric.name} lost".strip()
    figure = blank("multiple of the base rate", lost, height=380)
    form = ".2f" if metric.share else ".4g"
    for name in rates.values:
        style = family_style(name.split(" #")[0])
        figure.add_scatter(
            x=list(rates.multiples),
            y=metric.units * rates.losses(name),
            mode="lines+markers+text",
            # Named at its left end: finalists of one family share a colour, and the page has no key to them.
            text=[safe(name), *[""] * (len(rates.multiples) - 1)],
            textposition="top right",
            cliponaxis=False,
            line={"color": style.colour, "dash": style.dash, "width": 2},
            marker={"color": style.colour, "symbol": style.symbol, "size": 8},
            name=safe(name),
            hovertemplate=f"{safe(name)} x%{{x:g}}: %{{y:{form}}} {lost}<extra></extra>",
        )
    figure.add_hline(y=metric.units * metric.noticeable, line={"color": GREY, "width": 1, "dash": "dash"})
    figure.update_xaxes(
        type="log", tickvals=list(rates.multiples), ticktext=[f"x{m:g}" for m in rates.multiples]
    )
    figure.update_yaxes(autorange="reversed")
    return figure


def description(rates: BaseRates) -> str:
    """Return what the figure shows, for those who cannot see it."""
    return " ".join(rates.sentences) + (
        f" {rates.metric.title('validation')} after {rates.examples:,} training {rates.noun}, {rates.seeds} seeds each."
    )

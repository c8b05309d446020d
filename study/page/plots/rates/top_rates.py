"""The rate curves of the study's best trials, each in its family's colour and dash, over all others in grey."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from study.core.metric import Metric
from study.page.look.palette import GREY
from study.page.plots.learning_curves import joined
from study.page.plots.rate_curves import RateCurve
from study.page.style import Drawing, Table, blank, f4, family_style, title_of, words

#: Trials in colour.
BEST = 12


def draw(curves: Sequence[RateCurve], metric: Metric) -> tuple[Drawing, ...]:
    """Return the figure of a study of which a trial has finished."""
    ranked = sorted((c for c in curves if c.trial.value is not None), key=lambda c: -c.trial.score)[:BEST]
    if not ranked:
        return ()
    families = list(dict.fromkeys(words(curve.trial.family) for curve in ranked))
    peaks = sorted(float(curve.rates.max()) for curve in ranked)
    said = (
        f"The best {len(ranked)} of {len(curves)} trials come from {len(families)} families ({', '.join(families)}); their "
        f"highest rates lie from {peaks[0]:.3g} to {peaks[-1]:.3g}. All others in grey."
    )
    rows = tuple(
        (
            curve.trial.spec.name,
            metric.value(curve.trial.value or 0.0),
            f"{curve.rates.max():.3g}",
            f"{curve.rates[-1]:.3g}",
        )
        for curve in ranked
    )
    table = Table(("trial", "accuracy", "highest rate", "last rate"), rows)
    return (
        Drawing(
            "top-rates",
            top_figure(curves, ranked),
            said,
            f"The best {len(ranked)} over all others",
            table=table,
        ),
    )


def top_figure(curves: Sequence[RateCurve], ranked: Sequence[RateCurve]) -> go.Figure:
    """Draw the ranked curves, the best last and so on top, over all others."""
    figure = blank("epoch", "learning rate", height=400)
    best = {curve.trial.number for curve in ranked}
    rest = [curve.sketched for curve in curves if curve.trial.number not in best]
    lines = joined((c.trial.number, c.times, c.rates) for c in rest)
    if len(lines.x):
        figure.add_scatter(
            x=f4(lines.x),
            y=f4(lines.y),
            mode="lines",
            line={"color": GREY, "width": 0.6},
            hoverinfo="skip",
            showlegend=False,
        )
    for place, curve in reversed(list(enumerate(ranked, 1))):
        style, thin = family_style(curve.trial.family), curve.thinned
        value = curve.trial.metric.value(curve.trial.value or 0.0)
        figure.add_scatter(
            x=f4(thin.times),
            y=f4(thin.rates),
            mode="lines",
            line={"color": style.colour, "dash": style.dash, "width": 3 if place == 1 else 1.8},
            name=f"{place}. {title_of(curve.trial.family)} #{curve.trial.number}",
            hovertemplate=f"{place}. {title_of(curve.trial.family)}, trial {curve.trial.number}: {value}<br>"
            "epoch %{x:.1f}: rate %{y:.3g}<extra></extra>",
        )
    return figure.update_yaxes(rangemode="tozero")

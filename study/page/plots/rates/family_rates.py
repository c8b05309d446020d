"""Learning rates family by family, best family first: its best trial in its colour, the study's best as a ghost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from study.core.metric import Metric
from study.page.look.palette import GREY, INK
from study.page.plots.learning_curves import joined
from study.page.plots.rate_curves import RateCurve
from study.page.style import SMALL, Drawing, blank, f4, family_style, slug, words
from study.stats.leaderboard import Row


def draw(leaderboard: Sequence[Row], curves: Sequence[RateCurve], epochs: int) -> tuple[Drawing, ...]:
    """Return a small figure of each family that has a curve; all have the same axes.

    Args:
        leaderboard: The families, best first.
        curves: Rate curves of the study's trials.
        epochs: Length of a whole trial.
    """
    known = {curve.trial.number: curve for curve in curves}
    highest = max((float(curve.rates.max()) for curve in curves), default=1.0)
    ghost = next((known.get(row.best.number) for row in leaderboard if row.best is not None), None)
    drawn = []
    for place, row in enumerate(leaderboard, 1):
        own = [curve for curve in curves if curve.trial.family == row.family]
        if own:
            best = None if row.best is None else known.get(row.best.number)
            figure = family_figure(row.family, own, best, None if best is ghost else ghost)
            figure.update_xaxes(range=[0, epochs], title_text="")
            figure.update_yaxes(range=[-0.03 * highest, 1.05 * highest], title_text="")
            title = f"{place}. {words(row.family)}"
            drawn.append(
                Drawing(f"rates-{slug(row.family)}", figure, _finding(row, len(own)), title, _aside(row))
            )
    return tuple(drawn)


def family_figure(
    family: str, curves: Sequence[RateCurve], best: RateCurve | None, ghost: RateCurve | None
) -> go.Figure:
    """Draw a family's trials in grey, its best in colour, and the best of another family dotted behind it."""
    figure = blank("epoch", "learning rate", height=SMALL)
    style = family_style(family)
    rest = [curve.sketched for curve in curves if curve is not best]
    lines = joined((c.trial.number, c.times, c.rates) for c in rest)
    if len(lines.x):
        figure.add_scatter(
            x=f4(lines.x),
            y=f4(lines.y),
            customdata=lines.numbers.astype(np.int32),
            mode="lines",
            line={"color": GREY, "width": 0.7},
            hovertemplate="trial %{customdata}<br>epoch %{x:.1f}: rate %{y:.3g}<extra></extra>",
            showlegend=False,
        )
    for curve, line, said in (
        (ghost, {"color": INK, "dash": "dot", "width": 1.2}, "best of all: "),
        (best, {"color": style.colour, "width": 2.6}, ""),
    ):
        if curve is not None:
            thin = curve.thinned
            label = f"{said}{words(curve.trial.family)} #{curve.trial.number}"
            figure.add_scatter(
                x=f4(thin.times),
                y=f4(thin.rates),
                mode="lines",
                line=line,
                hovertemplate=f"{label}<br>epoch %{{x:.1f}}: rate %{{y:.3g}}<extra></extra>",
                showlegend=False,
            )
    return figure


def _metric(row: Row) -> Metric | None:
    return None if row.best is None else row.best.metric


def _aside(row: Row) -> str:
    metric = _metric(row)
    return "none finished" if row.score is None or metric is None else metric.value(row.score)


def _finding(row: Row, trials: int) -> str:
    """Return the figure's finding, for those who cannot see it."""
    if row.best is None or row.score is None:
        return (
            f"None of {trials} trials of {words(row.family)} finished; their learning rates over the epochs."
        )
    rate = row.best.spec.base_rate
    return (
        f"{words(row.family)} reached {row.best.metric.value(row.score)} with base rate {rate:.3g} and a warm-up of "
        f"{row.best.spec.warmup:.3g} epochs; learning rates of its {trials} trials over the epochs, the best in colour."
    )

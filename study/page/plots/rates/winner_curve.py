"""What the winner looks like: its rate over the run in bold, those that it beat in grey."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from study.page.look.palette import ACCENT, GREY, INK
from study.page.plots.rate_curves import RateCurve
from study.page.style import Drawing, Floats, Table, blank, f4, title_of

#: Rivals that are named in the figure; more would overlap.
NAMED = 4
#: Least distance between two names, as a share of the figure's height.
_APART = 0.075
#: Shares of the run at which rates are told as text.
_TOLD = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


def draw(curves: Sequence[RateCurve], leader: int, rivals: Sequence[int]) -> tuple[Drawing, ...]:
    """Return the figure of a leader and its rivals; none where the leader has no curve.

    Args:
        curves: Rate curves of the study's trials.
        leader: Number of the leader's trial.
        rivals: Numbers of the rivals' trials, the closest first.
    """
    known = {curve.trial.number: curve for curve in curves}
    if leader not in known:
        return ()
    best, others = known[leader], [known[n] for n in rivals if n in known and n != leader]
    told = [best, *others]
    rows = [(_name(curve), *(f"{rate:.3g}" for rate in _rates(curve))) for curve in told]
    columns = ("trial", *(f"rate at {share:.0%} of the run" for share in _TOLD))
    return (
        Drawing(
            "winner-curve",
            winner_figure(best, others),
            f"{_finding(best)} {len(others)} rivals in grey.",
            "What it looks like",
            table=Table(columns, tuple(rows)),
        ),
    )


def winner_figure(best: RateCurve, others: Sequence[RateCurve]) -> go.Figure:
    """Draw the leader's rate over the run, bold, over its rivals', grey and named at their ends."""
    figure = blank("epoch", "learning rate", height=330)
    for curve in reversed(others):
        _add(figure, curve, {"color": GREY, "width": 1.2})
    _add(figure, best, {"color": ACCENT, "width": 4})
    named = [best, *others[:NAMED]]
    top = max(float(curve.rates.max()) for curve in (best, *others))
    ends = np.array([float(curve.rates[-1]) for curve in named])
    for curve, y in zip(named, spread(ends, _APART * top).tolist(), strict=True):
        figure.add_annotation(
            x=1,
            xref="paper",
            xanchor="left",
            xshift=6,
            y=y,
            yref="y",
            yanchor="middle",
            text=f"<b>{_title(curve)}</b>" if curve is best else _title(curve),
            showarrow=False,
            font={"size": 11, "color": ACCENT if curve is best else INK},
        )
    figure.update_layout(margin_r=14 + 7 * max(len(_title(curve)) for curve in named))
    return figure.update_yaxes(range=[-0.03 * top, 1.05 * top])


def spread(heights: Floats, least: float) -> Floats:
    """Return heights moved apart upwards until neighbours differ by at least ``least``; of near ones the first is lowest."""
    moved = np.empty_like(heights)
    floor = -np.inf
    for place in np.argsort(np.floor(heights / least), kind="stable").tolist():
        floor = max(float(heights[place]), floor + least)
        moved[place] = floor
    return moved


def _add(figure: go.Figure, curve: RateCurve, line: dict[str, object]) -> None:
    thin = curve.thinned
    figure.add_scatter(
        x=f4(thin.times),
        y=f4(thin.rates),
        mode="lines",
        line=line,
        name=_title(curve),
        hovertemplate=f"{_title(curve)}<br>epoch %{{x:.1f}}: rate %{{y:.3g}}<extra></extra>",
        showlegend=False,
    )


def _rates(curve: RateCurve) -> list[float]:
    """Return the rates at the shares of the run that are told."""
    rates: list[float] = np.interp(
        np.array(_TOLD) * curve.trial.spec.epochs, curve.times, curve.rates
    ).tolist()
    return rates


def _finding(curve: RateCurve) -> str:
    """Return the shape of a curve in words."""
    peak = int(curve.rates.argmax())
    begins = f"begins at {curve.rates[0]:.3g}"
    ends = f"ends at {curve.rates[-1]:.3g} after {curve.times[-1]:g} epochs."
    if np.ptp(curve.rates) <= 1e-9 * curve.rates.max(initial=0.0):
        return f"{_name(curve)} keeps a rate of {curve.rates[0]:.3g} to the end."
    if peak == 0:
        return f"{_name(curve)} {begins} and {ends}"
    return f"{_name(curve)} {begins}, is highest at epoch {curve.times[peak]:.1f} with {curve.rates[peak]:.3g}, and {ends}"


def _name(curve: RateCurve) -> str:
    return curve.trial.spec.name


def _title(curve: RateCurve) -> str:
    return f"{title_of(curve.trial.family)} #{curve.trial.number}"

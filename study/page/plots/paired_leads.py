"""The leader minus each rival on every seed, with the interval that decides: data, figure and description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from study.core.metric import ACCURACY, Metric
from study.page.look.palette import ACCENT, BLUE, GREY, INK, ORANGE
from study.page.style import Floats, blank, safe
from study.stats.verdict_record import Verdict

#: Beside what was shown of it, an interval may stretch the axis this many times; it is cut off beyond.
_STRETCH = 3.0


@dataclass(frozen=True)
class Lead:
    """The leader against one rival, in points for a share, else in the metric's own unit; larger is better.

    Attributes:
        rival: The rival's name.
        seeds: Leader minus rival on each seed that both were trained with; NaN where one diverged.
        lead: The lead in a typical run.
        low: Lower end of the interval that decides, over seeds.
        high: Its upper end.
        both: The interval over seeds and test examples; ``None`` where it is not known.
        dropped: Seeds after which the rival was excluded; ``None`` where it remains.
    """

    rival: str
    seeds: Floats
    lead: float
    low: float
    high: float
    both: tuple[float, float] | None
    dropped: int | None


def paired_leads(verdict: Verdict, scores: Mapping[str, Floats]) -> tuple[Lead, ...]:
    """Return the leader against each rival that it was compared with, the closest first.

    Args:
        verdict: The verdict.
        scores: Test values by finalist, one a seed; NaN where it diverged or was not trained.
    """
    metric = verdict.metric
    scale = metric.units

    def gains(name: str, count: int) -> Floats:
        return scale * metric.gain(1.0) * scores[name][:count]

    dropped = {f.name: f.dropped for f in verdict.finalists}
    runs = {f.name: f.runs for f in verdict.finalists}
    found = [
        Lead(
            d.name,
            gains(verdict.leader, runs[d.name]) - gains(d.name, runs[d.name]),
            scale * d.lead,
            scale * d.low,
            scale * d.high,
            None if d.examples is None else (scale * d.examples.low, scale * d.examples.high),
            dropped[d.name],
        )
        for d in verdict.differences
        if d.lead is not None and d.low is not None and d.high is not None
    ]
    return tuple(sorted(found, key=lambda lead: (lead.dropped is not None, lead.lead)))


def paired_leads_figure(leads: Sequence[Lead], margin: float, metric: Metric = ACCURACY) -> go.Figure:
    """Draw the leads, the closest rival on top.

    Args:
        leads: What ``paired_leads`` returns.
        margin: Difference that does not matter, in the leads' unit.
        metric: What they are leads in.
    """
    title = f"lead in{metric.unit}{' of' if metric.share else ''} {metric.name}"
    figure = blank(title, "", height=110 + 46 * len(leads))
    left, right = _limits(leads, margin, metric)
    names = [_name(lead) for lead in leads]
    for lead, name in zip(leads, names, strict=True):
        if lead.both is not None:
            _add_interval(figure, name, lead.both, GREY, 2, "over seeds and examples", (left, right), metric)
        _add_interval(
            figure, name, (lead.low, lead.high), INK, 6, "over seeds: decides", (left, right), metric
        )
        _add_seeds(figure, name, lead.seeds, (left, right), metric)
    figure.add_scatter(
        x=[lead.lead for lead in leads],
        y=names,
        mode="markers",
        marker={"color": ACCENT, "size": 11, "symbol": "diamond"},
        hovertemplate=f"lead %{{x:{_form(metric)}}}{metric.unit}<extra></extra>",
        showlegend=False,
    )
    figure.add_vline(x=0, line={"color": ACCENT, "width": 2})
    for side in (-margin, margin) if margin else ():
        figure.add_vline(x=side, line={"color": GREY, "width": 1, "dash": "dash"})
    figure.update_yaxes(categoryorder="array", categoryarray=names, autorange="reversed")
    figure.update_xaxes(range=[left, right], zeroline=False)
    return figure


def description(verdict: Verdict, leads: Sequence[Lead]) -> str:
    """Return what the figure shows, for those who cannot see it: its finding first."""
    closest = leads[0] if leads else None
    if closest is None:
        return f"No rival of {verdict.leader} ran well often enough to be compared."
    sure = "lies above zero" if closest.low > 0 else "holds zero"
    metric = verdict.metric
    margin, form = metric.units * verdict.plan.margin, _form(metric)
    within = closest.low > -margin and closest.high < margin
    how = "leads" if closest.lead >= 0 else "is behind"
    return (
        f"{verdict.leader} {how} {closest.rival} by {abs(closest.lead):{form}}{metric.unit} over {len(closest.seeds)} seeds; "
        f"the interval from {closest.low:{form}} to {closest.high:{form}} {sure}"
        + (" and lies within the margin" if within else "")
        + f". One row for each of {len(leads)} rivals: a dot a seed, a diamond for the lead, a thick bar for the "
        f"interval over seeds, a thin one over seeds and {verdict.noun}; lines at no difference and at the margin."
    )


def _name(lead: Lead) -> str:
    left = "" if lead.dropped is None else f"<br><sub>excluded after {lead.dropped} seeds</sub>"
    return f"over {safe(lead.rival)}{left}"


def _add_interval(
    figure: go.Figure,
    name: str,
    interval: tuple[float, float],
    colour: str,
    width: int,
    what: str,
    limits: tuple[float, float],
    metric: Metric,
) -> None:
    """Add an interval as a bar; where it goes on beyond the picture, so does the bar."""
    low, high = interval
    figure.add_scatter(
        x=np.clip([low, high], *limits),
        y=[name, name],
        mode="lines",
        line={"color": colour, "width": width},
        opacity=0.75,
        hovertemplate=f"{what}: {low:{_form(metric)}} to {high:{_form(metric)}}{metric.unit}<extra></extra>",
        showlegend=False,
    )


def _add_seeds(
    figure: go.Figure, name: str, seeds: Floats, limits: tuple[float, float], metric: Metric
) -> None:
    """Add a dot a seed; triangles at the edges for those beyond, such as a bad run."""
    left, right = limits
    known = np.isfinite(seeds)
    inside = known & (seeds >= left) & (seeds <= right)
    for chosen, marker in (
        (inside, {"color": BLUE, "size": 9}),
        (known & (seeds < left), {"color": ORANGE, "size": 10, "symbol": "triangle-left"}),
        (known & (seeds > right), {"color": ORANGE, "size": 10, "symbol": "triangle-right"}),
    ):
        if chosen.any():
            figure.add_scatter(
                x=np.clip(seeds[chosen], left, right),
                y=[name] * int(chosen.sum()),
                text=[f"seed {i + 1}: {seeds[i]:{_form(metric)}}" for i in np.flatnonzero(chosen).tolist()],
                mode="markers",
                marker=marker,
                hovertemplate=f"%{{text}}{metric.unit}<extra></extra>",
                showlegend=False,
                cliponaxis=False,
            )


def _form(metric: Metric) -> str:
    return ".2f" if metric.share else ".4g"


def _limits(leads: Sequence[Lead], margin: float, metric: Metric) -> tuple[float, float]:
    """Return the part of the axis shown: typical seeds and leads, 0, the margin, intervals as far as sensible."""
    least_breadth = 0.1 if metric.share else max(margin, 1e-6 * metric.room)
    centre = [0.0, -1.5 * margin, 1.5 * margin, *(lead.lead for lead in leads)]
    for lead in leads:
        known = lead.seeds[np.isfinite(lead.seeds)]
        if known.size:
            low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
            reach = max(4 * (high - low), least_breadth / 2)
            centre += known[np.abs(known - middle) <= reach].tolist()
    least, most = min(centre), max(centre)
    breadth = max(most - least, least_breadth)
    ends = [end for lead in leads for end in (lead.low, lead.high, *(lead.both or ())) if np.isfinite(end)]
    left = max(min([least, *ends]), least - _STRETCH * breadth)
    right = min(max([most, *ends]), most + _STRETCH * breadth)
    return left - 0.04 * (right - left), right + 0.04 * (right - left)

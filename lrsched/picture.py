"""Pictures of schedules: one, several over each other, or the whole catalogue with plotly; a small SVG without it.

Each figure is made in two steps: the curve as numbers, then the drawing.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lrsched.function import Multiplicative
from lrsched.schedule import REGISTRY, Array, Schedule, kinds_of

#: Longest span of a schedule whose value follows from those of all whole times before.
FOLLOWED = 100_000

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Files that can be written, by their ending.
ENDINGS = (".html", ".png", ".svg")
_COLUMNS = 5
_INK = "#1f5fa8"


def curve(schedule: Schedule, span: float, points: int = 1201) -> tuple[Array, Array]:
    """Return times from 0 to ``span`` and the multiplier at each.

    A schedule that is driven by a metric is followed through epochs whose metric never improves.

    Args:
        schedule: Any schedule.
        span: Last time.
        points: Number of times.

    Raises:
        ValueError: The span is not a positive finite number, or over ``FOLLOWED`` for a schedule that is
            followed from one whole time to the next: one driven by a metric, or a ``Multiplicative``.
    """
    if not 0.0 < span < np.inf:
        raise ValueError(f"span must be a finite number > 0, got span={span:g}")
    if span > FOLLOWED and (schedule.metric_driven or Multiplicative in kinds_of(schedule)):
        raise ValueError(
            f"span must be at most {FOLLOWED:,} for a schedule that is followed from one whole time to the next, "
            f"got span={span:g}"
        )
    times = np.linspace(0.0, span, points)
    if not schedule.metric_driven:
        return times, schedule(times)
    state, values = schedule.initial(), np.empty_like(times)
    for epoch in range(int(span) + 1):
        now = (times >= epoch) & (times < epoch + 1)
        values[now] = schedule.at(times[now], state)
        state = schedule.observe(state, 1.0)
    return times, values


def default_span(schedule: Schedule) -> float:
    """Return a time span that shows the schedule: its duration and a little more, or 30."""
    duration = schedule.duration
    return 1.1 * duration if 0.0 < duration < np.inf else 30.0


def draw(
    schedules: Schedule | Mapping[str, Schedule], span: float | None = None, base_rate: float = 1.0
) -> go.Figure:
    """Return a figure of one schedule, or of several over each other by their labels.

    Args:
        schedules: One schedule, or several by label.
        span: Last time; by default that of the longest.
        base_rate: What the multipliers are multiplied by.

    Raises:
        ValueError: There is no schedule to draw, or the span is not a positive finite number.
    """
    import plotly.graph_objects as go

    several = {repr(schedules): schedules} if isinstance(schedules, Schedule) else dict(schedules)
    if not several:
        raise ValueError("there is no schedule to draw")
    last = max(default_span(s) for s in several.values()) if span is None else span
    figure = go.Figure()
    for label, schedule in several.items():
        times, values = curve(schedule, last)
        figure.add_scatter(x=times, y=base_rate * values, mode="lines", name=label, line_simplify=False)
    title = next(iter(several)) if len(several) == 1 else None
    figure.update_layout(template="plotly_white", title=title, showlegend=len(several) > 1, font={"size": 13})
    figure.update_xaxes(title="time")
    figure.update_yaxes(
        title="learning rate" if base_rate != 1.0 else "share of the base rate", rangemode="tozero"
    )
    return figure


def svg(schedule: Schedule) -> str:
    """Return a small picture of one schedule as SVG, for a page or a notebook; it needs no plotly."""
    width, height, left, top = 320, 120, 28, 22
    span = default_span(schedule)
    times, values = curve(schedule, span, points=width - left)
    highest = max(1.0, float(values.max()))
    x = left + times / span * (width - left - 6)
    y = top + (1.0 - values / highest) * (height - top - 18)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    name = html.escape(repr(schedule))
    foot = height - 18
    label = 'font-size="10" fill="currentColor"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{name}" font-family="sans-serif"><title>{name}</title>'
        f'<text x="{left}" y="12" font-size="11" fill="currentColor">{html.escape(_shortened(repr(schedule)))}</text>'
        f'<path d="M{left} {top}V{foot}H{width - 6}" fill="none" stroke="currentColor" stroke-opacity="0.4"/>'
        f'<text x="{left - 4}" y="{top + 8}" text-anchor="end" {label}>{highest:g}</text>'
        f'<text x="{left - 4}" y="{foot}" text-anchor="end" {label}>0</text>'
        f'<text x="{left}" y="{height - 6}" {label}>0</text>'
        f'<text x="{width - 6}" y="{height - 6}" text-anchor="end" {label}>{span:g}</text>'
        f'<polyline points="{points}" fill="none" stroke="{_INK}" stroke-width="1.8"/></svg>'
    )


def _shortened(text: str, width: int = 52) -> str:
    """Return a text that fits, its end cut off if it must be."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def catalogue() -> go.Figure:
    """Return one sheet with a typical instance of every registered schedule."""
    from plotly.subplots import make_subplots

    examples = [REGISTRY[name].example() for name in catalogue_order()]
    rows = -(-len(examples) // _COLUMNS)
    figure = make_subplots(rows, _COLUMNS, subplot_titles=[s.name for s in examples], vertical_spacing=0.055)
    for i, schedule in enumerate(examples):
        span = 30.0 if schedule.metric_driven else 24.0
        times, values = curve(schedule, span, points=241)
        line = {"color": _INK, "width": 1.6, "simplify": False}
        figure.add_scatter(
            x=times, y=values, mode="lines", line=line, row=i // _COLUMNS + 1, col=i % _COLUMNS + 1
        )
    figure.update_layout(
        template="plotly_white",
        showlegend=False,
        width=1000,
        height=130 * rows + 60,
        margin={"l": 30, "r": 10, "t": 40, "b": 20},
        font={"size": 10},
    )
    figure.update_annotations(font_size=12)
    figure.update_yaxes(range=[-0.05, 1.08], tickvals=[0, 0.5, 1])
    figure.update_xaxes(tickvals=[0, 10, 20])
    return figure


def catalogue_order() -> list[str]:
    """Return all schedules' names, file by file: the textbooks' decays first, compositions last."""
    files = ("steps", "decay", "curves", "presets", "cyclic", "plateau", "compose", "function")
    order = {f"lrsched.{name}": number for number, name in enumerate(files)}
    return sorted(REGISTRY, key=lambda name: order.get(REGISTRY[name].__module__, len(files)))


def write(figure: go.Figure, path: str | Path) -> None:
    """Write a figure as .html (opens without a network), .png or .svg.

    Raises:
        ValueError: The ending is another one.
        OSError: The file cannot be written, or a .png or .svg is asked for and there is no browser to draw it.
    """
    ending = Path(path).suffix
    if ending not in ENDINGS:
        raise ValueError(f"the picture must end in {', '.join(ENDINGS)}, got {Path(path).name!r}")
    if ending == ".html":
        figure.write_html(path, include_plotlyjs=True)
        return
    try:
        figure.write_image(path)
    except RuntimeError as error:
        # Plotly raises a plain RuntimeError for a missing browser; what kaleido raised stands behind it.
        if type(error.__context__).__name__ != "ChromeNotFoundError":
            raise
        raise OSError(
            f"a {ending} needs Chromium or Chrome, and none was found: install one, or ask for .html"
        ) from error

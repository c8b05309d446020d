"""How every figure looks: one template, one style a family, one scale for accuracy; and what a drawing is.

Backgrounds are transparent: the page brings its own, light or dark (see ``look/palette.py``), and ``on_white`` prepares a
figure for a file of its own.
"""

from __future__ import annotations

import html
import json
import math
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

import lrsched
from study.core.metric import ACCURACY, Metric
from study.page.look.palette import COLOUR_BINS, GRID, HOVER, HUES, INK

Floats = NDArray[np.float64]

#: Height of one of a row of small figures, in pixels.
SMALL = 210
#: Name of the trace that holds nothing but the scale of accuracy.
COLOUR_BAR = "colour scale"

# Pixels that a title takes above a figure of its own, and that a legend takes below that.
_HEADROOM, _LEGEND = 48, 32
#: A legend of more names stands beside a figure, not above it, and fills a telephone's screen.
LEGEND_FITS = 4
FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_SYMBOLS = (
    "circle",
    "diamond",
    "square",
    "triangle-up",
    "cross",
    "pentagon",
    "x",
    "star",
    "triangle-down",
    "hexagon",
    "hourglass",
    "bowtie",
)
# Their places are fixed, so that a family keeps its colour whatever a study searched.
_FIXED = (
    "cosine",
    "one_cycle",
    "warmup_stable_decay",
    "constant",
    "polynomial",
    "linear",
    "cosine_restarts",
    "cyclic",
    "multi_step",
    "plateau",
    "square_root",
    "factor",
)


@dataclass(frozen=True)
class Table:
    """What a figure shows as text, for a reader without a script: headings, and rows of as many cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Drawing:
    """One figure on the page.

    Attributes:
        id: Its name in the page and of its file, lower-case words with hyphens.
        figure: The figure.
        description: What it shows, its finding first, for those who cannot see it.
        title: Heading above it, if it has one of its own.
        aside: Said after the heading in small.
        table: Its figures as text, unless a table beside it tells them.
    """

    id: str
    figure: go.Figure
    description: str
    title: str = ""
    aside: str = ""
    table: Table | None = None

    @property
    def on_page(self) -> go.Figure:
        """The figure without the keys to families and accuracies, which the page itself gives."""
        figure = go.Figure(self.figure)
        figure.update_traces(marker_showscale=False, selector={"name": COLOUR_BAR})
        if any(trace.name == COLOUR_BAR for trace in figure.data):
            figure.update_layout(margin_t=12)
        named = any(trace.type == "bar" and trace.showlegend is not False for trace in figure.data)
        return figure.update_layout(showlegend=named)


@dataclass(frozen=True)
class AccuracyScale:
    """Accuracy to colour, in ``COLOUR_BINS`` equal steps from ``low``, the worst, to ``high``, clamped outside.

    Of a metric that is minimised ``low`` is the larger number.
    """

    low: float
    high: float

    def position(self, accuracy: float) -> float:
        """Return where an accuracy lies on the colour scale: 0 is ``low``, 1 is ``high``."""
        return min(1.0, max(0.0, (accuracy - self.low) / (self.high - self.low)))

    def bin(self, accuracy: float) -> int:
        """Return the number of its colour, from 0 (worst) to ``COLOUR_BINS - 1``."""
        return min(COLOUR_BINS - 1, int(self.position(accuracy) * COLOUR_BINS))


def worded(metric: Metric, drawings: Mapping[str, tuple[Drawing, ...]]) -> dict[str, tuple[Drawing, ...]]:
    """Return figures in which the metric stands by its name, wherever they say accuracy."""
    if metric.name == ACCURACY.name:
        return dict(drawings)
    return {section: tuple(_worded(metric, drawing) for drawing in own) for section, own in drawings.items()}


def _worded(metric: Metric, drawing: Drawing) -> Drawing:
    def named(text: str) -> str:
        return text.replace("accuracy", metric.name).replace("Accuracy", metric.name.capitalize())

    figure, table = go.Figure(json.loads(named(drawing.figure.to_json()))), drawing.table
    if table is not None:
        table = replace(table, columns=tuple(map(named, table.columns)))
    return replace(
        drawing,
        figure=figure,
        description=named(drawing.description),
        title=named(drawing.title),
        table=table,
    )


def accuracy_scale(accuracies: Iterable[float | None], metric: Metric = ACCURACY) -> AccuracyScale:
    """Return the scale of the metric's values from the lower decile of the runs that learned something to the best.

    Dead runs may be one in five of a search, and bad ones are always some: if either set the lower end,
    all others would be of one colour. Both are drawn in the lowest colour.
    """
    known = np.array([a for a in accuracies if a is not None and math.isfinite(a)])
    if known.size == 0:
        return AccuracyScale(0.0, 1.0)
    gains = np.array([metric.gain(value) for value in known])
    alive = gains[gains >= metric.gain(metric.failed)]
    low, high = float(np.quantile(alive if alive.size else gains, 0.1)), float(gains.max())
    if high - low <= 1e-9:
        low, high = low - 0.01, high + 0.01
    return AccuracyScale(metric.gain(low), metric.gain(high))


def accuracy_range(accuracies: Iterable[float | None], metric: Metric = ACCURACY) -> tuple[float, float]:
    """Return the part of the metric's axis worth showing: what ``accuracy_scale`` tells apart, and air."""
    scale = accuracy_scale(accuracies, metric)
    air = 0.06 * (scale.high - scale.low)
    low, high = sorted((scale.low - air, scale.high + air))
    return low, high


@dataclass(frozen=True)
class FamilyStyle:
    """How a family's lines and points are drawn, wherever they are."""

    colour: str
    dash: str
    symbol: str


def family_style(family: str) -> FamilyStyle:
    """Return the family's fixed style, unlike that of any other of the catalogue; a stranger's comes from its name.

    Families of one dash differ in hue, and so do those of one symbol.
    """
    known = _places()
    place = known[family] if family in known else zlib.crc32(family.encode())
    turn, hue = divmod(place % (len(HUES) * len(_DASHES)), len(HUES))
    symbol = _SYMBOLS[(hue + turn // 2) % len(HUES) + len(HUES) * (turn % 2)]
    return FamilyStyle(HUES[hue], _DASHES[turn], symbol)


@cache
def _places() -> dict[str, int]:
    """Return each family's place: the classic ones first, then the catalogue's others by name."""
    others = sorted(name for name in lrsched.REGISTRY if name not in _FIXED)
    return {name: place for place, name in enumerate([*_FIXED, *others])}


def words(name: str) -> str:
    """Return the name of a family as people write it; parameters keep theirs, for they are what code says."""
    return name.replace("_", " ")


def slug(text: str) -> str:
    """Return text as lower-case words with hyphens, fit for an id and a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"


def safe(text: str) -> str:
    """Return text that plotly shows as it stands, markup and all."""
    return html.escape(text, quote=False)


def title_of(family: str) -> str:
    """Return a family's name as people write it, safe to draw."""
    return safe(words(family))


def _axis() -> dict[str, object]:
    return {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "ticks": "",
        "automargin": True,
        "title": {"standoff": 8, "font": {"size": 12}},
        "fixedrange": False,
    }


TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": INK},
        "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
        "xaxis": _axis(),
        "yaxis": _axis(),
        "hovermode": "closest",
        "hoverlabel": {
            "font": {"family": FONT, "size": 12, "color": INK},
            "bgcolor": HOVER,
            "bordercolor": GRID,
            "align": "left",
        },
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "font": {"size": 11}},
        "colorway": list(HUES),
    }
)


def blank(x: str, y: str, *, height: int = 380) -> go.Figure:
    """Return an empty figure in our style with its axes named."""
    figure = go.Figure()
    figure.update_layout(template=TEMPLATE, height=height, dragmode=False)
    figure.update_xaxes(title_text=x)
    figure.update_yaxes(title_text=y)
    return figure


def on_white(figure: go.Figure, title: str) -> go.Figure:
    """Return a copy that stands alone: white behind it, dark text, a title above."""
    alone = go.Figure(figure)
    named = sum(trace.showlegend is not False for trace in alone.data)
    own = alone.layout.margin
    above = max(own.t or 0, _LEGEND if 0 < named <= LEGEND_FITS else 0)
    top = _HEADROOM + above
    alone.update_layout(
        height=_HEADROOM + above - (own.t or 0) + alone.layout.height,
        paper_bgcolor="white",
        plot_bgcolor="white",
        font_color="#2b2f36",
        margin={"l": 24, "r": max(own.r or 0, 24), "b": 24, "t": top},
    )
    # Plotly pushes a layout's title out of the picture where a horizontal scale has a title of its own.
    alone.add_annotation(
        text=safe(title),
        font_size=16,
        showarrow=False,
        x=0,
        xref="paper",
        xanchor="left",
        y=1,
        yref="paper",
        yanchor="bottom",
        yshift=top - _HEADROOM + 14,
    )
    if named > LEGEND_FITS:
        alone.update_layout(legend={"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top"})
    return alone


def error_bars(centres: Floats, lows: Floats, highs: Floats, colour: str) -> dict[str, object]:
    """Return intervals around points as plotly takes them."""
    return {
        "type": "data",
        "symmetric": False,
        "array": highs - centres,
        "arrayminus": centres - lows,
        "color": colour,
        "thickness": 1.5,
        "width": 5,
    }


def f4(values: Floats) -> NDArray[np.float32]:
    """Half the bytes on the page; seven digits are more than a screen shows."""
    return values.astype(np.float32)

"""How every figure looks: one template, one colour a family, one scale for accuracy.

Backgrounds are transparent and the inks are of middle lightness, so that a figure reads on a light
and on a dark page; ``on_white`` prepares one for a file of its own.
"""

from __future__ import annotations

import html
import zlib
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from study.page.figures_data import COLOUR_BINS

#: Text and axes, what was not trained to the end, and what shall stand out.
INK, GREY, ACCENT = "#7b8087", "#9aa0a8", "#d1495b"
# Pixels that a title takes above a figure of its own.
_HEADROOM = 48
#: A legend of more names stands beside a figure, not above it, and fills a telephone's screen.
LEGEND_FITS = 4
#: Two plain colours, for what is no family.
BLUE, ORANGE = "#3b82c4", "#e08a1e"
GRID = "rgba(128, 134, 142, 0.22)"
FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"

#: Accuracy from worst to best: plasma without its ends, which vanish on a black or on a white page.
ACCURACY_COLOURS: tuple[str, ...] = tuple(
    sample_colorscale("Plasma", list(np.linspace(0.06, 0.8, COLOUR_BINS)), colortype="rgb")
)

# Eight hues of like lightness, told apart under the common colour deficiencies by lightness or dash.
_HUES = ("#3b82c4", "#e08a1e", "#2a9d6f", "#d4553b", "#8e63c7", "#23a6b8", "#d065a6", "#8f9a2b")
_DASHES = ("solid", "dash", "dot")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "triangle-down", "pentagon")
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
class FamilyStyle:
    """How a family's lines and points are drawn, wherever they are."""

    colour: str
    dash: str
    symbol: str


def family_style(family: str) -> FamilyStyle:
    """Return the family's fixed style; one unknown here gets one from its name."""
    place = _FIXED.index(family) if family in _FIXED else len(_FIXED) + zlib.crc32(family.encode())
    hue, turn = place % len(_HUES), place // len(_HUES)
    return FamilyStyle(_HUES[hue], _DASHES[turn % len(_DASHES)], _SYMBOLS[(hue + turn) % len(_SYMBOLS)])


def safe(text: str) -> str:
    """Return text that plotly shows as it stands, markup and all."""
    return html.escape(text, quote=False)


def title_of(family: str) -> str:
    """Return a family's name as people write it, safe to draw."""
    return safe(family.replace("_", " "))


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
        "hoverlabel": {"font": {"family": FONT, "size": 12}, "align": "left"},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "font": {"size": 11}},
        "colorway": list(_HUES),
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
    top = _HEADROOM + (alone.layout.margin.t or 0)
    alone.update_layout(
        height=_HEADROOM + alone.layout.height,
        paper_bgcolor="white",
        plot_bgcolor="white",
        font_color="#2b2f36",
        margin={"l": 24, "r": 24, "b": 24, "t": top},
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
    if sum(trace.showlegend is not False for trace in alone.data) > LEGEND_FITS:
        alone.update_layout(legend={"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top"})
    return alone

"""Every colour of the page, for a light and for a dark one, chosen by measurement.

Figures are drawn in the colours for a light page; where the reader's screen is dark the page's script replaces each by its
``DARK`` twin. What is measured, in ``tests/study/page/test_palette.py``: text has a contrast of 4.5 to its page and a mark 3
(WCAG 2.2); two families of one dash, and two of one symbol, differ by ``APART`` CIEDE2000 as seen with all three cones and
without any one of them; the scale of accuracy rises in contrast, so that the best stands out on either page.
"""

from __future__ import annotations

import numpy as np
from plotly.colors import sample_colorscale

#: Smallest difference between two families that share a dash or a symbol, in CIEDE2000 under any vision.
APART = 18.0
#: Number of colours between the worst and the best accuracy drawn.
COLOUR_BINS = 10

#: What figures lie on, and what is said when a point is pointed at.
PAPER, HOVER = "#ffffff", "#fffffe"
#: Text and strong marks; what is shown for comparison only; what shall stand out; and a band around that.
INK, GREY, ACCENT, BAND = "#4d5560", "#8b929a", "#b3304a", "rgba(179, 48, 74, 0.14)"
#: Lines that help to read a value and are no marks.
GRID = "#e4e7eb"
#: Two plain colours, for what is no family.
BLUE, ORANGE = "#2f74b8", "#b86a00"
#: Colours of families, a line of which may share a dash.
HUES = ("#004e9d", "#b18900", "#009d89", "#c4144e", "#9d76ff", "#622700")
#: Accuracy from worst to best.
ACCURACY_COLOURS: tuple[str, ...] = tuple(
    sample_colorscale("Plasma", list(np.linspace(0.62, 0.0, COLOUR_BINS)), colortype="rgb")
)

#: The twin on a dark page of each colour that figures are drawn with.
DARK: dict[str, str] = {
    PAPER: "#14171b",
    HOVER: "#1d2127",
    INK: "#aab2bd",
    GREY: "#69717a",
    ACCENT: "#ff8fa0",
    BAND: "rgba(255, 143, 160, 0.18)",
    GRID: "#2a3037",
    BLUE: "#6db0f0",
    ORANGE: "#f0a94a",
    **dict(zip(HUES, ("#0076d8", "#897600", "#89ebd8", "#eb6289", "#c4b1ff", "#ffc476"), strict=True)),
    **dict(
        zip(
            ACCURACY_COLOURS,
            sample_colorscale("Plasma", list(np.linspace(0.42, 1.0, COLOUR_BINS)), colortype="rgb"),
            strict=True,
        )
    ),
}

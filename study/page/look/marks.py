"""Small marks in HTML itself: a family's line and dot, and a curve beside its name. They need no script, and print."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from study.core.thinning import thin_within

Floats = NDArray[np.float64]

#: Plotly's dashes as SVG's.
DASHES = {
    "solid": "none",
    "dash": "6 3",
    "dot": "2 2",
    "dashdot": "7 2 2 2",
    "longdash": "10 3",
    "longdashdot": "10 2 2 2",
}
#: Plotly's markers as SVG paths in a box of 12 around the origin.
SYMBOLS = {
    "circle": "M5 0A5 5 0 1 1-5 0A5 5 0 1 1 5 0Z",
    "square": "M5 5H-5V-5H5Z",
    "diamond": "M6 0L0 6L-6 0L0-6Z",
    "cross": "M6 2H2V6H-2V2H-6V-2H-2V-6H2V-2H6Z",
    "triangle-up": "M-6 4H6L0-6Z",
    "triangle-down": "M-6-4H6L0 6Z",
    "x": "M0 3L3 6L6 3L3 0L6-3L3-6L0-3L-3-6L-6-3L-3 0L-6 3L-3 6Z",
    "star": "M0-6L1.5-2.1L5.7-1.9L2.4.8L3.5 4.9L0 2.6L-3.5 4.9L-2.4.8L-5.7-1.9L-1.5-2.1Z",
    "pentagon": "M0-6L5.7-1.9L3.5 4.9H-3.5L-5.7-1.9Z",
    "hexagon": "M5.2-3V3L0 6L-5.2 3V-3L0-6Z",
    "hourglass": "M5 5H-5L5-5H-5Z",
    "bowtie": "M5 5V-5L-5 5V-5Z",
}
#: Size of a sparkline, in pixels.
WIDTH, HEIGHT = 96, 22


def sparkline(times: Floats, values: Floats, until: float) -> str:
    """Return a curve as the points of an SVG polyline in a box of ``WIDTH`` by ``HEIGHT``, zero at its foot.

    Args:
        times: Times, not descending, shape [points].
        values: Values there, at least 0, likewise.
        until: Time at the right edge.
    """
    if not len(times):
        return ""
    highest = float(values.max()) or 1.0
    kept = thin_within(times, values, 0.01 * highest)
    x = 1 + (WIDTH - 2) * times[kept] / until
    y = HEIGHT - 2 - (HEIGHT - 4) * values[kept] / highest
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))

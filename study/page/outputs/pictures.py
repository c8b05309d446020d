"""Figures as pictures of their own, drawn by a browser that stands by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import plotly.graph_objects as go
import plotly.io
from plotly.subplots import make_subplots

from study.core.errors import InputError
from study.page.gather import Page
from study.page.style import TEMPLATE, on_white, safe

#: Rows of small figures that are one picture together, with its title.
SHEETS = {
    "rates_by_family": "Learning rates by family, the best family first",
    "base_rate": "{metric} against base rate by family",
}


def pictures(page: Page) -> dict[str, go.Figure]:
    """Return a page's figures as they stand alone, by the name of their file, a row of small ones as one."""
    figures = {}
    for key, drawings in page.drawings.items():
        if key in SHEETS and drawings:
            sheet = grid({drawing.title: drawing.figure for drawing in drawings})
            metric = page.results.record.config.metric.name.capitalize()
            figures[key.replace("_", "-")] = on_white(sheet, SHEETS[key].format(metric=metric))
        else:
            figures |= {d.id: on_white(d.figure, d.title) for d in drawings}
    return figures


def grid(figures: Mapping[str, go.Figure], columns: int = 4) -> go.Figure:
    """Return small figures of one pair of axes each as one sheet, titled by their names."""
    rows = -(-len(figures) // columns)
    sheet = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[safe(name) for name in figures],
        horizontal_spacing=0.06,
        vertical_spacing=0.3 / max(rows, 2),
    )
    for place, figure in enumerate(figures.values()):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        for trace in figure.data:
            sheet.add_trace(trace, **at)
        sheet.update_xaxes(figure.layout.xaxis, **at)
        sheet.update_yaxes(figure.layout.yaxis, **at)
    return sheet.update_layout(template=TEMPLATE, height=80 + 240 * rows, margin_t=48)


def write_pictures(figures: Mapping[Path, go.Figure], *, named: str, width: int = 960) -> None:
    """Write figures into files, in the format that each file's ending names.

    Args:
        figures: The figures by file, at least one; missing folders are made.
        named: What an error calls the argument that asked for them, such as `` `figures` ``.
        width: Pixels; heights are the figures' own. Formats of pixels get two a point.

    Raises:
        InputError: A file cannot be written, or there is no browser to draw with.
    """
    try:
        for folder in {path.parent for path in figures}:
            folder.mkdir(parents=True, exist_ok=True)
        plotly.io.write_images(
            list(figures.values()),
            list(figures),
            width=[width] * len(figures),
            height=[figure.layout.height for figure in figures.values()],
            scale=2,
        )
    except OSError as error:
        raise InputError(f"{named} {error.filename!r} cannot be written: {error.strerror or error}") from None
    except RuntimeError as error:
        # Plotly's own error for it is a plain RuntimeError; what kaleido raised stands behind it.
        if type(error.__context__).__name__ != "ChromeNotFoundError":
            raise
        raise InputError(
            f"{named}: a picture needs Chromium or Chrome, and none was found: install one, or name it in BROWSER_PATH"
        ) from None

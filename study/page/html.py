"""A study's page as HTML: the template filled in."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from study.page.family_table import family_table
from study.page.gather import Page
from study.page.style import ACCENT, ACCURACY_COLOURS, family_style, words
from study.page.text import facts, notices, pruning_sentences
from study.tuning.importance import FEWEST_TRIALS

# Plotly's markers as SVG paths in a box of 12 around the origin, for the key beside a figure.
_SYMBOLS = {
    "circle": "M5 0A5 5 0 1 1-5 0A5 5 0 1 1 5 0Z",
    "diamond": "M6 0L0 6L-6 0L0-6Z",
    "square": "M5 5H-5V-5H5Z",
    "triangle-up": "M-6 4H6L0-6Z",
    "triangle-down": "M-6-4H6L0 6Z",
    "cross": "M6 2H2V6H-2V2H-6V-2H-2V-6H2V-2H6Z",
    "x": "M0 3L3 6L6 3L3 0L6-3L3-6L0-3L-3-6L-6-3L-3 0L-6 3L-3 6Z",
    "pentagon": "M0-6L5.7-1.9L3.5 4.9H-3.5L-5.7-1.9Z",
}


def render(page: Page) -> str:
    """Return the page as one HTML file; everything is escaped but our own scripts and JSON."""
    environment = Environment(
        loader=PackageLoader("study.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"words": words}
    record = page.results.record
    columns, rows = family_table(page.results, page.confirmed)
    return environment.get_template("report.html.jinja").render(
        page=page,
        metric=page.results.record.config.metric,
        record=record,
        facts=facts(record),
        notices=notices(record),
        columns=columns,
        rows=rows if record.trials else (),
        pruning=pruning_sentences(page.results.costs),
        too_few=[row for row in page.importances if row.shares is None],
        fewest=FEWEST_TRIALS,
        json_of=to_json_plotly,
        style_of=family_style,
        dashes={"solid": "none", "dash": "6 3", "dot": "2 3"},
        symbols=_SYMBOLS,
        colours=ACCURACY_COLOURS,
        accent=ACCENT,
        plotly_js=get_plotlyjs(),
    )

"""A study's page as HTML: the template filled in."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from study.page.family_table import family_table
from study.page.gather import Page
from study.page.look import marks
from study.page.look.palette import ACCENT, ACCURACY_COLOURS, DARK
from study.page.plots.importance_bars import ranks_sentence
from study.page.plots.rate_curves import rate_curve
from study.page.style import family_style, words
from study.page.text import facts, notices, pruning_sentences
from study.terminal.cells import cell
from study.tuning.importance import FEWEST_RANKED, FEWEST_TRIALS


def render(page: Page) -> str:
    """Return the page as one HTML file; everything is escaped but our own scripts and JSON."""
    environment = Environment(
        loader=PackageLoader("study.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"words": words, "cell": cell}
    record, confirmed = page.results.record, page.confirmation
    columns, rows = family_table(page.results, None if confirmed is None else confirmed.by_family())
    return environment.get_template("report.html.jinja").render(
        page=page,
        metric=record.config.metric,
        record=record,
        facts=facts(record),
        notices=notices(record, None if confirmed is None else confirmed.trained),
        columns=columns,
        rows=rows if record.trials else (),
        sparklines=_sparklines(page),
        pruning=pruning_sentences(page.results.costs),
        too_few=[row for row in page.importances if row.shares is None and row.ranks is None],
        ranks_sentence=ranks_sentence,
        fewest=FEWEST_TRIALS,
        fewest_ranked=FEWEST_RANKED,
        json_of=to_json_plotly,
        style_of=family_style,
        dark=DARK,
        marks=marks,
        colours=ACCURACY_COLOURS,
        accent=ACCENT,
        plotly_js=get_plotlyjs(),
    )


def _sparklines(page: Page) -> dict[str, str]:
    """Return the rate curve of each family's best trial, small, by family."""
    epochs = page.results.record.config.epochs
    best = [row.best for row in page.results.leaderboard if row.best is not None]
    curves = [(trial.family, rate_curve(trial)) for trial in best]
    return {family: marks.sparkline(curve.times, curve.rates, epochs) for family, curve in curves}

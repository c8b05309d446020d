"""What stands on the report's page: figures, tables and sentences, before any markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go

from study.core.records import ENDED, StudyRecord
from study.page.figures import COLOUR_BAR, learning_figure, rate_curves
from study.page.figures_data import (
    AccuracyScale,
    Floats,
    Quantity,
    RateCurve,
    accuracy_range,
    accuracy_scale,
    by_base_rate,
    by_warm_up,
    epochs_spent,
    learning_curves,
)
from study.page.figures_families import (
    SMALL,
    base_rate_figure,
    epochs_figure,
    importance_figure,
    warm_up_figure,
)
from study.page.figures_statistics import expected_best_figure, intervals_figure
from study.stats.expected_best import expected_best
from study.stats.leaderboard import Row
from study.stats.pruning_cost import ALL, Cost


@dataclass(frozen=True)
class Drawing:
    """One figure on the page.

    Attributes:
        id: Its name in the page and of its file, lower-case words with hyphens.
        figure: The figure.
        description: What it shows, for those who cannot see it.
        title: Heading above it, if it has one of its own.
        aside: Said after the heading in small.
    """

    id: str
    figure: go.Figure
    description: str
    title: str = ""
    aside: str = ""

    @property
    def on_page(self) -> go.Figure:
        """The figure without the keys to families and accuracies, which the page itself gives."""
        figure = go.Figure(self.figure)
        figure.update_traces(marker_showscale=False, selector={"name": COLOUR_BAR})
        if any(trace.name == COLOUR_BAR for trace in figure.data):
            figure.update_layout(margin_t=12)
        return figure.update_layout(showlegend=any(trace.type == "bar" for trace in figure.data))


@dataclass(frozen=True)
class VerdictText:
    """The verdict as it is read.

    Attributes:
        kind: ``winner``, ``tie`` or ``open``.
        headline: The verdict in one line.
        sentences: What it rests on.
        command: What to run next, if anything.
        columns: Headings of the finalists' table.
        rows: Its rows, the leader first.
        legend: How to read the table and the figure.
    """

    kind: str
    headline: str
    sentences: tuple[str, ...] = ()
    command: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    legend: str = ""


@dataclass(frozen=True)
class Code:
    """Code to paste, under its title, with a note on what it is for."""

    title: str
    note: str
    text: str


@dataclass(frozen=True)
class Page:
    """All that the template shows; see ``report.html.jinja``."""

    name: str
    facts: tuple[str, ...]
    notices: tuple[str, ...]
    verdict: VerdictText
    families: tuple[str, ...]
    rows: tuple[Row, ...]
    confirmed: Mapping[str, float]
    edges: Mapping[str, Sequence[str]]
    scale: AccuracyScale
    drawings: Mapping[str, Sequence[Drawing]]
    fewest: int
    too_few: tuple[tuple[str, int], ...]
    pruning: tuple[str, ...]
    code: Code | None
    commands: str
    provenance: Mapping[str, Mapping[str, str]]
    written: str


@dataclass(frozen=True)
class Explained:
    """Explained shares of one family: its name, its finished trials, and the shares if they are enough."""

    family: str
    trials: int
    shares: Mapping[str, float] | None


@dataclass(frozen=True)
class Parts:
    """What others computed for the page.

    Attributes:
        curves: Rate curves of the trials.
        explained: Explained shares, over all families first.
        costs: What pruning cost, by family, all of them last.
        expected_best: By name, (trials, expected, low, high).
        verdict_drawings: Figures of the confirmation.
    """

    curves: Sequence[RateCurve] = ()
    explained: Sequence[Explained] = ()
    costs: Sequence[Cost] = ()
    expected_best: Mapping[str, tuple[Floats, Floats, Floats, Floats]] = field(default_factory=dict)
    verdict_drawings: Sequence[Drawing] = ()


def drawings(record: StudyRecord, parts: Parts) -> dict[str, tuple[Drawing, ...]]:
    """Return the page's figures by section; a section with nothing to draw is empty."""
    scale = accuracy_scale(t.value for t in record.trials)
    return {
        "verdict": tuple(parts.verdict_drawings),
        "rates": _rates(parts.curves, scale),
        "rates_by_family": _rates_by_family(record, parts.curves, scale),
        "learning": _learning(record),
        "base_rate": _base_rate(record),
        "warm_up": _warm_up(record),
        "importance": _importance(parts.explained),
        "expected_best": _expected_best(record, parts),
        "pruning": _pruning(record, parts.costs),
    }


def expected_best_by_family(record: StudyRecord) -> dict[str, tuple[Floats, Floats, Floats, Floats]]:
    """Return (trials, expected, low, high) over all families, then of each with two finished trials or more."""
    groups = {ALL: record.ended} | {
        family: tuple(t for t in trials if t.outcome in ENDED) for family, trials in record.by_family.items()
    }
    curves = {}
    for name, trials in groups.items():
        scores = [t.value for t in trials]
        if sum(score is not None for score in scores) >= 2:
            best = expected_best(scores)
            curves[name] = (best.trials.astype(np.float64), best.expected, best.low, best.high)
    return curves


def slug(text: str) -> str:
    """Return text as lower-case words with hyphens, fit for an id and a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"


def _words(family: str) -> str:
    return family.replace("_", " ")


def _rates(curves: Sequence[RateCurve], scale: AccuracyScale) -> tuple[Drawing, ...]:
    if not curves:
        return ()
    return (
        Drawing(
            "rates",
            rate_curves(curves, scale),
            f"Learning rates of {len(curves)} trials over the epochs",
        ),
    )


def _rates_by_family(
    record: StudyRecord, curves: Sequence[RateCurve], scale: AccuracyScale
) -> tuple[Drawing, ...]:
    drawn = []
    for family in record.families:
        own = [curve for curve in curves if curve.family == family]
        if own:
            figure = rate_curves(own, scale, colour_bar=False, height=SMALL)
            figure.update_xaxes(range=[0, record.config.epochs], title_text="")
            figure.update_yaxes(title_text="")
            description = f"Learning rates of {len(own)} trials of {_words(family)} over the epochs"
            drawn.append(Drawing(f"rates-{slug(family)}", figure, description, _words(family)))
    return tuple(drawn)


def _learning(record: StudyRecord) -> tuple[Drawing, ...]:
    titles: dict[str, tuple[Quantity, str]] = {
        "accuracy": ("val_accuracy", "Validation accuracy"),
        "validation-loss": ("val_loss", "Validation loss"),
        "training-loss": ("train_loss", "Training loss"),
    }
    return tuple(
        Drawing(id_, learning_figure(record, quantity), f"{title} after each epoch of each trial", title)
        for id_, (quantity, title) in titles.items()
        if np.isfinite(learning_curves(record.trials, quantity).y).any()
    )


def _base_rate(record: StudyRecord) -> tuple[Drawing, ...]:
    clouds = {family: by_base_rate(trials) for family, trials in record.by_family.items()}
    clouds = {family: cloud for family, cloud in clouds.items() if cloud.x.size}
    if not clouds:
        return ()
    rates = (min(c.x.min() for c in clouds.values()), max(c.x.max() for c in clouds.values()))
    accuracies = accuracy_range(_finals_or_last(record))
    return tuple(
        Drawing(
            f"base-rate-{slug(family)}",
            base_rate_figure(family, cloud, rates, accuracies),
            f"Accuracy against base rate of {len(cloud.x)} trials of {_words(family)}",
            _words(family),
        )
        for family, cloud in clouds.items()
    )


def _finals_or_last(record: StudyRecord) -> Iterable[float | None]:
    finals = [t.value for t in record.trials if t.value is not None]
    return finals or [t.last_accuracy for t in record.trials]


def _warm_up(record: StudyRecord) -> tuple[Drawing, ...]:
    clouds = {family: by_warm_up(trials) for family, trials in record.by_family.items()}
    if not any(cloud.finished.any() for cloud in clouds.values()):
        return ()
    return (
        Drawing("warm-up", warm_up_figure(clouds), "Final accuracy against warm-up length, all families"),
    )


def _importance(explained: Sequence[Explained]) -> tuple[Drawing, ...]:
    return tuple(
        Drawing(
            f"importance-{slug(row.family)}",
            importance_figure({_words(name): share for name, share in row.shares.items()}),
            f"Explained shares of variance in {_words(row.family)}",
            _words(row.family),
            f"n = {row.trials}",
        )
        for row in explained
        if row.shares is not None
    )


def _expected_best(record: StudyRecord, parts: Parts) -> tuple[Drawing, ...]:
    if not parts.expected_best:
        return ()
    # Few trials, each dead by chance, are expected to give little: in full this presses all else into a line.
    figure = expected_best_figure(parts.expected_best, accuracy_range(t.value for t in record.trials))
    return (Drawing("expected-best", figure, "Expected best accuracy against the number of trials"),)


def _pruning(record: StudyRecord, costs: Sequence[Cost]) -> tuple[Drawing, ...]:
    spent = epochs_spent(record)
    if not any(row.finished or row.stopped for row in spent):
        return ()
    drawn = [
        Drawing(
            "epochs", epochs_figure(spent), "Epochs trained and saved in each family", "Where the epochs went"
        )
    ]
    known = [
        (_words(c.family), c.beat_family.value, c.beat_family.low, c.beat_family.high)
        for c in costs
        if c.beat_family.value is not None
    ]
    if known:
        figure = intervals_figure(known, "share of stopped trials", limits=(-0.02, 1.02))
        figure.update_xaxes(tickformat=".0%")
        drawn.append(
            Drawing(
                "pruning-cost",
                figure,
                "Estimated share of stopped trials that would have ended best of their family",
                "Stopped, but would have ended best of its family",
                "estimate, 95 % interval",
            )
        )
    return tuple(drawn)

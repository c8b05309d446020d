"""The best score so far: over trials, and over the minutes that the search took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from study.core.busy_time import BusyTime
from study.core.records import StudyRecord, TrialRecord
from study.page.look.palette import ACCENT
from study.page.style import Drawing, Floats, Table, accuracy_range, blank, family_style, title_of
from study.stats.pruning_cost import ALL


@dataclass(frozen=True)
class Progress:
    """The best of some trials, in the order in which they ended: a point where it changed, and the last; shape [points] each.

    Attributes:
        ended: How many of them had ended.
        minutes: Minutes that the study had trained by then, pauses left out.
        best: The best value so far.
        number: The trial that holds it.
    """

    ended: Floats
    minutes: Floats
    best: Floats
    number: tuple[int, ...]


def progress(trials: Sequence[TrialRecord], busy: BusyTime) -> Progress:
    """Return how the best of these trials grew."""
    rows: list[tuple[int, float, float, int]] = []
    best: TrialRecord | None = None
    timed = sorted((t for t in trials if t.ended is not None), key=lambda t: (t.ended, t.number))
    for count, trial in enumerate(timed, 1):
        if trial.value is not None and (best is None or trial.score > best.score):
            best = trial
        if best is not None and best.value is not None and trial.ended is not None:
            rows.append((count, busy.until(trial.ended) / 60, best.value, best.number))
    steps = [i for i, row in enumerate(rows) if i in {0, len(rows) - 1} or row[3] != rows[i - 1][3]]
    columns = zip(*(rows[i] for i in steps), strict=True) if rows else ((), (), (), ())
    ended, minutes, values, numbers = (tuple(column) for column in columns)
    return Progress(
        np.array(ended, dtype=np.float64), np.array(minutes), np.array(values), tuple(int(n) for n in numbers)
    )


def draw(record: StudyRecord) -> tuple[Drawing, ...]:
    """Return the figures of a study of which a trial has finished."""
    busy = BusyTime.of(record.ended)
    groups = {ALL: record.ended, **record.by_family}
    found = {
        name: progress([t for t in trials if t in record.ended], busy) for name, trials in groups.items()
    }
    known = {name: own for name, own in found.items() if own.best.size}
    if not known:
        return ()
    limits = accuracy_range((t.value for t in record.trials), record.config.metric)
    every, metric = known[ALL], record.config.metric
    last = next(i for i, number in enumerate(every.number) if number == every.number[-1])
    said = (
        f"The best so far, {metric.value(every.best[-1])} of trial {every.number[-1]}, was found after "
        f"{every.ended[last]:.0f} of {every.ended[-1]:.0f} ended trials and {every.minutes[last]:.1f} of "
        f"{every.minutes[-1]:.1f} minutes. One line for all, one a family."
    )
    steps = [i for i, n in enumerate(every.number) if i == 0 or n != every.number[i - 1]]
    table = Table(
        ("trials ended", "minutes", "best accuracy so far", "trial"),
        tuple(
            (
                f"{every.ended[i]:.0f}",
                f"{every.minutes[i]:.1f}",
                metric.value(every.best[i]),
                f"#{every.number[i]}",
            )
            for i in steps
        ),
    )
    return (
        Drawing(
            "best-over-trials",
            best_figure(known, "ended", limits),
            said,
            "Best so far over trials",
            table=table,
        ),
        Drawing("best-over-minutes", best_figure(known, "minutes", limits), said, "Best so far over minutes"),
    )


def best_figure(
    known: Mapping[str, Progress], over: str, limits: tuple[float, float] | None = None
) -> go.Figure:
    """Draw the best so far over ``ended`` trials or ``minutes``; the first of the mapping stands out."""
    titles = {"ended": "trials ended", "minutes": "minutes of search"}
    figure = blank(titles[over], "best accuracy so far", height=340)
    for place, (name, own) in reversed(list(enumerate(known.items()))):
        style, title = family_style(name), title_of(name)
        line = {"color": style.colour, "dash": style.dash, "width": 1.5}
        figure.add_scatter(
            x=getattr(own, over),
            y=own.best,
            text=[f"#{number}" for number in own.number],
            mode="lines",
            line={**(line if place else {"color": ACCENT, "width": 3}), "shape": "hv"},
            name=title,
            hovertemplate=f"{title}: %{{y:.4f}} of trial %{{text}}<br>{titles[over]} %{{x:.4g}}<extra></extra>",
        )
    if over == "ended":  # a family has a twelfth of the trials
        counts = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000]
        figure.update_xaxes(type="log", tickvals=counts, ticktext=[f"{count:,}" for count in counts])
    return figure.update_yaxes(tickformat=".3f", range=limits)

"""Where each family's epochs went: into trials that finished, into stopped ones, or nowhere, saved by pruning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from study.core.records import StudyRecord
from study.page.look.palette import BLUE, GREY, ORANGE
from study.page.style import Drawing, Table, blank, title_of, words

#: Where an epoch goes, by the name of its field.
KINDS = {
    "finished": "in trials that finished",
    "stopped": "in trials stopped early",
    "saved": "saved by pruning",
}


@dataclass(frozen=True)
class EpochsSpent:
    """Where one family's epochs went.

    Attributes:
        family: The family.
        finished: Epochs trained by trials that reached their end.
        stopped: Epochs trained by trials that were pruned or diverged.
        saved: Epochs that pruned trials did not train.
    """

    family: str
    finished: int
    stopped: int
    saved: int


def draw(record: StudyRecord) -> tuple[Drawing, ...]:
    """Return the figure of a study of which a trial has ended."""
    spent = epochs_spent(record)
    if not any(row.finished or row.stopped for row in spent):
        return ()
    finished, stopped, saved = (sum(getattr(row, kind) for row in spent) for kind in KINDS)
    said = (
        f"{finished:,} epochs went into trials that finished, {stopped:,} into trials that were stopped early, and "
        f"{saved:,} were saved; a bar for each of {len(spent)} families."
    )
    rows = tuple((words(row.family), *(str(getattr(row, kind)) for kind in KINDS)) for row in spent)
    table = Table(("family", *KINDS.values()), rows)
    return (Drawing("epochs", epochs_figure(spent), said, "Where the epochs went", table=table),)


def epochs_spent(record: StudyRecord) -> tuple[EpochsSpent, ...]:
    """Return where each family's epochs went; running and interrupted trials count for nothing yet."""
    spent = []
    for family, trials in record.by_family.items():
        finished = sum(len(t.epochs) for t in trials if t.outcome == "finished")
        stopped = sum(len(t.epochs) for t in trials if t.outcome in {"pruned", "diverged"})
        saved = sum(t.spec.epochs - len(t.epochs) for t in trials if t.outcome == "pruned")
        spent.append(EpochsSpent(family, finished, stopped, saved))
    return tuple(spent)


def epochs_figure(spent: Sequence[EpochsSpent]) -> go.Figure:
    """Draw where each family's epochs went: finished, stopped early, saved."""
    rows = spent[::-1]
    figure = blank("epochs", "", height=72 + 26 * len(rows))
    names = [title_of(row.family) for row in rows]
    # What was not spent is hollow.
    for (kind, name), fill, edge in zip(
        KINDS.items(), (BLUE, ORANGE, "rgba(0,0,0,0)"), (BLUE, ORANGE, GREY), strict=True
    ):
        figure.add_bar(
            x=[getattr(row, kind) for row in rows],
            y=names,
            orientation="h",
            name=name,
            marker={"color": fill, "line": {"color": edge, "width": 1.5}},
            hovertemplate="%{y}: %{x} epochs " + name + "<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.35, margin_t=40, legend_traceorder="normal")
    return figure

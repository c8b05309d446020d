"""What the page says in words before any figure: the study in short, what to know, what pruning did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from study.core.records import DEFAULT_PROBLEM, ENDED, SEARCH_IMAGES, StudyRecord
from study.page.plots.learning_curves import DRAWN
from study.stats.pruning_cost import Cost
from study.terminal.cells import percent

#: A family is called hardly tried when this many trials ended and fewer than so many learned to their end.
SEVERAL, FEWEST_LEARNED = 4, 2


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


def facts(record: StudyRecord) -> tuple[str, ...]:
    """Return the study in a few words each: trials by outcome, budget, data."""
    config = record.config
    counts = [f"{count} {outcome}" for outcome, count in record.outcomes.items() if count]
    return (
        _plural(len(record.trials), "trial"),
        *counts,
        _plural(len(record.families), "schedule family", "schedule families"),
        _plural(config.epochs, "epoch"),
        f"batch {config.batch_size}",
        f"{config.train_images:,} training {'images' if config.problem == DEFAULT_PROBLEM else 'examples'}",
        *(
            []
            if config.problem == DEFAULT_PROBLEM
            else [f"problem {config.problem}", record.attributes["lanes"]]
        ),
    )


def notices(record: StudyRecord) -> tuple[str, ...]:
    """Return what a reader must know before reading on."""
    said = []
    if not record.trials:
        said.append("This study has no trials yet.")
    elif record.outcomes["running"]:
        said.append("This study is still running: everything below will change.")
    elif not record.finished:
        said.append("No trial of this study finished: there is nothing to compare.")
    if not record.config.whole:
        said.append(
            f"A quick look: trained on {record.config.train_images:,} of {SEARCH_IMAGES:,} images. "
            "Its ranking need not hold for all of them."
        )
    if len(record.trials) > DRAWN:
        said.append(
            f"Of rates and learning curves {DRAWN:,} are drawn, each family's best among them; tables hold all trials."
        )
    return (*said, *hardly_tried(record))


def hardly_tried(record: StudyRecord) -> tuple[str, ...]:
    """Return a sentence on each family of several trials of which hardly one learned anything to its end.

    Pruning or dead runs left too little of it to compare: a low place then speaks of the search, not of the family.
    """
    said = []
    for family, trials in record.by_family.items():
        ended = sum(t.outcome in ENDED for t in trials)
        learned = sum(t.learned for t in trials)
        if ended >= SEVERAL and learned < FEWEST_LEARNED:
            said.append(
                f"{family} was hardly tried: of {ended} trials {learned} learned something and finished. "
                "Its place says little; --pruner none or more trials would."
            )
    return tuple(said)


def pruning_sentences(costs: Sequence[Cost]) -> tuple[str, ...]:
    """Return what pruning saved and what it threw away, in words; of the costs, the last is that of all families."""
    total = costs[-1]
    if total.trials == 0:
        return ("No trial has ended yet.",)
    if total.stopped == 0:
        return (f"Nothing was pruned: all {total.trials} ended trials ran their course.",)
    saved = f"Pruning stopped {total.stopped - total.reprieved} of {total.trials} trials and saved "
    saved += f"{total.saved:,} of {total.budget:,} epochs ({percent(total.saved / total.budget)})."
    return (saved, total.sentence)


def _plural(count: int, noun: str, nouns: str | None = None) -> str:
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"

"""What the page says in words before any figure: the study in short, what to know, what pruning did."""

from __future__ import annotations

from collections.abc import Sequence

from study.core.records import DEFAULT_PROBLEM, ENDED, SEARCH_IMAGES, StudyRecord
from study.stats.pruning_cost import ALL, Cost

#: A family is called hardly tried when this many trials ended and fewer than so many learned to their end.
SEVERAL, FEWEST_LEARNED = 4, 2


def facts(record: StudyRecord) -> tuple[str, ...]:
    """Return the study in a few words each: trials by outcome, budget, data."""
    ended = record.outcomes
    config = record.config
    counts = [f"{count} {outcome}" for outcome, count in ended.items() if count]
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


def percent(share: float) -> str:
    """Return a share as our sentences write it."""
    return f"{100 * share:.0f} %"


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
    return (*said, *hardly_tried(record))


def hardly_tried(record: StudyRecord) -> tuple[str, ...]:
    """Return a sentence on each family of several trials of which hardly one learned anything to its end.

    Pruning or dead runs left too little of it to compare: a low place then speaks of the search, not of the family.
    """
    said = []
    for family, trials in record.by_family.items():
        ended = [t for t in trials if t.outcome in ENDED]
        learned = sum(t.learned for t in ended)
        if len(ended) >= SEVERAL and learned < FEWEST_LEARNED:
            said.append(
                f"{family} was hardly tried: of {len(ended)} trials {learned} learned something and finished. "
                "Its place says little; --pruner none or more trials would."
            )
    return tuple(said)


def pruning_sentences(costs: Sequence[Cost]) -> tuple[str, ...]:
    """Return what pruning saved and what it threw away, in words."""
    total = next((cost for cost in costs if cost.family == ALL), None)
    if total is None or total.trials == 0:
        return ("No trial has ended yet.",)
    if total.stopped == 0:
        return (f"Nothing was pruned: all {total.trials} ended trials ran their course.",)
    saved = f"Pruning stopped {total.stopped - total.reprieved} of {total.trials} trials and saved "
    saved += f"{total.saved:,} of {total.budget:,} epochs ({percent(total.saved / total.budget)})."
    return (saved, total.sentence)


def _plural(count: int, noun: str, nouns: str | None = None) -> str:
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"

"""What the page says in words before any figure: the study in short, its answer in four figures, what to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from study.core.busy_time import BusyTime, duration
from study.core.records import DEFAULT_PROBLEM, ENDED, SEARCH_IMAGES, StudyRecord
from study.page.plots.learning_curves import DRAWN
from study.stats.leaderboard import Row
from study.stats.pruning_cost import Cost
from study.stats.verdict_record import Difference, Verdict
from study.stats.verdict_words import closest
from study.terminal.cells import MISSING, percent

#: The family that every schedule has to beat: a rate that never changes.
CONSTANT = "constant"
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


@dataclass(frozen=True)
class Tile:
    """One figure of the answer: what it is, the figure, and how sure it is or what it is of."""

    label: str
    value: str
    detail: str


def tiles(record: StudyRecord, leaderboard: Sequence[Row], verdict: Verdict | None) -> tuple[Tile, ...]:
    """Return the answer in four figures: how good, how far ahead, how far above a constant rate, at what cost.

    Args:
        record: The study.
        leaderboard: Its families by their best search score, for a study that was not confirmed.
        verdict: The verdict, if there is one.
    """
    answer = _searched(record, leaderboard) if verdict is None else _confirmed(record, verdict)
    confirmed = ""
    if verdict is not None:
        runs = sum(finalist.runs for finalist in verdict.finalists)
        confirmed = f"; then {runs} runs of {_plural(record.config.epochs, 'epoch')} to confirm"
    trained = BusyTime.of(record.ended).seconds
    trials = _plural(len(record.trials), "trial")
    cost = f"to search {trials} on {record.config.device}{confirmed}"
    return (*answer, Tile("cost in time", duration(trained) if trained else MISSING, cost))


def _confirmed(record: StudyRecord, verdict: Verdict) -> tuple[Tile, ...]:
    metric = record.config.metric
    leader = next(f for f in verdict.finalists if f.name == verdict.leader)
    best = Tile(f"test {metric.name}", MISSING, f"{leader.name}: every run failed")
    if leader.typical is not None:
        sure = (
            ""
            if leader.low is None or leader.high is None
            else f", {metric.value(leader.low)} to {metric.value(leader.high)}"
        )
        best = Tile(f"test {metric.name}", metric.value(leader.typical), f"{leader.name}{sure}")
    level = f"{100 * verdict.plan.level:g} %"

    def lead(label: str, over: Difference | None, otherwise: str) -> Tile:
        if over is None or over.lead is None or over.low is None or over.high is None:
            return Tile(label, MISSING, otherwise)
        rival = over.name + (", which fails too often to lead" if over.fails_p is not None else "")
        detail = f"{rival}; {metric.span(over.low, over.high)} ({level})"
        return Tile(label, _signed(metric.difference(over.lead)), detail.replace("-", "−"))

    constants = [d for d in verdict.differences if d.name.split(" #")[0] == CONSTANT and d.lead is not None]
    over_constant = min(constants, key=lambda d: d.lead or 0.0, default=None)
    alone = leader.name.split(" #")[0] == CONSTANT
    none = "it is a constant rate itself" if alone else "no constant rate among the finalists to compare"
    return (
        best,
        lead("lead over the next", closest(verdict), "no other finalist ran well enough"),
        lead("lead over the best constant rate", None if alone else over_constant, none),
    )


def _searched(record: StudyRecord, leaderboard: Sequence[Row]) -> tuple[Tile, ...]:
    metric, best = record.config.metric, record.best
    titles = (
        f"best {metric.name} in the search",
        "ahead of the next family",
        "ahead of the best constant rate",
    )
    if best is None or best.value is None:
        return tuple(Tile(title, MISSING, "no trial has finished yet") for title in titles)
    known = [(row.family, row.best) for row in leaderboard if row.best is not None]

    def lead(title: str, family: str | None, otherwise: str) -> Tile:
        rival = dict(known).get(family or "")
        if rival is None or family == best.family:
            return Tile(title, MISSING, otherwise)
        ahead = metric.difference(best.score - rival.score)
        return Tile(title, _signed(ahead), f"{rival.spec.name}; one run each, so no interval")

    following = next((family for family, _ in known if family != best.family), None)
    chance = f"{best.spec.name}; the best of {_plural(len(record.finished), 'noisy run')}, so too good"
    alone = (
        "it is a constant rate itself" if best.family == CONSTANT else "no constant rate finished to compare"
    )
    return (
        Tile(titles[0], metric.value(best.value), chance),
        lead(titles[1], following, "no other family has finished a trial"),
        lead(titles[2], CONSTANT, alone),
    )


def _signed(difference: str) -> str:
    """Return a difference in words with its sign, a true minus."""
    return f"−{difference[1:]}" if difference.startswith("-") else f"+{difference}"


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


def notices(record: StudyRecord, confirmed_on: int | None = None) -> tuple[str, ...]:
    """Return what a reader must know before reading on.

    Args:
        record: The study.
        confirmed_on: Examples that its finalists were trained on again, if they were.
    """
    said = []
    if not record.trials:
        said.append("This study has no trials yet.")
    elif record.outcomes["running"]:
        said.append("This study is still running: everything below will change.")
    elif not record.finished:
        said.append("No trial of this study finished: there is nothing to compare.")
    if not record.config.whole:
        searched = f"The search was a quick look: it trained on {record.config.train_images:,} of {SEARCH_IMAGES:,} images"
        said.append(
            f"{searched}. Its ranking need not hold for all of them."
            if confirmed_on is None
            else f"{searched}. The confirmation trained on {confirmed_on:,}."
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

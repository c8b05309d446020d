"""Each question's answer, computed from its runs: sentences with intervals, a table, and the lines of its figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from study.core.metric import Metric
from study.questions.summaries import Contrast, Summary, axis, best, summed_up, where
from study.questions.sweep import Results, Sweep
from study.stats.verdict_words import listed
from study.terminal.cells import MISSING
from study.terminal.tables import Column


@dataclass(frozen=True)
class Line:
    """A line of a figure: what cells ended at, along one axis.

    Attributes:
        name: What the line is of.
        x: Places along the axis.
        cells: The cells there.
    """

    name: str
    x: tuple[float | str, ...]
    cells: tuple[Summary, ...]


@dataclass(frozen=True)
class Answer:
    """What a sweep says.

    Attributes:
        sentences: The answer; the first sentence is it in short.
        columns: Columns of the table of all cells.
        rows: Its rows.
        lines: Lines of the figure.
        x: Title of the figure's axis.
        log: Whether that axis is logarithmic.
    """

    sentences: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[Line, ...]
    x: str
    log: bool = False


def answer(results: Results) -> Answer:
    """Return what the runs of a file say so far; at least one must be there."""
    sweep = results.sweep
    return _ANSWERS[sweep.question](summed_up(results.runs, sweep.config.metric), sweep)


def _warmup(cells: Sequence[Summary], sweep: Sweep) -> Answer:
    said, lines = [], []
    for name in axis(cells, "schedule"):
        for multiple in axis(cells, "multiple"):
            there = where(cells, schedule=name, multiple=multiple)
            lines.append(Line(f"{name}, {_times(multiple)}", tuple(axis(there, "warm-up")), tuple(there)))
            said.append(f"{name} at {_times(multiple)}: {_best_warmup(there, sweep.config.epochs)}")
    return Answer(tuple(f"{sentence}." for sentence in said), *_table(cells), tuple(lines), "warm-up, epochs")


def _best_warmup(cells: Sequence[Summary], epochs: int) -> str:
    chosen = best(cells)
    if chosen.fails:
        return "most runs failed at every length"
    none = [cell for cell in cells if cell.place["warm-up"] == 0]
    length = float(chosen.place["warm-up"])
    if not none:
        return f"a warm-up of {length:g} of {epochs} epochs is best, ending at {_value(chosen, chosen.test)}"
    failed = f"{none[0].bad} of {none[0].seeds} runs failed without a warm-up"
    if length == 0:
        return f"no warm-up is best, ending at {_value(chosen, chosen.test)}; {failed}"
    return (
        f"a warm-up of {length:g} of {epochs} epochs is best and ends {Contrast.of(chosen, none[0])} none; {failed}, "
        f"{chosen.bad} of {chosen.seeds} with it"
    )


def _exponent(cells: Sequence[Summary], sweep: Sweep) -> Answer:
    tuned = [best(where(cells, power=power)) for power in axis(cells, "power")]
    usable = [cell for cell in tuned if not cell.fails]
    if not usable:
        return Answer(("Most runs failed at every exponent.",), *_table(cells), (), "exponent")
    metric = sweep.config.metric
    target = _target(usable, metric)
    first = best(usable)
    straight = next((cell for cell in usable if cell.place["power"] == 1), usable[0])
    said = f"Exponent {first.place['power']:g} ends best"
    if first is not straight:
        said += f", {Contrast.of(first, straight)} exponent {straight.place['power']:g}"
    else:
        second = best([cell for cell in usable if cell is not first] or usable)
        said += f", {Contrast.of(first, second)} exponent {second.place['power']:g}, the next"
    speeds = ", ".join(
        f"{_epochs(cell.epochs_to(target))} with exponent {cell.place['power']:g}" for cell in usable
    )
    reached = f"a validation {metric.name} of {metric.value(target)}"
    sentences = (
        f"{said}, each at the best of its base rates.",
        f"Of {sweep.config.epochs} epochs the median run first reaches {reached} after {speeds}.",
    )
    lines = [
        Line(_times(multiple), tuple(axis(there, "power")), tuple(there))
        for multiple in axis(cells, "multiple")
        for there in [where(cells, multiple=multiple)]
    ]
    columns, rows = _table(cells)
    to_target = tuple((*row, _epochs(cell.epochs_to(target))) for row, cell in zip(rows, cells, strict=True))
    return Answer(
        sentences,
        (*columns, Column(f"epochs to {metric.value(target)}", "right")),
        to_target,
        tuple(lines),
        "exponent",
    )


def _target(cells: Sequence[Summary], metric: Metric) -> float:
    """Return what every cell reaches: the worst one's end, made worse to a round number."""
    step = 10 ** math.floor(math.log10(metric.noticeable))
    return metric.gain(math.floor(round(min(cell.gain for cell in cells) / step, 6)) * step)


def _rate(cells: Sequence[Summary], sweep: Sweep) -> Answer:
    fixed = where(cells, schedule="fixed rate")
    tuned = [cell for cell in cells if cell not in fixed]
    chosen = best(fixed)
    line = Line("fixed rate", tuple(axis(fixed, "rate")), tuple(fixed))
    others = [Line(str(cell.place["schedule"]), (cell.place["rate"],), (cell,)) for cell in tuned]
    if chosen.fails:
        return Answer(
            ("Most runs failed at every fixed rate.",), *_table(cells), (line, *others), "rate", log=True
        )
    above = "; ".join(f"{cell.place['schedule']} ends {Contrast.of(cell, chosen)} it" for cell in tuned)
    edge = {fixed[0].place["rate"]: "lowest", fixed[-1].place["rate"]: "highest"}.get(chosen.place["rate"])
    ends = (
        f"{chosen.place['rate']:g}, ends at {_value(chosen, chosen.test)} after {sweep.config.epochs} epochs"
        + (f" ({chosen.bad} of {chosen.seeds} runs failed)" if chosen.bad else "")
    )
    sentences = [f"The best of {len(fixed)} fixed rates, {ends}; {above}."]
    if edge is not None:
        sentences.append(f"That is the {edge} rate tried: a better one may lie beyond it.")
    return Answer(tuple(sentences), *_table(cells), (line, *others), "base rate", log=True)


def _horizon(cells: Sequence[Summary], sweep: Sweep) -> Answer:
    del sweep
    return _by_leader(
        cells, "epochs", "budget", lambda value: f"{value:g} epoch{'s' * (value != 1)}", log=True
    )


def _optimizer(cells: Sequence[Summary], sweep: Sweep) -> Answer:
    del sweep
    return _by_leader(cells, "optimizer", "optimizer", str)


def _by_leader(
    cells: Sequence[Summary], outer: str, noun: str, words: Callable[[float | str], str], *, log: bool = False
) -> Answer:
    """Compare schedules, each at the best of its base rates, at every place of an outer axis."""
    places, multiples = axis(cells, outer), axis(cells, "multiple")
    leaders, ends, told = [], [], []
    tuned: dict[str, list[Summary]] = {}
    for value in places:
        there = where(cells, **{outer: value})
        here = {str(name): best(where(there, schedule=name)) for name in axis(there, "schedule")}
        for name, cell in here.items():
            tuned.setdefault(name, []).append(cell)
        first, *others = sorted(here.values(), key=lambda cell: -cell.gain)
        leaders.append(str(first.place["schedule"]))
        if others:
            lead = Contrast.of(first, others[0])
            ends.append(f"with {words(value)} {lead} {others[0].place['schedule']}")
            if lead.low > 0:
                told.append(leaders[-1])
    if len(set(leaders)) == 1:
        short = f"{leaders[0]} leads with every {noun}."
    else:
        changes = (
            f"The leader changes with the {noun}"
            if len(set(told)) > 1
            else f"These seeds do not tell whether the leader changes with the {noun}"
        )
        by_place = [f"{name} with {words(value)}" for name, value in zip(leaders, places, strict=True)]
        short = f"{changes}; on the validation data the leaders are {listed(by_place)}."
    sentences = [short]
    if ends:
        sentences.append(f"On the test data the leader ends, against the next: {'; '.join(ends)}.")
    rates = (
        f"{name} {', '.join(_place(cell.place['multiple']) for cell in found)}"
        for name, found in tuned.items()
    )
    sentences.append(f"The best multiples of their base rates, in the same order: {'; '.join(rates)}.")
    edges = sum(cell.place["multiple"] in {multiples[0], multiples[-1]} for f in tuned.values() for cell in f)
    if edges:
        sentences.append(
            f"{edges} of {sum(map(len, tuned.values()))} best base rates lie at an end of their grid: better ones may lie beyond it."
        )
    drawn = tuple(
        Line(name, tuple(cell.place[outer] for cell in found), tuple(found)) for name, found in tuned.items()
    )
    return Answer(tuple(sentences), *_table(cells), drawn, outer, log)


_ANSWERS: dict[str, Callable[[Sequence[Summary], Sweep], Answer]] = {
    "warmup": _warmup,
    "exponent": _exponent,
    "rate": _rate,
    "horizon": _horizon,
    "optimizer": _optimizer,
}


def _table(cells: Sequence[Summary]) -> tuple[tuple[Column, ...], tuple[tuple[str, ...], ...]]:
    """Return every cell as a row: its place, its runs, what they ended at."""
    axes = list(cells[0].place)
    columns = (
        *(Column(name, "left" if isinstance(cells[0].place[name], str) else "right") for name in axes),
        *(Column(title, "right") for title in ("seeds", "bad", "validation", "test", "every seed")),
    )
    rows = tuple(
        (
            *(_place(cell.place[name]) for name in axes),
            str(cell.seeds),
            str(cell.bad),
            _value(cell, cell.validation),
            _value(cell, cell.test),
            " ".join(_value(cell, run.test) for run in cell.runs.values()),
        )
        for cell in cells
    )
    return columns, rows


def _times(multiple: float | str) -> str:
    return "its base rate" if multiple == 1 else f"{multiple:g} times its base rate"


def _place(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _value(cell: Summary, value: float) -> str:
    return cell.metric.value(value) if math.isfinite(value) else MISSING


def _epochs(count: float) -> str:
    return f"{count:g} epochs" if math.isfinite(count) else "never"

"""The schedules as text: one a line, one as a chart of blocks, all of them as a page."""

from __future__ import annotations

import math
import re

import numpy as np

from lrsched.parameter import Parameter
from lrsched.picture import catalogue_order, curve, default_span
from lrsched.schedule import REGISTRY, Array, Schedule

_BLOCKS = " ▁▂▃▄▅▆▇█"
_WIDTH, _HEIGHT = 60, 10
#: What is drawn with, and what stands for it where there is ASCII alone.
_ASCII = str.maketrans(f"{_BLOCKS}┤└─┴…", " .:-=+*%#|+-+~")


def listing(width: int | None = None) -> str:
    """Return one line a schedule: its name, its shape, what it does.

    Args:
        width: Longest line, longer ones being cut off; ``None`` for no limit.
    """
    names = catalogue_order()
    column = max(map(len, names))
    lines = []
    for name in names:
        line = f"{name:{column}}  {sparkline(REGISTRY[name].example())}  {_first_sentence(REGISTRY[name])}"
        lines.append(line if width is None or len(line) <= width else f"{line[: width - 1]}…")
    return "\n".join(lines)


def sparkline(schedule: Schedule, points: int = 16) -> str:
    """Return a schedule's shape in a row of blocks."""
    _, values = curve(schedule, 24.0, points)
    heights = np.ceil(values / max(1.0, values.max()) * 8).clip(1, 8).astype(int)
    return "".join(_BLOCKS[h] for h in heights)


def chart(schedule: Schedule, span: float | None = None, base_rate: float = 1.0) -> str:
    """Return a schedule as a chart of blocks over a table of values, both at round times."""
    span = default_span(schedule) if span is None else span
    _, values = curve(schedule, span, _WIDTH)
    top = base_rate * max(1.0, float(values.max()))
    eighths = np.round(base_rate * values / top * _HEIGHT * 8).astype(int)
    lines = []
    for row in range(_HEIGHT, 0, -1):
        label = f"{top * row / _HEIGHT:.4g}" if row % 5 == 0 else ""
        filled = (eighths - 8 * (row - 1)).clip(0, 8)
        lines.append(f"{label:>10} ┤{''.join(_BLOCKS[f] for f in filled)}".rstrip())
    ticks = round_ticks(span)
    axis, labels = ["─"] * _WIDTH, [" "] * (_WIDTH + 12)
    end = -1
    for tick in ticks:
        place, label = round(tick / span * (_WIDTH - 1)), f"{tick:g}"
        axis[place] = "┴"
        start = max(place - len(label) // 2, 0)
        if start > end:
            labels[start : start + len(label)] = label
            end = start + len(label)
    lines += [f"{0:>10} └{''.join(axis)}", " " * 12 + "".join(labels).rstrip(), ""]
    exact = _followed(schedule, ticks)
    lines += [f"{tick:10g}  {base_rate * value:.6g}" for tick, value in zip(ticks, exact, strict=True)]
    return "\n".join(lines)


def in_ascii(text: str) -> str:
    """Return a listing or a chart drawn in ASCII: eight heights in a cell are ``. : - = + * % #``."""
    return text.translate(_ASCII)


def _followed(schedule: Schedule, times: list[float]) -> Array:
    """Return the values at given times, of a plateau for a metric that never improves."""
    state, told, values = schedule.initial(), 0, []
    for time in times:
        while schedule.metric_driven and told < math.floor(time):
            told += 1
            state = schedule.observe(state, 1.0, float(told))
        values.append(schedule.at(time, state))
    return np.array(values)


def round_ticks(span: float) -> list[float]:
    """Return at most a dozen round times from 0 to ``span``: multiples of 1, 2 or 5 times a power of ten.

    >>> round_ticks(22)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0, 22.0]
    >>> round_ticks(0.3)
    [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    """
    exponent = math.floor(math.log10(span / 12)) if span > 0 else 0
    sizes = [m * 10.0**e for e in (exponent, exponent + 1) for m in (1, 2, 5)]
    size = next(s for s in sizes if span / s <= 11.0 + 1e-9)
    return [float(f"{i * size:.12g}") for i in range(math.floor(span / size + 1e-9) + 1)]


def _first_sentence(cls: type[Schedule]) -> str:
    return (cls.__doc__ or "").partition("\n")[0].replace("``", "")


def searched(declared: Parameter) -> str:
    """Return where a study looks for a field's value, in words."""
    search = declared.search
    if search is None:
        return "not searched"
    if search.choices is not None:
        return "searched over " + ", ".join(str(c) for c in search.choices)
    if search.low == search.high:
        return "set to the run's length"
    span = f"{search.low:g}..{search.high:g}"
    if search.over_run:
        return f"searched so that the run leaves {span}"
    where = f"searched in {span}{' of the run' if search.of_run else ''}{', log scale' if search.log else ''}"
    return f"{search.count} values {where}" if search.count > 1 else where


def markdown() -> str:
    """Return the catalogue as a page: of each schedule what it is, its formula, an example, and a table of its fields."""
    lines = [
        "# The schedules",
        "",
        "Made by `python -m lrsched --markdown > docs/schedules.md`, from what the code declares. `t` is time in any",
        "unit, and the value is multiplied by the base rate. Before 0 and after its end a schedule does not change. A jump",
        "comes on its step: a time within 1e-10 of its size before a jump counts as at it, whatever `step / steps_per_epoch`",
        "is rounded to. Which one to take: [choosing.md](choosing.md), which also tells what a quantity is called here and",
        "elsewhere.",
        "",
        "![All schedules on one sheet](schedules.png)",
    ]
    for name, cls in sorted(REGISTRY.items()):
        text = (cls.__doc__ or "").replace("``", "`")  # reStructuredText's mark of code
        source = " ".join(text.partition("Source: ")[2].partition("\n\n")[0].split())
        lines += ["", f"## {name}", "", text.partition("\n\nFormula::")[0], ""]
        lines += ["```python", cls.formula(), "```", "", f"Source: {source}", "", "```python"]
        lines += [*_example(cls), "```"]
        if cls.parameters():
            lines += ["", "| field | meaning | values | default | search |", "|---|---|---|---|---|"]
        for p in cls.parameters():
            default = "required" if p.required else f"`{p.default!r}`"
            called = f"`{p.name}`" + "".join(f", also `{other}`" for other in p.also)
            lines.append(f"| {called} | {p.meaning} | {p.rule} | {default} | {searched(p)} |")
    return "\n".join(lines) + "\n"


def _example(cls: type[Schedule]) -> list[str]:
    """Return the lines of the docstring's example, as one would type them, and what they give."""
    _, mark, text = (cls.__doc__ or "").partition(">>> ")
    example = mark + text.partition("\n\n")[0]
    used = set(re.findall(r"\b[A-Z]\w+(?=\()", example))
    names = sorted(used & {kind.__name__ for kind in REGISTRY.values()})
    return [f">>> from lrsched import {', '.join(names)}", *example.splitlines()]

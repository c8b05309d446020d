"""The schedules and the ranges that are searched, as the terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence

import lrsched
from lrsched import Parameter, Search
from study.core.families import schedule_class
from study.terminal.tables import Column, print_table


def print_catalogue(default: Sequence[str], searchable: Sequence[str]) -> None:
    """Print every schedule with its parameters, their meaning and the range that is searched."""
    rows = []
    for name in [*searchable, *sorted(set(lrsched.REGISTRY) - set(searchable))]:
        mark = "" if name in default else "all" if name in searchable else "not searched"
        parameters = schedule_class(name).parameters()
        for first, parameter in enumerate(parameters):
            start = [name, mark] if not first else ["", ""]
            rows.append([*start, parameter.name, _range(parameter), parameter.meaning])
        if not parameters:
            rows.append([name, mark, "", "", "no parameter of its own"])
    print_table(
        [
            Column("schedule"),
            Column("searched by"),
            Column("parameter"),
            Column("range"),
            Column("meaning", flexible=True),
        ],
        rows,
        title="Schedules",
        note="T is the run's length in epochs; 'after T' is what the run leaves of 1. Shared by all: base_rate (log) and warmup, 0 to 0.3 T. "
        "'all' marks what only --schedules all, or the name itself, searches.",
    )


def _range(parameter: Parameter) -> str:
    """Return a parameter's search range in words."""
    search = parameter.search
    if search is None:
        return f"{parameter.default}" if not parameter.required else "yours"
    if search.choices is not None:
        return " | ".join(str(choice) for choice in search.choices)
    return _span(search)


def _span(search: Search) -> str:
    unit = " T" if search.of_run else " after T" if search.over_run else ""
    if search.low == search.high:
        return f"{search.low:g}{unit}"
    scale = " log" if search.log else ""
    times = f" x{search.count}" if search.count > 1 else ""
    return f"{search.low:g}..{search.high:g}{unit}{scale}{times}"

"""A replication as tables: for the terminal, and as a section that is kept up to date in a Markdown file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from study.terminal.cells import MISSING
from study.terminal.markdown import markdown_table
from study.terminal.tables import Column
from study.textbook.statistics import FIGURES, Cell, Measured, about_outside, compare, costs

#: What stands where there is no figure.
_MARKS = {True: "inside", False: "OUTSIDE", None: MISSING}


@dataclass(frozen=True)
class Table:
    """A table with its heading and the sentences below it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    sentences: tuple[str, ...] = ()


def tables(measured: Sequence[Measured], *, about: str = "") -> list[Table]:
    """Return a table a figure, then one of what the source's loop costs, if both ways were trained.

    Args:
        measured: The runs.
        about: Added to each title, such as how few images were used.
    """
    cells, paid = compare(measured), costs(measured)
    repeated = [one for one in measured if one.way != "corrected"] or measured
    found = [
        Table(
            f"{figure.capitalize()} after the last epoch{about}",
            _COLUMNS,
            tuple(_row(cell) for cell in cells if cell.figure == figure),
        )
        for figure in FIGURES
    ]
    found[-1] = replace(found[-1], sentences=tuple(about_outside(compare(repeated))))
    if paid:
        title = f"Corrected minus as published, paired by seed{about}"
        found.append(Table(title, _COST_COLUMNS, tuple(map(_cost_row, paid))))
    return found


_COLUMNS = (
    Column("run"),
    *(Column(title, "right") for title in ("published", "mean", "sd", "median", "range")),
    Column("published is"),
    Column("every seed", flexible=True),
)
_COST_COLUMNS = (
    Column("run"),
    Column("figure"),
    *(Column(title, "right") for title in ("mean", "95 % interval", "median")),
    Column("every seed", flexible=True),
)


def _row(cell: Cell) -> tuple[str, ...]:
    return (
        cell.title,
        _number(cell.published, ".3f"),
        _number(cell.mean),
        _number(cell.sd),
        _number(cell.median),
        _range((min(cell.values), max(cell.values))),
        _MARKS[cell.inside],
        " ".join(map(_number, cell.values)),
    )


def _cost_row(cost: Cell) -> tuple[str, ...]:
    return (
        cost.title,
        cost.figure,
        _number(cost.mean, "+.4f"),
        _range(cost.interval, "+.4f"),
        _number(cost.median, "+.4f"),
        " ".join(_number(value, "+.4f") for value in cost.values),
    )


def _number(value: float | None, form: str = ".4f") -> str:
    return MISSING if value is None else format(value, form)


def _range(ends: tuple[float, float] | None, form: str = ".4f") -> str:
    return MISSING if ends is None else "..".join(_number(end, form) for end in ends)


def as_markdown(found: Sequence[Table]) -> str:
    """Return tables as Markdown, headings in bold, sentences as a list below."""
    parts = []
    for table in found:
        parts += [f"**{table.title}**\n", markdown_table(table.columns, table.rows) + "\n"]
        if table.sentences:
            parts.append("\n".join(f"- {sentence}" for sentence in table.sentences) + "\n")
    return "\n".join(parts)

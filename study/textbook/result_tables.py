"""A replication as tables: for the terminal, and as a section that is kept up to date in a Markdown file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from study.core.errors import InputError
from study.core.files import write_text
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
        parts += [f"**{table.title}**\n", markdown_table(table.columns, table.rows)]
        if table.sentences:
            parts.append("\n".join(f"- {sentence}" for sentence in table.sentences) + "\n")
    return "\n".join(parts)


@dataclass(frozen=True)
class Section:
    """The part of a Markdown file that one replication owns: what stands between its two marks.

    Attributes:
        path: The file; where there is none, it is made with this section alone.
        name: Name in the marks.
    """

    path: Path
    name: str

    @property
    def _marks(self) -> tuple[str, str]:
        return f"<!-- begin {self.name} -->", f"<!-- end {self.name} -->"

    def check(self) -> None:
        """Refuse a file that cannot be written or has no such section, before anything is trained.

        Raises:
            InputError: The folder is missing, or the marks are not there, once each and in order.
        """
        if not self.path.absolute().parent.is_dir():
            raise InputError(f"`markdown` {self.path}: there is no folder {self.path.parent}")
        if self.path.exists():
            self._split()

    def write(self, text: str) -> None:
        """Put ``text`` between the marks; the rest of the file stays as it is."""
        before, after = self._split() if self.path.exists() else ("", "\n")
        begin, end = self._marks
        write_text(self.path, f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", "`markdown`")

    def _split(self) -> tuple[str, str]:
        """Return the file before its begin mark and after its end mark."""
        begin, end = self._marks
        try:
            text = self.path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"`markdown` {self.path}: cannot be read ({error})") from None
        before, found, rest = text.partition(begin)
        between, closed, after = rest.partition(end)
        if not (found and closed) or begin in between + after:
            raise InputError(
                f"`markdown` {self.path}: needs the lines {begin!r} and {end!r}, once each, in order"
            )
        return before, after

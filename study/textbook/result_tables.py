"""A replication as tables: for the terminal, and as a section that is kept up to date in a Markdown file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from study.core.errors import InputError
from study.terminal.tables import Column
from study.textbook.statistics import FIGURES, Cell, Cost, Measured, about_outside, compare, costs

_MARKS = {True: "inside", False: "OUTSIDE", None: "-"}


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
    said = tuple(about_outside(compare(repeated)))
    found[-1] = Table(found[-1].title, found[-1].columns, found[-1].rows, said)
    if paid:
        found.append(
            Table(
                f"Corrected minus as published, paired by seed{about}",
                _COST_COLUMNS,
                tuple(_cost_row(cost) for cost in paid),
            )
        )
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
        "-" if cell.published is None else f"{cell.published:.3f}",
        f"{cell.mean:.4f}",
        "-" if cell.sd is None else f"{cell.sd:.4f}",
        f"{cell.median:.4f}",
        f"{min(cell.values):.4f}..{max(cell.values):.4f}",
        _MARKS[cell.inside],
        " ".join(f"{value:.4f}" for value in cell.values),
    )


def _cost_row(cost: Cost) -> tuple[str, ...]:
    low_high = cost.interval
    return (
        cost.run,
        cost.figure,
        f"{cost.mean:+.4f}",
        "-" if low_high is None else f"{low_high[0]:+.4f}..{low_high[1]:+.4f}",
        f"{cost.median:+.4f}",
        " ".join(f"{value:+.4f}" for value in cost.differences),
    )


def as_markdown(found: Sequence[Table]) -> str:
    """Return tables as Markdown, headings in bold, sentences as a list below."""
    parts = []
    for table in found:
        lines = [
            [column.title for column in table.columns],
            ["---:" if column.align == "right" else "---" for column in table.columns],
            *table.rows,
        ]
        parts.append(f"**{table.title}**\n")
        parts.append("\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n")
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
            raise InputError(f"--markdown {self.path}: there is no folder {self.path.parent}")
        if self.path.exists():
            self._split()

    def write(self, text: str) -> None:
        """Put ``text`` between the marks; the rest of the file stays as it is."""
        before, after = self._split() if self.path.exists() else ("", "\n")
        begin, end = self._marks
        part = self.path.with_suffix(".part")
        part.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", "utf-8")
        part.replace(self.path)

    def _split(self) -> tuple[str, str]:
        """Return the file before its begin mark and after its end mark."""
        begin, end = self._marks
        try:
            text = self.path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--markdown {self.path}: cannot be read ({error})") from None
        before, found, rest = text.partition(begin)
        between, closed, after = rest.partition(end)
        if not (found and closed) or begin in between + after:
            raise InputError(
                f"--markdown {self.path}: needs the lines {begin!r} and {end!r}, once each, in order"
            )
        return before, after

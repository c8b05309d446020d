"""Tables at the terminal: whole at 100 columns, and never cut where there is no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from study.outside.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

#: Narrowest that a flexible column may become before the table grows beyond the terminal instead.
FLEXIBLE_WIDTH = 24


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading.
        align: ``right`` for numbers, ``left`` for words.
        flexible: Whether its text may run over several lines when the table is too wide.
    """

    title: str
    align: Literal["left", "right"] = "left"
    flexible: bool = False


def print_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    title: str | None = None,
    note: str | None = None,
    console: Console | None = None,
) -> None:
    """Print a table; cells are taken as plain text.

    Cells of flexible columns are folded to fit the terminal; others keep their line, and the
    table grows wider than the terminal if it must. Without a terminal nothing is folded.

    Args:
        columns: The columns, left to right.
        rows: One sequence of cells a row, as many as there are columns.
        title: A line above.
        note: A line below.
        console: Where to print; by default stdout.
    """
    from rich import box
    from rich.console import Console
    from rich.segment import Segment, Segments
    from rich.table import Table
    from rich.text import Text

    out = console or Console(highlight=False)
    table = Table(
        box=box.SIMPLE_HEAD, title=title and Text(printable(title), style="bold"), title_justify="left"
    )
    for column in columns:
        table.add_column(
            Text(column.title),
            justify=column.align,
            no_wrap=not column.flexible,
            min_width=FLEXIBLE_WIDTH if column.flexible and out.is_terminal else None,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    need = table.__rich_measure__(out, out.options.update(width=10_000))
    width = max(out.width, need.minimum) if out.is_terminal else need.maximum
    lines = out.render_lines(table, out.options.update(width=width), pad=False)
    if not out.is_terminal:
        text = ("".join(segment.text for segment in line).rstrip() for line in lines)
        out.out("\n".join(text), highlight=False)
    else:
        whole = [segment for line in lines for segment in (*line, Segment.line())]
        out.print(Segments(whole), crop=False, soft_wrap=True, end="")
    if note is not None:
        out.print(Text(printable(note)), soft_wrap=True)

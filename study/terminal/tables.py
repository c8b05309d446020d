"""Tables at the terminal that lose nothing at any width, and are one line a row where there is no terminal.

A table that is too wide gives up width in this order: titles break at their words; flexible columns go below their
row, on lines of their own; at last each row is a list of its cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from study.outside.printable import printable
from study.terminal.cells import MISSING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

#: What stands before the lines below a row, and between two cells of a list.
INDENT, BETWEEN = "    ", " \N{MIDDLE DOT} "


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading.
        align: ``right`` for numbers, ``left`` for words.
        flexible: Whether its text may stand below the row when the table is too wide.
    """

    title: str
    align: Literal["left", "right"] = "left"
    flexible: bool = False


def say(text: str, console: Console | None = None) -> None:
    """Print sentences: broken at words to fit a terminal, one line a line elsewhere."""
    from rich.console import Console
    from rich.text import Text

    out = console or Console(highlight=False)
    for line in text.split("\n"):
        out.print(Text(printable(line)), soft_wrap=not out.is_terminal)


def print_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    title: str | None = None,
    note: str | None = None,
    console: Console | None = None,
) -> None:
    """Print a table; cells are taken as plain text, and no part of any is lost.

    Args:
        columns: The columns, left to right; the first is never flexible.
        rows: One sequence of cells a row, as many as there are columns.
        title: A line above.
        note: A line below.
        console: Where to print; by default stdout.
    """
    from rich.console import Console
    from rich.text import Text

    out = console or Console(highlight=False)
    cells = [[printable(cell) for cell in row] for row in rows]
    if title:
        out.print(
            Text(printable(title), style="bold" if out.is_terminal else ""), soft_wrap=not out.is_terminal
        )
    for line in _lines(columns, cells, out):
        out.print(line, soft_wrap=True)
    if note is not None:
        say(note, out)


def _lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], out: Console) -> Iterator[Text]:
    """Yield the table's lines in the first form that fits."""
    whole = _table(columns, rows)
    if not out.is_terminal or _width(whole, out) <= out.width:
        yield from _drawn(whole, out)
        return
    stays = [i for i, column in enumerate(columns) if not column.flexible]
    rigid = _table([columns[i] for i in stays], [[row[i] for i in stays] for row in rows], broken_titles=True)
    if _width(rigid, out) > out.width:
        for row in rows:
            yield from _listed(columns, row, out)
        return
    lines = list(_drawn(rigid, out))
    head = len(lines) - len(rows)
    yield from lines[:head]
    for line, row in zip(lines[head:], rows, strict=True):
        yield line
        for i, column in enumerate(columns):
            if i not in stays and row[i] not in {"", MISSING}:
                yield from _folded(f"{column.title}: {row[i]}", out)


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, broken_titles: bool = False) -> Table:
    """Return a table whose cells keep their line; whose titles break at words, if asked for."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=broken_titles)
    for i, column in enumerate(columns):
        longest = max((len(row[i]) for row in rows), default=0)
        title = "\n".join(_broken(column.title, longest)) if broken_titles else column.title
        table.add_column(Text(title), justify=column.align, no_wrap=True, vertical="bottom")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _broken(title: str, width: int) -> list[str]:
    """Return a title in lines that are as short as its longest word, or as ``width`` where that is more."""
    import textwrap

    width = max(width, *(len(word) for word in title.split() or [""]), 1)
    return textwrap.wrap(title, width, break_long_words=False, break_on_hyphens=False) or [""]


def _width(table: Table, out: Console) -> int:
    return table.__rich_measure__(out, out.options.update(width=10_000)).maximum


def _drawn(table: Table, out: Console) -> Iterator[Text]:
    """Yield a table's lines, without blanks at their ends."""
    from rich.text import Text

    for line in out.render_lines(table, out.options.update(width=_width(table, out)), pad=False):
        text = Text.assemble(*((segment.text, segment.style or "") for segment in line))
        text.rstrip()
        yield text


def _listed(columns: Sequence[Column], row: Sequence[str], out: Console) -> Iterable[Text]:
    """Yield a row as a list: its first cell, then the others with their titles."""
    from rich.text import Text

    pairs = [
        f"{column.title}\N{NO-BREAK SPACE}{cell}" for column, cell in zip(columns, row, strict=True) if cell
    ]
    yield Text(row[0], "bold")
    yield from _folded(BETWEEN.join(pairs[1:]), out)


def _folded(text: str, out: Console) -> Iterable[Text]:
    """Yield a text in indented lines, broken at words."""
    from rich.text import Text

    lines = Text(text).wrap(out, max(out.width - len(INDENT), 1))
    for line in lines:
        line.rstrip()
        yield Text.assemble((INDENT, ""), (line.plain, "dim"))

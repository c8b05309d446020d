"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from study.terminal.tables import Column


def markdown_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown, a line a row, with a line's end behind the last.

    Args:
        columns: The columns, left to right.
        rows: One sequence of cells a row, as many as there are columns; cells are taken as plain text.
    """
    lines = [
        [column.title for column in columns],
        ["---:" if column.align == "right" else "---" for column in columns],
        *([cell.replace("|", "\\|") for cell in row] for row in rows),
    ]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)

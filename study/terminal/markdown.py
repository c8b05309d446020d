"""Tables as Markdown, for a document or a dashboard."""

from __future__ import annotations

import re
from collections.abc import Sequence

from study.terminal.tables import Column


def markdown_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, numbers to the right; cells are taken as Markdown, see ``plain``."""
    lines = [
        [column.title for column in columns],
        ["---:" if column.align == "right" else "---" for column in columns],
        *([re.sub(r"(?<!\\)\|", r"\|", cell) for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def plain(text: str) -> str:
    """Return text that Markdown shows as it stands: no markup, no HTML, on one line."""
    one_line = " ".join(text.split())
    escaped = one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~$])", r"\\\1", escaped)

"""Markdown: tables and plain text for a document or a dashboard, and a document's section that a command keeps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from study.core.errors import InputError
from study.core.files import require_writable, write_text
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


@dataclass(frozen=True)
class Section:
    """The part of a Markdown file that a command owns: what stands between its two marks.

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
        """Refuse a file that cannot be written or has no such section, before anything is done.

        Raises:
            InputError: The folder is missing, or the marks are not there, once each and in order.
        """
        require_writable(self.path, "`markdown`")
        if self.path.exists():
            self._split()

    def read(self) -> str:
        """Return what stands between the marks; nothing where the file has none.

        Raises:
            InputError: The file cannot be read, or has a mark too many or too few.
        """
        text, (begin, end) = self._text(), self._marks
        if begin not in text and end not in text:
            return ""
        before, after = self._split()
        return text[len(before) + len(begin) : len(text) - len(after) - len(end)].strip()

    def write(self, text: str) -> None:
        """Put ``text`` between the marks; the rest of the file stays as it is."""
        before, after = self._split() if self.path.exists() else ("", "\n")
        begin, end = self._marks
        write_text(self.path, f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", "`markdown`")

    def _split(self) -> tuple[str, str]:
        """Return the file before its begin mark and after its end mark."""
        begin, end = self._marks
        before, found, rest = self._text().partition(begin)
        between, closed, after = rest.partition(end)
        if not (found and closed) or begin in between + after:
            raise InputError(
                f"`markdown` {self.path}: needs the lines {begin!r} and {end!r}, once each, in order"
            )
        return before, after

    def _text(self) -> str:
        try:
            return self.path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"`markdown` {self.path}: cannot be read ({error})") from None

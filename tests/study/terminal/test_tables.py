"""Laws of the tables: nothing is lost, and columns stay whole."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from study.outside.printable import printable
from study.terminal.cells import MISSING, cell
from study.terminal.markdown import markdown_table
from study.terminal.tables import Column, print_table

COLUMNS = [
    Column("family"),
    Column("trials", "right"),
    Column("best", "right"),
    Column("parameters", flexible=True),
]
LONG = ", ".join(f"parameter_{i} {i / 7:.3f}" for i in range(12))
ROWS = [["cosine_restarts", "8", ".9123", LONG], ["[bold]odd[/bold]", "10", ".9", "none"]]


def printed(width: int, *, terminal: bool) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=width, color_system=None, legacy_windows=False)
    print_table(COLUMNS, ROWS, title="Search scores", note="not a verdict", console=console)
    return out.getvalue().splitlines()


def test_without_a_terminal_each_row_is_one_line() -> None:
    lines = printed(80, terminal=False)
    assert any("cosine_restarts" in line and line.endswith(LONG) for line in lines)
    assert lines == [line.rstrip() for line in lines]


def test_at_100_columns_the_flexible_column_folds_and_nothing_is_lost() -> None:
    lines = printed(100, terminal=True)
    assert max(map(len, lines)) <= 100
    (first,) = (at for at, line in enumerate(lines) if "cosine_restarts" in line)
    (second,) = (at for at, line in enumerate(lines) if "[bold]odd[/bold]" in line)
    assert second - first > 2, "the long cell did not run over several lines"
    assert all("parameter_" in line for line in lines[first:second])
    text = " ".join(" ".join(lines).split())
    assert all(part in text for part in LONG.split(", "))


def test_a_narrow_terminal_widens_the_table_instead_of_cutting_it() -> None:
    lines = printed(20, terminal=True)
    assert any("cosine_restarts" in line for line in lines)
    assert any(".9123" in line for line in lines)
    assert "…" not in "".join(lines)


def test_numbers_stand_right() -> None:
    lines = printed(100, terminal=False)
    ends = [line.index(cell) + len(cell) for line in lines for cell in ("   8 ", "  10 ") if cell in line]
    assert len(ends) == 2
    assert len(set(ends)) == 1


def test_markup_in_a_cell_is_only_text() -> None:
    assert any("[bold]odd[/bold]" in line for line in printed(100, terminal=False))


def test_title_and_note_frame_the_table() -> None:
    lines = printed(100, terminal=False)
    assert lines[0].rstrip() == "Search scores"
    assert lines[-1] == "not a verdict"


@pytest.mark.parametrize(
    ("text", "safe"), [("a\x1b[31mb", "a�[31mb"), ("a\nb\tc", "a b c"), ("größe ≥ 1", "größe ≥ 1"), ("", "")]
)
def test_control_characters_do_not_reach_the_terminal(text: str, safe: str) -> None:
    assert printable(text) == safe


def test_a_missing_figure_has_one_mark() -> None:
    assert (cell(0.91234), cell(0.5, ".0%"), cell(0.0), cell(None)) == ("0.9123", "50%", "0.0000", MISSING)


def test_a_table_as_markdown_aligns_its_columns() -> None:
    columns = [Column("schedule"), Column("best", "right")]
    assert markdown_table(columns, [["cosine", "0.9"]]) == (
        "| schedule | best |\n| --- | ---: |\n| cosine | 0.9 |"
    )

"""Laws of the tables: nothing is lost, and columns stay whole."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from study.outside.printable import printable
from study.page.family_table import Results, family_table
from study.store import optuna_storage as store
from study.terminal.cells import MISSING, cell
from study.terminal.markdown import markdown_table
from study.terminal.tables import Column, print_table, say
from tests.end_to_end.test_before import unpack

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


def test_where_it_fits_a_row_is_a_line() -> None:
    wide = 40 + len(LONG)
    assert printed(wide, terminal=True)[1:4] == printed(wide, terminal=False)[1:4]


def test_where_it_does_not_fit_the_flexible_column_stands_below_its_row() -> None:
    lines = printed(100, terminal=True)
    assert max(map(len, lines)) <= 100
    (first,) = (at for at, line in enumerate(lines) if "cosine_restarts" in line)
    (second,) = (at for at, line in enumerate(lines) if "[bold]odd[/bold]" in line)
    below = lines[first + 1 : second]
    assert all(line.startswith("    ") for line in below)
    assert " ".join(" ".join(below).split()) == f"parameters: {LONG}"


def test_where_nothing_fits_a_row_is_a_list_with_its_titles() -> None:
    lines = printed(20, terminal=True)
    assert lines[1] == "cosine_restarts"
    assert "trials\N{NO-BREAK SPACE}8" in lines[2]
    assert " ".join(LONG.split()) in " ".join(" ".join(lines).split())


@given(
    rows=st.lists(
        st.tuples(*[st.text("abcdefgh 12.%()", min_size=1, max_size=n) for n in (24, 8, 12, 90)]), max_size=5
    ),
    width=st.integers(30, 220),
)
def test_nothing_is_lost_at_any_width(rows: list[tuple[str, ...]], width: int) -> None:
    """Every word of every cell is printed, as often as it is there, and no line is wider than the terminal."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None, legacy_windows=False)
    print_table(COLUMNS, rows, console=console)
    lines = out.getvalue().splitlines()
    assert "…" not in out.getvalue()
    found = "".join("".join(lines).split())
    for row in rows:
        for written in row:
            for word in written.split():
                assert word in found
    assert all(len(line.rstrip()) <= width for line in lines)


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_families_of_a_real_study_are_whole(width: int, tmp_path: Path) -> None:
    """Every figure and parameter of every family, with the titles, within the terminal."""
    results = Results.of(store.load(f"sqlite:///{unpack(tmp_path)}/optuna.db"))
    columns, rows = family_table(results)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None, legacy_windows=False)
    print_table(columns, rows, console=console)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    shown = " ".join(" ".join(lines).replace("\N{NO-BREAK SPACE}", " ").split())
    for row in rows:
        for column, text in zip(columns, row, strict=True):
            if text not in {"", MISSING}:
                assert " ".join(text.replace("\N{NO-BREAK SPACE}", " ").split()) in shown, column.title


def test_numbers_stand_right() -> None:
    lines = printed(100, terminal=False)
    ends = [line.index(cell) + len(cell) for line in lines for cell in ("   8 ", "  10 ") if cell in line]
    assert len(ends) == 2
    assert len(set(ends)) == 1


def test_markup_in_a_cell_is_only_text() -> None:
    assert any("[bold]odd[/bold]" in line for line in printed(100, terminal=False))


def test_sentences_break_at_words_at_a_terminal_and_nowhere_else() -> None:
    text = "These are search scores: the best of many noisy runs, inflated, and no verdict."
    for terminal, width in ((True, 30), (False, 30)):
        out = io.StringIO()
        say(text, Console(file=out, force_terminal=terminal, width=width, color_system=None))
        lines = out.getvalue().splitlines()
        assert " ".join(" ".join(lines).split()) == text
        assert (len(lines) == 1) != terminal
        assert not terminal or max(len(line.rstrip()) for line in lines) <= width


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

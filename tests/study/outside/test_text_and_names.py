"""Lines stay lines, names stay names: nothing of others steers a terminal or leaves a folder."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from study.core.errors import InputError
from study.outside.printable import LONGEST_LINE, one_line, short
from study.outside.study_names import LONGEST_NAME, check_study_name, folder_of

ANY = st.text(st.characters(codec=None, exclude_categories=()), max_size=2_000)


@given(ANY)
def test_a_line_is_printable_and_no_longer_than_lines_are(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= LONGEST_LINE


def test_the_fix_at_the_end_outlives_a_long_value_in_the_middle() -> None:
    line = one_line(f"--storage 'sqlite:///{'x' * 10_000}.db' is a folder: name a file in it")
    assert line.endswith("is a folder: name a file in it")


@given(st.integers() | st.integers(10**399, 10**5000) | ANY)
def test_a_value_is_short(value: object) -> None:
    assert len(short(value)) <= 60
    assert short(value).isprintable()


@given(ANY)
def test_a_folder_of_a_study_is_one_in_the_folder_given(name: str) -> None:
    """Whatever a database calls it, and no longer than file systems take."""
    folder = folder_of(name)
    assert folder not in {"", ".", ".."}
    assert not set("/\\\0") & set(folder)
    assert len(folder.encode()) <= 255
    assert (Path("runs") / folder).parent == Path("runs")


@given(ANY)
def test_two_names_never_share_a_folder(name: str) -> None:
    assert folder_of(name) != folder_of(f"{name}.")


@pytest.mark.parametrize(
    "name", ["lr-schedules", "two words", "Übung 3", "名前", "a'b\"c", "$HOME", "-", "x" * 200]
)
def test_ordinary_names_are_taken_and_name_their_folder(name: str) -> None:
    assert check_study_name(name) == name
    assert folder_of(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", "a\\b", "\x1b[2J", "a\n", " a", "x" * (LONGEST_NAME + 1)]
)
def test_names_that_could_be_anything_else_are_not(name: str) -> None:
    with pytest.raises(InputError, match=r"^`study` "):
        check_study_name(name)

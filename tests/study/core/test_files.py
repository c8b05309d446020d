"""A file is written whole or not at all, and nothing else is left."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from study.core.errors import InputError
from study.core.files import whole_file, write_text


def test_the_file_takes_its_place_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    with whole_file(path, "--out") as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_file_and_folder_reach_the_disk_before_it_is_said_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content first, then the new name: after a power cut there is the old file or the new one, whole."""
    seen: list[tuple[bool, bool]] = []
    path = tmp_path / "page.html"
    sync = os.fsync

    def watched(opened: int) -> None:
        seen.append((stat.S_ISDIR(os.fstat(opened).st_mode), path.exists()))
        sync(opened)

    monkeypatch.setattr(os, "fsync", watched)
    write_text(path, "ü")
    assert path.read_text("utf-8") == "ü"
    assert seen == [(False, False), (True, True)]


def test_the_part_has_the_files_suffix(tmp_path: Path) -> None:
    """Writers that choose a format by the name choose the right one."""
    with whole_file(tmp_path / "table.parquet") as part:
        part.touch()
        assert part.suffix == ".parquet"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_block_that_is_cut_off_leaves_the_old_file_alone(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")

    def half() -> None:
        with whole_file(path, "--out") as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none/page.html", "No such file or directory"),
        ("file/page.html", "Not a directory"),
        ("folder", "Is a directory"),
        ("x" * 255, "File name too long"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with (
        pytest.raises(InputError, match=f"--out .* cannot be written: {why}"),
        whole_file(tmp_path / name, "--out") as part,
    ):
        part.write_text("text")
    assert sorted(tmp_path.rglob("*")) == before

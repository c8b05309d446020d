"""A machine that runs out ends a command with one line and code 3, nothing that had ended is lost, and it continues."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from study.outside.printable import LONGEST_LINE
from study.store import optuna_storage as store
from study.store.urls import for_reading, parse
from tests.making import config_of
from tests.running import PATIENCE, environment, words

pytestmark = pytest.mark.slow

SEARCH = words(
    "study.search", "--trials", "4", "--epochs", "1", "--train-images", "500", "--study", "short", "--device", "cpu",
    "--lanes", "2",
)  # fmt: skip


def ran(
    folder: Path,
    command: list[str],
    *,
    limit: Callable[[], None] | None = None,
    to: Path | None = None,
    **more: str,
) -> tuple[int, str]:
    """Run a command under a limit; return its code and what it said on stderr."""
    with (to or folder.parent / "out").open("w") as out:
        done = subprocess.run(
            command, cwd=folder, env=environment(**more), stdout=out, stderr=subprocess.PIPE, text=True,
            timeout=PATIENCE, check=False, preexec_fn=limit,
        )  # fmt: skip
    return done.returncode, done.stderr


def is_one_line(said: str) -> bool:
    return said.startswith("error: ") and said.count("\n") == 1 and len(said) <= LONGEST_LINE + 1


def file_limit(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def address_limit(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "study"
    made.mkdir()
    return made


def test_a_full_output_ends_it_in_one_line_and_the_same_command_continues(folder: Path) -> None:
    code, said = ran(folder, SEARCH, to=Path("/dev/full"))
    assert (code, is_one_line(said)) == (3, True), said
    assert "no space is left" in said
    code, said = ran(folder, SEARCH)
    assert (code, said) == (0, "")
    assert len(store.load(f"sqlite:///{folder}/optuna.db").ended) == 4


def test_a_file_that_may_not_grow_ends_it_in_one_line(folder: Path) -> None:
    """MLflow's empty database has some 700 kB."""
    code, said = ran(folder, SEARCH, limit=file_limit(500_000))
    assert (code, is_one_line(said)) == (3, True), said
    assert "ulimit -f" in said


def test_too_little_memory_is_refused_before_anything_is_made(folder: Path) -> None:
    """Too few addresses for PyTorch, and too few for so many lanes."""
    code, said = ran(folder, SEARCH, limit=address_limit(2_000_000_000))
    assert (code, is_one_line(said)) == (2, True), said
    assert "ulimit -v" in said
    code, said = ran(folder, [*SEARCH, "--lanes", "100000"])
    assert (code, is_one_line(said)) == (2, True), said
    assert " fit" in said
    assert list(folder.iterdir()) == []


def test_a_reader_that_leaves_ends_it_without_a_traceback(folder: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m study.search --list-schedules | head -1"],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 1


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"cd {gone} && rmdir {gone} && exec {sys.executable} -m study.audit"
    done = subprocess.run(
        ["bash", "-c", script], env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (
        2,
        "error: the folder that this runs in is gone: cd to another\n",
    )


def test_a_folder_whose_path_mlflow_cannot_quote_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "both ' and \" quotes"
    folder.mkdir()
    code, said = ran(folder, SEARCH)
    assert (code, is_one_line(said)) == (2, True), said
    assert "rename this one" in said
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["question? # % & '", 'back\\slash "'])
def test_a_folder_may_be_called_what_it_likes(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    code, said = ran(folder, SEARCH)
    assert (code, said) == (0, "")
    code, said = ran(folder, words("study.report"))
    assert (code, said) == (0, "")
    assert sorted(p.name for p in folder.iterdir() if p.suffix in {".db", ".html"}) == [
        "mlflow.db", "optuna.db", "report.html",
    ]  # fmt: skip


def test_bytes_that_are_no_text_are_refused_by_a_real_process(folder: Path) -> None:
    for option in ("--study", "--storage", "--tracking-uri", "--trials", "--schedules"):
        done = subprocess.run(
            [os.fsencode(word) for word in SEARCH] + [option.encode(), b"\xff\xfe"],
            cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
        assert (done.returncode, is_one_line(done.stderr)) == (2, True), done.stderr
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so it is told that it may not; SQLite then makes no file beside the one it reads."""
    url = f"sqlite:///{folder}/optuna.db"
    study = store.open_study(url, config_of(name="theirs"))
    store.close(study)
    before = sorted(path.name for path in folder.iterdir())
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode & os.W_OK == 0 and allowed(path, mode))
    assert "immutable" in for_reading(parse(url, "storage")).query
    opened = store.existing_study(url)
    assert store.record(opened).config.name == "theirs"
    assert sorted(path.name for path in folder.iterdir()) == before
    store.close(opened)

"""Programs that tests start: ours and Python's, as a user starts them, with one thread each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Seconds that any of them may take on a machine that has other work.
PATIENCE = 500


def environment(**more: str) -> dict[str, str]:
    """Return what they run in: this checkout's code, wide output, and one thread so that numbers repeat."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "160", **more}


def words(command: str, *arguments: str) -> list[str]:
    """Return the words that start a command of ours: ``words("study.search", "--help")``."""
    return [sys.executable, "-m", command, *arguments]


def run_program(
    program: Sequence[str], folder: Path | None = None, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, however that is."""
    return subprocess.run(
        program,
        cwd=folder,
        env=environment(**(more or {})),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def run_command(folder: Path | None, command: str, *arguments: str, code: int = 0, **more: str) -> str:
    """Run a command of ours, which must end with ``code`` and without a warning; return what it printed.

    Args:
        folder: Where it runs; ``None``: here.
        command: Its module, such as ``study.search``.
        arguments: Its arguments.
        code: Its exit code.
        more: Further environment variables.
    """
    done = run_program(words(command, *arguments), folder, more)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    assert "Warning" not in done.stderr
    return said


def run_python(*arguments: str, folder: Path | None = None, **more: str) -> str:
    """Run Python, which must succeed; return what it printed to stdout."""
    done = run_program([sys.executable, *arguments], folder, more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def started(
    program: Sequence[str], folder: Path | None = None, *, merged: bool = False, **more: str
) -> subprocess.Popen[str]:
    """Start a program that a test will stop; its signals are its own, so that no Ctrl-C of ours reaches it.

    Args:
        program: Its words.
        folder: Where it runs; ``None``: here.
        merged: Whether what it says on stderr is told with its output.
        more: Further environment variables.
    """
    return subprocess.Popen(
        program,
        cwd=folder,
        env=environment(**more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merged else subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

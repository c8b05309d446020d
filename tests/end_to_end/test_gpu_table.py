"""The table of a graphics card can be made on a machine without one, at sizes that mean nothing, and says so otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_rows import ROWS
from benchmarks.gpu_work import DRY
from tests.running import run_program

pytestmark = pytest.mark.slow


def test_a_row_that_fails_does_not_end_the_table(repository: Path, tmp_path: Path) -> None:
    """Without data the search fails in one line; the next row is measured."""
    script = str(repository / "benchmarks" / "gpu.sh")
    rows = "search,equality"
    more = {"PYTHON": sys.executable, "FASHION_MNIST_DIR": str(tmp_path)}
    done = run_program([script, "--dry-run", "--only", rows], more=more)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    (failure,) = [line for line in lines if "FAILED" in line]
    assert failure.startswith("  FAILED: ")
    assert "is not there; name the folder that holds Fashion-MNIST" in failure
    assert lines[-1].endswith("failed or missed: search")
    assert [line for line in lines if line in rows.split(",")] == rows.split(",")
    assert sum(line.endswith(": reached") for line in lines) == 2  # the bars of equality


@pytest.mark.filterwarnings("default")  # of the compiler's own
@pytest.mark.parametrize("row", [name for name in ROWS if name != "search"])
def test_a_row_runs(row: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the code that a card runs; the search is run above."""
    assert ROWS[row](DRY)
    said = capsys.readouterr().out
    assert said
    assert "MISSED" not in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card here")
def test_without_a_card_one_line_says_so(repository: Path) -> None:
    done = run_program([str(repository / "benchmarks" / "gpu.sh")], more={"PYTHON": sys.executable})
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"error: PyTorch {torch.__version__} finds no CUDA card here; --dry-run runs the code without one"
    ]

"""What is set for PyTorch's threads reaches them, and what the user set stands."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from study.core.threads import SPIN_ROUNDS, WAITING, prepare_environment, processors, quota


def test_an_empty_environment_is_filled() -> None:
    environment: dict[str, str] = {}
    prepare_environment(environment)
    assert environment["GOMP_SPINCOUNT"] == SPIN_ROUNDS
    assert environment["OMP_NUM_THREADS"] == environment["NUMBA_NUM_THREADS"] == str(processors())
    assert environment["THP_MEM_ALLOC_ENABLE"] == "1"


@pytest.mark.parametrize("name", WAITING)
def test_what_the_user_says_about_waiting_stands_alone(name: str) -> None:
    """Any of the four variables, whichever runtime it is for, leaves the other three unset."""
    environment = {name: "said"}
    prepare_environment(environment)
    assert {n: environment[n] for n in WAITING if n in environment} == {name: "said"}


@pytest.mark.parametrize(("threads", "numba"), [("3", "3"), ("4,2", None)])
def test_the_users_number_of_threads_stands(threads: str, numba: str | None) -> None:
    """OpenMP allows a list, a number for each level; it is then no number for Numba."""
    environment = {"OMP_NUM_THREADS": threads}
    prepare_environment(environment)
    assert environment["OMP_NUM_THREADS"] == threads
    assert environment.get("NUMBA_NUM_THREADS") == numba


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's runtime is in the wheels for Linux")
def test_torchs_own_runtime_takes_it() -> None:
    """PyTorch imported afterwards shows the number of rounds and of threads among its runtime's settings."""
    code = "from study.core.threads import prepare_environment as p; p(); import torch; print(torch.get_num_threads())"
    clean = {
        k: v for k, v in os.environ.items() if k not in (*WAITING, "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
    }
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**clean, "OMP_DISPLAY_ENV": "verbose"},
    )
    assert f"GOMP_SPINCOUNT = '{SPIN_ROUNDS}'" in run.stderr
    assert run.stdout.split() == [str(processors())]


@pytest.mark.parametrize(
    ("files", "allowed"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_a_containers_quota_is_read(tmp_path: Path, files: dict[str, str], allowed: float) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert quota(tmp_path) == allowed


def test_there_is_a_processor_for_us() -> None:
    assert 1 <= processors() <= (os.cpu_count() or 1)

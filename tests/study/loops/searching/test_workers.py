"""Several processes of one search on one machine: started together, stopped together, each with its share."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from study.core.errors import InputError
from study.loops.searching.workers import Share, _started, own_command, run_workers, shares, visible_gpus
from study.store import optuna_storage as store
from tests.running import run_program, started, words


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many processors there are."""
    return lambda count: monkeypatch.setattr("study.loops.searching.workers.processors", lambda: count)


def test_each_gets_a_gpu_and_its_part_of_the_processors(machine: Callable[[int], None]) -> None:
    machine(16)
    found = [share.variables for share in shares(3, "cuda", ["0", "GPU-7", "5"])]
    assert [v["CUDA_VISIBLE_DEVICES"] for v in found] == ["0", "GPU-7", "5"]
    assert {v["OMP_NUM_THREADS"] for v in found} == {"5"}
    assert all("CUDA_VISIBLE_DEVICES" not in share.variables for share in shares(2, "cpu", []))


def test_a_machine_that_cannot_be_divided_so_is_refused(machine: Callable[[int], None]) -> None:
    machine(4)
    with pytest.raises(InputError, match="`workers` 3: there are 2 GPUs here"):
        shares(3, "cuda", ["0", "1"])
    with pytest.raises(InputError, match="may use 4 processors"):
        shares(5, "cpu", [])
    with pytest.raises(InputError, match="type mps cannot be shared"):
        shares(2, "mps", [])


def test_gpus_are_those_that_this_process_sees() -> None:
    assert visible_gpus(2, {}) == ["0", "1"]
    assert visible_gpus(2, {"CUDA_VISIBLE_DEVICES": "3, MIG-1"}) == ["3", "MIG-1"]


def test_the_command_is_the_same_without_the_option() -> None:
    given = ["--workers", "2", "--trials", "3", "--workers=4", "--study", "--workers-of-mine"]
    assert own_command("study.search", given)[1:] == [
        "-m", "study.search", "--trials", "3", "--study", "--workers-of-mine",
    ]  # fmt: skip


def script(text: str) -> list[str]:
    return [sys.executable, "-c", text]


TWO = [Share(1, {"ME": "one"}), Share(2, {"ME": "two"})]


def test_lines_are_passed_on_under_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    run_workers(script("import os; print(os.environ['ME']); print('\\x1b[2Jend')"), TWO)
    out, err = capsys.readouterr()
    assert sorted(out.splitlines()) == ["1: one", "1: �[2Jend", "2: two", "2: �[2Jend"]
    assert err == ""


def test_what_all_refuse_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"^--storage is wrong$"):
        run_workers(script("import sys; sys.stderr.write('error: --storage is wrong\\n'); sys.exit(2)"), TWO)
    assert capsys.readouterr() == ("", "")


def test_why_one_refused_is_said_where_the_command_is_stopped_before_all_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = "import sys; sys.stderr.write('error: --storage is wrong\\n'); sys.exit(2)"

    def interrupted() -> None:
        with _started(script(text), TWO[:1]) as (worker,):
            worker.process.wait()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert capsys.readouterr() == ("", "1: error: --storage is wrong\n")


def test_one_that_dies_is_said_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "import os, signal; os.environ['ME'] == 'one' and os.kill(os.getpid(), signal.SIGKILL); print('done')"
    )
    run_workers(script(text), TWO)
    assert capsys.readouterr() == ("2: done\n", "worker 1 ended with code -9\n")


def processes_at_work(folder: Path) -> int:
    """Return how many processes have a trial in training; none while there is no database yet."""
    query = """SELECT DISTINCT value_json FROM trial_user_attributes JOIN trials USING (trial_id)
               WHERE key = 'owner' AND state = 'RUNNING'"""
    try:
        with closing(sqlite3.connect(f"file:{folder}/optuna.db?mode=ro", uri=True)) as file:
            return len(file.execute(query).fetchall())
    except sqlite3.OperationalError:
        return 0


@pytest.mark.slow
def test_two_workers_share_a_study_on_sqlite_and_ctrl_c_stops_both(tmp_path: Path) -> None:
    """Stopped in the middle both put their trials back; the same command then completes the study, each trial once."""
    command = words(
        "study.search", "--trials", "8", "--epochs", "12", "--train-images", "2000", "--lanes", "2", "--device", "cpu",
        "--study", "shared", "--workers", "2",
    )  # fmt: skip
    process = started(command, tmp_path, merged=True)
    until = time.monotonic() + 300
    while processes_at_work(tmp_path) < 2 and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 130, said
    assert said.count("interrupted; the same command continues") == 3, said
    done = run_program(command, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "study shared is complete with 8 trials" in done.stdout
    assert done.stdout.count("These are search scores") == 1
    assert done.stdout.count(": shared 100%") == 2  # each says how the study ended, not how far itself came
    record = store.load(f"sqlite:///{tmp_path}/optuna.db")
    assert len(record.ended) == 8
    assert record.outcomes["running"] == 0

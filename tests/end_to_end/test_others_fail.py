"""Four workers on PostgreSQL and an MLflow server, while a worker is killed and both servers go away for a while."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from study.core.errors import InputError
from study.store import optuna_storage as store
from tests import servers
from tests.running import PATIENCE, run_command, started, words
from tests.servers import Postgres, answers, free_port, script

ALL = os.environ.get("STUDY_TEST_KILLS") == "all"
WORKERS, TRIALS, AWAY = (4, 60, 60) if ALL else (3, 24, 5)

PROBLEM = """
import torch
from torch import nn
from study.problems import Problem

x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
y = (x[:, 0] > 0).long()
problem = Problem(
    name="halves", model=lambda: nn.Linear(8, 2), train=(x, y), validation=(x, y),
    loss=nn.functional.cross_entropy, metric="accuracy", direction="maximize", chance=0.5,
    optimizer=lambda params, lr: torch.optim.SGD(params, lr=lr), base_rate=(0.01, 1.0), batch_size=16, epochs=3,
)
"""
SEARCH = (
    "--problem",
    "halves.py:problem",
    "--trials",
    str(TRIALS),
    "--lanes",
    "1",
    "--device",
    "cpu",
    "--storage-timeout",
    "5m",
)


class Mlflow:
    """An MLflow server in a folder, that can go away and come back."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns when it answers."""
        arguments = [script("mlflow"), "server", "--workers", "1", "--port", str(self._port),
                     "--backend-store-uri", "sqlite:///served.db"]  # fmt: skip
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self._folder / "mlflow.log").open("a") as log:
            self._process = subprocess.Popen(
                arguments, cwd=self._folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        give_up = time.monotonic() + PATIENCE
        while not answers(f"{self.url}/health"):
            assert self._process.poll() is None, (self._folder / "mlflow.log").read_text()
            assert time.monotonic() < give_up
            time.sleep(0.3)

    def stop(self) -> None:
        """Kill it, as a machine that fails would."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def runs(self) -> list[tuple[str, str, dict[str, str]]]:
        """Its runs: name, status, tags."""
        with closing(sqlite3.connect(self._folder / "served.db")) as file:
            tags: dict[str, dict[str, str]] = {}
            for run, key, value in file.execute("SELECT run_uuid, key, value FROM tags").fetchall():
                tags.setdefault(run, {})[key] = value
            found = file.execute("SELECT run_uuid, name, status FROM runs").fetchall()
        return [(name, status, tags[run]) for run, name, status in found]


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[Mlflow]:
    server = Mlflow(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with servers.postgres() as server:
        if server is None:
            pytest.skip("PostgreSQL's programs are not installed")
        yield server


@contextmanager
def working(folder: Path, count: int, *arguments: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Workers on one study, ended with the block."""
    (folder / "halves.py").write_text(PROBLEM)
    processes = [
        started(words("study.search", *SEARCH, *arguments), folder, merged=True) for _ in range(count)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def wait_until(happened: Callable[[], bool], processes: list[subprocess.Popen[str]]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not happened():
        assert any(p.poll() is None for p in processes), [p.communicate()[0][-2000:] for p in processes]
        assert time.monotonic() < give_up
        time.sleep(0.05)


def trials_ended(url: str) -> int:
    try:
        return len(store.load(url).ended)
    except InputError:  # not made yet
        return 0


def check(mlflow: Mlflow, url: str) -> None:
    """All trials ended, each recorded once, nothing left open."""
    trials = store.load(url).trials
    assert len(trials) == TRIALS
    assert {t.outcome for t in trials} <= {"finished", "pruned", "diverged"}
    shares = Counter(t.family for t in trials).values()
    assert max(shares) - min(shares) <= 1
    children = [run for run in mlflow.runs() if "mlflow.parentRunId" in run[2]]
    assert "RUNNING" not in {status for _, status, _ in mlflow.runs()}
    ended = Counter(tags["trial"] for _, _, tags in children if tags["state"] != "interrupted")
    assert ended == {str(t.number): 1 for t in trials}
    (parent,) = [run for run in mlflow.runs() if run not in children]
    assert (parent[1], parent[2]["state"]) == ("FINISHED", "finished")


@pytest.mark.slow
@pytest.mark.postgres
def test_workers_end_by_themselves_whatever_else_breaks(
    tmp_path: Path, postgres: Postgres, mlflow: Mlflow
) -> None:
    """MLflow away for a while, PostgreSQL restarted, a worker killed in the last tenth: all others end, with all trials."""
    url = postgres.database("optuna")

    def ended(count: int) -> Callable[[], bool]:
        return lambda: trials_ended(url) >= count

    with working(tmp_path, WORKERS, "--storage", url, "--tracking-uri", mlflow.url) as processes:
        wait_until(ended(TRIALS // 6), processes)
        mlflow.stop()
        time.sleep(AWAY)
        mlflow.start()
        wait_until(ended(TRIALS // 2), processes)
        postgres.stop()
        postgres.start()
        wait_until(ended(TRIALS * 9 // 10), processes)
        processes[0].kill()
        said = [process.communicate(timeout=PATIENCE)[0] for process in processes]
        codes = [process.returncode for process in processes]
    together = "\n----\n".join(said)  # a string: pytest would cut a list short
    assert codes[1:] == [0] * (WORKERS - 1), together
    assert all("Traceback" not in text for text in said), together
    assert any("does not answer" in text and "answers again after" in text for text in said)
    assert f"  {mlflow.url}/#/experiments/" in said[1]
    check(mlflow, url)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_server_gone_for_good_is_waited_for_aloud_and_what_it_missed_is_sent_later(
    tmp_path: Path, mlflow: Mlflow, stop: signal.Signals
) -> None:
    """One signal ends the waiting, in one line; the same command, once the server is there, sends what it missed."""
    folder = tmp_path / "study"
    folder.mkdir()
    url = f"sqlite:///{folder}/optuna.db"
    with working(folder, 1, "--tracking-uri", mlflow.url) as (process,):
        wait_until(lambda: trials_ended(url) > 2, [process])
        mlflow.stop()
        assert process.stdout is not None
        waiting = next(line for line in process.stdout if "does not answer" in line)
        assert (
            waiting
            == f"`tracking_uri` '{mlflow.url}' does not answer (Connection refused); waiting, Ctrl-C stops\n"
        )
        sent = time.monotonic()
        process.send_signal(stop)
        said, _ = process.communicate(timeout=60)
        assert time.monotonic() - sent < 30
    assert process.returncode == 130, said
    assert said.rstrip().endswith("interrupted; the same command continues")
    assert "Traceback" not in said
    assert not [t for t in store.load(url).trials if t.outcome == "running"]
    mlflow.start()
    run_command(folder, "study.search", *SEARCH, "--tracking-uri", mlflow.url)
    check(mlflow, url)
    shutil.rmtree(folder)

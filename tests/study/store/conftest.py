"""A study's records to write, and a throwaway PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest

from study.core.records import EpochMetrics, TrialSpec
from study.store import lifecycle as life
from tests.making import epochs_of, spec_of
from tests.running import started

WORKER = Path(__file__).with_name("worker.py")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A storage that does not exist yet."""
    return f"sqlite:///{tmp_path}/optuna.db"


@pytest.fixture
def spec() -> Callable[..., TrialSpec]:
    """Makes what a trial was asked."""

    def make(number: int = 0, base_rate: float = 0.1, epochs: int = 3) -> TrialSpec:
        params = {"schedule": "cosine", "base_rate": base_rate, "cosine.final": 0.05}
        return spec_of(number, base_rate=base_rate, params=params, epochs=epochs, seed=7, offset=2, lanes=4)

    return make


@pytest.fixture
def epochs() -> Callable[..., list[EpochMetrics]]:
    """Makes what some epochs gave, the last of them with a given accuracy."""

    def make(count: int = 3, accuracy: float = 0.8, averaged: float | None = None) -> list[EpochMetrics]:
        accuracies = [accuracy - 0.01 * (count - 1 - e) for e in range(count)]
        return epochs_of(accuracies, averaged_accuracy=averaged)

    return make


@pytest.fixture
def start(spec: Callable[..., TrialSpec]) -> Callable[..., optuna.Trial]:
    """Starts a trial of a study as the search does: asked for, drawn, begun."""

    def make(study: optuna.Study, total: int = 100) -> optuna.Trial:
        trial = life.ask(study, total)
        assert trial is not None
        base_rate = trial.suggest_float("base_rate", 0.01, 1.0, log=True)
        life.begin(trial, spec(trial.number, base_rate))
        return trial

    return make


@pytest.fixture
def worker() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes that work on a study; see ``worker.py``. They are ended with the test."""
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = started([sys.executable, str(WORKER), *arguments])
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server in a temporary folder, without a database's name."""
    found = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        Path(shutil.which("initdb") or "").parent,
    ]
    programs = next((folder for folder in found if (folder / "initdb").exists()), None)
    if programs is None:
        pytest.skip("PostgreSQL's programs are not installed")
    folder = Path(tempfile.mkdtemp(prefix="records-"))
    # PostgreSQL refuses to run as root.
    prefix: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        prefix = ["runuser", "-u", "postgres", "--"]
    data = str(folder / "data")

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [*prefix, str(programs / program), *arguments], check=True, stdout=subprocess.DEVNULL, cwd=folder
        )

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run("initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    yield f"postgresql+psycopg://tester@127.0.0.1:{port}"
    run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def postgres(postgres_server: str, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Makes empty databases of the test's own, by name; returns their URLs."""
    import psycopg

    def make(name: str) -> str:
        database = f"{request.node.name.lower()}_{name}"[:60]
        plain = postgres_server.replace("+psycopg", "")
        with psycopg.connect(f"{plain}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"')
        return f"{postgres_server}/{database}"

    return make

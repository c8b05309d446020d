"""A study's records to write, and a throwaway PostgreSQL server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest

from study.core.records import EpochMetrics, TrialSpec
from study.store import lifecycle as life
from tests import servers
from tests.making import epochs_of, spec_of
from tests.running import started
from tests.servers import Postgres

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
def server() -> Iterator[Postgres]:
    """A PostgreSQL server in a temporary folder."""
    with servers.postgres() as started:
        if started is None:
            pytest.skip("PostgreSQL's programs are not installed")
        yield started


@pytest.fixture(scope="session")
def postgres_server(server: Postgres) -> str:
    """The URL of a PostgreSQL server, without a database's name."""
    return server.url


@pytest.fixture
def postgres(server: Postgres, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Makes empty databases of the test's own, by name; returns their URLs."""
    return lambda name: server.database(f"{request.node.name.lower()}_{name}"[:60])

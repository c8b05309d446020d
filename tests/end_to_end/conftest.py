"""Whole commands, run as a user runs them: one small finished study, its servers, and a browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Route, sync_playwright

from study.terminal.command import Command
from tests.running import run_command
from tests.servers import answers, free_port, script

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

#: Seconds until a server must answer; `mlflow ui` takes 9 to 24 s on two cores that have other work.
PATIENCE = 180


@dataclass(frozen=True)
class Finished:
    """A study that has run: the folder it ran in, its name, its size, and what it printed."""

    folder: Path
    name: str
    trials: int
    output: str


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command in this process with input that it cannot use; returns its one line."""

    def run(main: Command, *arguments: str) -> str:
        with pytest.raises(SystemExit) as left:
            main.main(list(arguments))
        said = capsys.readouterr().err
        assert left.value.code == 2, said
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        return said.removeprefix("error: ").rstrip("\n")

    return run


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Run the search itself: 12 trials of one epoch on 2,000 images."""
    folder = tmp_path_factory.mktemp("study")
    arguments = [
        "--trials",
        "12",
        "--epochs",
        "1",
        "--train-images",
        "2000",
        "--study",
        "small",
        "--device",
        "cpu",
    ]
    printed = run_command(folder, "study.search", *arguments)
    return Finished(folder, "small", 12, printed)


@contextmanager
def serving(arguments: Sequence[str], folder: Path, url: str) -> Iterator[str]:
    """Run a server in ``folder`` until the block ends; yield ``url`` once it answers."""
    log = folder / f"{Path(arguments[0]).name}.log"
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (
        log.open("w") as output,
        subprocess.Popen(
            arguments, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        ) as process,
    ):
        try:
            give_up = time.monotonic() + PATIENCE
            while not answers(url):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < give_up, f"{url} does not answer: {log.read_text()}"
                time.sleep(0.3)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)


@contextmanager
def serving_mlflow(folder: Path) -> Iterator[str]:
    """``mlflow ui`` as it comes, but for the port and the number of its processes."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = [script("mlflow"), "ui", "--workers", "1", "--port", str(port)]
    with serving(arguments, folder, f"{url}/health"):
        yield url


@contextmanager
def serving_dashboard(folder: Path) -> Iterator[str]:
    """``optuna-dashboard`` on a folder's database."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/dashboard"
    arguments = [
        script("optuna-dashboard"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "sqlite:///optuna.db",
    ]
    with serving(arguments, folder, f"{url}/"):
        yield url


@pytest.fixture(scope="session")
def mlflow_ui(small_study: Finished) -> Iterator[str]:
    """MLflow on the small study."""
    with serving_mlflow(small_study.folder) as url:
        yield url


@pytest.fixture(scope="session")
def dashboard(small_study: Finished) -> Iterator[str]:
    """optuna-dashboard on the small study."""
    with serving_dashboard(small_study.folder) as url:
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium from the system."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found is not None, f"none of {', '.join(BROWSERS)} is installed"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, headless=True, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def window(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh browser profile that reaches this machine only."""

    def local_only(route: Route) -> None:
        if route.request.url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:")):
            route.continue_()
        else:
            route.abort()

    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(60_000)
    context.route("**/*", local_only)
    yield context
    context.close()

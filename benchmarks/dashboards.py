"""What open dashboards cost a search on SQLite: both asked again and again while it trains.

    PYTHONPATH=. python benchmarks/dashboards.py [--repetitions 3] [--every 1]

The search is the command as a user gives it (8 trials of 3 epochs, defaults else). Beside it MLflow's server and
optuna-dashboard serve the same two files: once nobody asks them, once each is asked for all runs, or all trials, again
``--every`` seconds after its last answer, as a page that is open does. Ways take turns. Printed: median and range of the
search's seconds, how many questions were answered, and what went wrong. Returns 0 if it is at most a tenth slower and
nothing went wrong.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.end_to_end.conftest import serving
from tests.servers import free_port, script

SEARCH = [sys.executable, "-m", "study.search", "--trials", "8", "--epochs", "3", "--pruner", "none"]
WAYS = ("unasked", "asked")
SLOWER = 1.1


class Asker:
    """Asks a server again and again, in a thread of its own.

    Attributes:
        answered: Questions answered.
        failed: What went wrong after its first answer.
    """

    def __init__(self, ask: Callable[[], None], every: float) -> None:
        self.answered, self.failed = 0, list[str]()
        self._ask, self._every, self._done = ask, every, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._done.wait(self._every):
            try:
                self._ask()
                self.answered += 1
            except OSError as error:
                if self.answered:  # before, the study is not made yet
                    self.failed.append(str(error))

    def stop(self) -> None:
        """Ask nothing more."""
        self._done.set()
        self._thread.join()


def once(way: str, every: float) -> tuple[float, int, list[str]]:
    """Run a search beside both servers; return its seconds, questions answered, and what went wrong."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = [*SEARCH[:4], "1", "--epochs", "1", "--train-images", "256", "--study", "first"]
        subprocess.run(
            first, cwd=folder, check=True, capture_output=True
        )  # so that there is something to serve
        mlflow, optuna = free_port(), free_port()
        ui = [script("mlflow"), "ui", "--workers", "1", "--port", str(mlflow)]
        dashboard = [
            script("optuna-dashboard"),
            "--host",
            "127.0.0.1",
            "--port",
            str(optuna),
            "sqlite:///optuna.db",
        ]
        with (
            serving(ui, folder, f"http://127.0.0.1:{mlflow}/health"),
            serving(dashboard, folder, f"http://127.0.0.1:{optuna}/dashboard/"),
        ):
            askers = []
            if way == "asked":
                body = json.dumps({"experiment_ids": ["1"], "max_results": 100})
                asked = (
                    partial(fetch, mlflow, "/api/2.0/mlflow/runs/search", body),
                    partial(fetch, optuna, "/api/studies/2?after=0"),
                )
                askers = [Asker(ask, every) for ask in asked]
            started = time.perf_counter()
            done = subprocess.run(
                [*SEARCH, "--study", "second"], cwd=folder, check=True, capture_output=True, text=True
            )
            seconds = time.perf_counter() - started
            for asker in askers:
                asker.stop()
        logs = done.stdout + done.stderr + "".join(log.read_text("utf-8") for log in folder.glob("*.log"))
        wrong = [error for asker in askers for error in asker.failed]
        wrong += ["a server never answered"] * any(not asker.answered for asker in askers)
        wrong += ["a database was locked"] * ("locked" in logs)
        return seconds, sum(asker.answered for asker in askers), wrong


def fetch(port: int, path: str, body: str | None = None) -> None:
    """Ask a server of this machine, and read its answer.

    Raises:
        OSError: It does not answer, or not with what was asked for.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(
            "GET" if body is None else "POST", path, body, {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        answer.read()
        if answer.status != HTTPStatus.OK:
            raise OSError(f"{path}: {answer.status} {answer.reason}")
    except HTTPException as error:
        raise OSError(f"{path}: {error!r}") from error
    finally:
        connection.close()


def main() -> int:
    """Measure both ways in turns, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--every", type=float, default=1.0)
    options = parser.parse_args()
    found: dict[str, list[tuple[float, int, list[str]]]] = {way: [] for way in WAYS}
    for _ in range(options.repetitions):
        for way in WAYS:
            found[way].append(once(way, options.every))
            print(f"  {way}: {found[way][-1][0]:.1f} s, {found[way][-1][1]} answers", flush=True)
    medians = {}
    for way, rows in found.items():
        seconds = [row[0] for row in rows]
        medians[way] = statistics.median(seconds)
        print(f"{way:8} {medians[way]:6.1f} s ({min(seconds):.1f} to {max(seconds):.1f})")
    wrong = [error for rows in found.values() for row in rows for error in row[2]]
    ratio = medians["asked"] / medians["unasked"]
    print(f"{100 * (ratio - 1):+.0f} % (bar: at most +10 %); went wrong: {wrong or 'nothing'}")
    return int(ratio > SLOWER or bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

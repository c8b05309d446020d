"""Both dashboards polled in a loop beside a search on SQLite: nobody finds a database locked."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from study.core.errors import InputError
from study.store import optuna_storage as store
from tests.end_to_end.conftest import serving
from tests.end_to_end.test_others_fail import working
from tests.running import PATIENCE
from tests.servers import free_port, script


def poll(ask: Callable[[], bytes], until: threading.Event, failed: list[str]) -> None:
    """Ask a dashboard again and again; keep what went wrong."""
    while not until.is_set():
        try:
            ask()
        except OSError as error:
            failed.append(str(error))


@pytest.mark.slow
def test_dashboards_beside_a_search(tmp_path: Path) -> None:
    mlflow, optuna = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    url = f"sqlite:///{tmp_path}/optuna.db"

    def studies() -> bytes:
        with urllib.request.urlopen(f"{optuna}/api/studies/1?after=0", timeout=60) as answer:  # noqa: S310 - ours
            return bytes(answer.read())

    def runs() -> bytes:
        body = json.dumps({"experiment_ids": ["1"], "max_results": 100}).encode()
        asked = urllib.request.Request(  # noqa: S310 - ours
            f"{mlflow}/api/2.0/mlflow/runs/search", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310 - ours
            return bytes(answer.read())

    def begun() -> bool:
        try:
            return bool(store.load(url).trials)
        except InputError:
            return False

    ui = [script("mlflow"), "ui", "--workers", "1", "--port", mlflow.rpartition(":")[2]]
    dashboard = [
        script("optuna-dashboard"),
        "--host",
        "127.0.0.1",
        "--port",
        optuna.rpartition(":")[2],
        "sqlite:///optuna.db",
    ]
    with working(tmp_path, 1, "--epochs", "40") as (process,):
        while not begun():
            assert process.poll() is None, process.communicate()
        failed: list[str] = []
        done = threading.Event()
        with serving(ui, tmp_path, f"{mlflow}/health"), serving(dashboard, tmp_path, f"{optuna}/dashboard/"):
            assert process.poll() is None, "the search was over before the dashboards came"
            threads = [threading.Thread(target=poll, args=(ask, done, failed)) for ask in (studies, runs)]
            for thread in threads:
                thread.start()
            said, _ = process.communicate(timeout=PATIENCE)
            done.set()
            for thread in threads:
                thread.join()
            assert b"finished" in runs()
    assert process.returncode == 0, said
    assert failed == []
    logs = "".join((tmp_path / f"{name}.log").read_text("utf-8") for name in ("mlflow", "optuna-dashboard"))
    assert "locked" not in said + logs

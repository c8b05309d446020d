"""Commands of ours that are killed: at a write of theirs, or after a while.

``python -m tests.killing`` imports everything once and then forks a process for each command that it is asked for, a
line of JSON each; ``Forge`` is its other end. The images measured on are fewer than a user's, which makes an epoch
a matter of milliseconds; all else is what a user runs.

A write is what other processes can see: a commit of a database's transaction that changed something, a statement that
makes or changes tables (SQLite commits each by itself), a file that takes its place, is made or goes. They
are found where the libraries make them, so that a write which is added to the study later is among them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from tests.running import ROOT, environment

#: Images that are measured on.
MEASURED = 200
#: Environment variable: number of the write that the process kills itself before.
KILL_AT = "STUDY_TEST_KILL_AT"
#: File that lists the writes, in order.
PLACES = "places.txt"

_CHANGES = ("INSERT", "UPDATE", "DELETE")
_TABLES = ("CREATE", "ALTER", "DROP")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, minus the signal that killed it; what it printed; seconds it took."""

    code: int
    said: str
    seconds: float


class Forge:
    """Runs commands one after the other; made by ``forge``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self, folder: Path, command: str, *arguments: str, at: int | None = None, after: float | None = None
    ) -> Ended:
        """Run a command in a folder.

        Args:
            folder: Where.
            command: Such as ``search``.
            arguments: Its arguments.
            at: Number of the write, from 0, before which it is killed.
            after: Seconds after which it is killed.
        """
        job = {"folder": str(folder), "command": command, "arguments": arguments, "at": at, "after": after}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the forge ended"
        return Ended(*json.loads(answer))


@contextmanager
def forge() -> Iterator[Forge]:
    """Start the process that forks; takes as long as all imports do."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.killing"],
        cwd=ROOT,
        env=environment(NUMBA_NUM_THREADS="1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Forge(process)
        assert process.stdin is not None
        process.stdin.close()


def places(folder: Path) -> list[str]:
    """Return the writes of the last command in a folder that was to be killed at one, in order."""
    return (folder / PLACES).read_text("utf-8").splitlines()


# The process that forks


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    _prepare()
    for line in sys.stdin:
        job = json.loads(line)
        began = time.monotonic()
        log = Path(job["folder"]) / "said.txt"
        pid = os.fork()
        if pid == 0:
            _run(job, log)
        code = _wait(pid, None if job["after"] is None else began + job["after"])
        answers.write(json.dumps([code, log.read_text("utf-8", "replace"), time.monotonic() - began]) + "\n")
        answers.flush()


def _prepare() -> None:
    """Import what commands import, and read the images once."""
    from study.core.threads import prepare_environment

    prepare_environment()
    import torch

    from study.problems import fashion_mnist
    from study.problems.fashion_mnist import Images, Split
    from study.training import workload

    for name in ("search", "confirm", "replicate", "explore", "page.closing", "page.confirmed", "page.outputs.publish", "page.gather",
                 "loops.searching.search_run", "loops.validation_runs", "questions.opening", "questions.answers", "questions.trained", "textbook.curves_figure", "textbook.result_tables"):  # fmt: skip
        import_module(f"study.{name}")
    for name in (
        "mlflow",
        "mlflow.store.tracking.sqlalchemy_store",
        "mlflow.store.db.utils",
        "optuna.samplers._tpe.sampler",
    ):
        import_module(name)
    cpu = torch.device("cpu")

    def few(split: Split) -> Split:
        measured = split.evaluation
        if measured is not None:
            measured = Images(measured.pixels[:MEASURED].clone(), measured.labels[:MEASURED].clone())
        return Split(split.train, measured, split.checksums, split.on_test)

    def cut(split: Split) -> Callable[..., Split]:
        def load(_directory: str | None, _device: torch.device, **more: Any) -> Split:
            train = split.train.part(0, more.get("train_images") or len(split.train))
            return Split(train, split.evaluation, split.checksums, split.on_test)

        return load

    for name, load in (
        ("load_search", cut(few(fashion_mnist.load_search(None, cpu)))),
        ("load_training", cut(fashion_mnist.load_training(None, cpu))),
        ("load_final", cut(few(fashion_mnist.load_final(None, cpu)))),
    ):
        setattr(fashion_mnist, name, load)
        setattr(workload, name, load)


def _wait(pid: int, until: float | None) -> int:
    while until is not None and time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    if until is not None:
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _run(job: dict[str, Any], log: Path) -> None:
    """Be a command, to its end; never returns."""
    os.chdir(job["folder"])
    with log.open("wb") as said, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    code = 70
    try:
        if job["at"] is not None:
            os.environ[KILL_AT] = str(job["at"])
            arm()
        import_module(f"study.{job['command']}").main.main(job["arguments"])
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:  # noqa: BLE001 - told as Python would
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


# The hook


def arm() -> None:
    """Let this process kill itself before the write that ``KILL_AT`` numbers; list the writes before it."""
    import sqlalchemy

    at = int(os.environ[KILL_AT])
    listed = Path(PLACES).absolute().open("w", encoding="utf-8")
    count = 0

    def write(what: str) -> None:
        nonlocal count
        listed.write(f"{_place()}: {what}\n")
        listed.flush()
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "before_cursor_execute")
    def statement(connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        word, *rest = text.split(maxsplit=3)
        if word.upper() in _CHANGES:
            connection.info.setdefault(
                "changed", text.split()[2 if word.upper() != "UPDATE" else 1].strip("()")
            )
        elif word.upper() in _TABLES:
            write(f"{word} {rest[1] if len(rest) > 1 else ''}".lower())

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "commit")
    def commit(connection: Any) -> None:
        table = connection.info.pop("changed", None)
        if table is not None:
            write(f"commit to {table}")

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "rollback")
    def rollback(connection: Any) -> None:
        connection.info.pop("changed", None)

    for name in ("replace", "touch", "unlink"):
        setattr(Path, name, _before(getattr(Path, name), name, write))


def _before(method: Callable[..., Any], name: str, write: Callable[[str], None]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Path, *args: Any, **named: Any) -> Any:
        kept = self.suffix in {".pt", ".json", ".jsonl", ".npz", ".recording", ".db"} or self.name.endswith(
            "mlflow-key"
        )
        if kept and (name == "replace" or not self.name.startswith(".part-")):
            write(f"{name} *{self.suffix or self.name}")
        return method(self, *args, **named)

    return call


def _place() -> str:
    """Return where in the study's code a write is made, and by which call: ``lifecycle._take > set_trial_user_attr``."""
    frame: FrameType | None = sys._getframe(2)
    below: list[str] = []
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT / "study") and path.stem not in {"patience", "files", "database"}:
            called = next(
                (name for name in reversed(below) if name not in {"call", "__exit__", "<lambda>"}), ""
            )
            return f"{path.stem}.{frame.f_code.co_name}" + (f" > {called}" if called else "")
        below.append(frame.f_code.co_name)
        frame = frame.f_back
    return "?"


if __name__ == "__main__":
    _serve()

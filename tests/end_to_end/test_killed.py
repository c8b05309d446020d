"""Commands that are killed at any of their writes, and at any time, and started again: nothing is lost, doubled or left open.

The law, after the same command has run to its end: every trial, or run, has ended once and is recorded once; no row is
RUNNING in either database; there is one parent run, finished; for the search, shares are equal and all numbers
are those of a process that nobody killed.

In every run of the tests a process is killed at a few places where the study's code writes, from the first to the last.
With ``STUDY_TEST_KILLS=all`` it is killed at every single write, hundreds of them, and the storm of random kills is whole.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from study.core.records import StudyRecord
from study.questions.sweep import read_results
from study.store import optuna_storage as store
from tests.killing import Forge, forge, places

ALL = os.environ.get("STUDY_TEST_KILLS") == "all"

TRIALS, FAMILIES = 6, ("constant", "cosine", "linear")
SEARCH = (
    "--trials", str(TRIALS), "--lanes", "2", "--schedules", ",".join(FAMILIES), "--n-warmup-steps", "1",
    "--n-startup-trials", "2", "--keep-best", "0", "--reprieve", "0.5", "--seed", "28", "--epochs", "3",
    "--train-images", "512", "--batch-size", "16", "--device", "cpu", "--precision", "float32",
)  # fmt: skip
COMMANDS = {
    "search": SEARCH,
    "confirm": ("--finalists", "2", "--heats", "1", "--train-images", "1024", "--looks", "2", "--rates", "1,2", "--rate-seeds", "1", "--device", "cpu"),
    "replicate": ("--seeds", "2", "--epochs", "2", "--train-images", "256", "--both", "--device", "cpu"),
    "explore": ("warmup", "--seeds", "2", "--values", "0,1", "--multiples", "1", "--train-images", "512", "--device", "cpu"),
}  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def commands() -> Iterator[Forge]:
    """Runs commands; see ``tests.killing``."""
    with forge() as ready:
        yield ready


@dataclass(frozen=True)
class Undisturbed:
    """A command that nobody killed: the folder that it ran in, and where it wrote, in order."""

    folder: Path
    writes: list[str]


def ran(commands: Forge, folder: Path, command: str, *arguments: str) -> Undisturbed:
    ended = commands.run(folder, command, *arguments, at=10**9)
    assert ended.code == 0, ended.said
    return Undisturbed(folder, places(folder))


@pytest.fixture(scope="module")
def searched(commands: Forge, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The search, undisturbed."""
    return ran(commands, tmp_path_factory.mktemp("searched"), "search", *SEARCH)


# The law


def figures(study: StudyRecord) -> list[Any]:
    """All that the search's trials were asked and gave, but for times."""
    return [
        (
            t.spec,
            t.outcome,
            t.value,
            t.reported,
            t.reprieved_at,
            [{**e.to_json(), "seconds": 0} for e in t.epochs],
        )
        for t in study.trials
    ]


def runs(folder: Path) -> list[tuple[str, str, dict[str, str]]]:
    """MLflow's runs: name, status and tags."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as file:
        found = file.execute("SELECT run_uuid, name, status FROM runs").fetchall()
        tags: dict[str, dict[str, str]] = {}
        for run, key, value in file.execute("SELECT run_uuid, key, value FROM tags").fetchall():
            tags.setdefault(run, {})[key] = value
    return [(name, status, tags[run]) for run, name, status in found]


def check_mlflow(folder: Path, kind: str, expected: list[str]) -> None:
    """One finished parent; of its children each that is expected ended once, all others were interrupted."""
    mine = [run for run in runs(folder) if run[2].get("kind") == kind]
    parents = [run for run in mine if "mlflow.parentRunId" not in run[2]]
    assert [(status, tags["state"]) for _, status, tags in parents] == [("FINISHED", "finished")]
    children = [run for run in mine if "mlflow.parentRunId" in run[2]]
    assert {(status, tags["state"]) for _, status, tags in children} <= {
        ("FINISHED", "finished"), ("KILLED", "pruned"), ("FAILED", "diverged"), ("KILLED", "interrupted")
    }  # fmt: skip
    assert sorted(name for name, _, tags in children if tags["state"] != "interrupted") == sorted(expected)


def check_search(folder: Path, whole: Path) -> None:
    """Hold the law of the search."""
    now, then = (store.load(f"sqlite:///{each}/optuna.db") for each in (folder, whole))
    with closing(sqlite3.connect(folder / "optuna.db")) as file:
        states = Counter(state for (state,) in file.execute("SELECT state FROM trials").fetchall())
    assert states.keys() <= {"COMPLETE", "PRUNED"}
    assert states.total() == TRIALS
    assert Counter(t.family for t in now.trials) == dict.fromkeys(FAMILIES, TRIALS // len(FAMILIES))
    assert figures(now) == figures(then)
    check_mlflow(folder, "search", [f"#{t.number} {t.family}" for t in now.trials])
    left = {p.name for p in folder.iterdir()} - {"mlruns", "said.txt", "places.txt"}
    assert left == {"optuna.db", "mlflow.db", "mlartifacts"}


def check_runs(folder: Path, kind: str, whole: Path) -> None:
    """Hold the law of a command that trains a fixed list of runs: those of an undisturbed one, with its figures."""
    for each in (kind, "heats") if kind == "confirm" else (kind,):
        ended = [n for n, _, tags in runs(whole) if tags.get("kind") == each and "mlflow.parentRunId" in tags]
        assert ended
        check_mlflow(folder, each, ended)
    assert results(folder, kind) == results(whole, kind)
    assert list(folder.rglob(".part-*")) == []
    if kind == "explore":  # a run's line is what is kept of it
        assert sorted(p.name for p in folder.glob("runs/explore/*/*")) == ["lock", "mlflow-key"]


def results(folder: Path, kind: str) -> Any:
    """What the command found: the certificate's figures, or what every epoch of every run gave."""
    if kind == "confirm":
        certificate = json.loads((folder / "certificate.json").read_text("utf-8"))
        heats = [finalist["heats"] for finalist in certificate["finalists"]]
        return [heats, *(certificate[name] for name in ("values", "verdict", "rates"))]
    if kind == "explore":
        return [replace(run, seconds=0) for run in read_results(folder / "docs/results/warmup.jsonl").runs]
    return [
        [
            {**epoch, "seconds": 0}
            for row in json.loads(torch.load(file, weights_only=True)["history"])
            for epoch in row
        ]
        for file in sorted(folder.rglob("seed-*.pt"))
    ]


# At each place


def one_of_each(writes: list[str], seed: int = 0) -> list[int]:
    """Return the numbers of the writes to be killed at: one of each place, any; of making tables, any one."""
    by_place: dict[str, list[int]] = {}
    for number, place in enumerate(writes):
        by_place.setdefault(place if "__init__" not in place else place.split(" > ")[0], []).append(number)
    draw = np.random.default_rng(seed)
    return sorted(int(draw.choice(numbers)) for numbers in by_place.values())


def spread(numbers: list[int], count: int = 6) -> list[int]:
    """Return ``count`` of the numbers at equal distances, the first and the last among them."""
    chosen = np.linspace(0, len(numbers) - 1, min(count, len(numbers))).round().astype(int)
    return [numbers[i] for i in chosen]


def kill(commands: Forge, start: Path, folder: Path, words: tuple[str, ...], at: int) -> None:
    """Kill a command before its write number ``at``, or before its last where it makes fewer.

    How many writes there are depends on time: what MLflow is told at once is what has come since the last time.
    """
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(start, folder)
        ended = commands.run(folder, *words, at=at)
        if ended.code == -signal.SIGKILL:
            return
        assert ended.code == 0, ended.said
        at = len(places(folder)) - 1
    pytest.fail("it ended five times before it could be killed")


def broken_at(
    commands: Forge,
    start: Path,
    place: Path,
    whole: Undisturbed,
    words: tuple[str, ...],
    check: Callable[[Path], None],
) -> dict[str, str]:
    """Kill a command at its writes, each time in a folder that begins as ``start``; return where the law does not hold."""
    broken = {}
    for at in range(len(whole.writes)) if ALL else spread(one_of_each(whole.writes)):
        folder = place / str(at)
        kill(commands, start, folder, words, at)
        ended = commands.run(folder, *words)
        try:
            assert ended.code == 0, ended.said
            check(folder)
        except AssertionError as error:
            broken[f"{at} {whole.writes[at]}"] = str(error)
        else:
            shutil.rmtree(folder)
    return broken


def test_a_search_killed_at_any_of_its_writes_ends_as_if_nobody_had(
    commands: Forge, searched: Undisturbed, tmp_path: Path
) -> None:
    """And the parts that this test holds against each other are all there: trials pruned and finished."""
    known = store.load(f"sqlite:///{searched.folder}/optuna.db")
    assert {t.outcome for t in known.trials} == {"finished", "pruned"}
    empty = tmp_path / "empty"
    empty.mkdir()
    words = ("search", *SEARCH)
    assert (
        broken_at(commands, empty, tmp_path, searched, words, lambda f: check_search(f, searched.folder))
        == {}
    )


@pytest.mark.parametrize("command", ["confirm", "replicate", "explore"])
def test_runs_killed_at_any_of_their_writes_end_as_if_nobody_had(
    commands: Forge, searched: Undisturbed, tmp_path: Path, command: str
) -> None:
    arguments = COMMANDS[command]
    start = tmp_path / "start"
    shutil.copytree(searched.folder, start)
    folder = tmp_path / "whole"
    shutil.copytree(start, folder)
    whole = ran(commands, folder, command, *arguments)
    check_runs(folder, command, folder)
    words = (command, *arguments)
    assert broken_at(commands, start, tmp_path, whole, words, lambda f: check_runs(f, command, folder)) == {}


# At any time


@pytest.mark.parametrize("command", COMMANDS)
def test_a_storm_of_kills(commands: Forge, searched: Undisturbed, tmp_path: Path, command: str) -> None:
    """Killed again and again at random moments, from the first on, that of making the databases included."""
    folders, kills = (7, 5) if ALL else (1, 3)
    whole, empty = tmp_path / "whole", tmp_path / "empty"
    empty.mkdir()
    shutil.copytree(empty if command == "search" else searched.folder, whole)
    seconds = commands.run(whole, command, *COMMANDS[command]).seconds
    draw = np.random.default_rng(len(command))
    for number in range(folders):
        folder = tmp_path / str(number)
        shutil.copytree(empty if command == "search" else searched.folder, folder)
        for _ in range(kills):
            commands.run(folder, command, *COMMANDS[command], after=draw.uniform(0, seconds))
        ended = commands.run(folder, command, *COMMANDS[command])
        assert ended.code == 0, ended.said
        if command == "search":
            check_search(folder, searched.folder)
        else:
            check_runs(folder, command, whole)

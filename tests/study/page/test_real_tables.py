"""Every table and sentence that commands print, at the widths of real terminals: nothing is cut, nothing lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from study.audit import cost_table, print_replay
from study.core.records import StudyConfig, StudyRecord
from study.loops.searching.search_display import what_runs
from study.page.closing import print_closing
from study.page.confirmed import print_verdict
from study.page.family_table import Results, family_table
from study.stats.certificate import Examples
from study.stats.example_sums import ExampleSums
from study.stats.pruning_cost import cost_of_pruning
from study.stats.sequential import Plan
from study.stats.verdict import Singly, verdict
from study.store.run_links import where_to_look
from study.terminal.cells import MISSING
from study.terminal.searched import print_catalogue
from study.terminal.tables import Column, print_table, say
from study.textbook.result_tables import tables
from study.textbook.statistics import Measured
from study.tuning.classic import CLASSIC as FAMILIES

Maker = Callable[..., StudyRecord]
WIDTHS = (80, 100, 120, 200)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
#: What no line can be broken in.
ADDRESS = re.compile(r"https?://|sqlite:")


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A terminal of this width."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    return int(request.param)


def shown(capsys: pytest.CaptureFixture[str], width: int) -> str:
    """What was printed, as one line; every line fits, and none is cut."""
    said = COLOURS.sub("", capsys.readouterr().out)
    lines = said.splitlines()
    assert [line for line in lines if len(line) > width and not ADDRESS.search(line)] == []
    assert "…" not in said
    return " ".join(said.split())


def assert_whole(text: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Every heading and every cell is there, word by word, rows in their order."""
    for place, column in enumerate(columns):
        if place == 0 or (column.flexible and all(row[place] in {"", MISSING} for row in rows)):
            continue
        assert set(column.title.split()) <= set(re.split(r"[ ,:]+", text)), column
    start = 0
    for row in rows:
        assert row[0] in text[start:], row
        start = text.index(row[0], start)
        for place, cell in enumerate(row):
            if columns[place].flexible and cell == MISSING:
                continue
            for word in cell.replace("\N{NO-BREAK SPACE}", " ").split():
                assert word in text[start:], (row, word)


def test_the_tables_of_a_search(made_up: Maker, width: int, capsys: pytest.CaptureFixture[str]) -> None:
    results = Results.of(made_up(100))
    places = ("sqlite:///optuna.db", "sqlite:///mlflow.db", "1")
    say(what_runs(results.record.config, 100, 8))
    text = shown(capsys, width)
    assert "12 families, 100 trials x 30 epochs, 8 lanes on cpu in float32" in text
    print_closing(results, *places, complete=None)
    text = shown(capsys, width)
    assert_whole(text, *family_table(results))
    assert all(line.strip() in text for line in where_to_look(results.record.config, *places))


def test_the_tables_of_a_confirmation(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    names = ("warmup_stable_decay #117", "cosine_restarts #8", "constant #3")
    table = 0.9 + rng.normal(0, 0.001, (10, 3)) - np.array([0, 0.001, 0.01])

    def sums(_look: int, leader: int, rival: int, shared: NDArray[np.bool_]) -> ExampleSums:
        rows = np.flatnonzero(shared)
        draws = {who: rng.random((len(rows), 500)) < 0.9 for who in (leader, rival)}
        return ExampleSums.of(list(draws[leader]), list(draws[rival]))

    judged = verdict(table, names, Plan((5, 10), 0.95, 0.001), Singly(500, sums))
    print_verdict(judged, Examples())
    text = shown(capsys, width)
    for name in names:
        assert name in text
    for word in ["finalist", "accuracy", "behind", "from", "to", "ahead", "on", "bad", "seeds"]:
        assert word in text
    assert text.count("10/10") + text.count("/5") >= 1


def test_the_tables_of_an_audit(made_up: Maker, width: int, capsys: pytest.CaptureFixture[str]) -> None:
    record = made_up(100)
    columns, rows = cost_table(cost_of_pruning(record))
    print_table(columns, rows, title="What pruning cost")
    assert_whole(shown(capsys, width), columns, rows)


def test_the_tables_of_a_replay(made_up: Maker, width: int, capsys: pytest.CaptureFixture[str]) -> None:
    record = made_up(60)
    settings = {**record.config.to_json(), "pruner": "none"}
    whole = StudyRecord(StudyConfig.from_json(settings), record.finished)
    print_replay(whole, 1, 2, None, markdown=False)
    text = shown(capsys, width)
    for heading in ("after", "startup", "winner in other orders", "worst family's loss in other orders"):
        assert set(heading.split()) <= set(re.split(r"[ ,]+", text))
    assert "family-median" in text


def test_the_tables_of_a_replication(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    measured = [
        Measured(name, way, published, 0.9 + rng.normal(0, 0.01, (5, 3, 3)))
        for name, published in (("multi-factor", (0.187, 0.931, 0.890)), ("cosine, warm-up", None))
        for way in ("as published", "corrected")
    ]
    for table in tables(measured):
        print_table(table.columns, table.rows, title=table.title)
        assert_whole(shown(capsys, width), table.columns, table.rows)


def test_the_catalogue(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_catalogue(FAMILIES, FAMILIES)
    text = shown(capsys, width)
    assert all(name in text for name in FAMILIES)
    assert "no parameter of its own" in text


def test_a_pipe_gets_a_row_a_line(
    made_up: Maker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    columns, rows = family_table(Results.of(made_up(100)))
    print_table(columns, rows)
    lines = capsys.readouterr().out.splitlines()
    for row in rows:
        assert any(
            line.strip().startswith(row[0]) and line.endswith(row[-1].replace("\N{NO-BREAK SPACE}", " "))
            for line in lines
        )

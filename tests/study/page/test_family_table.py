"""Laws of the families' table: a row a family, a cell a column, and nothing said that the results do not say."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

from study.core.records import StudyRecord
from study.page.family_table import Results, family_table
from study.terminal.cells import MISSING
from study.tuning.space import BASE_RATE

Maker = Callable[..., StudyRecord]


def test_every_row_has_a_cell_a_column_and_every_family_a_row(made_up: Maker) -> None:
    for record in (made_up(0), made_up(100)):
        results = Results.of(record)
        for confirmed in (None, {}, {"cosine": 0.9}):
            columns, rows = family_table(results, confirmed)
            assert {len(row) for row in rows} == {len(columns)}
            assert [row[0] for row in rows] == [row.family for row in results.leaderboard]


def test_a_confirmed_accuracy_stands_beside_the_search_score(made_up: Maker) -> None:
    columns, rows = family_table(Results.of(made_up(100)), {"cosine": 0.91234})
    at = [column.title for column in columns].index("confirmed")
    assert {row[0]: row[at] for row in rows if row[at] != MISSING} == {"cosine": "0.9123"}


def test_what_pruning_cost_stands_where_something_was_stopped(made_up: Maker) -> None:
    record = made_up(100)
    columns, _ = family_table(Results.of(record))
    assert "stopped ones above it" in [column.title for column in columns]
    unpruned = dataclasses.replace(record, trials=record.finished)
    columns, _ = family_table(Results.of(unpruned))
    assert "stopped ones above it" not in [column.title for column in columns]


def test_a_best_trial_at_the_end_of_a_range_is_told_of_its_family_alone(made_up: Maker) -> None:
    record = made_up(24)
    best = next(t for t in record.finished if t.family == "linear")
    spec = dataclasses.replace(
        best.spec, params={**best.spec.params, "base_rate": BASE_RATE.high, "warmup": 4.0}
    )
    moved = dataclasses.replace(best, value=0.99, spec=spec)
    trials = tuple(moved if t.number == best.number else t for t in record.trials)
    edges = Results.of(dataclasses.replace(record, trials=trials)).edges
    assert edges["linear"] == ("base_rate at the high edge: widen it",)
    assert all(edges.values())


def test_the_summary_is_json_and_has_every_family(made_up: Maker) -> None:
    record = made_up(100)
    summary = json.loads(json.dumps(Results.of(record).to_json()))
    assert {row["schedule"] for row in summary["families"]} == set(record.families)
    assert sum(row["trials"] for row in summary["families"]) == 100
    assert summary["outcomes"] == record.outcomes

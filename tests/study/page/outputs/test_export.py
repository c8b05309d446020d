"""Laws of the table: one row a trial, every column documented, the same values in every format."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from study.core.errors import InputError
from study.core.metric import Metric
from study.core.records import StudyRecord
from study.page.outputs.export import COLUMNS, PARAMETER, documented, export, frame, rows

Maker = Callable[..., StudyRecord]


def test_one_row_a_trial_in_order(made_up: Maker) -> None:
    record = made_up(40)
    assert [row["number"] for row in rows(record)] == [trial.number for trial in record.trials]


def test_every_column_of_every_row_is_documented_and_nothing_else(made_up: Maker) -> None:
    record = made_up(40)
    for row in rows(record):
        assert list(row) == list(documented(record))
    assert all(meaning for meaning in documented(record).values())


def test_values_are_the_records(made_up: Maker) -> None:
    record = made_up(40)
    for row, trial in zip(rows(record), record.trials, strict=True):
        assert trial.spec is not None
        assert row["value"] == trial.value
        assert row["epochs_trained"] == len(trial.epochs)
        assert row["base_rate"] == trial.spec.base_rate
        assert row[f"{PARAMETER}warmup"] == trial.spec.params["warmup"]
        assert json.loads(row["val_accuracies"]) == [epoch.val_accuracy for epoch in trial.epochs]


def test_a_parameter_of_another_family_is_empty(made_up: Maker) -> None:
    first = rows(made_up(40))[0]
    assert first["family"] == "constant"
    assert first[f"{PARAMETER}constant.final"] == 0.01
    assert first[f"{PARAMETER}cosine.final"] is None


def test_a_loss_that_is_not_finite_is_empty_in_strict_json(made_up: Maker, tmp_path: Path) -> None:
    record = made_up(100)
    diverged = [trial for trial in record.trials if trial.outcome == "diverged"]
    assert diverged, "the made-up study has no diverged trial to test with"
    assert not math.isfinite(diverged[0].epochs[0].train_loss)
    export(record, tmp_path / "t.json")

    def refuse(word: str) -> None:
        raise AssertionError(word)

    read = json.loads((tmp_path / "t.json").read_text(), parse_constant=refuse)
    assert read["trials"][diverged[0].number]["last_train_loss"] is None
    assert read["columns"] == documented(record)
    assert read["settings"] == record.config.to_json()


def test_csv_parquet_and_json_hold_the_same(made_up: Maker, tmp_path: Path) -> None:
    record = made_up(40)
    for ending in ("csv", "parquet", "json"):
        export(record, tmp_path / f"t.{ending}")
    table = frame(record)
    csv = pd.read_csv(tmp_path / "t.csv", dtype=dict(table.dtypes))
    parquet = pq.read_table(tmp_path / "t.parquet")
    trials = json.loads((tmp_path / "t.json").read_text())["trials"]
    pd.testing.assert_frame_equal(csv, table)
    assert parquet.to_pylist() == trials
    for field in parquet.schema:
        assert field.metadata[b"meaning"].decode() == documented(record)[field.name]


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_an_empty_study_gives_an_empty_table_with_the_fixed_columns(
    made_up: Maker, tmp_path: Path, ending: str
) -> None:
    export(made_up(0), tmp_path / f"t.{ending}")
    if ending == "csv":
        assert pd.read_csv(tmp_path / "t.csv").columns.tolist() == [column.name for column in COLUMNS]
    elif ending == "parquet":
        assert pq.read_table(tmp_path / "t.parquet").num_rows == 0
    else:
        assert json.loads((tmp_path / "t.json").read_text())["trials"] == []


def test_another_ending_is_refused(made_up: Maker, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"xlsx' must end in .csv, .parquet or .json"):
        export(made_up(1), tmp_path / "t.xlsx")


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_a_folder_that_is_not_there_is_refused_and_leaves_nothing(
    made_up: Maker, tmp_path: Path, ending: str
) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        export(made_up(1), tmp_path / "none" / f"t.{ending}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["perplexity", "loss"])
def test_columns_are_named_after_what_is_measured(made_up: Maker, name: str) -> None:
    """Of a metric that is no accuracy nothing says accuracy, no column stands twice, and the best epoch is its best."""
    record = made_up(40)
    metric = Metric(name, "minimize", chance=2.3)
    measured = replace(
        record,
        config=replace(record.config, metric=metric),
        trials=tuple(replace(trial, metric=metric) for trial in record.trials),
    )
    said = documented(measured)
    assert "accurac" not in json.dumps(said)
    assert f"last_val_{name}" in said
    assert "val_losses" in said
    assert len(said) == len(documented(record)) - (4 if name == "loss" else 0)
    row = rows(measured)[0]
    values = json.loads(row["val_losses"] if name == "loss" else row[f"val_{name}_values"])
    if name == "perplexity":
        assert row["best_epoch"] == values.index(min(values))
    assert rows(record)[0]["best_epoch"] == values.index(max(values)) or name == "loss"

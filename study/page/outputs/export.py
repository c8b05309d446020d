"""The study as one table, one row a trial, for whoever wants to look with tools of their own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.core.errors import InputError
from study.core.files import whole_file
from study.core.metric import ACCURACY, Metric
from study.core.records import EpochMetrics, StudyRecord, TrialRecord

if TYPE_CHECKING:
    import pandas as pd

#: What comes before the name of a sampled parameter in the table.
PARAMETER = "param."


@dataclass(frozen=True)
class Column:
    """One documented column.

    Attributes:
        name: Its name.
        kind: Its type as pandas calls it; every column may have gaps.
        meaning: What it holds, with its unit.
        of: Reads it from a trial.
    """

    name: str
    kind: str
    meaning: str
    of: Callable[[TrialRecord], Any]


def _asked(name: str) -> Callable[[TrialRecord], Any]:
    return lambda trial: getattr(trial.spec, name)


def _last(name: str) -> Callable[[TrialRecord], Any]:
    return lambda trial: getattr(trial.epochs[-1], name) if trial.epochs else None


def _curve(name: str) -> Callable[[TrialRecord], str]:
    return lambda trial: json.dumps([_finite(getattr(epoch, name)) for epoch in trial.epochs])


def _best_epoch(trial: TrialRecord) -> EpochMetrics | None:
    known = [
        (trial.metric.gain(value), -epoch.epoch, epoch)
        for epoch in trial.epochs
        if (value := epoch.val_accuracy) is not None and math.isfinite(value)
    ]
    return max(known)[2] if known else None


def _moment(name: str) -> Callable[[TrialRecord], str | None]:
    return lambda trial: None if getattr(trial, name) is None else getattr(trial, name).isoformat()


#: The table's columns in order, where accuracy is measured; sampled parameters follow, a column each.
COLUMNS: tuple[Column, ...] = (
    Column("number", "Int64", "The trial's number in its Optuna study, from 0.", lambda t: t.number),
    Column("family", "string", "Name of the schedule family.", _asked("family")),
    Column("outcome", "string", "finished, pruned, diverged, running or interrupted.", lambda t: t.outcome),
    Column(
        "value",
        "Float64",
        "Validation accuracy after the final epoch; empty unless finished. A search score.",
        lambda t: t.value,
    ),
    Column("base_rate", "Float64", "Learning rate the multiplier is applied to.", _asked("base_rate")),
    Column("epochs_asked", "Int64", "Epochs the trial was to train.", _asked("epochs")),
    Column("epochs_trained", "Int64", "Epochs it trained; 0 while it runs.", lambda t: len(t.epochs)),
    Column(
        "reprieved_at",
        "Int64",
        "Epoch (from 0) at which the pruner would have stopped it, had it not been reprieved.",
        lambda t: t.reprieved_at,
    ),
    Column(
        "last_val_accuracy", "Float64", "Validation accuracy after its last epoch.", _last("val_accuracy")
    ),
    Column("last_val_loss", "Float64", "Validation loss after its last epoch.", _last("val_loss")),
    Column("last_train_accuracy", "Float64", "Training accuracy in its last epoch.", _last("train_accuracy")),
    Column("last_train_loss", "Float64", "Training loss in its last epoch.", _last("train_loss")),
    Column(
        "best_epoch",
        "Int64",
        "Epoch (from 0) of its best validation accuracy.",
        lambda t: None if (best := _best_epoch(t)) is None else best.epoch,
    ),
    Column(
        "seconds",
        "Float64",
        "Seconds its epochs took, each shared among the lanes that trained side by side.",
        lambda t: sum(epoch.seconds for epoch in t.epochs) if t.epochs else None,
    ),
    Column("lanes", "Int64", "Trials that trained side by side with it, itself included.", _asked("lanes")),
    Column("seed", "Int64", "Seed of its initial weights.", _asked("seed")),
    Column("offset", "Int64", "Global epoch of the data order at which it began.", _asked("offset")),
    Column("started", "string", "When it was asked for, ISO 8601.", _moment("started")),
    Column("ended", "string", "When it ended, ISO 8601.", _moment("ended")),
    Column(
        "schedule",
        "string",
        "The schedule as JSON, warm-up included; lrsched.from_json reads it; time in epochs.",
        lambda t: json.dumps(t.spec.schedule.to_json(), sort_keys=True),
    ),
    Column("rates", "string", "Learning rate of each epoch's last step, a JSON list.", _curve("rate")),
    Column(
        "val_accuracies",
        "string",
        "Validation accuracy after each epoch, a JSON list.",
        _curve("val_accuracy"),
    ),
    Column("val_losses", "string", "Validation loss after each epoch, a JSON list.", _curve("val_loss")),
    Column("train_losses", "string", "Training loss of each epoch, a JSON list.", _curve("train_loss")),
    Column(
        "train_accuracies",
        "string",
        "Training accuracy of each epoch, a JSON list.",
        _curve("train_accuracy"),
    ),
)


def columns(metric: Metric) -> tuple[Column, ...]:
    """Return the table's columns for what a study measures: named after it, and each once."""
    if metric.name == ACCURACY.name:
        return COLUMNS
    named = (
        replace(
            column,
            name=column.name.replace("accuracies", f"{metric.name}_values").replace("accuracy", metric.name),
            meaning=column.meaning.replace("accuracy", metric.name),
        )
        for column in COLUMNS
    )
    # Where the loss is what is measured, its columns stand there already.
    values = {f"{split}_loss_values": f"{split}_losses" for split in ("val", "train")}
    return tuple({values.get(column.name, column.name): column for column in named}.values())


def documented(record: StudyRecord) -> dict[str, str]:
    """Return every column of this study's table with its meaning, in order."""
    sampled = {
        f"{PARAMETER}{name}": f"Sampled parameter {name}; times in epochs." for name in _sampled(record)
    }
    return {column.name: column.meaning for column in columns(record.config.metric)} | sampled


def rows(record: StudyRecord) -> list[dict[str, Any]]:
    """Return the table as one dict a trial; what is unknown or not finite is ``None``."""
    names, known = _sampled(record), columns(record.config.metric)
    return [
        {column.name: _finite(column.of(trial)) for column in known}
        | {f"{PARAMETER}{name}": trial.spec.params.get(name) for name in names}
        for trial in record.trials
    ]


def frame(record: StudyRecord) -> pd.DataFrame:
    """Return the table with a type for each column."""
    import pandas as pd

    table = pd.DataFrame(rows(record), columns=list(documented(record)))
    kinds = {column.name: column.kind for column in columns(record.config.metric)}
    for name in table.columns:
        kind: Any = kinds.get(name) or _kind(table[name].dropna().tolist())
        table[name] = table[name].astype(kind)
    return table


def export(record: StudyRecord, path: Path) -> None:
    """Write the table in the format that the file's ending names.

    ``.csv``: the table alone. ``.parquet``: each column's meaning in its field's metadata, the
    study's settings in the schema's. ``.json``: ``{"settings", "columns", "trials"}``.

    Raises:
        InputError: The ending is another one, or the file cannot be written.
    """
    writer = require_format(path)
    with whole_file(path, "`export`") as part:
        writer(record, part)


def require_format(path: Path) -> Callable[[StudyRecord, Path], None]:
    """Return what writes the format that a file's ending names.

    Raises:
        InputError: The ending is another one.
    """
    writers: Mapping[str, Callable[[StudyRecord, Path], None]] = {
        ".csv": lambda study, to: frame(study).to_csv(to, index=False),
        ".parquet": _parquet,
        ".json": _json,
    }
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise InputError(f"`export` {str(path)!r} must end in .csv, .parquet or .json")
    return writer


def _json(record: StudyRecord, path: Path) -> None:
    whole = {"settings": record.config.to_json(), "columns": documented(record), "trials": rows(record)}
    path.write_text(json.dumps(whole, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def _parquet(record: StudyRecord, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame(record), preserve_index=False)
    meanings = documented(record)
    fields = [field.with_metadata({"meaning": meanings[field.name]}) for field in table.schema]
    about = {**(table.schema.metadata or {}), b"settings": json.dumps(record.config.to_json()).encode()}
    pq.write_table(table.cast(pa.schema(fields, metadata=about)), path)


def _sampled(record: StudyRecord) -> list[str]:
    """Return the sampled parameters' names; those that are columns already are left out."""
    taken = {"schedule", "base_rate"}
    return sorted({name for trial in record.trials for name in trial.spec.params} - taken)


def _kind(values: list[Any]) -> str:
    """Return the narrowest type that holds a parameter's values."""
    if any(isinstance(value, str) for value in values):
        return "string"
    if values and all(isinstance(value, bool) for value in values):
        return "boolean"
    return "Int64" if values and all(isinstance(value, int) for value in values) else "Float64"


def _finite(value: Any) -> Any:
    """Return the value, ``None`` for what is not a number: JSON and SQL have no word for it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value

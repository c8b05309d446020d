"""How a search ends: what is kept with its parent run, and what is printed."""

from __future__ import annotations

from typing import Any

import click
import optuna

from study.core.records import Outcome, StudyRecord
from study.page.figures import rate_curves
from study.page.figures_data import rate_curves_of
from study.page.rate_curve_data import rate_curve
from study.page.style import on_white
from study.page.text import hardly_tried, pruning_sentences
from study.stats.leaderboard import Row, leaderboard
from study.stats.pruning_cost import cost_of_pruning
from study.store import optuna_storage as store
from study.store.mlflow_tracking import Tracker
from study.terminal.tables import Column, print_table
from study.tuning.space import Space


def board(record: StudyRecord) -> tuple[Row, ...]:
    """Return the families' table with each best trial's edge warnings."""
    space = Space(record.config.schedules, record.config.epochs, record.config.base_rate)
    edges = {
        row.family: space.edges(row.family, row.best.spec.params)
        for row in leaderboard(record)
        if row.best is not None
    }
    return leaderboard(record, edges)


def close_study(study: optuna.Study, tracker: Tracker, outcome: Outcome) -> None:
    """Put the summary and the figure of all rate curves into the parent run, and close it."""
    record = store.record(study)
    best = record.best
    metrics = {f"trials_{name}": float(n) for name, n in record.outcomes.items() if name != "running"}
    tags = {}
    if best is not None:
        metrics[f"best_val_{record.config.metric.name}"] = best.value or 0.0
        tags = {"leading_schedule": best.family, "leading_trial": str(best.number)}
    curves = rate_curves_of(record, rate_curve)
    if curves:
        title = f"Learning rate of every trial, coloured by validation {record.config.metric.name}"
        figure = on_white(rate_curves(curves, height=640), title)
        tracker.log_text(figure.to_html(include_plotlyjs=True, full_html=True), "rate_curves.html")
    tracker.close(outcome, metrics=metrics, tags=tags, summary=_summary(record))


def print_closing(
    record: StudyRecord, storage: str, tracking_uri: str, experiment: str, *, complete: int | None
) -> None:
    """Print the table of families and where to look further.

    Args:
        record: The study.
        storage: Optuna's URL, for the commands printed.
        tracking_uri: MLflow's URI, likewise.
        experiment: Id of the study's experiment in MLflow, for the page that compares its runs.
        complete: The total that the study had reached before this command; ``None`` if it trained.
    """
    name = record.config.name
    if complete is not None:
        click.echo(
            f"study {name} is complete with {complete} trials; --trials {2 * complete} would extend it"
        )
    _print_board(record)
    for sentence in hardly_tried(record):
        click.echo(sentence)
    if record.outcomes["pruned"]:
        click.echo("\n".join(pruning_sentences(cost_of_pruning(record))))
    database = "" if tracking_uri == "sqlite:///mlflow.db" else f" --backend-store-uri {tracking_uri}"
    where = "" if storage == "sqlite:///optuna.db" else f" --storage {storage}"
    click.echo(
        "\nThese are search scores: the best of many noisy runs, inflated, and no verdict. Look further:\n"
        f"  mlflow ui{database}\n"
        f"    and http://127.0.0.1:5000/#/experiments/{experiment}/runs"
        "?workflowType=machine_learning&compareRunsMode=CHART\n"
        f"  optuna-dashboard {storage}\n"
        f"  python -m study.confirm --study {name}{where}"
    )


def _print_board(record: StudyRecord) -> None:
    costs = {cost.family: cost for cost in cost_of_pruning(record) if cost.stopped}
    metric = record.config.metric
    short = "acc" if metric.name == "accuracy" else metric.name
    titles = ["trials", "pruned", "diverged", f"best val {short}", "trial"]
    if costs:
        titles.append("stopped ones above it")
    columns = [
        Column("schedule"),
        *(Column(title, "right") for title in titles),
        Column("its parameters", flexible=True),
    ]
    rows = [
        [
            row.family,
            str(row.trials),
            str(row.pruned),
            str(row.diverged),
            "-" if row.score is None else metric.value(row.score),
            "-" if row.best is None else f"#{row.best.number}",
            *([str(costs[row.family].beat_family) if row.family in costs else "-"] if costs else []),
            _parameters(row),
        ]
        for row in board(record)
    ]
    config = record.config
    few = "" if config.whole else f", ONLY {config.train_images:,} TRAINING IMAGES"
    length = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
    print_table(columns, rows, title=f"{config.name}: {length} a trial{few}")


def _parameters(row: Row) -> str:
    values = [f"{name}={_short(value)}" for name, value in row.parameters.items()]
    return "  ".join(values) + "".join(f"  [{edge}]" for edge in row.edges)


def _short(value: object) -> str:
    """Return a parameter's value in four digits, each of several."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ",".join(_short(each) for each in value)
    return str(value)


def _summary(record: StudyRecord) -> dict[str, Any]:
    return {
        "settings": record.config.to_json(),
        "outcomes": record.outcomes,
        "note": "search scores, not a verdict: see study.confirm",
        "families": [
            {
                "schedule": row.family,
                "trials": row.trials,
                "pruned": row.pruned,
                "diverged": row.diverged,
                f"best_val_{record.config.metric.name}": row.score,
                "trial": None if row.best is None else row.best.number,
                "parameters": row.parameters,
                "edges": list(row.edges),
            }
            for row in board(record)
        ],
    }

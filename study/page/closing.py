"""How a search ends: what is kept with its parent run, and what is printed."""

from __future__ import annotations

import os
import shlex

import click

from study.core.records import Outcome, StudyRecord
from study.outside.memory import SHARED
from study.outside.passwords import hidden
from study.page.family_table import Results, family_table
from study.page.plots.learning_curves import drawn
from study.page.plots.rate_curves import rate_curves, rate_figure
from study.page.reproduce import confirm_command
from study.page.style import on_white
from study.page.text import hardly_tried, pruning_sentences
from study.store.run_links import where_to_look
from study.store.tracking.mlflow_tracking import Tracker
from study.terminal.tables import print_table, say


def close_study(record: StudyRecord, tracker: Tracker, outcome: Outcome) -> Results:
    """Put the summary and the figure of all rate curves into the parent run, close it, and return the results."""
    results, best = Results.of(record), record.best
    metrics = {f"trials_{name}": float(n) for name, n in record.outcomes.items() if name != "running"}
    tags = {}
    if best is not None:
        metrics[f"best_val_{record.config.metric.name}"] = best.value or 0.0
        tags = {"leading_schedule": best.family, "leading_trial": str(best.number)}
    curves = rate_curves(drawn(record))
    if curves:
        title = f"Learning rate of every trial, coloured by validation {record.config.metric.name}"
        figure = on_white(rate_figure(curves, height=640), title)
        tracker.log_text(figure.to_html(include_plotlyjs=True, full_html=True), "rate_curves.html")
    tracker.close(outcome, metrics=metrics, tags=tags, summary=results.to_json())
    return results


def print_closing(
    results: Results, storage: str, tracking_uri: str, experiment: str, *, complete: int | None
) -> None:
    """Print the table of families and where to look further.

    Args:
        results: The study's results.
        storage: Optuna's URL, for the commands printed.
        tracking_uri: MLflow's URI, likewise.
        experiment: Id of the study's experiment in MLflow, for the page that compares its runs.
        complete: The total that the study had reached before this command; ``None`` if it trained.
    """
    if SHARED in os.environ:
        return  # one of several workers: who started them tells it
    record = results.record
    config = record.config
    if complete is not None:
        say(
            f"study {config.name} is complete with {complete} trials; --trials {2 * complete} would extend it"
        )
    few = "" if config.whole else f", ONLY {config.train_images:,} TRAINING IMAGES"
    length = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
    print_table(*family_table(results), title=f"{config.name}: {length} a trial{few}")
    for family, warnings in results.edges.items():
        say(f"{family}: {'; '.join(warnings)}")
    for sentence in hardly_tried(record):
        say(sentence)
    if record.outcomes["pruned"]:
        say("\n".join(pruning_sentences(results.costs)))
    say("\nThese are search scores: the best of many noisy runs, inflated, and no verdict. Look further:")
    where = "" if storage == "sqlite:///optuna.db" else f" --storage {shlex.quote(hidden(storage))}"
    for line in where_to_look(config, storage, tracking_uri, experiment):
        click.echo(line)
    own = confirm_command(record) or f"python -m study.report --study {shlex.quote(config.name)}"
    click.echo(f"  {own}{where}")

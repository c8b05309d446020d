"""Put what is known of a study where people browse it: its page, its note and one note a trial.

Notes are short Markdown, for MLflow and for optuna-dashboard.
"""

from __future__ import annotations

import numpy as np
import optuna

from study.core.families import formula
from study.core.records import TrialRecord
from study.page.family_table import Results, family_table
from study.page.gather import Page
from study.page.html import render
from study.page.plots.rate_curves import rate_curve
from study.page.style import Floats, on_white, words
from study.page.text import VerdictText, facts, notices
from study.store.dashboards import save_to_dashboard, save_to_mlflow
from study.terminal.markdown import markdown_table, plain

#: The page's figures that optuna-dashboard shows as well.
FIGURES = ("confirmed", "rates", "accuracy", "expected-best")
#: What a study's note says in optuna-dashboard alone.
ABOUT_IMPORTANCE = (
    "*Hyperparameter importance* as this dashboard draws it compares trials of all schedules with each other and knows "
    "only the parameters that every trial has: which schedule, base rate and warm-up. The report "
    "(`python -m study.report`) compares the trials of one schedule, by all of its parameters. The two answer "
    "different questions and need not agree.\n"
)
_BARS = "▁▂▃▄▅▆▇█"
#: Columns of a rate curve drawn in text.
_WIDTH = 60


def publish(study: optuna.Study, page: Page, tracking_uri: str, run_id: str | None = None) -> None:
    """Keep a study's page and notes with it, in optuna-dashboard and in its parent run of MLflow.

    Args:
        study: The study, open.
        page: Its page.
        tracking_uri: Where MLflow records.
        run_id: MLflow's run to keep them with; by default the study's parent run, if it has one.

    Raises:
        InputError: MLflow's database does not hold that run.
    """
    record = page.results.record
    note = study_note(page.results, page.verdict)
    run_id = run_id or record.attributes.get("mlflow_run_id")
    if run_id is not None:
        save_to_mlflow(tracking_uri, run_id, note, {"report.html": render(page)})
    trials = {trial.number: trial_note(trial) for trial in record.trials if trial.ended is not None}
    drawings = (drawing for row in page.drawings.values() for drawing in row if drawing.id in FIGURES)
    figures = {d.id: on_white(d.figure, d.title) for d in drawings}
    save_to_dashboard(study, f"{note}\n{ABOUT_IMPORTANCE}", trials, figures)


def study_note(results: Results, verdict: VerdictText) -> str:
    """Return the verdict on a study, its families' table, and what to keep in mind."""
    record = results.record
    lines = [f"## {plain(verdict.headline)}", *map(plain, verdict.sentences)]
    if verdict.command:
        lines.append(f"`{verdict.command.replace('`', '')}`")
    lines += [f"*{plain(notice)}*" for notice in notices(record)]
    lines.append(" · ".join(map(plain, facts(record))))
    if record.trials:
        columns, rows = family_table(results)
        cells = [[plain(words(row[0])), *map(plain, row[1:])] for row in rows]
        lines += [
            markdown_table(columns, cells),
            "Search scores are the best of several noisy trials: a shortlist, not a result.",
        ]
    return "\n\n".join(lines) + "\n"


def trial_note(trial: TrialRecord) -> str:
    """Return a trial's schedule as formula and picture, and how the trial ended."""
    spec, accuracy = trial.spec, trial.last_accuracy
    said = f"**{plain(words(trial.family))}**, base rate {spec.base_rate:.4g}, "
    said += f"warm-up {spec.warmup:.3g} of {spec.epochs} epochs: "
    said += "trained to its end" if trial.value is not None else trial.outcome
    if accuracy is not None:
        said += f", validation {trial.metric.name} {trial.metric.value(accuracy)}"
    if trial.reprieved_at is not None:
        said += f"; the pruner would have stopped it after {trial.reprieved_at + 1} epochs"
    lines = [said]
    value = formula(trial.family)
    if value:
        lines.append(f"```\nrate = base rate × warm-up × value\n{value}\n```")
    curve = rate_curve(trial)
    if len(curve.times):
        lines.append(
            f"```\n{sparkline(curve.rates)}\n```\nLearning rate over epochs 0 to {curve.times[-1]:g}, "
            f"from {curve.rates.min():.3g} to {curve.rates.max():.3g}."
        )
    return "\n\n".join(lines) + "\n"


def sparkline(values: Floats, width: int = _WIDTH) -> str:
    """Return a curve as one line of bars from zero to its highest value, at most ``width`` of them.

    Args:
        values: Values at equal distances, at least 0, shape [points].
        width: Bars.
    """
    columns = min(width, len(values))
    if columns == 0:
        return ""
    means = np.array([part.mean() for part in np.array_split(values, columns)])
    highest = float(means.max())
    if highest <= 0:
        return _BARS[0] * columns
    steps = np.round(means / highest * (len(_BARS) - 1)).astype(int)
    return "".join(_BARS[step] for step in steps)

"""Put what is known of a study where people browse it: its page, its note and one note a trial."""

from __future__ import annotations

import optuna

import lrsched
from study.analysis.figures_style import on_white
from study.analysis.notes import study_note, trial_note
from study.analysis.page import Page
from study.records.notes import save_to_dashboard, save_to_mlflow
from study.records.trial import StudyRecord
from study.sampling.curves import rate_curve

#: The page's figures that optuna-dashboard shows as well.
FIGURES = ("confirmed", "rates", "accuracy", "expected-best")


def publish(
    study: optuna.Study, record: StudyRecord, page: Page, html: str, tracking_uri: str | None
) -> None:
    """Keep a study's page and notes with it, in optuna-dashboard and in its parent run of MLflow.

    Args:
        study: The study, open.
        record: The same as plain data.
        page: Its page.
        html: The page as it is written.
        tracking_uri: Where MLflow records.

    Raises:
        InputError: MLflow's database does not hold the study's run.
    """
    note = study_note(record, page.verdict)
    run_id = record.attributes.get("mlflow_run_id")
    if run_id is not None:
        save_to_mlflow(tracking_uri, run_id, note, {"report.html": html})
    trials = {
        trial.number: trial_note(trial, lrsched.REGISTRY[trial.asked.family].formula(), *rate_curve(trial))
        for trial in record.trials
        if trial.asked is not None and trial.ended is not None
    }
    drawings = (drawing for row in page.drawings.values() for drawing in row if drawing.id in FIGURES)
    figures = {d.id: on_white(d.figure, d.title or d.description) for d in drawings}
    save_to_dashboard(study, note, trials, figures)

"""Put what is known of a study where people browse it: its page, its note and one note a trial."""

from __future__ import annotations

from pathlib import Path

import optuna

import lrsched
from study.page.gather import confirmation, gather
from study.page.html import render
from study.page.notes import study_note, trial_note
from study.page.rate_curve_data import rate_curve
from study.page.style import on_white
from study.store import optuna_storage as store
from study.store.dashboards import save_to_dashboard, save_to_mlflow

#: The page's figures that optuna-dashboard shows as well.
FIGURES = ("confirmed", "rates", "accuracy", "expected-best")


def publish(
    study: optuna.Study,
    tracking_uri: str,
    certificate: Path | None = None,
    run_id: str | None = None,
) -> None:
    """Keep a study's page and notes with it, in optuna-dashboard and in its parent run of MLflow.

    Args:
        study: The study, open.
        tracking_uri: Where MLflow records.
        certificate: The confirmation's certificate; by default ``certificate.json``, if it is this study's.
        run_id: MLflow's run to keep them with; by default the study's parent run, if it has one.

    Raises:
        InputError: MLflow's database does not hold that run.
    """
    record = store.record(study)
    page = gather(record, confirmation(record.config.name, certificate))
    note = study_note(record, page.verdict)
    run_id = run_id or record.attributes.get("mlflow_run_id")
    if run_id is not None:
        save_to_mlflow(tracking_uri, run_id, note, {"report.html": render(page)})
    trials = {
        trial.number: trial_note(trial, lrsched.REGISTRY[trial.family].formula(), *rate_curve(trial))
        for trial in record.trials
        if trial.ended is not None
    }
    drawings = (drawing for row in page.drawings.values() for drawing in row if drawing.id in FIGURES)
    figures = {d.id: on_white(d.figure, d.title or d.description) for d in drawings}
    save_to_dashboard(study, note, trials, figures)

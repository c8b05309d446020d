"""Notes and figures kept with a study where people browse it: optuna-dashboard and MLflow.

Optuna stores both as attributes of the study, in pieces of 2,045 characters, and the dashboard sends
all of them with every look at the study: figures have to be small.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna

from study.core.errors import InputError
from study.outside.passwords import hidden
from study.store.tracking.mlflow_connection import connect
from study.store.urls import check_tracking

#: Characters of JSON that a figure may have in optuna-dashboard.
LARGEST_FIGURE = 250_000
#: Tag that MLflow shows as a run's description, and the characters that it holds.
_DESCRIPTION, _LONGEST = "mlflow.note.content", 5_000


def save_to_dashboard(
    study: optuna.Study, note: str, trial_notes: Mapping[int, str], figures: Mapping[str, Any]
) -> None:
    """Keep a study's note, its trials' notes and its figures for optuna-dashboard.

    A trial that has a note keeps it: a note takes some 50 ms in SQLite, a thousand of them a minute.

    Args:
        study: The study.
        note: Markdown for the study.
        trial_notes: Markdown by trial number, of ended trials.
        figures: Plotly figures by id (letters, digits, hyphens); one over ``LARGEST_FIGURE`` is left out.
    """
    from optuna_dashboard import get_note, save_note, save_plotly_graph_object

    if get_note(study) != note:
        save_note(study, note)
    written = study._storage.get_study_system_attrs(study._study_id)  # noqa: SLF001 - one look instead of one a trial
    for trial in study.get_trials(deepcopy=False):
        text = trial_notes.get(trial.number)
        if text is not None and f"dashboard:{trial._trial_id}:note_ver" not in written:  # noqa: SLF001 - its key
            save_note(optuna.Trial(study, trial._trial_id), text)  # noqa: SLF001 - the way to an ended trial
    for name, figure in figures.items():
        if len(figure.to_json()) <= LARGEST_FIGURE:
            save_plotly_graph_object(study, figure, graph_object_id=name)


def save_to_mlflow(tracking_uri: str, run_id: str, note: str, pages: Mapping[str, str]) -> None:
    """Keep a note as a run's description, and pages as its artifacts.

    Args:
        tracking_uri: MLflow's database or server.
        run_id: The study's parent run.
        note: Markdown; cut at what MLflow holds.
        pages: HTML by file name.

    Raises:
        InputError: The URI cannot be used, or holds no such run.
    """
    check_tracking(tracking_uri)
    client = connect(tracking_uri)
    from mlflow.exceptions import MlflowException

    try:
        client.set_tag(run_id, _DESCRIPTION, note[:_LONGEST])
    except MlflowException:
        raise InputError(
            f"`tracking_uri` {hidden(tracking_uri)!r} does not hold the study's run {run_id}"
        ) from None
    for name, html in pages.items():
        client.log_text(run_id, html, name)

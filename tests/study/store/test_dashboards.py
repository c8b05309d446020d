"""Laws of the notes in both dashboards: what is kept is read back, and nothing is written twice."""

from __future__ import annotations

from pathlib import Path

import optuna
import plotly.graph_objects as go
import pytest
from mlflow import MlflowClient
from optuna_dashboard import get_note

from study.core.errors import InputError
from study.core.records import EpochMetrics, StudyConfig
from study.store import lifecycle as life
from study.store import optuna_storage as store
from study.store.dashboards import LARGEST_FIGURE, save_to_dashboard, save_to_mlflow


@pytest.fixture
def study(url: str, config: StudyConfig) -> optuna.Study:
    """A study with two finished trials and a running one."""
    study = store.open_study(url, config)
    for ended in (True, True, False):
        trial = life.ask(study, 3)
        assert trial is not None
        if ended:
            life.finish(study, trial, [EpochMetrics(0, 0.1, 1.0, 0.5, 1.0, 0.5, None, 1.0)], "finished")
    return study


def attributes(study: optuna.Study) -> dict[str, object]:
    """What the dashboard is sent of a study."""
    return dict(study._storage.get_study_system_attrs(study._study_id))


def note_of(study: optuna.Study, number: int) -> str:
    return str(get_note(optuna.Trial(study, study.trials[number]._trial_id)))


def test_notes_are_read_back_long_ones_and_unicode_too(study: optuna.Study) -> None:
    long = "▁▂ ünï " * 1000
    save_to_dashboard(study, "# Study", {0: long, 1: "one"}, {})
    assert get_note(study) == "# Study"
    assert [note_of(study, number) for number in range(3)] == [long, "one", ""]


def test_a_trial_keeps_its_note_and_the_studys_follows(study: optuna.Study) -> None:
    save_to_dashboard(study, "first", {0: "kept"}, {})
    before = attributes(study)
    save_to_dashboard(study, "first", {0: "kept"}, {})
    assert attributes(study) == before
    save_to_dashboard(study, "second", {0: "another", 1: "new"}, {})
    assert get_note(study) == "second"
    assert [note_of(study, number) for number in range(2)] == ["kept", "new"]


def test_a_figure_is_kept_unless_it_would_slow_every_look_at_the_study(study: optuna.Study) -> None:
    small = go.Figure(go.Scatter(x=[1, 2], y=[3, 4]))
    large = go.Figure(go.Scatter(x=[1], y=[1], text="x" * LARGEST_FIGURE))
    save_to_dashboard(study, "", {}, {"rates": small, "large": large})
    ids = {key.split(":")[2] for key in attributes(study) if key.startswith("dashboard:plot_data:")}
    assert ids == {"rates"}


def test_mlflow_keeps_the_note_as_description_and_the_page_as_artifact(uri: str, tmp_path: Path) -> None:
    client = MlflowClient(uri)
    experiment = client.create_experiment("e", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    save_to_mlflow(uri, run, "n" * 6000, {"report.html": "<p>ü</p>"})
    assert client.get_run(run).data.tags["mlflow.note.content"] == "n" * 5000
    assert (tmp_path / "artifacts" / run / "artifacts" / "report.html").read_text("utf-8") == "<p>ü</p>"


def test_a_run_that_is_not_there_is_named(uri: str) -> None:
    with pytest.raises(InputError, match="does not hold the study's run 0123"):
        save_to_mlflow(uri, "0123", "note", {})

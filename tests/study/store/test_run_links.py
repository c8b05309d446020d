"""Laws of the links: each trial's own run and page; where MLflow does not hold the study nothing is made up, or made."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

from study.core.errors import InputError
from study.store.run_links import run_links


@pytest.fixture
def study() -> optuna.Study:
    """A study that knows nothing of MLflow yet."""
    return optuna.create_study()


def test_each_trial_has_its_own_run_and_page(uri: str, study: optuna.Study) -> None:
    client = MlflowClient(uri)
    experiment = client.create_experiment("e")
    parent = client.create_run(experiment).info.run_id
    study.set_user_attr("mlflow_run_id", parent)

    def child(kind: str, trial: str, of: str = parent) -> str:
        tags = {"mlflow.parentRunId": of, "kind": kind, "trial": trial}
        run_id: str = client.create_run(experiment, tags=tags).info.run_id
        return run_id

    runs = {number: child("search", str(number)) for number in (0, 1, 7)}
    child("confirm", "1")
    child("search", "9", of="another study's")
    links = run_links(study, uri)
    assert links.runs == runs
    assert links.run(7) == f"http://127.0.0.1:5000/#/experiments/{experiment}/runs/{runs[7]}/model-metrics"
    assert links.study.endswith(f"/runs/{parent}")
    assert links.run(9) == ""
    assert links.trial(9) == f"http://127.0.0.1:8080/dashboard/studies/{study._study_id}/trials?numbers=9"


def test_a_database_without_the_run_gives_links_to_the_dashboard_alone(uri: str, study: optuna.Study) -> None:
    assert run_links(study, uri).study == ""
    study.set_user_attr("mlflow_run_id", "0" * 32)
    links = run_links(study, uri)
    assert (links.mlflow, dict(links.runs)) == ("", {})
    assert links.trial(0)


def test_looking_makes_no_database(tmp_path: Path, study: optuna.Study) -> None:
    study.set_user_attr("mlflow_run_id", "0" * 32)
    assert run_links(study, f"sqlite:///{tmp_path / 'none.db'}").runs == {}
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_told(study: optuna.Study) -> None:
    study.set_user_attr("mlflow_run_id", "0" * 32)
    with pytest.raises(InputError, match="does not answer"):
        run_links(study, "http://127.0.0.1:9")

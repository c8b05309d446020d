"""A study kept as text comes back as it was, in Optuna and in MLflow, and nothing is trained for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from study.core.records import StudyRecord
from study.loops import archived_study
from study.store import optuna_storage as store
from tests.end_to_end.test_before import FIXTURE, SEARCH, run, runs, unpack
from tests.running import run_command

pytestmark = pytest.mark.slow


def loaded(folder: Path) -> StudyRecord:
    return store.load(f"sqlite:///{folder}/optuna.db")


def curves(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """MLflow's curves of every trial that ended, by its name: what a reader sees there."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    return {
        run.info.run_name: {
            name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
            for name in ("lr", "val_accuracy", "train_loss")
        }
        for run in runs(folder, "search")
        if run.data.tags["state"] != "interrupted"
    }


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The studies' folder: a real search that was cut off and continued, and what ``--save`` wrote of it."""
    folder = unpack(tmp_path_factory.mktemp("kept"))
    unended = run_command(folder, "study.archive", "--save", "archive", code=2)
    assert "6 trials have not ended" in unended
    assert not (folder / "archive").exists()
    run(folder, *SEARCH)
    certificate = str(FIXTURE / "certificate.json")
    said = run_command(folder, "study.archive", "--save", "archive", "--certificate", certificate)
    assert "wrote 36 trials of study 'before' into archive" in said
    return folder


@pytest.fixture(scope="module")
def restored(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the study was made again."""
    folder = tmp_path_factory.mktemp("restored")
    said = run_command(folder, "study.archive", "--restore", str(kept / "archive"))
    assert "30 trials from" in said
    assert "nothing was trained here" in said
    return folder


def test_the_study_comes_back_as_it_was(kept: Path, restored: Path) -> None:
    """Every trial equal in every field: schedule, epochs, reports, outcome, times; settings and facts, too."""
    before, after = loaded(kept), loaded(restored)
    assert repr(after.trials) == repr(before.trials)  # some losses are no numbers
    assert after.config == before.config
    own = {"mlflow_run_id", "key"}  # of one database each
    assert {k: v for k, v in after.attributes.items() if k not in own} == {
        k: v for k, v in before.attributes.items() if k not in own
    }


def test_curves_in_mlflow_are_those_of_the_training(kept: Path, restored: Path) -> None:
    """The rates, computed again from the schedules, at the very steps that were recorded; what epochs gave."""
    before, after = curves(kept), curves(restored)
    assert after.keys() == before.keys()
    for name, of_trial in before.items():
        for metric in ("val_accuracy", "train_loss"):
            assert repr(after[name][metric]) == repr(of_trial[metric])
        assert dict(after[name]["lr"]) == pytest.approx(dict(of_trial["lr"]), rel=1e-12)


def test_it_reports_and_audits(restored: Path) -> None:
    assert (restored / "certificate.json").read_bytes() == (FIXTURE / "certificate.json").read_bytes()
    run_command(restored, "study.report")
    assert "before" in (restored / "report.html").read_text("utf-8")
    assert run_command(restored, "study.audit")


def test_restoring_twice_is_refused(kept: Path, restored: Path) -> None:
    said = run_command(
        restored, "study.archive", "--restore", str(kept / "archive"), "--certificate", "c.json", code=2
    )
    assert "holds a study 'before' already" in said
    assert not (restored / "c.json").exists()


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (archived_study.STUDY, "{", "is damaged"),
        (archived_study.STUDY, json.dumps({"format": "another", "version": 1}), "its format is not"),
        (archived_study.TRIALS, '{"number": 0}\n', "is damaged"),
        (archived_study.TRIALS, "[" * 100_000, "is damaged"),
        (archived_study.TRIALS, None, "holds no study"),
    ],
)
def test_what_is_no_archive_is_refused(
    kept: Path, tmp_path: Path, file: str, text: str | None, said: str
) -> None:
    """In one line, with nothing made."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for name in (archived_study.STUDY, archived_study.TRIALS):
        (folder / name).write_bytes((kept / "archive" / name).read_bytes())
    (folder / file).unlink() if text is None else (folder / file).write_text(text, "utf-8")
    assert said in run_command(tmp_path, "study.archive", "--restore", "archive", code=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive"]

"""``python -m study.audit`` on studies whose curves are made up, so that nothing is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from study.core.records import EpochMetrics, StudyConfig
from study.store import lifecycle as life
from study.store import optuna_storage as store
from study.tuning.pruner import decide, make_pruner
from study.tuning.sampler import make_sampler
from study.tuning.space import Space
from tests.making import epochs_of, spec_of
from tests.running import run_command


def search(url: str, config: StudyConfig, trials: int) -> None:
    """Search as the command does, one lane, with curves made of noise around a level."""
    study = store.open_study(url, config)
    space = Space(config.schedules, config.epochs)
    study.sampler, study.pruner = make_sampler(config, space), make_pruner(config)
    offset = 0
    while (trial := life.ask(study, trials)) is not None:
        point = space.suggest(trial)
        spec = spec_of(
            trial.number,
            family=point.family,
            schedule=point.schedule,
            base_rate=point.base_rate,
            params=trial.params,
            epochs=config.epochs,
            offset=offset,
            lanes=1,
        )
        life.begin(trial, spec)
        rng = np.random.default_rng(trial.number)
        shown = rng.uniform(0.5, 0.9) + rng.normal(scale=0.05, size=config.epochs)
        epochs: list[EpochMetrics] = []
        reprieved_at, decision = None, "keep"
        for number, accuracy in enumerate(shown.tolist()):
            epochs.append(replace(epochs_of([accuracy], averaged_accuracy=accuracy + 0.01)[0], epoch=number))
            life.report(trial, accuracy, number)
            decision = decide(study, trial)
            if decision == "reprieve":
                reprieved_at = number
            if decision == "prune":
                break
        offset += len(epochs)
        ended = "pruned" if decision == "prune" else "finished"
        life.finish(study, trial, epochs, ended, reprieved_at=reprieved_at)  # type: ignore[arg-type]  # one of two words


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory, config_of: Callable[..., StudyConfig]) -> str:
    """A study that was not pruned, and one that was."""
    url = f"sqlite:///{tmp_path_factory.mktemp('audit')}/optuna.db"
    small = config_of(epochs=6, schedules=("constant", "cosine", "plateau"), n_warmup_steps=1, reprieve=0.5)
    search(url, replace(small, name="control", pruner="none"), 18)
    search(url, replace(small, name="pruned"), 18)
    return url


def audit(storage: str, *arguments: str, code: int = 0) -> str:
    return run_command(None, "study.audit", "--storage", storage, *arguments, code=code)


def test_an_unpruned_study_is_replayed(storage: str, tmp_path: Path) -> None:
    """All pruners and both signals are in the table, one setting is recommended, the figure stands alone."""
    out = tmp_path / "audit.html"
    printed = audit(storage, "--study", "control", "--orders", "3", "--out", str(out))
    assert "replayed over study control: 18 trials of 6 epochs" in printed
    for word in ("family-median", "predict", "averaged", "other orders", "Recommended: --pruner"):
        assert word in printed
    assert "other orders" not in audit(storage, "--study", "control", "--orders", "0")
    page = out.read_text("utf-8")
    assert "recommended" in page
    assert len(page) > 3_000_000  # plotly is inside: the page opens offline


def test_markdown_tables_have_as_many_cells_as_columns(storage: str) -> None:
    printed = audit(storage, "--study", "control", "--orders", "0", "--markdown")
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {12, 3}
    assert "| --- | --- | ---: |" in printed


def test_a_pruned_study_is_estimated(storage: str) -> None:
    printed = audit(storage, "--study", "pruned")
    assert "What pruning cost study pruned" in printed
    assert "all families" in printed
    assert "Pruning stopped" in printed
    assert "Reprieves took" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--study", "pruned", "--out", "x.html"), "study 'pruned' was pruned: --out draws a study of"),
        (
            ("--study", "control", "--out", "nowhere/x.html"),
            "--out 'nowhere/x.html': there is no folder 'nowhere'",
        ),
        (
            ("--study", "control", "--orders", "0", "--out", "x" * 300),
            "cannot be written: File name too long",
        ),
        (("--study", "other"), "--study 'other' is not in"),
        (("--rows", "0"), "--rows: must be a whole number of 1 or more, got 0"),
    ],
)
def test_bad_input_is_one_line(storage: str, arguments: tuple[str, ...], message: str) -> None:
    said = audit(storage, *arguments, code=2)
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1

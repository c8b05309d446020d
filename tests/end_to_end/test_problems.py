"""The examples, as a user runs them: search, confirm, report and audit with files that need no change of ours."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.core.records import StudyRecord
from study.problems.loading import load_problem
from study.questions.sweep import read_results
from study.stats.certificate.fields import VERSION
from study.store import optuna_storage as store
from tests.running import run_command

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
#: Each example, the first in full length, the others small: flags of its search, flags of its confirmation, its metric.
SMALL = {
    "digits_mlp": ([], [], "accuracy"),
    "fashion_resnet": (["--epochs", "2", "--train-images", "1500"], ["--train-images", "4000"], "accuracy"),
    "char_transformer": (["--epochs", "2", "--train-images", "320"], ["--train-images", "320"], "loss"),
}
TRIALS = 24
PROBLEM = ["--problem", "mine.py:problem"]


def search(folder: Path, name: str, *flags: str, code: int = 0) -> str:
    arguments = [
        "--problem",
        f"{name}.py:problem",
        "--study",
        name,
        "--trials",
        str(TRIALS),
        "--device",
        "cpu",
    ]
    return run_command(folder, "study.search", *arguments, *flags, code=code)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_an_example_from_search_to_verdict(name: str, tmp_path: Path) -> None:
    """24 trials, two of each family: recorded, confirmed, in the report, audited; lanes fused."""
    flags, confirm, metric = SMALL[name]
    shutil.copy(EXAMPLES / f"{name}.py", tmp_path)
    printed = search(tmp_path, name, *flags)
    assert f"{load_problem(f'{EXAMPLES}/{name}.py:problem').problem.name}: lanes are fused" in printed
    record = store.load(f"sqlite:///{tmp_path}/optuna.db", name)
    assert len(record.ended) == TRIALS
    assert {len(trials) for trials in record.by_family.values()} == {2}
    assert record.config.metric.name == metric
    assert record.best is not None
    values = [t.value for t in record.finished if t.value is not None]
    assert record.best.value == (min(values) if metric == "loss" else max(values))
    reference = f"{name}.py:problem"
    assert f"study.confirm --study {name} --problem {reference}" in printed
    asked = ["--study", name, "--problem", reference, "--finalists", "2", "--looks", "2", "--device", "cpu"]
    said = run_command(tmp_path, "study.confirm", *asked, *confirm)
    check_verdict(json.loads((tmp_path / "certificate.json").read_text("utf-8")), record, said)
    assert f"problem = load_problem({reference!r}).problem" in said
    assert ("quick look" in said) == bool(confirm)
    assert "follows from its figures" in run_command(tmp_path, "study.confirm", "--check", "certificate.json")
    run_command(tmp_path, "study.report", "--study", name, "--problem", reference, "--out", "page.html")
    page = html.unescape((tmp_path / "page.html").read_text("utf-8"))
    assert f"The {metric} on the test set after training on" in page
    assert f"python -m study.confirm --study {name} --problem {reference}" in page
    assert f"validation {metric} after the last epoch" in page
    assert "lanes are fused" in page
    assert "What pruning cost" in run_command(
        tmp_path, "study.audit", "--study", name, "--problem", reference
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "flags"), [("digits_mlp", ["--epochs", "4"]), ("char_transformer", SMALL["char_transformer"][0])]
)
def test_a_question_is_asked_of_an_example(name: str, flags: list[str], tmp_path: Path) -> None:
    """Fixed rates over the problem's own range, by its metric; its page; continued, and refused when its file has changed."""
    shutil.copy(EXAMPLES / f"{name}.py", tmp_path)
    few = ["--schedules", "cosine,constant", "--trials", "2", "--pruner", "none"]
    reference = f"{name}.py:problem"
    run_command(tmp_path, "study.search", "--problem", reference, *few, *flags, "--device", "cpu")
    problem = load_problem(f"{EXAMPLES}/{reference}").problem
    asked = ["--problem", reference, "--device", "cpu"]
    printed = run_command(tmp_path, "study.explore", "rate", *asked, "--seeds", "1")
    assert "9 points, 1 seeds; 9 runs" in printed
    assert "lanes are fused" in printed
    results = read_results(tmp_path / "docs" / "results" / "rate.jsonl")
    rates = [run.cell.base_rate for run in results.runs if run.cell.family == "constant"]
    assert (min(rates), max(rates)) == pytest.approx(problem.base_rate, rel=0.01)
    assert {run.cell.optimizer for run in results.runs} == {"own"}
    assert all(np.isfinite(run.test) for run in results.runs if np.isfinite(run.validation[-1]))
    printed = run_command(tmp_path, "study.explore", "rate", *asked, "--seeds", "2")
    assert "9 runs of" in printed
    run_command(tmp_path, "study.explore", "pages", "--no-figures")
    page = (tmp_path / "docs" / "results" / "rate.md").read_text("utf-8")
    assert f"python -m study.explore rate --seeds 2 --problem {reference}" in page
    assert f"; {problem.measured.name} and differences are of the test examples" in page
    assert ("accuracy" in page) == (problem.measured.name == "accuracy")
    assert "optimizer varies schedules of LeNet" in run_command(
        tmp_path, "study.explore", "optimizer", *asked, code=2
    )
    with (tmp_path / f"{name}.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert "the file of its problem has changed since" in run_command(
        tmp_path, "study.explore", "rate", *asked, code=2
    )


def check_verdict(certificate: dict[str, Any], record: StudyRecord, printed: str) -> None:
    """What every certificate of a problem says: its metric, its data, its source, and no points but of accuracy."""
    metric = record.config.metric
    assert certificate["version"] == VERSION
    assert certificate["metric"] == metric.to_json()
    assert certificate["examples"]["called"] == "examples"
    assert (certificate["examples"]["test"] is None) == (metric.name == "loss")
    assert sorted(certificate["data"]) == ["test", "train", "validation"]
    assert certificate["study"]["source"] == record.config.source
    runs = certificate["values"]
    assert {len(values) for values in runs.values()} == {2}
    leader = certificate["verdict"]["leader"]
    typical = {f["name"]: f["typical"] for f in certificate["verdict"]["finalists"]}
    assert typical[leader] == metric.best(value for value in typical.values() if value is not None)
    assert certificate["verdict"]["sentences"][0] in printed
    assert f"Test {metric.name} over 2 fresh seeds" in printed
    words = " ".join(certificate["verdict"]["sentences"])
    assert (" points" in words) == (metric.name == "accuracy")
    assert ("one number for all test examples" in words) == (metric.name == "loss")


@pytest.mark.slow
def test_a_changed_problem_is_refused_in_a_line_that_says_what_changed(tmp_path: Path) -> None:
    """The file, the data, the name: each by itself. The same problem goes on."""
    own = tmp_path / "digits_mlp.py"
    shutil.copy(EXAMPLES / own.name, own)
    source = own.read_text("utf-8")
    flags = ["--schedules", "constant,cosine", "--epochs", "1"]
    search(tmp_path, "digits_mlp", *flags, "--trials", "2")
    changes = {
        "the file of its problem has changed since": source + "\n# a comment\n",
        "it studies the problem 'digits-mlp', not 'other'": source.replace(
            'name="digits-mlp"', 'name="other"'
        ),
    }
    for words, changed in changes.items():
        own.write_text(changed, "utf-8")
        error = search(tmp_path, "digits_mlp", *flags, "--trials", "4", code=2)
        assert re.search(words, error)
        assert error.strip().count("\n") == 0
    own.write_text(source, "utf-8")
    assert "finished 4" in search(tmp_path, "digits_mlp", *flags, "--trials", "4")


#: A problem whose data lies in files of its own, so that data can change where the file does not.
OWN_DATA = """
import numpy as np
import torch
from study.problems import Problem


def squared_error(outputs, targets):
    return (outputs - targets).square().mean(1)


def part(name):
    return lambda: (np.load(f"{name}-x.npy"), np.load(f"{name}-y.npy"))


problem = Problem(
    name="line", model=lambda: torch.nn.Linear(3, 1), loss=torch.nn.functional.mse_loss,
    train=part("train"), validation=part("validation"), test=part("test"),
    metric=squared_error, direction="minimize", chance=1.0, base_rate=(0.01, 0.5), batch_size=10, epochs=2,
)
"""


def write_data(folder: Path, *, seed: int = 0) -> None:
    for number, name in enumerate(("train", "validation", "test")):
        rng = np.random.default_rng([seed, number])
        x = rng.normal(size=(40, 3)).astype(np.float32)
        np.save(folder / f"{name}-x.npy", x)
        np.save(
            folder / f"{name}-y.npy",
            x.sum(1, keepdims=True) + 0.5 * rng.normal(size=(40, 1)).astype(np.float32),
        )


@pytest.mark.slow
def test_a_regression_is_confirmed_and_every_command_refuses_what_changed_since(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
) -> None:
    """Search, confirm, report and audit, asked with a changed file, changed data, another problem or none, in one line each."""
    from study import audit, confirm, report
    from study import search as searching

    monkeypatch.chdir(tmp_path)
    own = tmp_path / "mine.py"
    own.write_text(OWN_DATA, "utf-8")
    write_data(tmp_path)
    study = ["--study", "line"]
    small = [*study, "--device", "cpu"]
    searched = [
        *small,
        *PROBLEM,
        "--schedules",
        "constant,cosine,linear",
        "--trials",
        "6",
        "--pruner",
        "none",
    ]
    run_command(tmp_path, "study.search", *searched)
    asked = [*small, *PROBLEM, "--finalists", "2", "--looks", "2", "--rates", "0.5,1", "--rate-seeds", "1"]
    said = run_command(tmp_path, "study.confirm", *asked)
    record = store.load(f"sqlite:///{tmp_path}/optuna.db", "line")
    certificate = json.loads((tmp_path / "certificate.json").read_text("utf-8"))
    check_verdict(certificate, record, said)
    assert certificate["examples"] == {"called": "examples", "train": 80, "whole": 80, "test": 40}
    assert all(sentence in said for sentence in certificate["rates"]["sentences"])
    again = run_command(tmp_path, "study.confirm", *asked)
    assert certificate["verdict"]["sentences"][0] in again

    commands = {
        searching.main: searched,
        confirm.main: asked,
        report.main: [*study, *PROBLEM],
        audit.main: [*study, *PROBLEM],
    }
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    def every(words: str, *, skip: int = 0) -> None:
        for main, arguments in list(commands.items())[skip:]:
            assert words in refused(main, *arguments)

    own.write_text(OWN_DATA + "# changed", "utf-8")
    every("the file of its problem has changed since (SHA-256 ")
    own.write_text(OWN_DATA.replace('name="line"', 'name="curve"'), "utf-8")
    every("it studies the problem 'line', not 'curve'")
    own.write_text(OWN_DATA, "utf-8")
    targets = {name: np.load(f"{name}-y.npy") for name in ("train", "validation", "test")}
    for name, y in targets.items():
        np.save(f"{name}-y.npy", y + 1)
        if name == "test":
            assert "the problem's test data has changed since these runs were first judged" in refused(
                confirm.main, *asked
            )
        else:
            every(f"the problem's {name} data has changed since; give the same data")
        np.save(f"{name}-y.npy", y)
    without = [argument for argument in asked if argument not in PROBLEM]
    assert "study 'line' is of the problem 'line': give --problem mine.py:problem" in refused(
        confirm.main, *without
    )
    assert "it studies the problem 'line', not 'digits-mlp'" in refused(
        confirm.main, *without, "--problem", f"{EXAMPLES}/digits_mlp.py:problem"
    )
    changed = {p.name for p, then in before.items() if p.stat().st_mtime_ns != then} - {"mine.py"}
    assert all(name.endswith((".npy", ".db-wal", ".db-shm")) for name in changed)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
def test_lenet_by_another_optimizer(optimizer: str, tmp_path: Path) -> None:
    arguments = [
        "--optimizer",
        optimizer,
        "--weight-decay",
        "0.001",
        "--schedules",
        "constant,cosine",
        "--trials",
        "4",
    ]
    run_command(
        tmp_path,
        "study.search",
        *arguments,
        "--epochs",
        "2",
        "--batch-size",
        "32",
        "--train-images",
        "1000",
        "--device",
        "cpu",
        "--study",
        "o",
    )
    record = store.load(f"sqlite:///{tmp_path}/optuna.db", "o")
    assert (record.config.optimizer, record.config.weight_decay) == (optimizer, 0.001)
    assert "lanes are fused: three steps" in record.attributes["lanes"]
    assert record.best is not None
    assert record.best.learned
    asked = ["--study", "o", "--finalists", "2", "--looks", "2", "--train-images", "1000", "--device", "cpu"]
    said = run_command(tmp_path, "study.confirm", *asked)
    assert "Test accuracy over 2 fresh seeds, ONLY 1,000 TRAINING IMAGES" in said
    made = {
        "momentum": "momentum=0.9, weight_decay=0.001)",
        "adamw": "torch.optim.AdamW(model.parameters(), lr=",
    }
    assert made[optimizer] in said


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--problem", "nowhere.py:problem"], "there is no file nowhere.py"),
        (["--problem", f"{EXAMPLES}/digits_mlp.py:problem", "--optimizer", "adamw"], "brings its own"),
        (
            ["--problem", f"{EXAMPLES}/digits_mlp.py:problem", "--train-images", "9999"],
            r"1\.\.1152, got 9999",
        ),
        (["--optimizer", "adam"], "did you mean adamw"),
        (["--weight-decay", "-1"], "of 0 or more, got -1"),
    ],
)
def test_a_problem_that_cannot_be_studied_leaves_nothing_behind(
    flags: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from study.search import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as leaving:
        main.main([*flags, "--device", "cpu"])
    error = capsys.readouterr().err
    assert leaving.value.code == 2
    assert re.search(words, error)
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []

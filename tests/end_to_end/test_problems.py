"""The examples, as a user runs them: search, report and audit with files that need no change of ours."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from study.problems.loading import load_problem
from study.store import optuna_storage as store
from tests.running import run_command

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
#: Each example, small: its flags, and the metric that its table must name.
SMALL = {
    "digits_mlp": (["--epochs", "3"], "accuracy"),
    "fashion_resnet": (["--epochs", "1", "--train-images", "256"], "accuracy"),
    "char_transformer": (["--epochs", "2", "--train-images", "320"], "loss"),
}
TRIALS = 24


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
def test_an_example_from_search_to_report(name: str, tmp_path: Path) -> None:
    """24 trials, two of each family: recorded, in the report, audited; lanes fused."""
    flags, metric = SMALL[name]
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
    run_command(tmp_path, "study.report", "--study", name, "--out", "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert f"validation {metric} after the last epoch" in page
    assert "lanes are fused" in page
    assert f"--problem {name}.py:problem" in page.replace("&#39;", "")
    assert "What pruning cost" in run_command(tmp_path, "study.audit", "--study", name)


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

"""A wrong problem is refused in one line that says the value and the rule, before anything is created.

Each case is a file as a user would write it, wrong in one place, given to the command.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from study.problem import main

GOOD = """
import math
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from study.problems import Problem

draw = torch.Generator().manual_seed(0)
x, y = torch.randn(64, 6, generator=draw), torch.randint(4, (64,), generator=draw)
settings = dict(
    name="small",
    model=lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)),
    train=(x[:48], y[:48]),
    validation=(x[48:], y[48:]),
    loss=F.cross_entropy,
    batch_size=16,
    epochs=3,
)
"""

#: What is wrong, by what is changed in the settings, and the words that the error must have.
SETTINGS = {
    "no data": ("train=None", "train must be .* got None"),
    "one tensor": ("train=x", "train must be .*inputs, targets"),
    "three tensors": ("train=(x, y, y)", r"must be a pair \(inputs, targets\), got 3 things"),
    "lists": ("train=([[1.0]], [0])", "train inputs must be a tensor or a numpy array, got"),
    "lengths": ("train=(x, y[:5])", "train has 64 inputs but 5 targets"),
    "empty": ("train=(x[:0], y[:0])", "train has no examples"),
    "a number as data": ("train=(torch.tensor(1.0), y)", "must have one row an example, got a single number"),
    "NaN": ("train=(torch.where(x > 2, torch.nan, x), y)", r"train inputs must be finite, got \d+ values"),
    "infinite targets": ("train=(x, torch.full((64,), math.inf))", "train targets must be finite, got 64 values"),
    "words as data": ("train=(np.array(['a'] * 64), y)", "train inputs must hold numbers"),
    "complex": ("train=(x.to(torch.complex64), y)", "must hold plain real numbers, got torch.complex64"),
    "another shape": ("validation=(x[:, :5], y)", r"validation inputs have shape \[5\] .* train \[6\]"),
    "another type": ("validation=(x.long(), y)", "validation inputs are torch.int64, those of train torch.float32"),
    "a DataLoader": ("train=DataLoader(TensorDataset(x, y))", "got a DataLoader; give its .dataset"),
    "a stream": ("train=type('S', (IterableDataset,), {'__iter__': lambda s: iter([])})()", "must be a map-style Dataset"),
    "augmentation": (
        "train=type('D', (Dataset,), {'__len__': lambda s: 9, '__getitem__': lambda s, i: (torch.rand(6), 1)})()",
        "gives another example 0 each time it is asked",
    ),
    "a broken Dataset": (
        "train=type('D', (Dataset,), {'__len__': lambda s: 9, '__getitem__': lambda s, i: [][i]})()",
        "train: example 0 raised IndexError",
    ),
    "pictures": (
        "train=type('D', (Dataset,), {'__len__': lambda s: 9, '__getitem__': lambda s, i: (object(), 1)})()",
        "the input of example 0 must be a tensor, a numpy array or a number",
    ),
    "unlike examples": (
        "train=type('D', (Dataset,), {'__len__': lambda s: 9, '__getitem__': lambda s, i: (x[0, : 6 - i // 8], 1)})()",
        r"the input of example 8 has shape \[5\], that of example 0 \[6\]",
    ),
    "no room": (
        "train=type('D', (Dataset,), {'__len__': lambda s: 10**13, '__getitem__': lambda s, i: (x[0], 1)})()",
        "10,000,000,000,000 examples of 32 bytes, 320000.0 GB; .* take fewer or smaller ones",
    ),
    "a function that fails": ("train=lambda: open('/nowhere')", "the function that reads it raised FileNotFoundError"),
    "a function that returns none": ("train=lambda: None", "train must be .* got None"),
    "labels too high": ("train=(x, y + 3)", "train targets must be classes 0 to 3, .* got 6"),
    "labels too high, where the loss does not see it": (
        "loss=lambda o, t: F.cross_entropy(o, t.clamp(0, 3)), train=(x, y + 1)",
        "train targets must be classes 0 to 3, as many as the network has outputs, got 4",
    ),
    "negative labels": (
        "loss=lambda o, t: F.cross_entropy(o, t.clamp(0, 3)), train=(x, y - 1)",
        "train targets must be classes 0 to 3, .* got -1",
    ),
    "numbers for classes": ("train=(x, x[:, 0]), validation=(x, x[:, 0]), loss=lambda o, t: o.mean()", "needs whole numbers"),
    "a network, not a factory": ("model=nn.Linear(6, 4)", "model must be a function that returns a new network"),
    "no network": ("model=lambda: 3", r"model\(\) must return a torch.nn.Module, got 3"),
    "a model that fails": ("model=lambda: nn.Linear('six', 4)", r"model\(\) raised TypeError"),
    "no weights": ("model=lambda: nn.Identity()", "without weights to train"),
    "wrong input size": ("model=lambda: nn.Linear(5, 4)", r"the network, given train inputs \[16, 6\], raised RuntimeError"),
    "outputs of no shape": (
        "model=lambda: nn.Sequential(nn.Linear(6, 4), nn.Flatten(0))", r"one row an example: given \[16, 6\] it returned \[64\]"
    ),
    "several outputs": (
        "model=lambda: nn.LSTM(6, 4)", "the network must return one tensor, got a tuple"
    ),
    "NaN outputs": (
        "model=lambda: nn.Sequential(nn.Linear(6, 4), nn.Threshold(99.0, math.nan))", "returns NaN or infinite numbers"
    ),
    "a batch of one": (
        "model=lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)), batch_size=47",
        "last minibatch of an epoch holds 1 example, .* ValueError; choose another batch_size",
    ),
    "loss not reduced": ("loss=nn.CrossEntropyLoss(reduction='none')", r"must return one number, .* got shape \[16\]"),
    "loss summed": ("loss=nn.CrossEntropyLoss(reduction='sum')", "must be the mean over the minibatch, not the sum"),
    "loss a float": ("loss=lambda o, t: 1.0", "loss must return a tensor with one number, got 1.0"),
    "loss without gradient": ("loss=lambda o, t: F.cross_entropy(o.detach(), t)", "must be differentiable"),
    "loss NaN": ("loss=lambda o, t: F.cross_entropy(o, t) * math.nan", "loss is nan before any training"),
    "loss fails": ("loss=lambda o, t: F.mse_loss(o, x)", "loss, given outputs .*, raised"),
    "a loss that broadcasts": (
        "train=(x, x[:, 0]), validation=(x, x[:, 0]), loss=F.mse_loss, metric='loss', chance=1.0, model=lambda: nn.Linear(6, 1)",
        r"loss, given outputs \[16, 1\] and targets \[16\], raised UserWarning: Using a target size",
    ),
    "no such metric": ("metric='f1'", "metric must be 'accuracy', 'loss' or a function, got metric='f1'"),
    "a metric that returns a string": (
        "metric=lambda o, t: 'good', direction='maximize', chance=0.0", "metric must return a number, got 'good'"
    ),
    "a metric of a wrong shape": (
        "metric=lambda o, t: o, direction='maximize', chance=0.0", r"or one an example \[16\], got shape \[16, 4\]"
    ),
    "a metric without direction": ("metric=lambda o, t: 1.0", "direction must be given for a metric of your own"),
    "a wrong direction": ("metric='loss', direction='down', chance=1.0", "direction must be 'maximize' or 'minimize'"),
    "no chance level": ("metric='loss'", "chance must be given for 'loss'"),
    "chance out of bounds": ("chance=1.5", "chance must be a number from 0 to 1, got chance=1.5"),
    "an optimizer, not a factory": ("optimizer=torch.optim.SGD([x], lr=1.0)", "optimizer must be a function"),
    "no optimizer": ("optimizer=lambda p, lr: None", "optimizer must return a torch.optim.Optimizer, got None"),
    "a rate of its own": ("optimizer=lambda p, lr: torch.optim.SGD(p, lr=0.1)", "must use its lr"),
    "a closure": ("optimizer=lambda p, lr: torch.optim.LBFGS(p, lr=lr)", "optimizer LBFGS needs a closure"),
    "wrong range": ("base_rate=(0.1, 0.01)", r"base_rate must be \(low, high\) with 0 < low < high, got base_rate=\(0.1, 0.01\)"),
    "a rate of zero": ("base_rate=(0.0, 0.1)", "base_rate must be"),
    "one rate": ("base_rate=0.1", "base_rate must be"),
    "no batch": ("batch_size=0", "batch_size must be a whole number of 1 or more, got batch_size=0"),
    "half an epoch": ("epochs=0.5", "epochs must be a whole number of 1 or more, got epochs=0.5"),
    "a bad name": ("name='my problem'", "name must be .* got name='my problem'"),
    "fuse": ("fuse='no'", "fuse must be True or False, got fuse='no'"),
}  # fmt: skip

#: Whole files, or references, that are wrong.
FILES = {
    "a name that is not there": (
        GOOD + "problems = Problem(**settings)",
        "has no problem; did you mean problems?",
    ),
    "nothing there": ("", "has no problem; problems there: none"),
    "no problem": ("problem = 3", "problem must be a study.problems.Problem, got 3"),
    "an import that fails": (
        "import nowhere_at_all",
        "raised ModuleNotFoundError: No module named 'nowhere_at_all'",
    ),
    "an error at import": ("1 / 0", "raised ZeroDivisionError: division by zero"),
    "a syntax error": ("problem = (", "raised SyntaxError"),
    "an exit": ("import sys; sys.exit(0)", r"tried to leave the process: sys.exit\(0\)"),
    "an unknown setting": (GOOD + "problem = Problem(**settings, layers=3)", "raised TypeError: .*layers"),
}


def refused(reference: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command; return its one line of error."""
    with pytest.raises(SystemExit) as leaving:
        main.main([reference, "--device", "cpu"])
    out, err = capsys.readouterr()
    assert leaving.value.code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("case", SETTINGS)
def test_wrong_settings(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change, words = SETTINGS[case]
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(f"{GOOD}\nproblem = Problem(**(settings | dict({change})))\n")
    assert re.search(words, refused("mine.py:problem", capsys))
    assert [p.name for p in tmp_path.iterdir() if p.name != "__pycache__"] == ["mine.py"]


@pytest.mark.parametrize("case", FILES)
def test_wrong_files(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content, words = FILES[case]
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(content)
    assert re.search(words, refused("mine.py:problem", capsys))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("nowhere.py:problem", "there is no file nowhere.py"),
        ("nowhere.at_all:problem", "import of nowhere.at_all raised ModuleNotFoundError"),
        ("mine.py", "must be FILE.py:name or module:name, got 'mine.py'"),
        ("mine.py:", "must be FILE.py:name or module:name, got 'mine.py:'"),
        (":problem", "must be FILE.py:name or module:name, got ':problem'"),
        ("mine.py:a-b", "must be FILE.py:name or module:name, got 'mine.py:a-b'"),
    ],
)
def test_wrong_references(reference: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(words, refused(reference, capsys))


def test_the_file_that_all_cases_change_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise the cases above would show nothing."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(f"{GOOD}\nproblem = Problem(**settings)\n")
    with pytest.raises(SystemExit) as leaving:
        main.main(["mine.py:problem", "--check", "--device", "cpu"])
    assert leaving.value.code == 0
    assert re.search("lanes are fused", capsys.readouterr().out)

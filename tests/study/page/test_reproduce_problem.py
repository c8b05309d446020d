"""The commands and the code that lead to a study again carry its problem and its optimizer."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

from study.core.metric import Metric
from study.core.records import StudyRecord
from study.page.reproduce import commands, confirm_command, torch_code
from study.page.verdict_text import open_verdict
from tests.making import config_of, spec_of

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "digits_mlp.py"
OWN: dict[str, Any] = {
    "problem": "mine", "source": "ab", "optimizer": "own", "metric": Metric("loss", "minimize", chance=1.0),
}  # fmt: skip


def record(**attributes: str) -> StudyRecord:
    return StudyRecord(config_of(name="a study", **OWN), (), attributes)


def test_every_command_that_trains_names_the_problem() -> None:
    found = record(problem_reference="my file.py:problem")
    lines = commands(found, None, "243ed1d").replace("\\\n", " ").splitlines()
    named = [
        line
        for line in lines
        if shlex.split(line)[:3] in (["python", "-m", f"study.{c}"] for c in ("search", "confirm"))
    ]
    assert len(named) == 2
    assert all("my file.py:problem" in shlex.split(line) for line in named)
    assert open_verdict(found).command == confirm_command(found)


def test_a_problem_without_test_data_is_not_sent_to_be_confirmed() -> None:
    found = record(problem_reference="mine.py:problem", test_data="none, so that study.confirm cannot judge")
    assert "study.confirm" not in commands(found, None, None)
    said = open_verdict(found)
    assert said.command == ""
    assert "no test data to judge by" in said.sentences[0]


@pytest.mark.parametrize(
    ("optimizer", "decay", "kind", "set_to"),
    [
        ("sgd", 0.0, torch.optim.SGD, {"momentum": 0, "weight_decay": 0}),
        ("sgd", 0.01, torch.optim.SGD, {"momentum": 0, "weight_decay": 0.01}),
        ("momentum", 0.0, torch.optim.SGD, {"momentum": 0.9, "nesterov": False}),
        ("nesterov", 1e-4, torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}),
        ("adamw", 0.05, torch.optim.AdamW, {"weight_decay": 0.05}),
    ],
)
def test_the_code_to_paste_has_the_optimizer_that_trained_it(
    optimizer: str, decay: float, kind: type[torch.optim.Optimizer], set_to: dict[str, Any]
) -> None:
    config = config_of(optimizer=optimizer, weight_decay=decay)
    pasted: dict[str, Any] = {"model": torch.nn.Linear(2, 1)}
    exec(torch_code(spec_of(base_rate=0.3), config, 1000), pasted)  # noqa: S102 - the code that we wrote
    made = pasted["optimizer"]
    assert type(made) is kind
    assert made.defaults["lr"] == pytest.approx(0.3)
    assert {name: made.defaults[name] for name in set_to} == set_to


def test_the_code_of_an_own_problem_asks_it_for_its_optimizer() -> None:
    config = config_of(**OWN)
    pasted: dict[str, Any] = {"model": torch.nn.Linear(2, 1)}
    exec(torch_code(spec_of(base_rate=0.3), config, 1000, f"{EXAMPLE}:problem"), pasted)  # noqa: S102 - likewise
    assert type(pasted["optimizer"]) is torch.optim.AdamW
    assert pasted["optimizer"].defaults["weight_decay"] == 0.05

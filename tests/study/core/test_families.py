"""Families and the code that is pasted for them: it makes the optimizer that the study trained with."""

from __future__ import annotations

import ast

import pytest
import torch

import lrsched
from lrsched.pasteable import to_torch_code
from study.core.families import as_trained, formula, momentum_of, schedule_class, searchable, warmup_of


def test_every_family_that_can_be_searched_has_a_class_and_a_formula() -> None:
    assert "schedule_free" in searchable()
    for family in searchable():
        assert schedule_class(family).searchable()
        assert formula(family)


@pytest.mark.parametrize(
    ("optimizer", "decay", "kind", "settings"),
    [
        ("sgd", 0.0, torch.optim.SGD, {"momentum": 0}),
        ("sgd", 5e-4, torch.optim.SGD, {"weight_decay": 5e-4}),
        ("momentum", 0.0, torch.optim.SGD, {"momentum": 0.9, "nesterov": False}),
        ("nesterov", 0.1, torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        ("adamw", 0.0, torch.optim.AdamW, {"weight_decay": 0.0}),
    ],
)
@pytest.mark.parametrize(
    "schedule", [lrsched.Cosine(T_max=4.0), lrsched.Warmup(lrsched.OneCycle(length=4.0), 1.0)]
)
def test_the_pasted_optimizer_is_the_studys(
    optimizer: str, decay: float, kind: type, settings: dict[str, float], schedule: lrsched.Schedule
) -> None:
    """The code runs, makes the study's optimizer at its rate, and says where the momentum was driven."""
    driven = momentum_of(schedule)
    code = as_trained(to_torch_code(schedule, 0.25, 4, 8), driven, optimizer=optimizer, weight_decay=decay)
    found: dict[str, object] = {"model": torch.nn.Linear(2, 2)}
    exec(code, found)  # noqa: S102 - our own code, as it is pasted
    made = found["optimizer"]
    assert type(made) is kind
    assert made.param_groups[0]["initial_lr"] == 0.25  # type: ignore[attr-defined]  # just asked
    assert settings.items() <= made.param_groups[0].items()  # type: ignore[attr-defined]  # likewise
    says = [line for line in code.splitlines() if line.startswith("# momentum=lrsched.from_json(")]
    assert bool(says) == (driven is not None and optimizer != "sgd")
    if driven is not None and says:
        said = ast.literal_eval(says[0].removeprefix("# momentum=lrsched.from_json(").removesuffix(")"))
        assert lrsched.from_json(said) == driven


def test_a_warm_up_leaves_the_momentum_to_the_cycle() -> None:
    cycle = lrsched.OneCycle(length=4.0)
    assert momentum_of(lrsched.Warmup(cycle, 1.0)) == momentum_of(cycle) == cycle.momentum()
    assert momentum_of(lrsched.Cyclic(up=1.0, down=1.0)) is not None
    assert momentum_of(lrsched.Cosine(T_max=3.0)) is None
    assert (warmup_of(lrsched.Warmup(cycle, 1.5)), warmup_of(cycle)) == (1.5, 0.0)

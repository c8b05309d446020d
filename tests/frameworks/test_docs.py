"""``docs/scheduler.md`` must not lie: its Python runs, and each row of its table of names is computed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

import lrsched

pytestmark = pytest.mark.peers

TEXT = (Path(__file__).resolve().parent.parent.parent / "docs" / "scheduler.md").read_text("utf-8")
BEGIN, *BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
ROWS = re.findall(r"^\| (torch|transformers|timm|optax|Keras) \| `(.+)` \| `(.+)` \|$", TEXT, re.MULTILINE)
OURS = {name: getattr(lrsched, name) for name in lrsched.__all__}
STEPS = np.arange(100)
W = 20


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: " ".join(re.findall(r"\w+", block)[:4]))
def test_the_python_runs_and_leaves_each_rate_as_the_law_says(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    held: dict[str, Any] = {}
    exec(compile(BEGIN + block, "docs/scheduler.md", "exec"), held)  # noqa: S102 - our own page is what is under test
    if "scheduler" in held and "test" not in held and "sequence" not in held:
        scheduler = held["scheduler"]
        rates = [group["lr"] for group in scheduler.optimizer.param_groups]
        assert rates == pytest.approx(scheduler.get_lr(), rel=1e-12)


def test_the_page_shows_what_resume_says() -> None:
    block = next(block for block in BLOCKS if "scheduler.resume" in block)
    held: dict[str, Any] = {}
    exec(BEGIN + block.replace("print(scheduler.resume(saved))", "said = scheduler.resume(saved)"), held)  # noqa: S102 - likewise
    shown = " ".join(line.removeprefix("# ") for line in block.splitlines() if line.startswith("# "))
    assert shown == held["said"]


def optimizer() -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)


def theirs(library: str, expression: str) -> list[float]:
    """Return the rates that a library's schedule gives, step by step."""
    made = optimizer()
    names = {"o": made, "W": W}
    if library in {"optax", "Keras"}:
        call = eval(expression, {**module(library), **names})  # noqa: S307 - our own page is what is under test
        return [float(call(int(step))) for step in STEPS]
    scheduler, rates = eval(expression, {**module(library), **names}), []  # noqa: S307 - likewise
    for step in STEPS:
        if library == "timm":
            scheduler.step(int(step))
        rates.append(made.param_groups[0]["lr"])
        if library != "timm":
            made.step()
            scheduler.step()
    return rates


def module(library: str) -> dict[str, Any]:
    """Return what a library's schedules are called."""
    if library == "torch":
        return dict(vars(lr_scheduler))
    if library == "transformers":
        import transformers

        return {name: getattr(transformers, name) for name in dir(transformers) if name.startswith("get_")}
    if library == "timm":
        from timm import scheduler

        return dict(vars(scheduler))
    if library == "optax":
        os.environ["JAX_ENABLE_X64"] = "true"
        import optax

        return dict(vars(optax))
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    return dict(vars(keras.optimizers.schedules))


@pytest.mark.parametrize(("library", "expression", "ours"), ROWS, ids=[row[1] for row in ROWS])
def test_their_name_and_ours_are_the_same_schedule(library: str, expression: str, ours: str) -> None:
    schedule = eval(ours, {**OURS, "W": W})  # noqa: S307 - likewise
    expected = theirs(library, expression)
    tolerance = 2e-6 if library == "Keras" else 1e-12
    np.testing.assert_allclose(0.3 * schedule(STEPS), expected, rtol=tolerance, atol=tolerance)


def test_each_library_has_rows() -> None:
    assert {row[0] for row in ROWS} == {"torch", "transformers", "timm", "optax", "Keras"}
    assert len(ROWS) >= 34

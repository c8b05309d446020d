"""In transformers' Trainer: by update, by plateau, accumulated, resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lrsched import Warmup
from lrsched.optimizer import Scheduler

from .conftest import BATCHES, HALVES, UPDATES, WARMED_COSINE, by_update

pytestmark = pytest.mark.peers

DATA = [{"x": torch.ones(4), "labels": torch.zeros(1)} for _ in range(2 * BATCHES)]


class Model(nn.Module):
    """A network whose loss never falls."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return a loss of 1."""
        return {"loss": 1.0 + 0.0 * (self.layer(x) - labels).sum()}


def train(
    schedule: Any,
    epochs: int,
    folder: Path,
    *,
    per_epoch: float = 1,
    resume: bool = False,
    step: bool = False,
) -> list[float]:
    """Train, two batches to an update; return the rate of each update."""
    import transformers

    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = Scheduler(optimizer, schedule, steps_per_epoch=per_epoch)
    seen: list[float] = []

    class See(transformers.TrainerCallback):  # type: ignore[misc]  # not typed here
        def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
            seen.append(optimizer.param_groups[0]["lr"])

    class Step(transformers.TrainerCallback):  # type: ignore[misc]  # likewise
        def on_step_end(self, *_: Any, **__: Any) -> None:
            scheduler.step()

    arguments = transformers.TrainingArguments(
        str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        metric_for_best_model="loss",
    )
    trainer = transformers.Trainer(
        model,
        arguments,
        train_dataset=DATA,
        eval_dataset=DATA,
        optimizers=(optimizer, scheduler),
        callbacks=[See(), *([Step()] if step else [])],
    )
    trainer.train(resume_from_checkpoint=resume or None)
    return seen


def test_warm_up_and_cosine_by_update(tmp_path: Path) -> None:
    assert train(WARMED_COSINE, 6, tmp_path, per_epoch=UPDATES) == pytest.approx(by_update(WARMED_COSINE, 6))


def test_plateau(tmp_path: Path) -> None:
    halved = [0.1, 0.1, 0.05, 0.025]
    assert train(HALVES, 4, tmp_path) == [rate for rate in halved for _ in range(UPDATES)]


def test_warmed_plateau_by_update(tmp_path: Path) -> None:
    """The Trainer steps no plateau after an update: a callback does; the metric it hands over itself."""
    ramp = [0.1 * min(n / (2 * UPDATES), 1.0) for n in range(4 * UPDATES)]
    expected = [rate * 0.5 ** max(n // UPDATES - 1, 0) for n, rate in enumerate(ramp)]
    assert train(Warmup(HALVES, 2), 4, tmp_path, per_epoch=UPDATES, step=True) == pytest.approx(expected)


def test_a_warmed_plateau_that_nobody_steps_is_said(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="lrsched: step.metric. came without a step.. since the last metric"):
        train(Warmup(HALVES, 2), 1, tmp_path, per_epoch=UPDATES)


@pytest.mark.parametrize("kind", ["cosine", "plateau"])
def test_resumed(tmp_path: Path, kind: str) -> None:
    """Two epochs, a checkpoint, four more: the same rates as six."""
    schedule, per_epoch = {"cosine": (WARMED_COSINE, UPDATES), "plateau": (HALVES, 1)}[kind]
    whole = train(schedule, 6, tmp_path / "whole", per_epoch=per_epoch)
    first = train(schedule, 2, tmp_path / "parts", per_epoch=per_epoch)
    second = train(schedule, 6, tmp_path / "parts", per_epoch=per_epoch, resume=True)
    assert first + second == whole
    assert len(set(whole)) > 4

"""In a loop of accelerate's: by update, by plateau, accumulated, resumed, and where a step was skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lrsched.optimizer import Scheduler

from .conftest import HALVES, UPDATES, WARMED_COSINE, by_update

pytestmark = pytest.mark.peers


class Loop:
    """A loop as accelerate documents it, two batches to an update."""

    def __init__(self, model: nn.Module, data: Any, schedule: Any, per_epoch: float = 1) -> None:
        import accelerate

        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
        self.accelerator = accelerate.Accelerator(gradient_accumulation_steps=2, cpu=True)
        self.driven = schedule.metric_driven
        self.plain = torch.optim.SGD(model.parameters(), lr=0.1)
        self.inner = Scheduler(self.plain, schedule, steps_per_epoch=per_epoch)
        self.model, self.optimizer, self.data, self.scheduler = self.accelerator.prepare(
            model, self.plain, data, self.inner
        )

    def epochs(self, count: int) -> list[float]:
        """Train some epochs; return the rate of each update."""
        seen = []
        for _ in range(count):
            for (x,) in self.data:
                with self.accelerator.accumulate(self.model):
                    self.accelerator.backward(self.model(x).square().mean())
                    if self.accelerator.sync_gradients:
                        seen.append(self.plain.param_groups[0]["lr"])
                    self.optimizer.step()
                    if not self.driven:
                        self.scheduler.step()
                    self.optimizer.zero_grad()
            if self.driven:
                self.scheduler.step(1.0)
        return seen


def test_warm_up_and_cosine_by_update(model: nn.Module, data: Any) -> None:
    loop = Loop(model, data, WARMED_COSINE, UPDATES)
    assert loop.epochs(6) == pytest.approx(by_update(WARMED_COSINE, 6))


def test_plateau(model: nn.Module, data: Any) -> None:
    halved = [0.1, 0.1, 0.05, 0.025]
    assert Loop(model, data, HALVES).epochs(4) == [rate for rate in halved for _ in range(UPDATES)]


@pytest.mark.parametrize("kind", ["cosine", "plateau"])
def test_resumed(model: nn.Module, data: Any, kind: str, tmp_path: Path) -> None:
    """Two epochs, a checkpoint, four more: the same rates as six."""
    given: tuple[Any, ...] = (WARMED_COSINE, UPDATES) if kind == "cosine" else (HALVES,)
    whole = Loop(model, data, *given).epochs(6)
    loop = Loop(model, data, *given)
    first = loop.epochs(2)
    loop.accelerator.save_state(str(tmp_path))
    again = Loop(model, data, *given)
    again.accelerator.load_state(str(tmp_path))
    assert first + again.epochs(4) == whole
    assert len(set(whole)) > 4


def test_the_wrapped_optimizer_may_be_given_too(model: nn.Module, data: Any) -> None:
    loop = Loop(model, data, WARMED_COSINE)
    scheduler = Scheduler(loop.optimizer, WARMED_COSINE)
    loop.optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 0.4})
    scheduler.step()
    assert [group["lr"] for group in loop.plain.param_groups] == pytest.approx(
        [0.1 * WARMED_COSINE(1), 0.4 * WARMED_COSINE(1)]
    )


def test_a_skipped_update_is_no_step(model: nn.Module, data: Any) -> None:
    """A scaler that met an infinite gradient makes no update, so time stands still."""
    loop = Loop(model, data, WARMED_COSINE, UPDATES)
    for skipped in (False, True, False):
        loop.optimizer._is_overflow = skipped
        loop.scheduler.step()
    assert loop.inner.last_epoch == 2

"""Under ignite's engines: by update, by plateau, accumulated, resumed; directly and in ignite's own wrapper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lrsched.optimizer import Scheduler

from .conftest import HALVES, UPDATES, WARMED_COSINE, by_update

pytestmark = pytest.mark.peers


class Run:
    """A trainer that makes an update of every two batches, and its evaluator."""

    def __init__(self, model: nn.Module, schedule: Any, per_epoch: float = 1) -> None:
        from ignite import engine

        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.scheduler = Scheduler(self.optimizer, schedule, steps_per_epoch=per_epoch)
        self.seen: list[float] = []
        self.optimizer.register_step_pre_hook(
            lambda *_: self.seen.append(self.optimizer.param_groups[0]["lr"])
        )
        every_other = engine.Events.ITERATION_COMPLETED(every=2)

        def accumulate(trainer: Any, batch: Any) -> None:
            model(batch[0]).square().mean().backward()
            if trainer.state.iteration % 2 == 0:
                self.optimizer.step()
                self.optimizer.zero_grad()

        self.trainer = engine.Engine(accumulate)
        evaluator = engine.Engine(lambda *_: None)
        if schedule.metric_driven:
            evaluator.state.metrics = {"loss": 1.0}
            self.trainer.on(engine.Events.EPOCH_COMPLETED)(
                lambda: self.scheduler.step(evaluator.state.metrics["loss"])
            )
        else:
            self.trainer.on(every_other)(lambda: self.scheduler.step())  # noqa: PLW0108 - else ignite hands it the engine


def test_warm_up_and_cosine_by_update(model: nn.Module, data: Any) -> None:
    run = Run(model, WARMED_COSINE, UPDATES)
    run.trainer.run(data, max_epochs=6)
    assert run.seen == pytest.approx(by_update(WARMED_COSINE, 6))


def test_plateau(model: nn.Module, data: Any) -> None:
    run = Run(model, HALVES)
    run.trainer.run(data, max_epochs=4)
    assert run.seen == [rate for rate in (0.1, 0.1, 0.05, 0.025) for _ in range(UPDATES)]


def test_in_ignites_wrapper(model: nn.Module, data: Any) -> None:
    """It asks for rates at the start of each iteration, and writes them itself."""
    from ignite import engine
    from ignite.handlers.param_scheduler import LRScheduler

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler, seen = Scheduler(optimizer, WARMED_COSINE, steps_per_epoch=8), list[float]()
    trainer = engine.Engine(lambda *_: seen.append(optimizer.param_groups[0]["lr"]))
    trainer.add_event_handler(engine.Events.ITERATION_STARTED, LRScheduler(scheduler))
    trainer.run(data, max_epochs=6)
    assert seen == pytest.approx([0.1 * WARMED_COSINE(n / 8) for n in range(48)])


@pytest.mark.parametrize("kind", ["cosine", "plateau"])
def test_resumed(model: nn.Module, data: Any, kind: str, tmp_path: Path) -> None:
    """Two epochs, a checkpoint, four more: the same rates as six."""
    from ignite.handlers import Checkpoint, DiskSaver

    given: tuple[Any, ...] = (WARMED_COSINE, UPDATES) if kind == "cosine" else (HALVES,)
    whole = Run(model, *given)
    whole.trainer.run(data, max_epochs=6)
    first, second = Run(model, *given), Run(model, *given)
    parts = [
        {"optimizer": r.optimizer, "scheduler": r.scheduler, "trainer": r.trainer} for r in (first, second)
    ]
    first.trainer.run(data, max_epochs=2)
    saver = Checkpoint(parts[0], DiskSaver(str(tmp_path)))
    saver(first.trainer)
    Checkpoint.load_objects(parts[1], torch.load(tmp_path / str(saver.last_checkpoint), weights_only=True))
    second.trainer.run(data, max_epochs=6)
    assert first.seen + second.seen == whole.seen
    assert len(set(whole.seen)) > 4

"""In Lightning's Trainer: by update, by plateau, accumulated, resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lrsched import Warmup
from lrsched.optimizer import Scheduler

from .conftest import HALVES, UPDATES, WARMED_COSINE, by_update

pytestmark = pytest.mark.peers


def module(model: nn.Module, schedule: Any, options: dict[str, Any], per_epoch: float = 1) -> Any:
    """Return a Lightning module that trains ``model`` and notes the rate of each update in ``seen``."""
    import lightning

    class Module(lightning.LightningModule):  # type: ignore[misc]  # not typed here
        def __init__(self) -> None:
            super().__init__()
            self.model, self.seen = model, list[float]()

        def training_step(self, batch: Any, _: int) -> Any:
            return self.model(batch[0]).square().mean()

        def on_before_optimizer_step(self, optimizer: Any) -> None:
            self.seen.append(optimizer.param_groups[0]["lr"])

        def validation_step(self, *_: Any) -> None:
            self.log("val_loss", 1.0)

        def on_validation_epoch_end(self) -> None:
            by_update = options.get("interval") == "step" and not self.trainer.sanity_checking
            if by_update and self.lr_schedulers().schedule.metric_driven:
                self.lr_schedulers().observe(self.trainer.callback_metrics["val_loss"])

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            scheduler = Scheduler(optimizer, schedule, steps_per_epoch=per_epoch)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **options}}

    return Module()


def fit(
    made: Any, data: Any, epochs: int, resume: Path | None = None, save: Path | None = None
) -> list[float]:
    """Train, two batches to an update; return the rate of each update."""
    import lightning

    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        accumulate_grad_batches=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(made, data, data, ckpt_path=resume)
    if save is not None:
        trainer.save_checkpoint(save)
    seen: list[float] = made.seen
    return seen


def test_warm_up_and_cosine_by_update(model: nn.Module, data: Any) -> None:
    made = module(model, WARMED_COSINE, {"interval": "step"}, UPDATES)
    assert fit(made, data, 6) == pytest.approx(by_update(WARMED_COSINE, 6))


@pytest.mark.parametrize("flag", [{}, {"reduce_on_plateau": True}])
def test_plateau(model: nn.Module, data: Any, flag: dict[str, Any]) -> None:
    made = module(model, HALVES, {"monitor": "val_loss", **flag})
    halved = [0.1, 0.1, 0.05, 0.025]
    assert fit(made, data, 4) == [rate for rate in halved for _ in range(UPDATES)]


def test_warmed_plateau_by_update(model: nn.Module, data: Any) -> None:
    made = module(model, Warmup(HALVES, 2), {"interval": "step", "reduce_on_plateau": False}, UPDATES)
    ramp = [0.1 * min(n / (2 * UPDATES), 1.0) for n in range(4 * UPDATES)]
    expected = [rate * 0.5 ** max(n // UPDATES - 1, 0) for n, rate in enumerate(ramp)]
    assert fit(made, data, 4) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["cosine", "plateau"])
def test_resumed(model: nn.Module, data: Any, kind: str, tmp_path: Path) -> None:
    """Two epochs, a checkpoint, four more: the same rates as six."""

    def make() -> Any:
        if kind == "cosine":
            return module(model, WARMED_COSINE, {"interval": "step"}, UPDATES)
        return module(model, HALVES, {"monitor": "val_loss"})

    whole = fit(make(), data, 6)
    first = fit(make(), data, 2, save=tmp_path / "last.ckpt")
    second = fit(make(), data, 6, resume=tmp_path / "last.ckpt")
    assert first + second == whole
    assert len(set(whole)) > 4

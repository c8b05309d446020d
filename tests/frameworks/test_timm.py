"""With timm's optimizers, whose groups have a scale of their own: layer decay."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from lrsched import Cosine, Join, Linear
from lrsched.optimizer import Scheduler

from .conftest import HALVES, WARMED_COSINE

pytestmark = pytest.mark.peers


class Layers(nn.Module):
    """Three layers that timm can tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.middle, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002 - as timm calls it
        """Say which parameters are which layer's."""
        return {"stem": "^stem", "blocks": [(r"^middle", (0,)), (r"^head", (99999,))]}

    def no_weight_decay(self) -> set[str]:
        """Nothing is exempt."""
        return set()


def layered() -> torch.optim.Optimizer:
    """Return AdamW as timm makes it, with layer decay."""
    from timm.optim import create_optimizer_v2

    torch.manual_seed(0)
    made: torch.optim.Optimizer = create_optimizer_v2(Layers(), "adamw", lr=0.1, layer_decay=0.5)
    return made


def rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def test_layer_decay_is_timms_by_update() -> None:
    """Warm-up and cosine, each group at its scale, equal to timm's own scheduler."""
    from timm.scheduler import CosineLRScheduler

    a, b = layered(), layered()
    assert len({group["lr_scale"] for group in a.param_groups}) > 1
    theirs = CosineLRScheduler(a, 20, lr_min=0.01, warmup_t=5, warmup_prefix=True, t_in_epochs=False)
    schedule = Join((Linear(5, 0.0, 1.0), Cosine(20, 0.1)), (5,))
    ours = Scheduler(b, schedule)
    for step in range(30):
        theirs.step_update(step)
        assert rates(b) == pytest.approx(rates(a), rel=1e-12)
        ours.step()


def test_plateau_keeps_the_layers_apart() -> None:
    optimizer = layered()
    scales = [group["lr_scale"] for group in optimizer.param_groups]
    scheduler = Scheduler(optimizer, HALVES)
    for halvings in (0, 0, 1, 2):
        assert rates(optimizer) == pytest.approx([0.1 * scale * 0.5**halvings for scale in scales])
        scheduler.step(1.0)


def test_resumed() -> None:
    whole, first, second = layered(), layered(), layered()
    schedulers = [Scheduler(o, WARMED_COSINE, steps_per_epoch=4) for o in (whole, first, second)]
    for _ in range(9):
        schedulers[0].step()
        schedulers[1].step()
    second.load_state_dict(first.state_dict())
    schedulers[2].load_state_dict(json.loads(json.dumps(schedulers[1].state_dict())))
    for _ in range(15):
        assert rates(second) == rates(whole)
        schedulers[0].step()
        schedulers[2].step()


def test_ours_after_timms_begins_at_the_base_rate() -> None:
    """What timm writes is scaled; it notes the base rate as torch does."""
    from timm.scheduler import CosineLRScheduler

    optimizer = layered()
    CosineLRScheduler(optimizer, 20, warmup_t=5).step(3)
    assert set(Scheduler(optimizer, WARMED_COSINE).base_lrs) == {0.1}

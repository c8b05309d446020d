"""A checkpoint may be somebody else's: whatever is wrong in it is said in one line, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from study.core.errors import InputError
from study.core.records import TrialSpec
from study.loops.passes import Pass, schedule_rates
from study.problems.fashion_mnist import Split
from study.training.lanes import Lanes

Make = Callable[..., TrialSpec]
Saved = dict[str, Any]


def lanes(split: Split) -> Lanes:
    return Lanes(split, batch_size=64, order_seed=9)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """What holds a checkpoint that is read: filled by the first test that trains one."""
    return {}


@pytest.fixture
def one(spec: Make, tmp_path: Path, few: Split, saved: Saved) -> Pass:
    """Two runs of one epoch, trained."""
    made = Pass([spec(5, epochs=1), spec(6, epochs=1)], schedule_rates, tmp_path / "seed-0000.pt")
    if not saved:
        made.train(lanes(few), lambda *_: None)
        saved.update(torch.load(made.checkpoint, weights_only=True))
    return made


def history(**said: Any) -> Callable[[Saved], Saved]:
    """Return what puts other figures into the first epoch of the first run."""

    def change(kept: Saved) -> Saved:
        rows = json.loads(kept["history"])
        rows[0][0] |= said
        return {**kept, "history": json.dumps(rows)}

    return change


def state(**said: Any) -> Callable[[Saved], Saved]:
    return lambda kept: {**kept, "state": {**kept["state"], **said}}


def weights(change: Callable[[torch.Tensor], Any]) -> Callable[[Saved], Saved]:
    return lambda kept: {
        **kept,
        "state": {**kept["state"], "weights": {n: change(w) for n, w in kept["state"]["weights"].items()}},
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda _: None,
        lambda _: [],
        lambda _: {},
        lambda _: torch.zeros(3),
        lambda kept: {**kept, "asked": 3},
        lambda kept: {**kept, "asked": "[" * 100_000},
        lambda kept: {**kept, "history": "null"},
        lambda kept: {**kept, "history": "[1]"},
        lambda kept: {**kept, "history": "[[]]"},
        lambda kept: {**kept, "history": "[[{}, {}]]"},
        lambda kept: {**kept, "history": json.dumps(json.loads(kept["history"]) * 1000)},
        lambda kept: {**kept, "history": "[[NaN, 1]]"},
        history(train_loss="low"),
        history(train_loss=[1]),
        history(epoch="0"),
        history(epoch=None),
        history(val_accuracy={}),
        history(seconds=True),
        state(clock="x" * 10, lanes=3),
        state(lanes=[]),
        state(lanes=[["a", 0], ["b", 0]]),
        state(lanes=[[0, 1], [1, 1], [2, 1]]),
        state(lanes=[[0, 1]] * 2),
        state(weights={}),
        state(weights=[]),
        state(weights={"conv1.weight": torch.zeros(1)}),
        weights(lambda w: w[:1]),
        weights(lambda w: w.unsqueeze(1)),
        weights(lambda w: w.reshape(-1)[:1].expand(2, 10**6, 10**6)),
        weights(lambda _: "weights"),
        lambda kept: {**kept, "state": None},
        lambda kept: {"asked": kept["asked"]},
    ],
)
def test_a_checkpoint_that_was_tampered_with_is_refused(
    change: Callable[[Saved], Any], one: Pass, few: Split, saved: Saved
) -> None:
    torch.save(change(saved), one.checkpoint)
    before = one.checkpoint.read_bytes()
    with pytest.raises(InputError, match=r"damaged, or|other networks|of other runs"):
        one.train(lanes(few), lambda *_: None)
    assert one.checkpoint.read_bytes() == before


def test_what_was_not_tampered_with_is_read(one: Pass, few: Split, saved: Saved) -> None:
    """So the refusals above are of what was changed."""
    torch.save(saved, one.checkpoint)
    one.load(lanes(few))
    assert one.trained() == 1

"""A fixed list of runs trains to its end, whatever stops it in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from study.core.errors import InputError
from study.core.records import EpochMetrics, TrialSpec
from study.loops.passes import Pass, schedule_rates
from study.problems.fashion_mnist import Split
from study.training.lanes import Lanes

Make = Callable[..., TrialSpec]


class Stop(Exception):  # noqa: N818 - no error: it stands for whatever ends a process
    """Ends a pass in the middle."""


class Seen:
    """Notes every epoch of every run, and stops after so many."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.epochs: list[tuple[int, EpochMetrics]] = []
        self.rates: list[NDArray[np.float64]] = []
        self._stop_after = stop_after

    def __call__(self, lane: int, epoch: EpochMetrics, rates: NDArray[np.float64]) -> None:
        self.epochs.append((lane, replace(epoch, seconds=0.0)))
        self.rates.append(rates)
        if len(self.epochs) == self._stop_after:
            raise Stop


@pytest.fixture
def one(spec: Make, tmp_path: Path) -> Pass:
    """Two runs of three epochs, of one seed."""
    return Pass([spec(5), spec(6, base_rate=0.05)], schedule_rates, tmp_path / "deep" / "er" / "seed-0000.pt")


def lanes(split: Split) -> Lanes:
    return Lanes(split, batch_size=64, order_seed=9)


def final_weights(one: Pass, split: Split) -> dict[int, dict[str, torch.Tensor]]:
    loaded = lanes(split)
    one.load(loaded)
    return {key: loaded.weights(key) for key in loaded.keys}


def same(first: dict[int, dict[str, torch.Tensor]], second: dict[int, dict[str, torch.Tensor]]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[key][name], second[key][name]) for key in first for name in first[key]
    )


def test_a_pass_trains_each_run_to_its_end(one: Pass, few: Split) -> None:
    """All epochs of all runs, side by side, with their own rates; the checkpoint holds the final weights."""
    seen, trained = Seen(), lanes(few)
    assert one.trained() == 0
    one.train(trained, seen)
    assert [(key, e.epoch) for key, e in seen.epochs] == [(k, e) for e in range(3) for k in (0, 1)]
    assert seen.rates[0] == pytest.approx(4 * seen.rates[1])
    assert one.trained() == 3
    assert trained.keys == [0, 1]
    assert same(final_weights(one, few), {key: trained.weights(key) for key in (0, 1)})
    assert sorted(p.name for p in one.checkpoint.parent.iterdir()) == [one.checkpoint.name]


@pytest.mark.parametrize("stop_after", [1, 2, 3, 5])
def test_cut_off_and_continued_equals_never_cut_off(
    one: Pass, few: Split, tmp_path: Path, stop_after: int
) -> None:
    """The second process trains what is missing, tells all epochs, and ends with the same bits."""
    through = replace(one, checkpoint=tmp_path / "through.pt")
    whole = Seen()
    through.train(lanes(few), whole)

    with pytest.raises(Stop):
        one.train(lanes(few), Seen(stop_after))
    done = one.trained()
    assert done == (stop_after + 1) // 2  # epochs begun by then: both runs of one are saved before it is told
    seen = Seen()
    one.train(lanes(few), seen)
    assert seen.epochs == whole.epochs
    assert [r.tolist() for r in seen.rates] == [r.tolist() for r in whole.rates]
    assert same(final_weights(one, few), final_weights(through, few))


def test_a_finished_pass_is_not_trained_again(one: Pass, few: Split) -> None:
    one.train(lanes(few), Seen())
    written = one.checkpoint.stat().st_mtime_ns
    seen, again = Seen(), lanes(few)
    one.train(again, seen)
    assert len(seen.epochs) == 6
    assert again.clock == 3
    assert one.checkpoint.stat().st_mtime_ns == written


def test_a_half_written_checkpoint_is_not_looked_at(one: Pass, few: Split) -> None:
    """A process killed while it writes leaves the last whole checkpoint, and a part beside it."""
    with pytest.raises(Stop):
        one.train(lanes(few), Seen(2))
    one.checkpoint.with_name(f".{one.checkpoint.name}.part").write_bytes(b"half")
    assert one.trained() == 1
    one.train(lanes(few), Seen())
    assert one.trained() == 3


def test_a_damaged_checkpoint_is_refused_by_name(one: Pass, few: Split) -> None:
    one.train(lanes(few), Seen())
    content = one.checkpoint.read_bytes()
    for damage in (content[: len(content) // 2], b"", b"not a checkpoint"):
        one.checkpoint.write_bytes(damage)
        with pytest.raises(InputError, match=r"seed-0000\.pt: damaged, or no checkpoint of ours; remove it$"):
            one.trained()


@pytest.mark.parametrize("change", [{"seed": 12}, {"base_rate": 0.3}, {"epochs": 4}])
def test_another_passs_checkpoint_is_refused(
    one: Pass, few: Split, spec: Make, change: dict[str, float]
) -> None:
    with pytest.raises(Stop):
        one.train(lanes(few), Seen(2))
    other = replace(one, runs=[spec(5, **change), *one.runs[1:]])
    with pytest.raises(InputError, match=r"seed-0000\.pt: is of other runs; remove it"):
        other.train(lanes(few), Seen())

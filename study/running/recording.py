"""Train passes one after another, each run recorded in MLflow: the loop of ``confirm`` and ``replicate``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from study.records.tracking import Tracker
from study.records.trial import Asked, Epoch
from study.running.passes import Pass
from study.training.lanes import Lanes

#: Names a run for MLflow: its name and its further tags, from what it is asked and its pass's number.
Label = Callable[[Asked, int], tuple[str, Mapping[str, str]]]


def train_recorded(
    passes: Sequence[Pass],
    lanes: Callable[[int], Lanes],
    tracker: Tracker,
    label: Label,
    show: Callable[[int, int], None],
) -> None:
    """Train every pass that is not finished yet, recording each of its runs.

    A pass that an earlier process left unfinished is recorded from its first epoch again, in new runs.

    Args:
        passes: One a seed, all of as many runs.
        lanes: Makes empty lanes for a pass, from its number.
        tracker: Opened on the parent run.
        label: Names the runs.
        show: Called with epochs of runs trained so far, by all processes, and the pass in training,
            after every epoch of a pass.
    """
    done = sum(one.trained() * len(one.runs) for one in passes)
    for number, one in enumerate(passes):
        if one.trained() < one.epochs:
            new = _train_one(
                one,
                lanes(number),
                tracker,
                lambda run: label(run, number),  # noqa: B023 - called in this turn only
                lambda new: show(done + new, number),  # noqa: B023 - likewise
            )
            done += new


def _train_one(
    one: Pass,
    lanes: Lanes,
    tracker: Tracker,
    label: Callable[[Asked], tuple[str, Mapping[str, str]]],
    show: Callable[[int], None],
) -> int:
    """Train one pass to its end; return how many epochs of its runs this process trained."""
    before, new = one.trained(), 0
    last: dict[int, Epoch] = {}
    with _children(tracker, one, label, last) as children:

        def on_epoch(run: Asked, epoch: Epoch, rates: NDArray[np.float64]) -> None:
            nonlocal new
            tracker.epoch(children[run.number], epoch, rates.tolist())
            last[run.number] = epoch
            if epoch.epoch >= before:
                new += 1
                show(new)

        one.train(lanes, on_epoch)
    return new


@contextmanager
def _children(
    tracker: Tracker,
    one: Pass,
    label: Callable[[Asked], tuple[str, Mapping[str, str]]],
    last: Mapping[int, Epoch],
) -> Iterator[dict[int, str]]:
    """Open a run for each lane of a pass; close it as finished, diverged or interrupted."""
    children: dict[int, str] = {}
    try:
        for run in one.runs:
            name, tags = label(run)
            children[run.number] = tracker.start(run, name=name, tags=tags)
        yield children
    except BaseException:
        for child in children.values():
            tracker.end(child, "interrupted")
        raise
    for key, child in children.items():
        tracker.end(child, "finished" if math.isfinite(last[key].train_loss) else "diverged")

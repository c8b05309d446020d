"""A fixed list of runs, trained side by side to their end, with a checkpoint after every epoch.

What ``confirm`` and ``replicate`` have in common: nothing is asked of a sampler and nothing is pruned, all
runs of a pass share the data order, and a pass that was cut off goes on after its last whole epoch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from study.core.errors import InputError
from study.core.files import whole_file
from study.core.records import EpochMetrics, TrialSpec
from study.training.rates import Rates
from study.training.side_by_side import SideBySide

#: Called after each epoch of each run: its lane, what the epoch gave, the rate of each step.
OnEpoch = Callable[[int, EpochMetrics, NDArray[np.float64]], None]

#: Part of what tells two sets of passes apart: checkpoints of another form lie in another folder.
FORM = 2


@dataclass(frozen=True)
class Pass:
    """Runs that share one data order. The key of a run's lane is its place in ``runs``.

    Attributes:
        runs: What each is to train; all have the same number of epochs.
        rates: Makes a run's rates from what it is asked and the steps an epoch.
        checkpoint: File that keeps its state and, in the end, its final weights.
    """

    runs: Sequence[TrialSpec]
    rates: Callable[[TrialSpec, int], Rates]
    checkpoint: Path

    @property
    def epochs(self) -> int:
        """Epochs to train."""
        return self.runs[0].epochs

    def trained(self) -> int:
        """Return how many epochs an earlier process has trained."""
        return len(self.history())

    def history(self) -> list[list[EpochMetrics]]:
        """Return what each epoch trained so far gave, a row an epoch, an entry a run."""
        return self._saved()[0] if self.checkpoint.exists() else []

    def train(self, lanes: SideBySide, on_epoch: OnEpoch) -> None:
        """Train the runs to their end, in lanes that are still empty.

        Epochs that an earlier process trained are not trained again, but ``on_epoch`` is called for them
        as well, so that a record of the whole run can be made.

        Raises:
            InputError: The checkpoint cannot be read, or is of other runs.
        """
        history = self._restore(lanes)
        rates = [self.rates(run, lanes.steps) for run in self.runs]
        for number in range(self.epochs):
            table = {lane: rate.current() for lane, rate in enumerate(rates)}
            if number == len(history):
                trained = lanes.train_epoch(table)
                history.append([trained[lane] for lane in table])
                self._save(lanes, history)
            for lane, epoch in enumerate(history[number]):
                rates[lane].observe(epoch.train_loss)
                on_epoch(lane, epoch, table[lane])

    def load(self, lanes: SideBySide) -> None:
        """Put the weights that were saved last into empty lanes.

        Raises:
            InputError: The checkpoint cannot be read, is of other runs, or holds no weights of these networks.
        """
        self._put(self._saved()[1], lanes)

    def _restore(self, lanes: SideBySide) -> list[list[EpochMetrics]]:
        if not self.checkpoint.exists():
            for lane, run in enumerate(self.runs):
                lanes.add(lane, run.seed, run)
            return []
        history, state = self._saved()
        self._put(state, lanes)
        return history

    def _put(self, state: dict[str, Any], lanes: SideBySide) -> None:
        fresh: dict[str, Any] = {}
        try:
            lanes.add(0, self.runs[0].seed, self.runs[0])
            fresh = _shapes(lanes.weights(0))
            lanes.drop(0)
            lanes.load_state_dict(state)
            fits = lanes.keys == list(range(len(self.runs))) and all(
                _shapes(lanes.weights(key)) == fresh for key in lanes.keys
            )
        except Exception as error:  # what another structure raises first is chance
            raise InputError(
                f"{self.checkpoint}: damaged, or of other lanes ({error!s:.80}); remove it"
            ) from error
        if not fits:
            raise InputError(f"{self.checkpoint}: holds other networks than its runs'; remove it")

    def _saved(self) -> tuple[list[list[EpochMetrics]], dict[str, Any]]:
        with _readable(self.checkpoint):
            saved = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            spec, history, state = json.loads(saved["asked"]), json.loads(saved["history"]), saved["state"]
            epochs = [[EpochMetrics.from_json(epoch) for epoch in row] for row in history]
            whole = len(epochs) <= self.epochs and all(map(_is_epoch, chain.from_iterable(epochs)))
        if spec != self._identity():
            raise InputError(f"{self.checkpoint}: is of other runs; remove it, or use another folder")
        if not (whole and all(len(row) == len(self.runs) for row in epochs)):
            raise InputError(f"{self.checkpoint}: damaged, or no checkpoint of ours; remove it")
        return epochs, state

    def _save(self, lanes: SideBySide, history: Sequence[Sequence[EpochMetrics]]) -> None:
        """Write the checkpoint whole or not at all."""
        rows = [[epoch.to_json() for epoch in row] for row in history]
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        saved = {
            "asked": json.dumps(self._identity()),
            "history": json.dumps(rows),
            "state": lanes.state_dict(),
        }
        with whole_file(self.checkpoint) as part:
            torch.save(saved, part)

    def _identity(self) -> Any:
        """Return what makes two passes the same, as plain JSON."""
        return json.loads(json.dumps([run.to_json() for run in self.runs]))


def _is_epoch(epoch: EpochMetrics) -> bool:
    """Return whether what was read as an epoch holds numbers."""
    numbers = {name: value for name, value in vars(epoch).items() if value is not None}
    return type(epoch.epoch) is int and all(type(value) in {int, float} for value in numbers.values())


def _shapes(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in weights.items()}


def asked(checkpoint: Path) -> list[TrialSpec]:
    """Return the runs that a checkpoint is of.

    Raises:
        InputError: It cannot be read.
    """
    with _readable(checkpoint):
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        return [TrialSpec.from_json(run) for run in json.loads(saved["asked"])]


@contextmanager
def _readable(checkpoint: Path) -> Iterator[None]:
    """Refuse in one line a file that cannot be read as a checkpoint."""
    try:
        yield
    except Exception as error:  # torch and pickle raise what they like on a damaged file
        raise InputError(f"{checkpoint}: damaged, or no checkpoint of ours; remove it") from error


def schedule_rates(spec: TrialSpec, steps: int) -> Rates:
    """Return the rates of a run that moves its schedule with every step."""
    return Rates(spec.schedule, spec.base_rate, steps)

"""Finalists trained on all 60,000 images over fresh seeds; the test set opened once, at the end.

One pass a seed: every finalist starts from the same initial weights and sees the same minibatches, so the
seeds pair the finalists. Checkpoints lie in a folder named after what is confirmed: other finalists,
another study or other settings never mix with them, and more seeds add to them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from study.core.records import EpochMetrics, StudyConfig
from study.loops.passes import FORM, Pass, schedule_rates
from study.loops.recording import train_recorded
from study.problems.fashion_mnist import Split
from study.stats.finalists import Finalist
from study.store.mlflow_tracking import Tracker
from study.training.lanes import Lanes

#: Added to a confirmation's seeds, so that none of them is one that the search used.
FRESH = 1_000_000


@dataclass(frozen=True)
class Confirmation:
    """What is confirmed.

    Attributes:
        config: The study's settings.
        finalists: Who is confirmed.
        seeds: How many seeds each.
        folder: Where checkpoints of all confirmations lie.
    """

    config: StudyConfig
    finalists: tuple[Finalist, ...]
    seeds: int
    folder: Path

    @property
    def place(self) -> Path:
        """The folder of this confirmation alone."""
        about = [FORM, self.config.to_json(), [[f.name, f.spec.to_json()] for f in self.finalists]]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        return self.folder / digest[:12]

    def passes(self) -> list[Pass]:
        """Return one pass a seed."""
        return [
            Pass(
                [f.run(lane, FRESH + seed) for lane, f in enumerate(self.finalists)],
                schedule_rates,
                self.place / f"seed-{seed:04}.pt",
            )
            for seed in range(self.seeds)
        ]

    def lanes(self, split: Split, seed: int) -> Lanes:
        """Return empty lanes with a seed's data order."""
        return Lanes(
            split,
            batch_size=self.config.batch_size,
            order_seed=FRESH + seed,
            bfloat16=self.config.precision == "bfloat16",
        )

    def trained(self) -> int:
        """Return how many epochs of how many runs earlier processes have trained."""
        return sum(one.trained() for one in self.passes()) * len(self.finalists)


def train_finalists(
    confirmation: Confirmation, split: Split, tracker: Tracker, show: Callable[[int, int], None]
) -> None:
    """Train every pass that is not finished yet, recording each run in MLflow.

    Args:
        confirmation: What is confirmed.
        split: All training images, nothing to measure on.
        tracker: Opened on the study's parent run.
        show: Called with epochs trained so far and the seed in training, after every epoch of a pass.
    """
    trained = confirmation.trained()
    for seed, one in enumerate(confirmation.passes()):

        def label(lane: int, seed: int = seed) -> tuple[str, dict[str, str]]:
            name = confirmation.finalists[lane].name
            return f"confirm {name} seed {seed}", {"finalist": name, "confirm_seed": str(seed)}

        def shown(row: Sequence[EpochMetrics], seed: int = seed) -> None:
            nonlocal trained
            trained += len(row)
            show(trained, seed)

        train_recorded(one, confirmation.lanes(split, seed), tracker, label, shown)


@torch.no_grad()
def open_test_set(confirmation: Confirmation, final: Split) -> NDArray[np.float64]:
    """Return the test accuracies ``[seeds, finalists]`` of the final weights; NaN for a diverged run."""
    if final.evaluation is None:
        raise ValueError("the final split has no test images")
    table = np.full((confirmation.seeds, len(confirmation.finalists)), np.nan)
    for seed, one in enumerate(confirmation.passes()):
        lanes = confirmation.lanes(final, seed)
        one.load(lanes)
        measured = lanes.evaluate(final.evaluation)
        for lane in range(len(one.runs)):
            loss, accuracy = measured[lane]
            table[seed, lane] = accuracy if math.isfinite(loss) else np.nan
    return table

"""Finalists trained at multiples of their base rates, measured on the validation data alone.

The test set is not opened for this: a multiple that looks better on it would be a temptation.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from study.core.records import EpochMetrics, StudyConfig
from study.loops.passes import FORM, Pass, schedule_rates
from study.loops.recording import Within, train_recorded, unseen
from study.stats.base_rates import BaseRates
from study.stats.leaderboard import Finalist
from study.store.tracking.mlflow_tracking import Tracker
from study.training.side_by_side import SideBySide

MakeLanes = Callable[..., SideBySide]
#: Added to the seeds, so that none of them is one of a search or of a confirmation.
FRESH = 2_000_000


@dataclass(frozen=True)
class BaseRateRuns:
    """What is trained. Seeds count from 1.

    Attributes:
        config: The study's settings; ``train_images`` of the search's training data are trained on.
        finalists: Whose rates are multiplied.
        multiples: By what.
        seeds: How often each.
        folder: Where checkpoints lie.
    """

    config: StudyConfig
    finalists: tuple[Finalist, ...]
    multiples: tuple[float, ...]
    seeds: int
    folder: Path

    @property
    def runs(self) -> tuple[tuple[Finalist, float], ...]:
        """The runs of a seed, lane by lane."""
        return tuple((f, multiple) for f in self.finalists for multiple in self.multiples)

    @cached_property
    def place(self) -> Path:
        """The folder of these runs alone; more seeds add to it."""
        runs = [[f.spec.to_json(), multiple] for f, multiple in self.runs]
        about = json.dumps([FORM, self.config.to_json(), runs], sort_keys=True)
        return self.folder / f"rates-{hashlib.sha256(about.encode()).hexdigest()[:12]}"

    def passes(self) -> list[Pass]:
        """Return one pass a seed, all finalists and multiples side by side."""
        return [
            Pass(
                [
                    replace(f.run(FRESH + seed, len(self.runs)), base_rate=f.spec.base_rate * multiple)
                    for f, multiple in self.runs
                ],
                schedule_rates,
                self.place / f"seed-{seed:04}.pt",
            )
            for seed in range(1, self.seeds + 1)
        ]

    def lanes(self, make: MakeLanes, seed: int) -> SideBySide:
        """Return empty lanes with a seed's data order."""
        return make(
            batch_size=self.config.batch_size,
            order_seed=FRESH + seed,
            bfloat16=self.config.precision == "bfloat16",
        )


def train_base_rates(
    runs: BaseRateRuns,
    make: MakeLanes,
    tracker: Tracker,
    show: Callable[[int, int], None],
    within: Within = unseen,
) -> BaseRates:
    """Train what is not trained yet and return how the finalists fare.

    Args:
        runs: What is trained.
        make: Makes empty lanes that are measured on the validation data, ``Workload.lanes``.
        tracker: Opened on the confirmation's parent run.
        show: Called after every epoch with the epochs of runs trained so far and the seed in training.
        within: Called after every step.
    """
    passes = runs.passes()
    done = sum(one.trained() for one in passes) * len(runs.runs)
    for seed, one in enumerate(passes, start=1):

        def label(lane: int, seed: int = seed) -> tuple[str, dict[str, str]]:
            finalist, multiple = runs.runs[lane]
            tags = {
                "finalist": finalist.name,
                "trial": str(finalist.spec.number),
                "lanes": str(len(runs.runs)),
                "confirm_seed": str(seed),
                "base_rate_multiple": f"{multiple:g}",
            }
            return f"{finalist.name} x{multiple:g} seed {seed}", tags

        def after_epoch(row: Sequence[EpochMetrics], seed: int = seed) -> None:
            nonlocal done
            done += len(row)
            show(done, seed)

        train_recorded(one, runs.lanes(make, seed), tracker, label, after_epoch, within)
    last = [one.history()[-1] for one in passes]
    width = len(runs.multiples)
    return BaseRates(
        runs.multiples,
        {
            finalist.name: np.array(
                [[_value(row[place * width + m]) for m in range(width)] for row in last], dtype=np.float64
            )
            for place, finalist in enumerate(runs.finalists)
        },
        runs.config.train_images,
        runs.config.metric,
        runs.config.noun,
    )


def _value(epoch: EpochMetrics) -> float:
    if epoch.val_accuracy is None:
        raise ValueError(f"epoch {epoch.epoch} was not measured on the validation data")
    return epoch.val_accuracy if epoch.finite and math.isfinite(epoch.val_accuracy) else math.nan

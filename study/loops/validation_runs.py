"""Finalists trained on the search's data with fresh seeds, measured on the validation data alone.

Two things are asked that way: who of a search's best deserves to be a finalist (``heats``), and how finalists fare at
multiples of their base rates (``base_rates``). The test set is opened for neither: what looks better on it would be
a temptation.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from study.core.records import EpochMetrics, StudyConfig
from study.loops.passes import FORM, Pass, schedule_rates
from study.loops.recording import Limit, Within, is_recorded, train_recorded, unseen
from study.stats.leaderboard import Finalist
from study.store.tracking.mlflow_tracking import Tracker
from study.training.side_by_side import SideBySide

MakeLanes = Callable[..., SideBySide]
#: Added to the seeds, so that none of them is one of a search, of a confirmation or of the other kind.
FRESH = {"rates": 2_000_000, "heats": 4_000_000}


@dataclass(frozen=True)
class ValidationRuns:
    """What is trained. Seeds count from 1.

    Attributes:
        kind: What for.
        config: The study's settings; ``train_images`` of the search's training data are trained on.
        finalists: Who is trained.
        seeds: How often each.
        folder: Where checkpoints lie.
        multiples: What each one's base rate is multiplied by.
    """

    kind: Literal["rates", "heats"]
    config: StudyConfig
    finalists: tuple[Finalist, ...]
    seeds: int
    folder: Path
    multiples: tuple[float, ...] = (1.0,)

    @property
    def runs(self) -> tuple[tuple[Finalist, float], ...]:
        """The runs of a seed, lane by lane."""
        return tuple((f, multiple) for f in self.finalists for multiple in self.multiples)

    @property
    def epochs(self) -> int:
        """Epochs of runs in all."""
        return self.config.epochs * len(self.runs) * self.seeds

    @cached_property
    def place(self) -> Path:
        """The folder of these runs alone; more seeds add to it."""
        runs = [[f.spec.to_json(), multiple] for f, multiple in self.runs]
        about = json.dumps([FORM, self.config.to_json(), runs], sort_keys=True)
        return self.folder / f"{self.kind}-{hashlib.sha256(about.encode()).hexdigest()[:12]}"

    def passes(self) -> list[Pass]:
        """Return one pass a seed, all finalists and multiples side by side."""
        return [
            Pass(
                [
                    replace(
                        f.run(FRESH[self.kind] + seed, len(self.runs)), base_rate=f.spec.base_rate * multiple
                    )
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
            order_seed=FRESH[self.kind] + seed,
            bfloat16=self.config.precision == "bfloat16",
        )

    def label(self, lane: int, seed: int) -> tuple[str, dict[str, str]]:
        """Return a run's name and tags in MLflow."""
        finalist, multiple = self.runs[lane]
        tags = {
            "finalist": finalist.name,
            "trial": str(finalist.spec.number),
            "lanes": str(len(self.runs)),
            "confirm_seed": str(seed),
        }
        if self.kind == "heats":
            return f"heat {finalist.name} seed {seed}", tags
        return f"{finalist.name} x{multiple:g} seed {seed}", tags | {"base_rate_multiple": f"{multiple:g}"}


def train_validated(
    runs: ValidationRuns,
    make: MakeLanes,
    tracker: Tracker,
    show: Callable[[int, int], None],
    within: Within = unseen,
    limit: Limit | None = None,
) -> Mapping[str, NDArray[np.float64]] | None:
    """Train what is not trained yet and return the validation value of each run after its last epoch.

    Args:
        runs: What is trained.
        make: Makes empty lanes that are measured on the validation data, ``Workload.lanes``.
        tracker: Opened on the parent run.
        show: Called after every epoch with the epochs of runs trained so far and the seed in training.
        within: Called after every step.
        limit: Time that training may take; a seed that would end beyond it is not begun.

    Returns:
        By finalist's name, ``[seeds, multiples]``; NaN for a diverged run. ``None`` where the time is up.
    """
    limit = limit or Limit()
    passes = runs.passes()
    done = sum(one.trained() for one in passes) * len(runs.runs)
    for seed, one in enumerate(passes, start=1):

        def label(lane: int, seed: int = seed) -> tuple[str, dict[str, str]]:
            return runs.label(lane, seed)

        def after_epoch(row: Sequence[EpochMetrics], seed: int = seed) -> None:
            nonlocal done
            done += len(row)
            show(done, seed)

        if not is_recorded(one):
            if not limit.allows_another():
                return None
            with limit.another():
                train_recorded(one, runs.lanes(make, seed), tracker, label, after_epoch, within)
    last = np.array([[_value(epoch) for epoch in one.history()[-1]] for one in passes], dtype=np.float64)
    table = last.reshape(runs.seeds, len(runs.finalists), len(runs.multiples))
    return {finalist.name: table[:, place] for place, finalist in enumerate(runs.finalists)}


def _value(epoch: EpochMetrics) -> float:
    if epoch.val_accuracy is None:
        raise ValueError(f"epoch {epoch.epoch} was not measured on the validation data")
    return epoch.val_accuracy if epoch.finite and math.isfinite(epoch.val_accuracy) else math.nan

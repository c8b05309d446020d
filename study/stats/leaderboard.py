"""The families in the order of their best search score: a shortlist, not a verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from study.core.records import StudyRecord, TrialRecord, best_of


@dataclass(frozen=True)
class Row:
    """One family's line in the table.

    Attributes:
        family: The family's name.
        trials: Its trials, however they ended.
        finished: Those trained to the end.
        pruned: Those stopped by the pruner.
        diverged: Those stopped because their loss was not finite.
        running: Those not ended yet.
        interrupted: Those cut off.
        epochs: Epochs its trials trained, ended ones only.
        best: Its finished trial of best validation value; ``None`` if none finished.
        edges: What lies at an end of its range, a sentence each.
    """

    family: str
    trials: int
    finished: int
    pruned: int
    diverged: int
    running: int
    interrupted: int
    epochs: int
    best: TrialRecord | None
    edges: tuple[str, ...]

    @property
    def score(self) -> float | None:
        """Best validation value in the search; inflated, being the best of several noisy ones."""
        return None if self.best is None else self.best.value

    @property
    def parameters(self) -> dict[str, object]:
        """What the search chose for the best trial: base rate, warm-up, then the schedule's own fields.

        A field that was drawn as several numbers (milestones) stands here as the schedule holds it.
        """
        if self.best is None:
            return {}
        spec = self.best.spec
        shared = {"base_rate": spec.base_rate, "warmup": spec.warmup}
        schedule = getattr(spec.schedule, "inner", spec.schedule)
        drawn = {name.removeprefix(f"{self.family}.") for name in spec.params if "." in name}
        own = {
            p.name: getattr(schedule, p.name)
            for p in schedule.parameters()
            if p.name in drawn or f"{p.name}_1" in drawn
        }
        return shared | own


def leaderboard(record: StudyRecord, edges: Mapping[str, Sequence[str]] | None = None) -> tuple[Row, ...]:
    """Return one row a family, best validation value first, families without one last.

    Args:
        record: The study.
        edges: Warnings by family, from the search space's edge check.
    """
    rows = [
        _row(family, trials, tuple((edges or {}).get(family, ())))
        for family, trials in record.by_family.items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.best.score if row.best else math.inf))


def _row(family: str, trials: Sequence[TrialRecord], edges: tuple[str, ...]) -> Row:
    ended = Counter(trial.outcome for trial in trials)
    return Row(
        family=family,
        trials=len(trials),
        finished=ended["finished"],
        pruned=ended["pruned"],
        diverged=ended["diverged"],
        running=ended["running"],
        interrupted=ended["interrupted"],
        epochs=sum(len(trial.epochs) for trial in trials),
        best=best_of(trials),
        edges=edges,
    )

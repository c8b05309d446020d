"""The families in the order of their best search score: a shortlist, not a verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
        best: Its finished trial of best validation value; ``None`` if none finished.
    """

    family: str
    trials: int
    finished: int
    pruned: int
    diverged: int
    best: TrialRecord | None

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

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return {
            "schedule": self.family,
            "trials": self.trials,
            "pruned": self.pruned,
            "diverged": self.diverged,
            f"best_val_{self.best.metric.name if self.best else 'accuracy'}": self.score,
            "trial": None if self.best is None else self.best.number,
            "parameters": self.parameters,
        }


def leaderboard(record: StudyRecord) -> tuple[Row, ...]:
    """Return one row a family, best validation value first, families without one last."""
    rows = [_row(family, trials) for family, trials in record.by_family.items()]
    return tuple(sorted(rows, key=lambda row: -row.best.score if row.best else math.inf))


def _row(family: str, trials: Sequence[TrialRecord]) -> Row:
    ended = Counter(trial.outcome for trial in trials)
    return Row(family, len(trials), ended["finished"], ended["pruned"], ended["diverged"], best_of(trials))

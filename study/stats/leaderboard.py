"""The families in the order of their best search score, and who of them is confirmed: a shortlist, not a verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from study.core.errors import InputError
from study.core.records import StudyRecord, TrialRecord, TrialSpec, best_of

_SCORE = attrgetter("score")


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


@dataclass(frozen=True)
class Finalist:
    """A trial that is trained again on fresh seeds.

    Attributes:
        name: What it is called: its family and its trial's number.
        spec: What its trial was asked.
        score: Its search score, a validation value.
    """

    name: str
    spec: TrialSpec
    score: float

    def run(self, seed: int, lanes: int) -> TrialSpec:
        """Return it as a run of a confirmation: same schedule and rate, a fresh seed, beside other lanes."""
        return replace(self.spec, seed=seed, offset=0, lanes=lanes, params={})


def choose_finalists(
    record: StudyRecord, *, finalists: int, per_family: int, baseline: str | None
) -> tuple[Finalist, ...]:
    """Return the finalists, best search score first, the baseline among them.

    Args:
        record: The study.
        finalists: How many in all.
        per_family: Trials taken of one family at most.
        baseline: Family whose best trial is always among them; ``None`` for none.

    Raises:
        InputError: The study has fewer than two finished trials to compare, or none of the baseline.
    """
    by_family = {row.family: _best(record, row.family, per_family) for row in leaderboard(record)}
    name = record.config.name
    if baseline is not None and not by_family.get(baseline):
        raise InputError(
            f"`baseline` {baseline}: study {name!r} has no finished trial of it; search it, or `baseline` none"
        )
    ranked = sorted((t for trials in by_family.values() for t in trials), key=_SCORE, reverse=True)
    base = [] if baseline is None else by_family[baseline][:1]
    chosen = [t for t in ranked if t not in base][: finalists - len(base)] + base
    if len(chosen) < 2:
        raise InputError(f"study {name!r} has {len(ranked)} finished trials to compare; two are needed")
    return tuple(_finalist(trial) for trial in sorted(chosen, key=_SCORE, reverse=True))


def _best(record: StudyRecord, family: str, count: int) -> list[TrialRecord]:
    finished = [t for t in record.by_family[family] if t.value is not None]
    return sorted(finished, key=_SCORE, reverse=True)[:count]


def _finalist(trial: TrialRecord) -> Finalist:
    if trial.value is None:
        raise ValueError(f"trial {trial.number} did not finish")
    return Finalist(trial.spec.name, trial.spec, trial.value)

"""The families in the order of their best search score, and who of them is confirmed: a shortlist, not a verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from study.core.errors import InputError
from study.core.metric import Metric
from study.core.records import StudyRecord, TrialRecord, TrialSpec, best_of
from study.stats.comparison import Floats, counted

#: Seeds of the heats unless others are asked for; none before a plan of fewer seeds than ``HEATS_FROM``.
HEATS, HEATS_FROM = 3, 20
#: Candidates that a finalist's place is between, in the heats.
_RIVALS = 3


def usual_heats(seeds: int) -> int:
    """Return how many heats there are before a plan of so many seeds at most, unless others are asked for."""
    return HEATS if seeds >= HEATS_FROM else 0


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
        heats: Validation values with further seeds, by which it became a finalist; NaN for a diverged run.
    """

    name: str
    spec: TrialSpec
    score: float
    heats: tuple[float, ...] = ()

    def run(self, seed: int, lanes: int) -> TrialSpec:
        """Return it as a run of a confirmation: same schedule and rate, a fresh seed, beside other lanes."""
        return replace(self.spec, seed=seed, offset=0, lanes=lanes, params={})


@dataclass(frozen=True)
class Choice:
    """How finalists are chosen.

    Attributes:
        finalists: How many in all.
        per_family: Trials taken of one family at most.
        baseline: Family whose best trial is always among them; ``None`` for none.
        heats: Seeds that candidates are trained with before; 0: the search's scores choose.
    """

    finalists: int
    per_family: int
    baseline: str | None
    heats: int = 0

    @property
    def candidates(self) -> Choice:
        """How those are chosen that the heats choose from: thrice as many, three of a family."""
        return replace(self, finalists=_RIVALS * self.finalists, per_family=_RIVALS * self.per_family)


def choose_finalists(record: StudyRecord, choice: Choice) -> tuple[Finalist, ...]:
    """Return the finalists by search score, best first, the baseline among them; before heats, their candidates.

    Raises:
        InputError: The study has fewer than two finished trials to compare, or none of the baseline.
    """
    name, baseline = record.config.name, choice.baseline
    finished = [t for t in record.trials if t.value is not None]
    if baseline is not None and not any(t.family == baseline for t in finished):
        raise InputError(
            f"`baseline` {baseline}: study {name!r} has no finished trial of it; search it, or `baseline` none"
        )
    scores = {t.spec.name: t.score for t in finished}
    found = [_finalist(t) for t in finished]
    chosen = _ranked(found, choice, scores, baselines=1)
    if len(chosen) < 2:
        raise InputError(f"study {name!r} has {len(finished)} finished trials to compare; two are needed")
    return _ranked(found, choice.candidates, scores, baselines=_RIVALS) if choice.heats else chosen


def through_heats(
    candidates: Sequence[Finalist], values: Mapping[str, Floats], choice: Choice, metric: Metric
) -> tuple[Finalist, ...]:
    """Return the candidates of best mean over the heats as finalists, best first, the baseline among them.

    A search's best trial is the best of many noisy ones, each of one seed: with a rate at the edge it may fail with
    most other seeds. Its search score has no say here, for it is what made it a candidate.

    Args:
        candidates: Who ran.
        values: Validation values by name, ``[seeds, 1]``; NaN for a diverged run, which counts as chance.
        choice: How many go through.
        metric: What the values are of.
    """
    ran = [replace(f, heats=tuple(values[f.name][:, 0].tolist())) for f in candidates]
    means = {f.name: metric.gain(heats_mean(f.heats, metric)) for f in ran}
    return _ranked(ran, choice, means, baselines=1)


def heats_mean(heats: Sequence[float], metric: Metric) -> float:
    """Return a candidate's mean value over its heats; a diverged run counts as chance."""
    gains = np.array([metric.gain(value) for value in heats])
    return metric.gain(float(counted(gains, metric).mean()))


def _ranked(
    found: Sequence[Finalist], choice: Choice, scores: Mapping[str, float], *, baselines: int
) -> tuple[Finalist, ...]:
    """Return the best by their scores, so many of the baseline always among them, best first."""
    taken: Counter[str] = Counter()
    within = []
    for finalist in sorted(found, key=lambda f: scores[f.name], reverse=True):
        taken[finalist.spec.family] += 1
        if taken[finalist.spec.family] <= choice.per_family:
            within.append(finalist)
    base = [f for f in within if f.spec.family == choice.baseline][:baselines]
    chosen = [f for f in within if f not in base][: max(choice.finalists - len(base), 0)] + base
    return tuple(sorted(chosen, key=lambda f: scores[f.name], reverse=True))


def _finalist(trial: TrialRecord) -> Finalist:
    if trial.value is None:
        raise ValueError(f"trial {trial.number} did not finish")
    return Finalist(trial.spec.name, trial.spec, trial.value)

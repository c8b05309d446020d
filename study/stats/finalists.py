"""Who is confirmed: the best trial of each of the best families, and a baseline to beat."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import attrgetter

from study.core.errors import InputError
from study.core.records import StudyRecord, TrialRecord, TrialSpec
from study.stats.leaderboard import leaderboard

_SCORE = attrgetter("score")


@dataclass(frozen=True)
class Finalist:
    """A trial that is trained again on fresh seeds.

    Attributes:
        name: What it is called: its family and its trial's number.
        spec: What its trial was asked.
        score: Its search score, on the validation images.
    """

    name: str
    spec: TrialSpec
    score: float

    def run(self, key: int, seed: int) -> TrialSpec:
        """Return it as a run of a confirmation: same schedule and rate, a fresh seed, a lane's key."""
        return replace(self.spec, number=key, seed=seed, offset=0, params={})


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
    return Finalist(trial.spec.name, trial.spec, trial.score)

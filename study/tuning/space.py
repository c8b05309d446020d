"""The space that is searched: field ranges of the schedules -> Optuna distributions -> a schedule.

Every range is declared where its field is, in ``lrsched``; this file only translates. Two parameters
are shared by all families, because a family is only compared fairly when both are tuned inside it:
``base_rate``, the learning rate that the multiplier is applied to, and ``warmup``, the length of a
linear warm-up around the schedule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

import lrsched
from lrsched import Parameter, Schedule, Search, Warmup
from study.core.errors import InputError
from study.core.families import SCHEDULE_FREE, schedule_class

#: Name under which Optuna knows the family, and under which dashboards show it.
FAMILY = "schedule"

#: Base rates that are searched for the default problem, on a log scale. Plain SGD at batch 256 gets nowhere in
#: 30 epochs below 0.02; above 2 it diverges, which costs little: a diverged trial ends after one epoch.
BASE_RATE = FloatDistribution(0.02, 2.0, log=True)

#: The longest warm-up, as a fraction of the run.
LONGEST_WARMUP = 0.3

#: A best value this near to an end of its range says that the range may be too narrow.
EDGE = 0.05


@dataclass(frozen=True)
class Point:
    """One point of the space.

    Attributes:
        family: Name of the schedule family.
        schedule: The schedule, warm-up included; time unit: epochs.
        base_rate: Learning rate that the schedule's multiplier is applied to.
    """

    family: str
    schedule: Schedule
    base_rate: float


class Space:
    """The searched schedules and the ranges of their parameters.

    Args:
        families: Names of schedule families, or ``schedule_free``.
        epochs: Length of a run, on which some ranges depend.
        base_rate: Range of base rates; by default that of the default problem.

    Raises:
        InputError: If a family is unknown or has nothing to search, or none is named.
    """

    def __init__(
        self, families: Sequence[str], epochs: int, base_rate: tuple[float, float] | None = None
    ) -> None:
        if not families:
            raise InputError("no schedule is left to search; name at least one")
        for name in families:
            if name not in {*lrsched.REGISTRY, SCHEDULE_FREE}:
                known = ", ".join(sorted({*lrsched.REGISTRY, SCHEDULE_FREE}))
                raise InputError(f"unknown schedule {name!r}; known are {known}")
            if not schedule_class(name).searchable():
                raise InputError(f"schedule {name!r} has fields without a search range; leave it out")
        self.families = tuple(families)
        self.epochs = epochs
        self._base_rate = BASE_RATE if base_rate is None else FloatDistribution(*base_rate, log=True)
        self._distributions = cache(self._translate)

    def distributions(self, family: str) -> Mapping[str, BaseDistribution]:
        """Return what Optuna draws for one family: shared parameters first, then its own.

        A family's own parameters are named ``family.field``; a field of several values is drawn as
        ``family.field_1`` to ``family.field_k``.
        """
        return self._distributions(family)

    def suggest(self, trial: optuna.Trial) -> Point:
        """Let Optuna choose a family and its parameters, and make the schedule."""
        family = trial.suggest_categorical(FAMILY, self.families)
        params = {name: _draw(trial, name, d) for name, d in self.distributions(family).items()}
        return self.point(family, params)

    def point(self, family: str, params: Mapping[str, Any]) -> Point:
        """Return the point that drawn parameters mean, by the names of ``distributions``."""
        fields = {}
        for parameter, search in _searched(family):
            drawn = [params[name] for name in _names(family, parameter, search)]
            fields[parameter.name] = drawn[0] if search.count == 1 else search.collect(drawn)
        schedule = schedule_class(family)(**fields)
        if params["warmup"] > 0:
            schedule = Warmup(schedule, params["warmup"])
        return Point(family, schedule, params["base_rate"])

    def edges(self, family: str, params: Mapping[str, Any]) -> list[str]:
        """Return a sentence for each parameter that lies at an end of its range.

        At an end means within 5 % of the range, measured on the range's own scale (log or linear).
        Choices have no ends, and an end beyond which there is nothing, such as no warm-up, is not named.
        """
        limits = _natural_limits(family)
        found = []
        for name, distribution in self.distributions(family).items():
            end = _end(distribution, params[name]) if name in params else None
            if end is not None and (name, end) not in limits:
                found.append(f"{name} at the {end} edge: widen it")
        return found

    def _translate(self, family: str) -> Mapping[str, BaseDistribution]:
        ranges: dict[str, BaseDistribution] = {
            "base_rate": self._base_rate,
            "warmup": FloatDistribution(0.0, LONGEST_WARMUP * self.epochs),
        }
        for parameter, search in _searched(family):
            distribution = _distribution(search, self.epochs)
            for name in _names(family, parameter, search):
                ranges[name] = distribution
        return ranges


def _searched(family: str) -> list[tuple[Parameter, Search]]:
    return [(p, p.search) for p in schedule_class(family).parameters() if p.search is not None]


def _names(family: str, parameter: Parameter, search: Search) -> list[str]:
    name = f"{family}.{parameter.name}"
    return [name] if search.count == 1 else [f"{name}_{k}" for k in range(1, search.count + 1)]


def _natural_limits(family: str) -> set[tuple[str, str]]:
    """Return the ends that cannot be moved: those of the field's own domain, and events after the run."""
    limits = {("warmup", "low")}
    for parameter, search in _searched(family):
        for name in _names(family, parameter, search):
            if search.low <= parameter.low:
                limits.add((name, "low"))
            # Of several times, such as milestones, one at the end of the run means one fewer.
            if search.high >= parameter.high or (search.of_run and search.count > 1 and search.high >= 1):
                limits.add((name, "high"))
    return limits


def _distribution(search: Search, epochs: int) -> BaseDistribution:
    """Translate one declared range, for runs of so many epochs."""
    if search.choices is not None:
        return CategoricalDistribution(tuple(search.choices))
    low, high = search.ends(epochs)
    if search.integer:
        # Rounding inwards could empty the range of a very short run; the nearest whole numbers cannot.
        whole = max(1, round(low)) if search.low > 0 else 0
        return IntDistribution(whole, max(whole, round(high)), log=search.log)
    return FloatDistribution(low, high, log=search.log)


def _draw(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case FloatDistribution(low=low, high=high, log=log):
            return trial.suggest_float(name, low, high, log=log)
        case IntDistribution(low=low, high=high, log=log):
            return trial.suggest_int(name, low, high, log=log)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
    raise TypeError(f"{name} has a distribution that is not drawn here: {distribution}")


def _end(distribution: BaseDistribution, value: Any) -> str | None:
    if not isinstance(distribution, FloatDistribution | IntDistribution) or distribution.single():
        return None
    scale = math.log if distribution.log else float
    low, high = scale(distribution.low), scale(distribution.high)
    position = (scale(value) - low) / (high - low)
    if position <= EDGE:
        return "low"
    return "high" if position >= 1 - EDGE else None

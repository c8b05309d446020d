"""Which parameters explain a family's accuracies: functional ANOVA within each family.

Over all families at once a parameter that only one of them has cannot be weighed, and families that
differ in level drown everything else. So each family is explained by its own parameters, and one more
row explains all of them by what they share.

Source: Hutter, Hoos, Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", 2014.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

from study.core.records import StudyRecord, TrialRecord
from study.tuning.space import FAMILY, Space

#: Finished trials below which no number is given. In 40 simulated studies in which one of four parameters
#: explains what noise does not, it came out first in 39 of 40 with 16 trials, in 27 of 40 with 10.
FEWEST_TRIALS = 16
#: Name of the row over all families.
ALL = "all families"
#: Trees of the forest, and how deep they grow: with 64 levels, Optuna's default, 1,000 trials took a minute;
#: with 5 they take seconds, and another seed moves a share by less than 0.02 from 128 trials up.
TREES, LEVELS = 32, 5


@dataclass(frozen=True)
class Importance:
    """The explained shares of one family.

    Attributes:
        family: The family, or ``ALL``.
        trials: Finished trials that they rest on.
        shares: Share of the variance by parameter, without the family's prefix; they sum to 1. ``None``
            with fewer than ``FEWEST_TRIALS`` trials, or where all accuracies are equal.
    """

    family: str
    trials: int
    shares: Mapping[str, float] | None


def importances(record: StudyRecord) -> tuple[Importance, ...]:
    """Return the shares over all families by what they share, then of each family by its own parameters.

    Only finished trials count: a stopped one's accuracy is that of another length of training.
    """
    space = Space(record.config.schedules, record.config.epochs, record.config.base_rate)
    shared: dict[str, BaseDistribution] = {FAMILY: CategoricalDistribution(space.families)}
    common = set.intersection(*(set(space.distributions(family)) for family in space.families))
    shared |= {k: d for k, d in space.distributions(space.families[0]).items() if k in common}
    rows = [_importance(ALL, record.finished, shared)] if len(space.families) > 1 else []
    for family in space.families:
        own = [t for t in record.finished if t.family == family]
        rows.append(_importance(family, own, space.distributions(family)))
    return tuple(rows)


def _importance(
    family: str, trials: Sequence[TrialRecord], distributions: Mapping[str, BaseDistribution]
) -> Importance:
    searched = {name: d for name, d in distributions.items() if not d.single()}
    within = _within(trials, searched)
    if len(within) < FEWEST_TRIALS or len({t.value for t in within}) < 2 or not searched:
        return Importance(family, len(within), None)
    study = optuna.create_study(direction="maximize")
    study.add_trials(within)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        shares = get_param_importances(
            study,
            evaluator=FanovaImportanceEvaluator(n_trees=TREES, max_depth=LEVELS, seed=0),
            params=list(searched),
        )
    return Importance(
        family, len(within), {name.removeprefix(f"{family}."): share for name, share in shares.items()}
    )


def _within(trials: Sequence[TrialRecord], searched: dict[str, BaseDistribution]) -> list[FrozenTrial]:
    """Return the trials that the space holds: a study may be older than a field or a range of today."""
    found = []
    for trial in trials:
        with suppress(KeyError, ValueError):
            own = {name: trial.spec.params[name] for name in searched}
            found.append(optuna.trial.create_trial(params=own, distributions=searched, value=trial.value))
    return found

"""Which parameters explain a family's accuracies: functional ANOVA, or ranks where trials are few.

Over all families at once a parameter that only one of them has cannot be weighed, and families that
differ in level drown everything else. So each family is explained by its own parameters, and one more
row explains all of them by what they share.

A study of 100 trials leaves each of twelve families eight, half of them stopped. A forest finds nothing in four, so a
family of few trials is weighed by Spearman's rank correlation over all that ended: a stopped trial ranks below those
that finished, by how far it came. A permutation test says which correlation chance does not give.

Source: Hutter, Hoos, Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", 2014; Westfall and
Young, "Resampling-Based Multiple Testing", 1993, for the largest of several correlations.
"""

from __future__ import annotations

import math
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

from study.core.records import StudyRecord, TrialRecord
from study.tuning.space import FAMILY, Space

Floats = NDArray[np.float64]

#: Finished trials below which no share of variance is given. In 40 simulated studies in which one of four parameters
#: explains what noise does not, it came out first in 39 of 40 with 16 trials, in 27 of 40 with 10.
FEWEST_TRIALS = 16
#: Ended trials below which ranks are not given either: of five, no correlation but a perfect one is beyond chance.
FEWEST_RANKED = 6
#: Permutations of the scores, their seed, and how often chance may give a correlation that is called clear. In 200 simulated
#: families of eight trials, half of them stopped, the one of four parameters that decided was the strongest in 198 and clear
#: in 179 where noise was 0.3 of its effect, 194 and 134 at 0.5, 153 and 50 at 1; where none decided, one was clear in 12.
PERMUTATIONS, SEED, CHANCE = 2_000, 0, 0.05
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
        ranks: Given instead where trials are too few for shares, and not for this.
    """

    family: str
    trials: int
    shares: Mapping[str, float] | None
    ranks: Ranks | None = None


@dataclass(frozen=True)
class Ranks:
    """How the ranks of a family's trials go with each parameter.

    Attributes:
        trials: Ended trials that they rest on, stopped ones among them.
        correlations: Spearman's correlation of score and parameter, by parameter without the family's prefix; above
            zero: larger values were better.
        clear: Size above which chance gives one of them in at most ``CHANCE`` of all cases.
    """

    trials: int
    correlations: Mapping[str, float]
    clear: float

    @property
    def found(self) -> tuple[str, ...]:
        """The parameters whose correlation chance does not give, the strongest first."""
        strong = [name for name, value in self.correlations.items() if abs(value) > self.clear]
        return tuple(sorted(strong, key=lambda name: -abs(self.correlations[name])))


def importances(record: StudyRecord) -> tuple[Importance, ...]:
    """Return the shares over all families by what they share, then of each family by its own parameters.

    For shares only finished trials count: a stopped one's accuracy is that of another length of training.
    """
    space = Space(record.config.schedules, record.config.epochs, record.config.base_rate)
    shared: dict[str, BaseDistribution] = {FAMILY: CategoricalDistribution(space.families)}
    common = set.intersection(*(set(space.distributions(family)) for family in space.families))
    shared |= {k: d for k, d in space.distributions(space.families[0]).items() if k in common}
    rows = [_importance(ALL, record.finished, shared)] if len(space.families) > 1 else []
    for family in space.families:
        own = [t for t in record.finished if t.family == family]
        row = _importance(family, own, space.distributions(family))
        if row.shares is None and len(own) < FEWEST_TRIALS:
            ended = [t for t in record.ended if t.family == family]
            row = replace(row, ranks=_ranks(family, ended, space.distributions(family)))
        rows.append(row)
    return tuple(rows)


def _ranks(
    family: str, trials: Sequence[TrialRecord], distributions: Mapping[str, BaseDistribution]
) -> Ranks | None:
    """Return how the trials' ranks go with each parameter that has an order; ``None`` where there is too little."""
    names = [
        name
        for name, d in distributions.items()
        if not d.single() and not isinstance(d, CategoricalDistribution)
    ]
    known = [t for t in trials if all(name in t.spec.params for name in names)]
    if len(known) < FEWEST_RANKED or not names:
        return None
    x = np.array([_standard([float(t.spec.params[name]) for t in known]) for name in names])
    y = _standard([_order(t) for t in known])
    if not y.any():
        return None
    shuffled = np.random.default_rng(SEED).permuted(np.tile(y, (PERMUTATIONS, 1)), axis=1)
    largest = np.abs(shuffled @ x.T).max(axis=1)
    values = (x @ y).tolist()
    found = {name.removeprefix(f"{family}."): value for name, value in zip(names, values, strict=True)}
    return Ranks(len(known), found, float(np.quantile(largest, 1 - CHANCE)))


def _order(trial: TrialRecord) -> tuple[bool, int, float]:
    """Return the key by which trials rank, the best last: finished ones, then by how far they came and what they showed."""
    shown = trial.last_accuracy
    gain = -math.inf if shown is None or not math.isfinite(shown) else trial.metric.gain(shown)
    finished = trial.value is not None
    return finished, 0 if finished else trial.epochs_trained, gain


def _standard(keys: Sequence[Any]) -> Floats:
    """Return the keys' ranks, ties at their mean, with mean 0 and length 1 (0 where all are equal); shape [trials]."""
    ordered = sorted(keys)
    ranks = np.array(
        [bisect_left(ordered, key) + bisect_right(ordered, key) for key in keys], dtype=np.float64
    )
    centred = ranks - ranks.mean()
    length = float(np.sqrt(centred @ centred))
    result: Floats = centred / length if length else centred
    return result


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

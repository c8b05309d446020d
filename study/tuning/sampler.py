"""Each schedule family is a stratum: its own sampler, its own trials, an equal share.

A joint sampler gives some families three times the trials of others even when the family has no
effect, and the family with most trials then has the best chance to hold the best one. Here a family
gets its turn when it has the fewest trials, and a TPE that sees only that family's trials chooses
the rest, base rate and warm-up included.

No sampler keeps a state. Each trial's random numbers come from the study's seed and the trial's
number alone, so a study that was interrupted goes on with new draws, several processes never draw
the same, and the same seed gives the same trials.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from study.core.errors import InputError
from study.core.records import StudyConfig
from study.tuning.space import FAMILY, Space

#: Random trials before a family's TPE takes over. Of 100 trials over 12 families each gets 8: half of
#: them to look around, half to follow what was found. On made-up families, 2 to 4 did equally well at
#: 8 and at 20 trials each, 6 and more did worse; Optuna's default of 10 would leave them all random.
STARTUP_TRIALS = 4

#: A trial chooses within milliseconds of being asked for; one that has not by then never will.
CHOOSING = timedelta(seconds=10)

SAMPLERS = ("stratified", "tpe", "random")


def make_sampler(config: StudyConfig, space: Space) -> BaseSampler:
    """Return the sampler that the settings name.

    Raises:
        InputError: If ``config.sampler`` is none of ``stratified``, ``tpe``, ``random``.
    """
    match config.sampler:
        case "stratified":
            # A failed trial of ours was interrupted: it is put back, or asked for anew.
            return StratifiedSampler(FAMILY, space.families, config.seed, count_failed=False)
        case "tpe":
            return SeededSampler(tpe, config.seed)
        case "random":
            return SeededSampler(RandomSampler, config.seed)
    raise InputError(f"sampler must be one of {', '.join(SAMPLERS)}, got {config.sampler!r}")


def tpe(seed: int) -> BaseSampler:
    """Return a TPE whose options are pinned, because Optuna's defaults moved from one version to the next."""
    return TPESampler(
        seed=seed,
        n_startup_trials=STARTUP_TRIALS,
        multivariate=True,
        group=False,
        constant_liar=True,
    )


class SeededSampler(BaseSampler):
    """Any sampler, made anew for each trial from a seed of that trial.

    Args:
        make: Makes the sampler from a seed.
        seed: Seed of the study.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are drawn together."""
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw the parameters of ``search_space`` together."""
        return self._sampler(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one parameter alone."""
        return self._sampler(trial, param_name).sample_independent(
            study, trial, param_name, param_distribution
        )

    def _sampler(self, trial: FrozenTrial, param_name: str = "") -> BaseSampler:
        # The name is in the seed: parameters drawn alone would else repeat one random number.
        key = (self._seed, trial.number, zlib.crc32(param_name.encode()))
        return self._make(int(np.random.SeedSequence(key).generate_state(1)[0]))


class StratifiedSampler(SeededSampler):
    """Gives every choice of one categorical parameter an equal share and a sampler of its own.

    The choice with the fewest trials is next; a seeded order that changes from round to round decides
    among equals. Waiting and running trials count, so any number may be open at once.

    Args:
        param_name: The categorical parameter whose choices are the strata.
        choices: Its choices.
        seed: Seed of the study.
        make: Makes the sampler of one stratum from a seed.
        count_failed: Whether a failed trial has used up a turn. Say no where whatever fails is tried again,
            else a choice that always fails would be tried for ever.

    Example:
        >>> import optuna
        >>> sampler = StratifiedSampler("kind", ("a", "b"), seed=0)
        >>> study = optuna.create_study(sampler=sampler)
        >>> [study.ask().suggest_categorical("kind", ("a", "b")) for _ in range(4)].count("a")
        2
    """

    def __init__(
        self,
        param_name: str,
        choices: Sequence[str],
        seed: int,
        make: Callable[[int], BaseSampler] = tpe,
        *,
        count_failed: bool = True,
    ) -> None:
        super().__init__(make, seed)
        self._count_failed = count_failed
        self._param_name = param_name
        self._choices = tuple(choices)
        # What was chosen for trials in this process whose choice Optuna has not asked for yet.
        self._chosen: dict[int, str] = {}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the stratifying parameter and what the stratum's own sampler draws together."""
        stratum = Stratum(study, self._param_name, self._choice(study, trial))
        own = super().infer_relative_search_space(stratum, trial)
        return {**own, self._param_name: CategoricalDistribution(self._choices)}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw from the stratum's own sampler."""
        choice = self._choice(study, trial)
        # Within a stratum the stratifying parameter has one value: to the stratum's sampler it is none.
        own = {name: d for name, d in search_space.items() if name != self._param_name}
        drawn = super().sample_relative(Stratum(study, self._param_name, choice), trial, own)
        return {**drawn, self._param_name: choice}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one parameter from the stratum's own sampler."""
        stratum = Stratum(study, self._param_name, self._choice(study, trial))
        return super().sample_independent(stratum, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,  # noqa: ARG002 - Optuna's signature
        trial: FrozenTrial,
        state: TrialState,  # noqa: ARG002
        values: Sequence[float] | None,  # noqa: ARG002
    ) -> None:
        """Forget what is recorded by now."""
        self._chosen.pop(trial.number, None)

    def _choice(self, study: Study, trial: FrozenTrial) -> str:
        known = choice_of(trial, self._param_name) or self._chosen.get(trial.number)
        if known is None:
            counts, undecided = self._counts(study.get_trials(deepcopy=False), trial)
            for _ in range(undecided):
                counts[fewest(counts, self._seed)] += 1
            known = self._chosen[trial.number] = fewest(counts, self._seed)
        return known

    def _counts(self, trials: Sequence[FrozenTrial], asking: FrozenTrial) -> tuple[dict[str, int], int]:
        """Return the turns that each choice has had, and how many earlier trials are about to take one.

        Another process may have asked for an earlier trial a moment ago and not have chosen yet. Its turn
        is taken first, by the same rule on both sides, so that the two do not choose the same.
        """
        counts = dict.fromkeys(self._choices, 0)
        retried = {n for t in trials for n in t.system_attrs.get("retry_history", ())}
        undecided = 0
        for trial in trials:
            choice = choice_of(trial, self._param_name)
            if choice is None:
                undecided += trial.number < asking.number and _is_choosing(trial, asking)
            elif choice in counts:
                failed = trial.state == TrialState.FAIL
                counts[choice] += not failed or (self._count_failed and trial.number not in retried)
        return counts, undecided


class Stratum(Study):
    """A study as the trials of one stratum alone see it.

    Args:
        study: The whole study.
        param_name: The categorical parameter whose choices are the strata.
        choice: The stratum.
    """

    def __init__(self, study: Study, param_name: str, choice: str) -> None:
        # A view, not a second study: it shares the storage and the cache of the one that it looks at.
        self.__dict__.update(study.__dict__)
        self._param_name = param_name
        self._choice = choice

    def _get_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        # Everything that reads trials, ``get_trials`` too, comes through here.
        trials = super()._get_trials(*args, **kwargs)
        return [t for t in trials if t.params.get(self._param_name) == self._choice]


def choice_of(trial: FrozenTrial, param_name: str) -> str | None:
    """Return what was chosen, or enqueued to be chosen, for a trial; ``None`` if nothing yet."""
    chosen: str | None = trial.params.get(param_name)
    return chosen if chosen is not None else trial.system_attrs.get("fixed_params", {}).get(param_name)


def fewest(counts: Mapping[str, int], seed: int) -> str:
    """Return the choice with the smallest count; a seeded order, new each round, decides among equals."""
    least = min(counts.values())
    order = np.random.default_rng((seed, least)).permutation(len(counts))
    rank = dict(zip(counts, order.tolist(), strict=True))
    return min((c for c in counts if counts[c] == least), key=rank.__getitem__)


def _is_choosing(trial: FrozenTrial, asking: FrozenTrial) -> bool:
    """Return whether a trial without a choice will have one soon: its process did not die before."""
    if trial.state != TrialState.RUNNING or not trial.datetime_start or not asking.datetime_start:
        return False
    return asking.datetime_start - trial.datetime_start < CHOOSING

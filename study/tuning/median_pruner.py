"""Stops trials that fall behind the others, and lets a fixed share of them finish all the same.

The rule itself stands in ``median_rule.py``. Here it meets Optuna: who is compared with whom, and who is
reprieved. Trials that end their epoch together should all report before any is decided: they then share
one view of the study, and the order in which they are decided changes nothing.
"""

from __future__ import annotations

import numpy as np
from optuna import Study
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from study.core.errors import InputError
from study.core.rules.median_rule import MedianRule, best_so_far, standing

#: Keeps the reprieve's draws apart from every other use of the study's seed.
_REPRIEVE = 0x5E


class MedianPruner(BasePruner):
    """The median rule over running, stopped and finished trials alike.

    Works with ``study.optimize`` as any pruner does. Failed trials are not compared with: they are
    retried, and would count twice.

    Args:
        rule: When to compare, and when a trial loses.
        family: Trials that share their value of this parameter are a family; ``None``: all are one.
        within: Compare a trial with its own family only.
        reprieve: Share of the losers that train to the end, chosen by seed and trial number alone, so
            that nothing about a trial can make it likelier to be spared.
        seed: Seed of that choice.

    Attributes:
        reprieved: The epoch at which each reprieved trial would have been stopped, by trial number.

    Raises:
        InputError: If ``reprieve`` is not in [0, 1].
    """

    def __init__(
        self,
        rule: MedianRule,
        *,
        family: str | None = None,
        within: bool = False,
        reprieve: float = 0.0,
        seed: int = 0,
    ) -> None:
        if not 0 <= reprieve <= 1:
            raise InputError(f"reprieve must be in [0, 1], got {reprieve}")
        self.rule = rule
        self.reprieved: dict[int, int] = {}
        self._family = family
        self._within = within
        self._share = reprieve
        self._seed = seed
        self._snapshot: tuple[str, list[FrozenTrial]] = ("", [])

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the trial is to stop now."""
        epoch = trial.last_step
        if epoch is None or trial.number in self.reprieved or not self._loses(study, trial, epoch):
            return False
        if is_reprieved(self._seed, trial.number, self._share):
            self.reprieved[trial.number] = epoch
            return False
        return True

    def _loses(self, study: Study, trial: FrozenTrial, epoch: int) -> bool:
        """Return whether the trial would stop now if nobody were reprieved."""
        return self.rule.due(epoch) and self.rule.loses(*self._compared(study, trial, epoch))

    def _compared(
        self, study: Study, trial: FrozenTrial, epoch: int
    ) -> tuple[float, list[float], list[float]]:
        """Return a trial's best signal, where those stood that it is compared with, and where its family did."""
        sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
        best = best_so_far({e: sign * v for e, v in trial.intermediate_values.items()})
        group = trial.params.get(self._family) if self._family else None
        everyone, kin = [], []
        for other in self._trials(study, trial):
            if other.number == trial.number or other.state in (TrialState.FAIL, TrialState.WAITING):
                continue
            value = other.intermediate_values.get(epoch)
            ended = other.state == TrialState.PRUNED and (other.last_step or 0) < epoch
            stands = standing(None if value is None else sign * value, ended=ended)
            if stands is not None:
                everyone.append(stands)
                if self._family is None or other.params.get(self._family) == group:
                    kin.append(stands)
        return best, (kin if self._within else everyone), kin

    def _trials(self, study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
        """Return the study's trials, read once for all trials that report together.

        A view serves every trial whose last report it contains. Reading is the dear part on a
        database; with lanes it happens once an epoch.
        """
        name, trials = self._snapshot
        if name != study.study_name or not _contains(trials, trial):
            trials = study.get_trials(deepcopy=False)
            self._snapshot = study.study_name, trials
        return trials


def is_reprieved(seed: int, number: int, share: float) -> bool:
    """Return whether a trial would finish even if the pruner stopped it: the same answer at any time."""
    return bool(np.random.default_rng((seed, number, _REPRIEVE)).random() < share)


def _contains(trials: list[FrozenTrial], trial: FrozenTrial) -> bool:
    """Return whether the trials, listed by number, know of everything that this one reported."""
    if trial.number >= len(trials):
        return False
    return trials[trial.number].intermediate_values == trial.intermediate_values

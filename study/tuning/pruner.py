"""Which pruner a study gets, and what it decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import optuna
from optuna import Study
from optuna.pruners import BasePruner, NopPruner

from study.core.errors import InputError
from study.core.records import EpochMetrics, StudyConfig
from study.core.rules.median_rule import MedianRule
from study.core.rules.predict_rule import PredictRule
from study.tuning.median_pruner import MedianPruner
from study.tuning.predict_pruner import PredictPruner
from study.tuning.space import FAMILY

Decision = Literal["keep", "prune", "reprieve"]

PRUNERS = ("family-median", "median", "predict", "none")


def make_pruner(config: StudyConfig) -> BasePruner:
    """Return the pruner that the settings name.

    Raises:
        InputError: If ``config.pruner`` is none of ``family-median``, ``median``, ``predict``, ``none``, or a number
            is out of range.
    """
    if config.pruner not in PRUNERS:
        raise InputError(f"pruner must be one of {', '.join(PRUNERS)}, got {config.pruner!r}")
    if config.pruner == "none":
        return NopPruner()
    told = (
        config.n_warmup_steps,
        config.interval_steps,
        config.n_startup_trials,
        config.epochs,
        config.keep_best,
    )
    if config.pruner == "predict":
        return PredictPruner(
            PredictRule(*told), config.metric, family=FAMILY, reprieve=config.reprieve, seed=config.seed
        )
    return MedianPruner(
        MedianRule(*told),
        family=FAMILY,
        within=config.pruner == "family-median",
        reprieve=config.reprieve,
        seed=config.seed,
    )


def decide(study: Study, trial: optuna.Trial, epochs: Sequence[EpochMetrics] = ()) -> Decision:
    """Return what becomes of a trial after the epoch that it reported last.

    ``reprieve`` is told once, the first time that the pruner would have stopped a trial that is to
    finish nevertheless; from then on it is ``keep``.

    Args:
        study: The trial's study, with its pruner.
        trial: The trial.
        epochs: What its epochs gave so far; needed to forecast schedules that follow the training loss.
    """
    pruner = study.pruner
    if isinstance(pruner, PredictPruner):
        pruner.observe(trial.number, [epoch.train_loss for epoch in epochs])
    spared = pruner.reprieved if isinstance(pruner, MedianPruner) else {}
    before = trial.number in spared
    if trial.should_prune():
        return "prune"
    return "reprieve" if trial.number in spared and not before else "keep"

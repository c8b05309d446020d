"""Stops trials whose schedule and curve so far promise too little: the rule of ``predict_rule.py`` meets Optuna."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from study.core.metric import Metric
from study.core.recorded import kept
from study.core.records import TrialSpec
from study.core.rules.forecast import Floats, Forecaster, is_bounded, trial_signal, trial_traits
from study.core.rules.predict_rule import PredictRule, hopeful
from study.tuning.median_pruner import MedianPruner


class PredictPruner(MedianPruner):
    """Forecasts what a trial will end at from its rate curve, which is known to the end, and its signal so far.

    For studies whose trials carry what they were asked (the attribute ``asked``) and, once they have finished, what their epochs
    gave (``epochs``), as those of ``study.search`` do. Each process learns from the finished trials of all.
    Who cannot be forecast is judged by the median rule.

    Args:
        rule: When to forecast, and when a trial loses.
        metric: What is reported.
        family: Trials that share their value of this parameter are a family.
        reprieve: As for ``MedianPruner``.
        seed: Likewise.
    """

    def __init__(
        self, rule: PredictRule, metric: Metric, *, family: str, reprieve: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__(rule.fallback, family=family, reprieve=reprieve, seed=seed)
        self._predict, self._metric, self._bounded = rule, metric, is_bounded(metric)
        self._losses: dict[int, list[float]] = {}
        self._forget()

    def _forget(self) -> None:
        self._study = ""
        self._known: set[int] = set()
        self._forecaster = Forecaster(bounded=self._bounded)
        self._finished: dict[str, list[float]] = defaultdict(list)

    def observe(self, number: int, train_losses: Sequence[float]) -> None:
        """Take note of a running trial's mean training losses, one an epoch, which some schedules follow."""
        self._losses[number] = list(train_losses)

    def _loses(self, study: Study, trial: FrozenTrial, epoch: int) -> bool:
        if not (self._predict.due(epoch) or self.rule.due(epoch)):
            return False
        self._learn(study, trial)
        best, others, kin = self._compared(study, trial, epoch)
        learned = best > self._metric.gain(self._metric.failed)
        if not learned or len(self._forecaster) < self._predict.n_startup_trials:
            return self.rule.due(epoch) and self.rule.loses(best, others, kin)
        bar = self._predict.bar(self._finished[trial.params[str(self._family)]])
        if bar is None or not self._predict.due(epoch):
            return False
        traits = self._traits(trial, self._losses.get(trial.number, ()))
        return self._predict.loses(hopeful(self._forecaster, epoch, traits), bar, best, kin)

    def _learn(self, study: Study, trial: FrozenTrial) -> None:
        """Take into account who has finished since the last time."""
        trials = self._trials(study, trial)
        if self._study != study.study_name:
            self._forget()
            self._study = study.study_name
        for other in trials:
            if other.state != TrialState.COMPLETE or other.number in self._known:
                continue
            self._known.add(other.number)
            self._losses.pop(other.number, None)
            final = self._metric.progress(other.values[0])
            self._finished[other.params[str(self._family)]].append(final)
            if self._metric.better(other.values[0], self._metric.failed):
                losses = [float(epoch["train_loss"]) for epoch in kept(other)["epochs"]]
                self._forecaster.learn(self._traits(other, losses), final)

    def _traits(self, trial: FrozenTrial, train_losses: Sequence[float]) -> Floats:
        spec = TrialSpec.from_json(kept(trial)["asked"])
        signal = trial_signal(trial.intermediate_values, self._metric, spec.epochs)
        return trial_traits(spec, train_losses, signal, bounded=self._bounded)

"""The rule that knows the schedule: a trial is stopped when even hopeful forecasts of its end are not good enough.

The bar is what its family's best finished trial ended at (with ``keep_best`` N, the N-th best): a family of which fewer have
finished loses nobody, and a trial that stands among the best of its family at its epoch goes on. The forecast rests on finished
trials of all families (see ``forecast.py``) and is taken ``ERRORS`` standard errors better than it is. One epoch's
signal is noisy, and a trial is judged many times; so the last ``LOOKS`` epochs' forecasts must all lie under the bar.

Trials that have learned nothing do not follow the law that the others follow: as finished ones they are not
learned from, and while they run the median rule judges them. It also judges everyone as long as too few trials have finished.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from study.core.records import StudyRecord, TrialRecord
from study.core.rules.forecast import Floats, Forecaster, is_bounded, trial_signal, trial_traits
from study.core.rules.median_rule import MedianRule, PruningRule

#: Standard errors by which a forecast is taken better than it is.
ERRORS = 1.0
#: Epochs in a row whose forecasts must lie under the bar.
LOOKS = 3
#: Others that a median needs, where it judges.
_MEDIAN_OF = 6


@dataclass(frozen=True)
class PredictRule(PruningRule):
    """When a trial loses against its family's best.

    The ``n_startup_trials`` are finished trials that learned something.
    """

    @property
    def fallback(self) -> MedianRule:
        """The rule for trials that cannot be forecast, not before a quarter of the run; see ``docs/pruning.md``."""
        after = self.n_warmup_steps if self.epochs is None else max(self.n_warmup_steps, -(-self.epochs // 4))
        return MedianRule(after, self.interval_steps, _MEDIAN_OF, self.epochs, self.keep_best)

    def bar(self, finished: Collection[float]) -> float | None:
        """Return what a hopeful forecast has to reach, from what trials of the family ended at; ``None`` if nothing."""
        rank = max(self.keep_best, 1)
        return sorted(finished, reverse=True)[rank - 1] if len(finished) >= rank else None

    def loses(self, hopeful: float, bar: float, best: float, family: Collection[float]) -> bool:
        """Return whether a trial is stopped.

        Args:
            hopeful: What ``hopeful`` says of it.
            bar: What it has to reach.
            best: The best signal that it has shown so far; larger is better.
            family: Where every other trial of its family stood at the same epoch, as ``standing`` tells.
        """
        return hopeful < bar and sum(stood > best for stood in family) >= self.keep_best


def hopeful(forecaster: Forecaster, epoch: int, traits: Floats) -> float:
    """Return the best signal that a trial may end at, by the hopeful forecasts of its last epochs.

    Args:
        forecaster: Has learned from the finished trials.
        epoch: The epoch after which it is judged, from 0.
        traits: Its traits at each epoch, [E - 1, F].
    """
    looks = range(max(0, epoch - LOOKS + 1), epoch + 1)
    return max(float(forecaster.forecast(look, traits[look][None]).signal(ERRORS)[0]) for look in looks)


@dataclass(frozen=True)
class Judgement:
    """What a trial's forecast was when it was judged; signals as ``Metric.progress`` gives them: an accuracy as it is.

    Attributes:
        epoch: Epoch after which it was judged, from 0.
        forecast: What it was expected to end at.
        hopeful: The best that it might end at, as the rule asks.
        bar: What its family's best finished trial had ended at.
    """

    epoch: int
    forecast: float
    hopeful: float
    bar: float


def judgement(record: StudyRecord, trial: TrialRecord) -> Judgement | None:
    """Return why a trial was stopped by a study's rule, or would have been, had it not been reprieved.

    Worked out again from the trials that had finished by then. ``None`` where another rule decided: the study's pruner
    is another one, the median rule judged, or the trial was not to be stopped.
    """
    config, epoch = record.config, trial.reprieved_at
    if config.pruner != "predict" or not trial.to_be_stopped or not trial.reported:
        return None
    if epoch is None:
        epoch = max(trial.reported)
    rule = PredictRule(
        config.n_warmup_steps, config.interval_steps, config.n_startup_trials, config.epochs, config.keep_best
    )
    metric, bounded = config.metric, is_bounded(config.metric)
    forecaster, finished = Forecaster(bounded=bounded), []
    clock = trial.spec.offset + epoch
    for other in record.finished:
        if other.value is None or other.spec.offset + config.epochs - 1 > clock:
            continue
        final = metric.progress(other.value)
        if other.family == trial.family:
            finished.append(final)
        if other.learned:
            losses = [e.train_loss for e in other.epochs]
            traits = trial_traits(
                other.spec, losses, trial_signal(other.reported, metric, config.epochs), bounded=bounded
            )
            forecaster.learn(traits, final)
    bar = rule.bar(finished)
    signal = trial_signal({e: v for e, v in trial.reported.items() if e <= epoch}, metric, config.epochs)
    if (
        bar is None
        or len(forecaster) < rule.n_startup_trials
        or not (signal > metric.progress(metric.failed)).any()
    ):
        return None
    traits = trial_traits(trial.spec, [e.train_loss for e in trial.epochs], signal, bounded=bounded)
    forecast = float(forecaster.forecast(epoch, traits[epoch][None]).signal()[0])
    return Judgement(epoch, forecast, hopeful(forecaster, epoch, traits), bar)

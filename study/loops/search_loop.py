"""The search's loop: ask for trials, train an epoch, report it, decide; a trial that ends frees its lane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import optuna
from numpy.typing import NDArray

from study.core.records import ENDED, EpochMetrics, Outcome, StudyConfig, StudyRecord, TrialSpec
from study.loops.signals import held_back
from study.store import lifecycle
from study.store import optuna_storage as store
from study.store.mlflow_tracking import RunSpec, Tracker
from study.training.rates import Rates
from study.training.side_by_side import SideBySide
from study.tuning.pruner import decide
from study.tuning.space import Space


@dataclass
class Job:
    """A trial in training."""

    trial: optuna.Trial
    spec: TrialSpec
    rates: Rates
    run: str
    epochs: list[EpochMetrics] = field(default_factory=list)
    reprieved_at: int | None = None


@dataclass(frozen=True)
class Tally:
    """How far the study is, to be shown.

    Attributes:
        outcomes: Number of trials by outcome, those in training under ``running``.
        trained: Epochs trained by all trials so far.
        expected: Epochs that the whole study will probably take.
        best: Best final validation value so far, and the trial's family and number.
    """

    outcomes: dict[Outcome, int]
    trained: int
    expected: float
    best: tuple[float, str, int] | None


class SearchLoop:
    """Trains a study's trials until it has as many as asked for.

    Args:
        study: The Optuna study, with its sampler and pruner.
        config: What the study is.
        space: What is sampled.
        tracker: Where runs are recorded.
        lanes: Networks that train side by side, none yet.
        width: How many of them at most.
        total: Trials that the study is to have.
        show: Called after every epoch.
    """

    def __init__(
        self,
        study: optuna.Study,
        config: StudyConfig,
        space: Space,
        tracker: Tracker,
        lanes: SideBySide,
        *,
        width: int,
        total: int,
        show: Callable[[Tally], None],
    ) -> None:
        self._study, self._config, self._space = study, config, space
        self._tracker, self._lanes, self._width, self._total = tracker, lanes, width, total
        self._show = show
        self._jobs: dict[int, Job] = {}
        record = store.record(study)
        self._outcomes = {o: n for o, n in record.outcomes.items() if o in ENDED}
        self._epochs_ended = record.epochs_trained
        best = record.best
        self._best = None if best is None else (best.value or 0.0, best.family, best.number)

    def run(self) -> None:
        """Train until the study is complete.

        On Ctrl-C and on any error the trials in training are queued again, so that the same command goes on.
        A signal stops the training at once, but the records of an epoch are written whole.
        """
        try:
            while self._fill():
                self._train_epoch()
                self._show(self._tally())
        finally:
            with held_back():
                self._queue_again()

    def _fill(self) -> bool:
        """Give every free lane a trial; return whether anything is left to train."""
        while len(self._jobs) < self._width:
            with held_back():
                trial = lifecycle.ask(self._study, self._total)
                if trial is None:
                    break
                self._start(trial)
        return bool(self._jobs)

    def _start(self, trial: optuna.Trial) -> None:
        point = self._space.suggest(trial)
        spec = TrialSpec(
            number=trial.number,
            family=point.family,
            schedule=point.schedule,
            base_rate=point.base_rate,
            params=dict(trial.params),
            epochs=self._config.epochs,
            seed=initial_seed(self._config.seed, trial.number),
            offset=self._lanes.clock,
            lanes=self._width,
        )
        lifecycle.begin(trial, spec)
        run = self._tracker.start(RunSpec.trial(spec))
        self._lanes.add(trial.number, spec.seed, spec)
        rates = Rates(spec.schedule, spec.base_rate, self._lanes.steps)
        self._jobs[trial.number] = Job(trial, spec, rates, run)

    def _train_epoch(self) -> None:
        """Train all lanes for an epoch and record it."""
        table = {number: job.rates.current() for number, job in self._jobs.items()}
        epochs = self._lanes.train_epoch(table)
        with held_back():
            self._record(epochs, table)

    def _record(self, epochs: Mapping[int, EpochMetrics], table: Mapping[int, NDArray[np.float64]]) -> None:
        """Report all lanes before any is decided, so that their order changes nothing."""
        for number, epoch in epochs.items():
            job = self._jobs[number]
            job.epochs.append(epoch)
            job.rates.observe(epoch.train_loss)
            self._tracker.epoch(job.run, epoch, table[number].tolist())
        lifecycle.heartbeat(self._study, [job.trial for job in self._jobs.values()])
        for job in list(self._jobs.values()):
            self._report(job)
        for job in list(self._jobs.values()):
            self._decide(job)

    def _report(self, job: Job) -> None:
        epoch = job.epochs[-1]
        signal = epoch.averaged_accuracy if self._config.prune_on == "averaged" else epoch.val_accuracy
        if signal is None:
            raise RuntimeError(
                f"trial {job.spec.number} gave no {self._config.prune_on} {self._config.metric.name}"
            )
        if not lifecycle.report(job.trial, signal, epoch.epoch):
            self._leave(job, "interrupted")  # another machine took it for lost and queued it again
        elif not epoch.finite:
            self._end(job, "diverged")

    def _decide(self, job: Job) -> None:
        if len(job.epochs) == self._config.epochs:
            self._end(job, "finished")
            return
        match decide(self._study, job.trial):
            case "prune":
                self._end(job, "pruned")
            case "reprieve":
                job.reprieved_at = job.epochs[-1].epoch
            case "keep":
                pass

    def _end(self, job: Job, outcome: Outcome) -> None:
        self._leave(job, outcome)
        if not lifecycle.finish(self._study, job.trial, job.epochs, outcome, reprieved_at=job.reprieved_at):
            return
        self._outcomes[outcome] += 1
        self._epochs_ended += len(job.epochs)
        value = job.epochs[-1].val_accuracy
        if outcome != "finished" or value is None:
            return
        if self._best is None or self._config.metric.better(value, self._best[0]):
            self._best = (value, job.spec.family, job.spec.number)

    def _leave(self, job: Job, outcome: Outcome) -> None:
        """Close the run and free the lane. Optuna learns of it later, as ``Tracker.end`` asks for."""
        self._tracker.end(job.run, outcome)
        self._lanes.drop(job.spec.number)
        del self._jobs[job.spec.number]

    def _queue_again(self) -> None:
        """Queue again what is still in training: nothing after a complete study."""
        cut_off = list(self._jobs.values())
        try:
            for job in cut_off:
                self._leave(job, "interrupted")
        finally:  # MLflow may be what failed
            lifecycle.interrupt(self._study, [job.trial for job in cut_off])

    def _tally(self) -> Tally:
        ended = sum(self._outcomes.values())
        length = self._epochs_ended / ended if ended else float(self._config.epochs)
        in_training = [len(job.epochs) for job in self._jobs.values()]
        trained = self._epochs_ended + sum(in_training)
        to_come = sum(max(0.0, length - done) for done in in_training)
        to_come += max(0, self._total - ended - len(in_training)) * length
        outcomes = {**self._outcomes, "running": len(in_training)}
        return Tally(outcomes, trained, trained + to_come, self._best)


def initial_seed(seed: int, number: int) -> int:
    """Return the seed of a trial's initial weights: its own, and the same whenever it is drawn."""
    (drawn,) = np.random.SeedSequence([seed, number]).generate_state(1)
    return int(drawn)


def next_clock(record: StudyRecord) -> int:
    """Return the global epoch after the last one that any trial of a study trained in."""
    return max((t.spec.offset + len(t.epochs) for t in record.trials), default=0)

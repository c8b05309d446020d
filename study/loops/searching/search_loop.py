"""The search's loop: ask for trials, train an epoch, report it, decide; a trial that ends frees its lane.

A process may be killed between any two writes. After an epoch they come in this order: the checkpoint; the reports;
the decisions, kept; then what was decided, done. Each is done again, from the checkpoint, by the next process, and
what it finds done it leaves: one process that is killed any number of times ends with the numbers of one that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from study.core.records import ENDED, EpochMetrics, Outcome, StudyConfig, StudyRecord, TrialSpec
from study.core.signals import held_back, pause
from study.loops.searching.search_checkpoint import SavedJob, Slot
from study.store import lifecycle
from study.store import optuna_storage as store
from study.store.patience import LostError
from study.store.tracking.mlflow_tracking import RunSpec, Tracker
from study.training.rates import Rates
from study.training.side_by_side import SideBySide
from study.tuning.median_pruner import MedianPruner
from study.tuning.pruner import decide
from study.tuning.space import Space

#: Seconds between two looks at the trials of other processes, while there is nothing to train.
LOOK = 1.0

#: What becomes of a trial after an epoch; ``keep`` and ``reprieve`` train on.
Decision = Literal["keep", "reprieve", "pruned", "finished"]


@dataclass
class Job:
    """A trial in training."""

    trial: optuna.Trial
    spec: TrialSpec
    rates: Rates
    run: str
    epochs: list[EpochMetrics] = field(default_factory=list)
    reprieved_at: int | None = None

    @property
    def saved(self) -> SavedJob:
        """What a checkpoint keeps of it."""
        return SavedJob(self.spec, tuple(self.epochs), self.reprieved_at)


@dataclass(frozen=True)
class Tally:
    """How far the study is, to be shown.

    Attributes:
        outcomes: Number of trials by outcome, those in training under ``running``.
        trained: Epochs trained by all trials so far.
        expected: Epochs that the whole study will probably take.
        best: Best final validation value so far, and the trial's family and number.
        elsewhere: Trials of other processes that are waited for, where nothing is left to train here.
    """

    outcomes: dict[Outcome, int]
    trained: int
    expected: float
    best: tuple[float, str, int] | None
    elsewhere: int = 0


class SearchLoop:
    """Trains a study's trials until it has as many as asked for.

    Args:
        study: The Optuna study, with its sampler and pruner.
        config: What the study is.
        space: What is sampled.
        tracker: Where runs are recorded.
        lanes: Networks that train side by side, none yet.
        slot: Where their checkpoint lies.
        width: How many of them at most.
        total: Trials that the study is to have.
        show: Called after every epoch, and while other processes are waited for.
    """

    def __init__(
        self,
        study: optuna.Study,
        config: StudyConfig,
        space: Space,
        tracker: Tracker,
        lanes: SideBySide,
        slot: Slot,
        *,
        width: int,
        total: int,
        show: Callable[[Tally], None],
    ) -> None:
        self._study, self._config, self._space = study, config, space
        self._tracker, self._lanes, self._slot = tracker, lanes, slot
        self._width, self._total, self._show = width, total, show
        self._jobs: dict[int, Job] = {}
        self._count()

    def run(self) -> None:
        """Train until the study is complete, and every trial of other processes has ended.

        On Ctrl-C and on any error the trials in training are put back, so that the same command goes on.
        A signal stops the training at once, but the records of an epoch are written whole.
        """
        try:
            with held_back():
                self._restore()
            while self._fill() or self._wait():
                if self._jobs:
                    self._train_epoch()
                    self._show(self._tally())
            self._slot.clear()
        finally:
            with held_back():
                self._put_back()

    def _count(self) -> None:
        """Take in how far all processes have come."""
        record = store.record(self._study)
        self._outcomes = {o: n for o, n in record.outcomes.items() if o in ENDED}
        self._epochs_ended = record.epochs_trained
        best = record.best
        self._best = None if best is None else (best.value or 0.0, best.family, best.number)

    def _restore(self) -> None:
        """Go on with the trials of an earlier process, as far as nobody else has taken them over."""
        saved = self._slot.load()
        if saved is None:
            return
        taken: dict[int, tuple[SavedJob, optuna.Trial]] = {}
        for job in saved.jobs:
            trial = None
            if len(taken) < self._width:
                trial = lifecycle.take(self._study, job.spec.number, job.spec)
            if trial is not None:
                taken[job.spec.number] = job, trial
        clock = self._lanes.clock
        self._lanes.load_state_dict(saved.state)
        for key in list(self._lanes.keys):
            if key not in taken:
                self._lanes.drop(key)
        if not taken:  # others may have gone on from there
            self._lanes.clock = max(self._lanes.clock, clock)
        for number, (job, trial) in taken.items():
            self._jobs[number] = self._resumed(job, trial)
        if taken:
            self._conclude(saved.decisions)

    def _resumed(self, saved: SavedJob, trial: optuna.Trial) -> Job:
        """Return a trial of an earlier process; a run of its own is recorded from the first epoch again."""
        job = self._job(trial, saved.spec)
        job.reprieved_at = saved.reprieved_at
        pruner = self._study.pruner
        if saved.reprieved_at is not None and isinstance(pruner, MedianPruner):
            pruner.reprieved[trial.number] = saved.reprieved_at
        for epoch in saved.epochs:
            self._take_in(job, epoch, job.rates.current())
        return job

    def _fill(self) -> bool:
        """Give every free lane a trial; return whether anything is left to train."""
        while len(self._jobs) < self._width:
            with held_back():
                with lifecycle.alone(self._study):  # what is drawn sees all that was drawn before
                    trial = lifecycle.ask(self._study, self._total)
                    if trial is None:
                        break
                    begun = lifecycle.was_begun(trial)
                    spec = self._begin(trial)
                self._tracker.supersede("trial", [str(number) for number in begun])
                self._lanes.add(trial.number, spec.seed, spec)
                self._jobs[trial.number] = self._job(trial, spec, earlier=False)
        return bool(self._jobs)

    def _begin(self, trial: optuna.Trial) -> TrialSpec:
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
        return spec

    def _job(self, trial: optuna.Trial, spec: TrialSpec, *, earlier: bool = True) -> Job:
        """Open a trial's run, in the place of an earlier process's."""
        if earlier:
            self._tracker.supersede("trial", [str(trial.number)])
        run = self._tracker.start(RunSpec.trial(spec))
        return Job(trial, spec, Rates(spec.schedule, spec.base_rate, self._lanes.steps), run)

    def _wait(self) -> bool:
        """Wait for a trial of another process to end, or to be put back; return whether there is one.

        A process that is killed after all others ended would leave the study incomplete.
        """
        elsewhere = lifecycle.running(self._study) - self._jobs.keys()
        shown = self._tally()
        self._count()
        now = self._tally(len(elsewhere))
        if now != shown:  # by what other processes did, at the study's end too
            self._show(now)
        if not elsewhere:
            return False
        pause(LOOK)
        with held_back():
            lifecycle.recover(self._study, mine=self._jobs.keys())
        return True

    def _train_epoch(self) -> None:
        """Train all lanes for an epoch and record it."""
        table = {number: job.rates.current() for number, job in self._jobs.items()}
        epochs = self._lanes.train_epoch(table)
        with held_back():
            self._slot.save([self._after(number, epoch) for number, epoch in epochs.items()], self._lanes)
            for number, epoch in epochs.items():
                self._take_in(self._jobs[number], epoch, table[number])
            if lifecycle.heartbeat(self._study, [job.trial for job in self._jobs.values()]):
                lifecycle.recover(self._study, mine=self._jobs.keys())
            self._conclude(None)

    def _after(self, number: int, epoch: EpochMetrics) -> SavedJob:
        job = self._jobs[number]
        return SavedJob(job.spec, (*job.epochs, epoch), job.reprieved_at)

    def _take_in(self, job: Job, epoch: EpochMetrics, rates: NDArray[np.float64]) -> None:
        job.epochs.append(epoch)
        job.rates.observe(epoch.train_loss)
        self._tracker.epoch(job.run, epoch, rates.tolist())

    def _conclude(self, decided: Mapping[int, str] | None) -> None:
        """Report all lanes before any is decided, so that their order changes nothing; then do what is decided.

        Args:
            decided: What an earlier process decided after this epoch.
        """
        ours = lifecycle.trained_here(self._study)
        for job in list(self._jobs.values()):
            self._report(job, ours)
        # Who has finished is known to the pruner when the others are decided.
        for job in list(self._jobs.values()):
            if len(job.epochs) == self._config.epochs:
                self._end(job, "finished")
        if decided is None:
            decided = {number: self._decision(job) for number, job in self._jobs.items()}
            self._slot.save_decisions(self._lanes.clock, decided)
        for number, job in list(self._jobs.items()):
            self._carry_out(job, cast("Decision", decided[number]))

    def _report(self, job: Job, ours: Mapping[int, FrozenTrial]) -> None:
        epoch = job.epochs[-1]
        signal = epoch.averaged_accuracy if self._config.prune_on == "averaged" else epoch.val_accuracy
        if signal is None:
            raise RuntimeError(
                f"trial {job.spec.number} gave no {self._config.prune_on} {self._config.metric.name}"
            )
        if not lifecycle.report(job.trial, signal, epoch.epoch, ours):
            self._leave(job, "interrupted")  # another machine took it for lost and put it back
        elif not epoch.finite:
            self._end(job, "diverged")

    def _decision(self, job: Job) -> Decision:
        decision = decide(self._study, job.trial, job.epochs)
        return "pruned" if decision == "prune" else decision

    def _carry_out(self, job: Job, decision: Decision) -> None:
        match decision:
            case "pruned":
                self._end(job, decision)
            case "reprieve":
                job.reprieved_at = job.epochs[-1].epoch
                pruner = self._study.pruner
                if isinstance(pruner, MedianPruner):  # where an earlier process decided it
                    pruner.reprieved[job.spec.number] = job.reprieved_at
            case "keep":
                pass

    def _end(self, job: Job, outcome: Outcome) -> None:
        self._leave(job, outcome)
        if not lifecycle.finish(self._study, job.trial, job.epochs, outcome, reprieved_at=job.reprieved_at):
            self._tracker.mark_interrupted(job.run)  # another machine ends it
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

    def _put_back(self) -> None:
        """Put back what is still in training: nothing after a complete study."""
        try:
            for job in list(self._jobs.values()):
                self._leave(job, "interrupted")
        except (LostError, KeyboardInterrupt):
            pass  # MLflow is away, as was said; what it did not get lies in the checkpoint
        finally:
            lifecycle.interrupt(self._study)

    def _tally(self, elsewhere: int = 0) -> Tally:
        ended = sum(self._outcomes.values())
        length = self._epochs_ended / ended if ended else float(self._config.epochs)
        in_training = [len(job.epochs) for job in self._jobs.values()]
        trained = self._epochs_ended + sum(in_training)
        to_come = sum(max(0.0, length - done) for done in in_training)
        to_come += max(0, self._total - ended - len(in_training)) * length
        outcomes = {**self._outcomes, "running": len(in_training)}
        return Tally(outcomes, trained, trained + to_come, self._best, elsewhere)


def initial_seed(seed: int, number: int) -> int:
    """Return the seed of a trial's initial weights: its own, and the same whenever it is drawn."""
    (drawn,) = np.random.SeedSequence([seed, number]).generate_state(1)
    return int(drawn)


def next_clock(record: StudyRecord) -> int:
    """Return the global epoch after the last one that any trial of a study trained in."""
    return max((t.spec.offset + len(t.epochs) for t in record.trials), default=0)

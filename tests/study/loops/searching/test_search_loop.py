"""The loop's laws: as many trials as asked for, never more at once than lanes, nothing lost, nothing doubled.

Real parts throughout: networks on 200 real images, Optuna's and MLflow's SQLite files.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from study.core.errors import InputError
from study.core.records import StudyConfig, StudyRecord, TrialRecord
from study.loops.searching.search_checkpoint import clear_slots, free_slot
from study.loops.searching.search_loop import SearchLoop, Tally, initial_seed, next_clock
from study.problems.fashion_mnist import Images, Split
from study.store import lifecycle as life
from study.store import optuna_storage as store
from study.store.tracking.mlflow_tracking import Tracker
from study.training.lanes import Lanes
from study.training.rates import Rates
from study.tuning.pruner import make_pruner
from study.tuning.sampler import make_sampler
from study.tuning.space import Space

Show = Callable[[Tally], None]
Maker = Callable[[int], StudyRecord]


class Search:
    """One tiny study in a folder of its own, run as the command runs it."""

    def __init__(self, config: StudyConfig, folder: Path, uri: str, split: Split) -> None:
        self.config, self.folder, self.uri, self.split = config, folder, uri, split
        folder.mkdir(exist_ok=True)
        self.tallies: list[Tally] = []

    def run(self, total: int, *, width: int = 2, show: Show | None = None) -> StudyRecord:
        """Train until the study has ``total`` trials."""
        study = self.open()
        put_back = life.recover(study, mine=())
        assert put_back == 0  # a loop that ended leaves nothing for others to find
        lanes = Lanes(
            self.split,
            batch_size=self.config.batch_size,
            order_seed=self.config.seed,
            clock=next_clock(store.record(study)),
        )
        tracker = Tracker.open(self.uri, self.config, attributes={}, key=study.user_attrs["key"])
        space = Space(self.config.schedules, self.config.epochs)
        try:
            with free_slot(self.folder / "checkpoints") as slot:
                SearchLoop(
                    study, self.config, space, tracker, lanes, slot,
                    width=width, total=total, show=show or self.tallies.append,
                ).run()  # fmt: skip
        finally:
            tracker.close("finished")
            store.close(study)
        assert lanes.keys == []
        return store.load(f"sqlite:///{self.folder}/optuna.db")

    def open(self) -> optuna.Study:
        """Open the study with its sampler and pruner."""
        space = Space(self.config.schedules, self.config.epochs)
        study = store.open_study(f"sqlite:///{self.folder}/optuna.db", self.config)
        study.sampler, study.pruner = make_sampler(self.config, space), make_pruner(self.config)
        return study

    def states(self) -> Counter[str]:
        """MLflow's children by their status and tag ``state``."""
        from mlflow import MlflowClient

        client = MlflowClient(self.uri)
        experiments = [e.experiment_id for e in client.search_experiments()]
        return Counter(
            f"{run.info.status} {run.data.tags['state']}"
            for run in client.search_runs(experiments)
            if "mlflow.parentRunId" in run.data.tags
        )


@pytest.fixture
def search(config: StudyConfig, tmp_path: Path, uri: str, few: Split) -> Search:
    return Search(config, tmp_path, uri, few)


def busy(trials: tuple[TrialRecord, ...]) -> Counter[int]:
    """How many trials trained in each global epoch."""
    return Counter(t.spec.offset + e for t in trials for e in range(len(t.epochs)))


@pytest.mark.slow
def test_lanes_are_refilled_until_the_total(search: Search) -> None:
    """Five trials of two epochs in two lanes: global epochs 0 to 5, no lane free while a trial waits."""
    trials = search.run(5).trials
    assert [t.number for t in trials] == list(range(5))
    assert {t.outcome for t in trials} == {"finished"}
    assert busy(trials) == {0: 2, 1: 2, 2: 2, 3: 2, 4: 1, 5: 1}
    for trial in trials:
        assert trial.spec is not None
        assert [e.epoch for e in trial.epochs] == [0, 1]
        assert trial.value == trial.epochs[-1].val_accuracy
        assert trial.reported == {e.epoch: e.val_accuracy for e in trial.epochs}
        assert trial.spec.seed == initial_seed(3, trial.number)
    assert search.states() == {"FINISHED finished": 5}

    last = search.tallies[-1]
    assert last.trained == last.expected == 10
    assert last.outcomes == {"finished": 5, "pruned": 0, "diverged": 0, "running": 0}
    assert all(tally.trained <= tally.expected for tally in search.tallies)
    assert last.best is not None
    assert last.best[0] == max(t.value for t in trials if t.value is not None)


@pytest.mark.slow
def test_each_trial_alone_gives_the_same_numbers(search: Search) -> None:
    """A trial's seed, rates and clock are all it takes: trained alone, its first losses come back."""
    record = search.run(3)
    for trial in record.trials:
        assert trial.spec is not None

        lane = Lanes(search.split, batch_size=64, order_seed=record.config.seed, clock=trial.spec.offset)
        lane.add(0, trial.spec.seed)
        rates = Rates(trial.spec.schedule, trial.spec.base_rate, lane.steps)
        for then in trial.epochs:
            now = lane.train_epoch({0: rates.current()})[0]
            rates.observe(now.train_loss)
            assert now.train_loss == pytest.approx(then.train_loss, rel=1e-3)
            assert now.rate == pytest.approx(then.rate, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_interrupted_after_an_epoch_it_ends_as_if_it_had_not_been(
    config: StudyConfig, tmp_path: Path, uri: str, few: Split, epochs: int
) -> None:
    """Ctrl-C after the first, second or third epoch: the next run goes on in the middle, with the same numbers."""

    def stop(_tally: Tally) -> None:
        stopped.append(True)
        if len(stopped) == epochs:
            raise KeyboardInterrupt

    stopped: list[bool] = []
    undisturbed = Search(config, tmp_path / "whole", uri, few).run(5)
    search = Search(replace(config, name="cut"), tmp_path / "cut", uri, few)
    with pytest.raises(KeyboardInterrupt):
        search.run(5, show=stop)
    study = search.open()
    assert life.running(study) == frozenset()
    store.close(study)
    trials = search.run(5).trials
    assert [replace(t, started=None, ended=None, epochs=()) for t in trials] == [
        replace(t, started=None, ended=None, epochs=()) for t in undisturbed.trials
    ]
    for now, then in zip(trials, undisturbed.trials, strict=True):
        assert [replace(e, seconds=0) for e in now.epochs] == [replace(e, seconds=0) for e in then.epochs]
    assert len(search.tallies) == 6 - epochs, "no epoch was trained twice"


@pytest.mark.slow
def test_fewer_lanes_go_on_with_what_they_hold(search: Search) -> None:
    """The other trial reported to weights that are lost: it starts again, under a new number."""

    def stop(_tally: Tally) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.run(3, show=stop)
    trials = search.run(3, width=1).trials
    assert [t.number for t in trials] == [0, 2, 3]
    assert {t.outcome for t in trials} == {"finished"}
    assert search.states()["FINISHED finished"] == 3
    assert search.states().keys() == {"FINISHED finished", "KILLED interrupted"}


@pytest.mark.slow
def test_a_damaged_checkpoint_is_refused_and_its_removal_starts_the_trials_again(search: Search) -> None:
    """A file that would run code is damaged as well: it is read as data alone."""

    def stop(_tally: Tally) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.run(2, show=stop)
    (kept,) = (search.folder / "checkpoints").glob("*.pt")
    kept.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match=r"lanes-0\.pt: damaged, or no checkpoint of ours; remove it"):
        search.run(2)
    assert not Bomb.exploded
    kept.unlink()
    assert [t.outcome for t in search.run(2).trials] == ["finished"] * 2


class Bomb:
    """What a pickle could hold."""

    exploded = False

    @classmethod
    def explode(cls) -> None:
        """Show that code was run."""
        cls.exploded = True

    def __reduce__(self) -> tuple[object, tuple[()]]:
        """Ask to be exploded when read."""
        return Bomb.explode, ()


def test_each_process_has_a_slot_of_its_own(tmp_path: Path) -> None:
    """Given up, it is the next one's; nothing is left of an empty one."""
    with free_slot(tmp_path / "study") as first, free_slot(tmp_path / "study") as second:
        assert first._lanes.name == "lanes-0.pt"
        assert second._lanes.name == "lanes-1.pt"
    with free_slot(tmp_path / "study") as again:
        assert again._lanes.name == "lanes-0.pt"
    assert list(tmp_path.iterdir()) == []


def test_what_dead_processes_kept_goes_when_the_study_is_complete(tmp_path: Path) -> None:
    """Those that nobody holds; a process that still works keeps its own."""
    with free_slot(tmp_path / "study") as mine, free_slot(tmp_path / "study"):
        for number in range(3):
            (tmp_path / "study" / f"lanes-{number}.pt").touch()
        for name in ("lanes-2.json", ".part-lanes-2.json", "lock-3", ".part-lanes-11.pt"):
            (tmp_path / "study" / name).touch()
        clear_slots(tmp_path / "study")
        left = {file.name for file in (tmp_path / "study").iterdir()}
        assert left == {"lanes-0.pt", "lanes-1.pt", "lock-0", "lock-1"}
        mine.clear()
    clear_slots(tmp_path / "study")
    assert list(tmp_path.iterdir()) == []
    clear_slots(tmp_path / "never made")


@pytest.mark.slow
def test_trials_are_put_back_though_mlflow_fails(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracking server that goes away does not leave trials in training for other machines to wait for."""

    def gone(*_: object) -> None:
        raise ConnectionError("the server is gone")

    with monkeypatch.context() as broken:
        broken.setattr(Tracker, "end", gone)
        broken.setattr(Tracker, "close", lambda *_: None)
        with pytest.raises(ConnectionError, match="the server is gone"):
            search.run(3)
    study = search.open()
    assert life.running(study) == frozenset()
    store.close(study)
    assert [t.outcome for t in search.run(3).trials] == ["finished"] * 3


@pytest.mark.slow
def test_a_larger_total_extends_and_the_same_one_does_nothing(search: Search) -> None:
    first = search.run(2).trials
    assert search.run(2).trials == first
    extended = search.run(4).trials
    assert extended[:2] == first
    assert [t.outcome for t in extended] == ["finished"] * 4


@pytest.mark.slow
def test_diverged_trials_end_at_once(config: StudyConfig, tmp_path: Path, uri: str, few: Split) -> None:
    """Losses that are not finite end a trial after that epoch; it counts, and its lane is refilled."""
    wild = Split(Images(few.train.pixels * 1e30, few.train.labels), few.evaluation, few.checksums)
    search = Search(config, tmp_path, uri, wild)
    trials = search.run(4).trials
    assert [(t.outcome, len(t.epochs), t.value) for t in trials] == [("diverged", 1, None)] * 4
    assert search.states() == {"FAILED diverged": 4}
    assert search.tallies[-1].best is None


@pytest.mark.slow
@pytest.mark.parametrize("signal", ["val", "averaged"])
def test_pruned_trials_free_their_lane(search: Search, signal: str) -> None:
    """Each ended trial counts; one that was pruned stopped early, and at no time were lanes left free."""
    search.config = replace(search.config, epochs=4, pruner="median", prune_on=signal, n_warmup_steps=1)
    if signal == "averaged":  # these lanes keep no average, so the search says what is missing
        with pytest.raises(RuntimeError, match="gave no averaged accuracy"):
            search.run(10)
        return
    trials = search.run(10).trials
    counts = Counter(t.outcome for t in trials)
    assert counts["pruned"] > 0
    assert counts["finished"] > 0
    assert counts.total() == 10
    assert all(len(t.epochs) < 4 for t in trials if t.outcome == "pruned")
    used = busy(trials)
    assert max(used.values()) == 2
    last_start = max(t.spec.offset for t in trials)
    assert all(used[epoch] == 2 for epoch in range(last_start))
    assert search.states() == {"FINISHED finished": counts["finished"], "KILLED pruned": counts["pruned"]}


def test_initial_seeds_are_each_trials_own() -> None:
    """A seed depends on the study's seed and the trial's number; no two coincide among many."""
    seeds = [initial_seed(s, n) for s in range(3) for n in range(200)]
    assert len(set(seeds)) == len(seeds)
    assert initial_seed(0, 5) == initial_seed(0, 5)
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_the_clock_goes_on_after_the_last_epoch_used(config: StudyConfig, made_up: Maker) -> None:
    assert next_clock(StudyRecord(config, ())) == 0
    record = made_up(20)
    late = replace(record.trials[3], spec=replace(record.trials[3].spec, offset=100))
    assert next_clock(replace(record, trials=(*record.trials, late))) == 100 + len(late.epochs)


def test_the_loop_gives_rates_that_move_within_an_epoch() -> None:
    """What a lane takes is one rate a step, not one an epoch."""
    import lrsched

    assert len(np.unique(Rates(lrsched.Cosine(T_max=2.0), 0.1, 4).current())) == 4

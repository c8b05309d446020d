"""Every family gets an equal share of the trials, whatever happens to them, and its own sampler."""

from __future__ import annotations

import json
import math
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from study.core.errors import InputError
from study.core.records import StudyConfig
from study.tuning.sampler import StratifiedSampler, make_sampler
from study.tuning.space import Space
from tests.running import run_python, started

FAMILIES = tuple("abcd")


@pytest.fixture
def config(config_of: Callable[..., StudyConfig]) -> StudyConfig:
    """Three families, nothing pruned."""
    return config_of(name="s", schedules=("constant", "cosine", "multi_step"), pruner="none", seed=3)


def suggest(trial: optuna.Trial, families: Sequence[str] = FAMILIES) -> float:
    """Draw a family and parameters of its own; the value ignores the family."""
    family = trial.suggest_categorical("schedule", families)
    rate = trial.suggest_float("base_rate", 0.01, 1.0, log=True)
    for k in range(families.index(family) % 3):
        trial.suggest_float(f"{family}.p{k}", 0.0, 1.0)
    noise = float(np.random.default_rng(trial.number).normal())
    return -((math.log10(rate) + 0.5) ** 2) + 0.1 * noise


def shares(study: optuna.Study, *without: TrialState) -> Counter[str]:
    return Counter(t.params["schedule"] for t in study.trials if t.state not in without)


def in_memory(count_failed: bool = True, seed: int = 0) -> optuna.Study:  # noqa: FBT001, FBT002
    sampler = StratifiedSampler("schedule", FAMILIES, seed, count_failed=count_failed)
    return optuna.create_study(direction="maximize", sampler=sampler)


def spread(counts: Counter[str]) -> int:
    return max(counts[f] for f in FAMILIES) - min(counts[f] for f in FAMILIES)


EVENTS = st.lists(st.sampled_from(["ask", "finish", "prune", "fail"]), max_size=40)


@given(events=EVENTS, count_failed=st.booleans())
def test_shares_never_differ_by_more_than_one(events: list[str], count_failed: bool) -> None:  # noqa: FBT001
    """With any number of trials open, pruned, finished or failed in any order, no family falls behind.

    Where failed trials do not count, a family that lost one is given its turns before any other.
    """
    study = in_memory(count_failed)
    ignored = () if count_failed else (TrialState.FAIL,)
    running: list[tuple[optuna.Trial, float]] = []
    for event in events:
        before = shares(study, *ignored)
        if event == "ask" or not running:
            trial = study.ask()
            running.append((trial, suggest(trial)))
            assert before[trial.params["schedule"]] == min(before[f] for f in FAMILIES)
            continue
        trial, value = running.pop(0)
        if event == "finish":
            study.tell(trial, value)
        else:
            study.tell(trial, state=TrialState.PRUNED if event == "prune" else TrialState.FAIL)
        if count_failed or event != "fail":
            assert spread(shares(study, *ignored)) <= max(1, spread(before))
    if count_failed:
        assert spread(shares(study)) <= 1


def test_a_choice_that_always_fails_does_not_eat_the_study() -> None:
    """In plain ``study.optimize`` a failed trial has had its turn."""

    def objective(trial: optuna.Trial) -> float:
        value = suggest(trial)
        if trial.params["schedule"] == "a":
            raise ZeroDivisionError
        return value

    study = in_memory()
    study.optimize(objective, n_trials=12, catch=(ZeroDivisionError,))
    assert shares(study) == dict.fromkeys(FAMILIES, 3)


def test_an_enqueued_or_repeated_trial_keeps_its_parameters_and_its_turn() -> None:
    study = in_memory(count_failed=False)
    study.enqueue_trial({"schedule": "c", "base_rate": 0.5})
    first = study.ask()
    suggest(first)
    assert (first.params["schedule"], first.params["base_rate"]) == ("c", 0.5)
    study.tell(first, state=TrialState.FAIL)
    again = optuna.create_trial(
        state=TrialState.WAITING, params=first.params, distributions=first.distributions
    )
    study.add_trial(again)
    others = []
    retry = study.ask()
    suggest(retry)
    assert retry.params == first.params
    for _ in range(3):
        others.append(study.ask())
        suggest(others[-1])
    assert {t.params["schedule"] for t in others} == {"a", "b", "d"}


def test_processes_that_ask_at_once_do_not_choose_the_same() -> None:
    """Trials that were asked for but have not chosen yet are given their turns first."""
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(study_name="s", storage=storage)
    studies = [
        optuna.load_study(
            study_name="s", storage=storage, sampler=StratifiedSampler("schedule", FAMILIES, seed=0)
        )
        for _ in FAMILIES
    ]
    spec = [study.ask() for study in studies]
    for trial in reversed(spec):
        suggest(trial)
    assert Counter(t.params["schedule"] for t in spec) == dict.fromkeys(FAMILIES, 1)


def test_a_trial_that_died_before_it_chose_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that was asked for long ago and never chose is not waited for."""
    monkeypatch.setattr("study.tuning.sampler.CHOOSING", timedelta(0))
    study = in_memory()
    study.ask()
    for _ in range(8):
        suggest(study.ask())
    chosen = Counter(t.params["schedule"] for t in study.trials if t.params)
    assert chosen == dict.fromkeys(FAMILIES, 2)


@pytest.mark.parametrize("sampler", ["stratified", "tpe", "random"])
def test_same_seed_same_trials_also_when_resumed(config: StudyConfig, sampler: str) -> None:
    """A study cut in two by a restart draws what it would have drawn in one go."""
    config = replace(config, sampler=sampler)
    space = Space(config.schedules, config.epochs)

    def run(study: optuna.Study, trials: int) -> None:
        study.sampler = make_sampler(config, space)
        for _ in range(trials):
            trial = study.ask()
            point = space.suggest(trial)
            study.tell(trial, -((np.log10(point.base_rate) + 0.5) ** 2))

    whole = optuna.create_study(direction="maximize")
    run(whole, 24)
    halves = optuna.create_study(direction="maximize")
    run(halves, 11)
    run(halves, 13)
    assert [t.params for t in halves.trials] == [t.params for t in whole.trials]
    assert len({t.params["base_rate"] for t in whole.trials}) == 24


def test_parameters_drawn_alone_are_independent(config: StudyConfig) -> None:
    """The first trials are random: their parameters must not repeat one random number."""
    space = Space(("cosine",), 30)
    study = optuna.create_study(sampler=make_sampler(replace(config, sampler="random"), space))
    drawn = np.array(
        [[t.params["warmup"] / 9, t.params["cosine.final"]] for t in ask_many(study, space, 200)]
    )
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.2


def ask_many(study: optuna.Study, space: Space, trials: int) -> list[optuna.Trial]:
    spec = [study.ask() for _ in range(trials)]
    for trial in spec:
        space.suggest(trial)
    return spec


def test_a_family_learns_from_its_own_trials_alone() -> None:
    """Where the best rate of one family is the worst of the other, each finds its own."""
    best = {"a": 0.02, "b": 0.7}

    def objective(trial: optuna.Trial) -> float:
        family = trial.suggest_categorical("schedule", ("a", "b"))
        rate = trial.suggest_float("base_rate", 0.01, 1.0, log=True)
        return float(abs(np.log10(rate / best[family])))

    study = optuna.create_study(sampler=StratifiedSampler("schedule", ("a", "b"), seed=0))
    study.optimize(objective, n_trials=60)
    for family, rate in best.items():
        late = [t.params["base_rate"] for t in study.trials[30:] if t.params["schedule"] == family]
        assert 0.4 < np.median(late) / rate < 2.5


def test_unknown_sampler_is_refused(config: StudyConfig) -> None:
    with pytest.raises(InputError, match="sampler must be one of stratified, tpe, random, got 'grid'"):
        make_sampler(replace(config, sampler="grid"), Space(("constant",), 3))


@pytest.mark.slow
def test_null_study(repository: Path) -> None:
    """Over 200 studies in which the family has no effect, shares are equal and no family is favoured.

    The script returns 1 if shares differ by more than one, or if the chi-square test of equal chances to
    come first gives p <= .01. Beside it the joint TPE, whose shares differ widely.
    """
    script = str(repository / "benchmarks" / "null_study.py")
    run_python(script, "--samplers", "stratified")
    joint = run_python(script, "--samplers", "tpe", "--studies", "10")
    fewest, most = (int(line.split(":")[1].split()[0]) for line in joint.splitlines()[1:3])
    assert most >= 3 * fewest


# --------------------------------------------------------------------------- SIGKILL

WORKER = """
import sys, time
from study.store import lifecycle as life
from study.store import optuna_storage as store
from dataclasses import replace
from study.core.records import StudyConfig
from tests.making import epochs_of, spec_of
from study.tuning.space import Space
from study.tuning.sampler import make_sampler
import json

url, config, total = sys.argv[1], StudyConfig.from_json(json.loads(sys.argv[2])), int(sys.argv[3])
space = Space(config.schedules, config.epochs)
study = store.open_study(url, config)
study.sampler = make_sampler(config, space)
life.CLAIM_SECONDS = 0  # a trial that was killed before it had an owner is dead at once
life.recover(study)
lanes = []
while True:
    while len(lanes) < 4 and (trial := life.ask(study, total)) is not None:
        point = space.suggest(trial)
        spec = spec_of(trial.number, family=point.family, schedule=point.schedule, base_rate=point.base_rate,
                       params=trial.params, epochs=config.epochs, lanes=4)
        life.begin(trial, spec)
        lanes.append((trial, point, []))
    if not lanes:
        break
    for trial, point, epochs in list(lanes):
        e = len(epochs)
        epochs.append(replace(epochs_of([point.base_rate])[0], epoch=e))
        life.report(trial, point.base_rate, e)
        time.sleep(0.005)
        if e == 2:
            life.finish(study, trial, epochs, "pruned" if trial.number % 3 == 0 else "finished")
            lanes.remove((trial, point, epochs))
    print(len(study.trials), flush=True)
"""


@pytest.mark.slow
def test_shares_stay_equal_after_sigkill(config: StudyConfig, tmp_path: Path) -> None:
    """A worker that is killed three times in mid-training leaves a study that ends with equal shares."""
    config = replace(config, schedules=("constant", "cosine", "multi_step", "plateau", "linear"))
    url = f"sqlite:///{tmp_path}/optuna.db"
    command = [sys.executable, "-c", WORKER, url, json.dumps(config.to_json()), "23"]
    for seen in (2, 9, 15):
        worker = started(command)
        assert worker.stdout is not None
        while int(worker.stdout.readline()) < seen:
            pass
        time.sleep(0.01 * seen)
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        assert worker.returncode == -signal.SIGKILL
    run_python(*command[1:])
    trials = optuna.load_study(study_name="s", storage=url).trials
    ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    counts = Counter(t.params["schedule"] for t in ended)
    assert len(ended) == 23
    assert any(t.state == TrialState.FAIL for t in trials)
    assert max(counts.values()) - min(counts[f] for f in config.schedules) <= 1
    drawn: Counter[Any] = Counter(t.params["base_rate"] for t in ended)
    assert set(drawn.values()) == {1}

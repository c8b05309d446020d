"""Who is stopped, who is compared with whom, and who is reprieved."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from study.core.errors import InputError
from study.core.records import StudyConfig, StudyRecord
from study.core.rules.median_rule import MedianRule
from study.core.rules.predict_rule import judgement
from study.store.optuna_storage import record
from study.tuning.median_pruner import MedianPruner, is_reprieved
from study.tuning.pruner import Decision, decide, make_pruner
from tests.making import epochs_of, spec_of

FAMILIES = ("a", "b")
NAN = float("nan")
Direction = Literal["maximize", "minimize"]

#: Trial: family, signal by epoch, and how it ended: r(unning), c(omplete), p(runed), f(ailed).
Row = tuple[str, Sequence[float], str]
STATES = {
    "r": TrialState.RUNNING,
    "c": TrialState.COMPLETE,
    "p": TrialState.PRUNED,
    "f": TrialState.FAIL,
}

#: What it shows: rows, trials stopped by the family median, trials stopped by the median of all.
DECISIONS: dict[str, tuple[list[Row], set[int], set[int]]] = {
    "nothing to compare with": ([("a", [0.1, 0.1], "r")], set(), set()),
    "one other is fewer than the startup of two": (
        [("a", [0.1, 0.1], "r"), ("a", [0.9, 0.9], "r")],
        set(),
        set(),
    ),
    "running lane-mates are compared with": (
        [("a", [0.1, 0.1], "r"), ("a", [0.8, 0.8], "r"), ("a", [0.9, 0.9], "r")],
        {0},
        {0},
    ),
    "before two epochs nobody is stopped": (
        [("a", [0.1], "r"), ("a", [0.8], "r"), ("a", [0.9], "r")],
        set(),
        set(),
    ),
    "after the last epoch nobody is stopped": (
        [("a", [0.1] * 6, "r"), ("a", [0.8] * 6, "r"), ("a", [0.9] * 6, "r")],
        set(),
        set(),
    ),
    "equal to the median is kept": (
        [("a", [0.5, 0.5], "r"), ("a", [0.5, 0.5], "r"), ("a", [0.5, 0.5], "r")],
        set(),
        set(),
    ),
    "the best so far counts, not the last": (
        [("a", [0.8, 0.1], "r"), ("a", [0.7, 0.7], "c"), ("a", [0.9, 0.7], "c")],
        set(),
        set(),
    ),
    "others count at the same epoch, not at their end": (
        [("a", [0.5, 0.5], "r"), ("a", [0.1, 0.2, 0.9, 0.9, 0.9, 0.9], "c"), ("a", [0.1, 0.3, 0.9], "r")],
        set(),
        set(),
    ),
    "who has not come that far is not compared with": (
        [("a", [0.1, 0.1], "r"), ("a", [0.9], "r"), ("a", [0.9], "r")],
        set(),
        set(),
    ),
    "families are compared within only": (
        [
            ("a", [0.2, 0.2], "r"),
            ("a", [0.2, 0.2], "c"),
            ("a", [0.2, 0.2], "c"),
            ("b", [0.9, 0.9], "c"),
            ("b", [0.9, 0.9], "c"),
            ("b", [0.9, 0.9], "c"),
            ("b", [0.8, 0.8], "r"),
        ],
        {6},
        {0},
    ),
    "stopped before means below everyone": (
        [("a", [0.5, 0.5, 0.5], "r"), ("a", [0.9, 0.1], "p"), ("a", [0.9, 0.1], "p"), ("a", [0.6] * 3, "r")],
        set(),
        set(),
    ),
    "stopped later counts as it was then": (
        [("a", [0.1, 0.1], "r"), ("a", [0.9, 0.9, 0.2], "p"), ("a", [0.9, 0.9, 0.2], "p")],
        {0},
        {0},
    ),
    "failed trials are retried, so not compared with": (
        [("a", [0.1, 0.1], "r"), ("a", [0.9, 0.9], "f"), ("a", [0.9, 0.9], "f")],
        set(),
        set(),
    ),
    "what is not finite is below everyone": (
        [("a", [0.5, NAN], "r"), ("a", [NAN, NAN], "r"), ("a", [0.6, 0.6], "r"), ("a", [0.7, 0.7], "r")],
        {0, 1},
        {0, 1},
    ),
}


@pytest.fixture
def config(config_of: Callable[..., StudyConfig]) -> StudyConfig:
    """Six epochs, decisions from the second on, nobody reprieved."""
    return config_of(epochs=6, schedules=FAMILIES, n_warmup_steps=2, reprieve=0.0)


def study_of(rows: Sequence[Row], direction: Direction = "maximize") -> optuna.Study:
    study = optuna.create_study(direction=direction)
    for family, shown, end in rows:
        signal = [v if direction == "maximize" else -v for v in shown]
        study.add_trial(
            optuna.create_trial(
                state=STATES[end],
                value=signal[-1] if end == "c" else None,
                params={"schedule": family},
                distributions={"schedule": CategoricalDistribution(FAMILIES)},
                intermediate_values=dict(enumerate(signal)),
            )
        )
    return study


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize(("rows", "by_family", "by_all"), DECISIONS.values(), ids=DECISIONS)
def test_decisions(
    config: StudyConfig, rows: list[Row], by_family: set[int], by_all: set[int], direction: Direction
) -> None:
    """Every history has its expected decisions, whichever direction is better and whoever came first."""
    for turned in (False, True):
        numbers = list(range(len(rows)))[::-1] if turned else list(range(len(rows)))
        study = study_of([rows[n] for n in numbers], direction)
        running = study.get_trials(states=(TrialState.RUNNING,))
        for pruner, expected in (("family-median", by_family), ("median", by_all)):
            judge = make_pruner(replace(config, pruner=pruner))
            assert {numbers[t.number] for t in running if judge.prune(study, t)} == expected


#: Families in which everybody starts slowly: rows, and the trials stopped when 0, 1, 2 of a family are kept.
SLOW: list[Row] = [
    *(("a", [s, s], "r") for s in (0.1, 0.2, 0.3)),
    *(("b", [s, s], "r") for s in (0.6, 0.7, 0.8, 0.9)),
]
KEPT: dict[str, tuple[list[Row], tuple[set[int], set[int], set[int]]]] = {
    "a slow family keeps its best": (SLOW, ({0, 1, 2}, {0, 1}, {0})),
    "ties are all best": ([("a", [0.2, 0.2], "r")] * 2 + SLOW[3:], ({0, 1, 2}, {2}, {2})),
    "alone in the family": ([SLOW[0], *SLOW[3:]], ({0, 1}, {1}, {1})),
    "stopped and dead ones are not ahead": (
        [("a", [0.9, 0.9], "f"), ("a", [0.9], "p"), ("a", [NAN, NAN], "r"), SLOW[0], *SLOW[3:]],
        ({2, 3}, {2}, set()),
    ),
}


@pytest.mark.parametrize(("rows", "by_keep"), KEPT.values(), ids=KEPT)
def test_the_best_of_each_family_are_kept(
    config: StudyConfig, rows: list[Row], by_keep: tuple[set[int], ...]
) -> None:
    """Compared with all, but never stopped while fewer than ``keep`` of its own family stand higher."""
    study = study_of(rows)
    running = study.get_trials(states=(TrialState.RUNNING,))
    for keep, expected in enumerate(by_keep):
        judge = make_pruner(replace(config, pruner="median", keep_best=keep))
        assert {t.number for t in running if judge.prune(study, t)} == expected


def test_lanes_may_be_decided_in_any_order(config: StudyConfig) -> None:
    """Trials that report together get the same decisions in all 24 orders, though some are told at once."""
    signals = (0.1, 0.2, 0.8, 0.9)
    for order in itertools.permutations(range(4)):
        study = optuna.create_study(direction="maximize", pruner=make_pruner(config))
        trials = [study.ask({"schedule": CategoricalDistribution(("a",))}) for _ in signals]
        stopped = set()
        for epoch in range(2):
            for lane in order:
                trials[lane].report(signals[lane], epoch)
        for lane in order:
            if decide(study, trials[lane]) == "prune":
                study.tell(trials[lane], state=TrialState.PRUNED)
                stopped.add(lane)
        assert stopped == {0, 1}


def test_lockstep_does_not_halve_the_survivors_again(config: StudyConfig) -> None:
    """With ranks that never change, half the lanes are stopped once and the rest are left alone."""
    study = optuna.create_study(direction="maximize", pruner=make_pruner(replace(config, n_warmup_steps=1)))
    lanes = {study.ask({"schedule": CategoricalDistribution(("a",))}): v for v in range(8)}
    for epoch in range(6):
        for trial, value in lanes.items():
            trial.report(value, epoch)
        for trial in [t for t in lanes if decide(study, t) == "prune"]:
            study.tell(trial, state=TrialState.PRUNED)
            del lanes[trial]
        assert set(lanes.values()) == {4, 5, 6, 7}


def test_decisions_come_every_few_epochs() -> None:
    rule = MedianRule(n_warmup_steps=3, interval_steps=2, n_startup_trials=1, epochs=10)
    assert [epoch + 1 for epoch in range(10) if rule.due(epoch)] == [3, 5, 7, 9]
    assert [epoch + 1 for epoch in range(5) if MedianRule(n_warmup_steps=0, epochs=5).due(epoch)] == [
        1,
        2,
        3,
        4,
    ]


def run_hopeless(config: StudyConfig) -> tuple[list[Decision], optuna.Trial, optuna.Study]:
    """Train one trial below three good ones and return what was decided at each epoch."""
    good: Row = ("a", [0.9] * 6, "c")
    study = study_of([good, good, good])
    study.pruner = make_pruner(config)
    study.enqueue_trial({"schedule": "a"})
    trial = study.ask({"schedule": CategoricalDistribution(FAMILIES)})
    told = []
    for epoch in range(6):
        trial.report(0.1, epoch)
        told.append(decide(study, trial))
        if told[-1] == "prune":
            break
    return told, trial, study


def test_a_reprieve_is_told_once(config: StudyConfig) -> None:
    """A reprieved trial is told so at the first decision and is then kept to its end."""
    told, trial, study = run_hopeless(replace(config, reprieve=1.0))
    assert told == ["keep", "reprieve", "keep", "keep", "keep", "keep"]
    assert isinstance(study.pruner, MedianPruner)
    assert study.pruner.reprieved == {trial.number: 1}
    assert run_hopeless(config)[0] == ["keep", "prune"]


def test_reprieve_depends_on_seed_and_number_alone() -> None:
    """The share is kept to, seeds differ, and asking again gives the same answer."""
    chosen = [is_reprieved(0, n, 0.1) for n in range(10_000)]
    assert 0.09 < sum(chosen) / 10_000 < 0.11
    assert chosen == [is_reprieved(0, n, 0.1) for n in range(10_000)]
    assert chosen != [is_reprieved(1, n, 0.1) for n in range(10_000)]
    assert not any(is_reprieved(0, n, 0.0) for n in range(100))
    assert all(is_reprieved(0, n, 1.0) for n in range(100))


def test_works_in_plain_optimize() -> None:
    """Others can use the pruner as any of Optuna's."""

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_categorical("kind", ("x",))
        for epoch in range(4):
            trial.report(trial.number % 5, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return trial.number % 5

    study = optuna.create_study(
        direction="maximize",
        pruner=MedianPruner(MedianRule(n_warmup_steps=1, n_startup_trials=2), family="kind", within=True),
    )
    study.optimize(objective, n_trials=20)
    pruned = study.get_trials(states=(TrialState.PRUNED,))
    assert pruned
    assert {t.number % 5 for t in pruned} <= {0, 1, 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pruner": "mean"}, "pruner must be one of family-median, median, predict, none, got 'mean'"),
        ({"n_warmup_steps": -1}, "n_warmup_steps must be at least 0, got -1"),
        ({"interval_steps": 0}, "interval_steps must be at least 1, got 0"),
        ({"n_startup_trials": 0}, "n_startup_trials must be at least 1, got 0"),
        ({"keep_best": -1}, "keep_best must be at least 0, got -1"),
        ({"reprieve": 1.5}, r"reprieve must be in \[0, 1\], got 1.5"),
    ],
)
def test_bad_settings_are_refused(config: StudyConfig, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_pruner(replace(config, **change))


def test_none_never_prunes(config: StudyConfig) -> None:
    rows, *_ = DECISIONS["running lane-mates are compared with"]
    study = study_of(rows)
    pruner = make_pruner(replace(config, pruner="none"))
    assert not any(pruner.prune(study, t) for t in study.trials)


#: Sixteen finished trials of two families, each at a rate of its own: the higher the rate, the better the end.
RATES = [0.02 * 1.2**n for n in range(16)]


def run_forecast(
    config: StudyConfig, rate: float, shown: Sequence[float]
) -> tuple[list[Decision], StudyRecord]:
    """Train one trial of a family after sixteen others; return what was decided at each epoch, and the record."""
    study = optuna.create_study(direction="maximize", pruner=make_pruner(config))
    study.set_user_attr("settings", config.to_json())
    for number, each in enumerate([*RATES, rate]):
        family, last = FAMILIES[number % 2], number == len(RATES)
        signal = list(shown) if last else [0.3 + 0.1 * e + 0.5 * each + 0.01 * (number % 3) for e in range(6)]
        study.enqueue_trial({"schedule": family})
        trial = study.ask({"schedule": CategoricalDistribution(FAMILIES)})
        offset = 100 if last else number
        spec = spec_of(trial.number, family=family, base_rate=each, epochs=6, offset=offset)
        trial.set_user_attr("asked", spec.to_json())
        told: list[Decision] = []
        epochs = epochs_of(signal)
        for epoch, value in enumerate(signal):
            trial.report(value, epoch)
            if last:
                told.append(decide(study, trial, epochs[: epoch + 1]))
                if told[-1] == "prune":
                    break
        trial.set_user_attr("epochs", [e.to_json() for e in epochs[: len(told) or 6]])
        if last and told[-1] == "prune":
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, signal[-1])
    return told, record(study)


@pytest.fixture
def forecasting(config: StudyConfig) -> StudyConfig:
    return replace(config, pruner="predict", n_warmup_steps=3, n_startup_trials=8, keep_best=1)


def test_a_forecast_stops_whom_its_schedule_leads_nowhere(forecasting: StudyConfig) -> None:
    """A low rate ends low: stopped at the first decision, and the record tells why."""
    told, known = run_forecast(forecasting, 0.02, [0.31, 0.41, 0.51, 0.61, 0.71, 0.81])
    assert told == ["keep", "keep", "prune"]
    why = judgement(known, known.trials[-1])
    assert why is not None
    assert why.epoch == 2
    assert why.bar == pytest.approx(
        max(t.value or 0 for t in known.finished if t.family == known.trials[-1].family)
    )
    assert why.forecast < why.hopeful < why.bar
    assert why.forecast == pytest.approx(0.81, abs=0.05)
    assert judgement(known, known.trials[0]) is None


def test_a_forecast_above_the_bar_goes_on(forecasting: StudyConfig) -> None:
    """The same rate, but already above what its family showed; and a rate beyond all others."""
    assert "prune" not in run_forecast(forecasting, 0.02, [0.7, 0.8, 0.9, 0.9, 0.9, 0.9])[0]
    assert "prune" not in run_forecast(forecasting, 0.4, [0.5, 0.6, 0.7, 0.8, 0.9, 0.95])[0]


def test_too_few_finished_trials_leave_it_to_the_median(forecasting: StudyConfig) -> None:
    """The same low trial, judged before forecasts are possible: the median of the others stops it, and no forecast is told."""
    told, known = run_forecast(replace(forecasting, n_startup_trials=17, keep_best=0), 0.02, [0.2] * 6)
    assert told == ["keep", "keep", "prune"]
    assert judgement(known, known.trials[-1]) is None

"""What pruning cost: the estimate covers the truth, and the replay stops whom the real pruner would stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.trial import TrialState

import lrsched
from study.core.errors import InputError
from study.core.metric import ACCURACY
from study.core.records import EpochMetrics, Outcome, StudyConfig, StudyRecord, TrialRecord, TrialSpec
from study.core.rules.forecast import trial_traits
from study.core.rules.median_rule import MedianRule
from study.core.rules.predict_rule import PredictRule
from study.page.plots.audit_scatter import audit_figure
from study.stats.pruning.clock import epochs_forecast, epochs_trained
from study.stats.pruning_cost import ALL, Cost, cost_of_pruning, estimate
from study.stats.replay import (
    Curves,
    Replay,
    Setting,
    curves,
    in_other_orders,
    judge,
    leaders,
    measure,
    recommend,
)
from study.tuning.median_pruner import MedianPruner, is_reprieved
from study.tuning.predict_pruner import PredictPruner
from study.tuning.pruner import decide
from tests.making import epochs_of, spec_of

RULE = MedianRule(n_warmup_steps=2, interval_steps=1, n_startup_trials=2, epochs=4)
SETTING = Setting("family-median", "val", RULE)


@pytest.fixture
def config(config_of: Callable[..., StudyConfig]) -> StudyConfig:
    """Two families, four epochs."""
    return config_of(epochs=4, schedules=("a", "b"))


def trial(
    number: int,
    family: str,
    shown: Sequence[float],
    outcome: Outcome = "finished",
    *,
    reprieved_at: int | None = None,
    offset: int = 0,
    averaged: float | None = None,
) -> TrialRecord:
    loss = [float("nan") if outcome == "diverged" and e == len(shown) - 1 else 1.0 for e in range(len(shown))]
    return TrialRecord(
        spec=TrialSpec(number, family, lrsched.Constant(), 0.1, {}, 4, 0, offset, 2),
        epochs=tuple(
            EpochMetrics(e, 0.1, loss[e], 0.5, loss[e], v, averaged, 0.1) for e, v in enumerate(shown)
        ),
        outcome=outcome,
        value=shown[-1] if outcome == "finished" else None,
        reported=dict(enumerate(shown)),
        reprieved_at=reprieved_at,
        started=None,
        ended=None,
    )


def test_cost_of_pruning_by_hand(config: StudyConfig) -> None:
    """One family with every kind of trial, counted by hand; one that was never pruned."""
    study = StudyRecord(
        config,
        (
            trial(0, "a", [0.1, 0.2, 0.3, 0.80]),
            trial(1, "a", [0.1, 0.1], "pruned"),
            trial(2, "a", [0.1, 0.1, 0.1], "pruned"),
            trial(3, "a", [0.1, 0.1, 0.4, 0.85], reprieved_at=1),
            trial(4, "a", [0.1, 0.1, 0.4, 0.70], reprieved_at=2),
            trial(5, "a", [0.1, 0.1], "diverged"),
            trial(6, "a", [0.1, 0.1, 0.2], "diverged", reprieved_at=1),
            trial(7, "a", [0.9], "running"),
            trial(8, "a", [0.9, 0.9], "interrupted"),
            trial(9, "b", [0.1, 0.2, 0.3, 0.90]),
        ),
    )
    a, b, both = cost_of_pruning(study)
    assert a == Cost(
        family="a",
        trials=7,
        stopped=5,
        reprieved=3,
        beat_family=estimate(1, 3, 5),
        beat_study=estimate(0, 3, 5),
        saved=2 + 1,
        spent=2 + 1 + 1,
        budget=28,
    )
    assert (b.stopped, b.beat_family.value, b.beat_family.low, b.beat_family.high) == (0, None, 0.0, 1.0)
    assert (both.family, both.trials, both.stopped, both.beat_family) == (ALL, 8, 5, estimate(1, 3, 5))


def test_what_is_said_in_words() -> None:
    assert str(estimate(1, 2, 4)) == "50 % (25 to 75 %)"
    assert str(estimate(0, 0, 4)) == "unknown"
    cost = Cost("a", 9, 4, 2, estimate(1, 2, 4), estimate(0, 2, 4), 10, 5, 36)
    assert cost.sentence == (
        "Of 4 trials to be stopped in a, 2 were reprieved by chance and trained on: "
        "an estimated 0 % (0 to 50 %) of all stopped would have ended above the study's best."
    )
    assert "the cost is unknown" in replace(cost, reprieved=0).sentence
    assert replace(cost, stopped=0).sentence == "Nothing was stopped in a."


@pytest.mark.parametrize(
    ("hits", "observed", "total", "value", "low", "high"),
    [
        (0, 0, 5, None, 0.0, 1.0),
        (2, 5, 5, 0.4, 0.4, 0.4),
        (0, 5, 5, 0.0, 0.0, 0.0),
        (1, 1, 2, 1.0, 0.5, 1.0),
        # Of 20, 4 unseen hits hide from 9 looks with a chance of .0681, 5 with .0298, 6 with .0119.
        (0, 9, 20, 0.0, 0.0, 0.25),
    ],
)
def test_estimate(hits: int, observed: int, total: int, value: float | None, low: float, high: float) -> None:
    """All observed: no doubt is left. Fewer: everything that could still be true."""
    share = estimate(hits, observed, total)
    assert (share.value, share.low, share.high) == (value, low, high)


def simulated(seed: int, config: StudyConfig) -> tuple[StudyRecord, float]:
    """Return a study of two families in which half the trials were stopped, and how many wrongly.

    Curves cross, so that a trial that was behind may end above all that were kept. The share of the
    stopped ones that would have is the truth, known here because all ends are drawn beforehand.
    """
    rng = np.random.default_rng(seed)
    behind = rng.permutation(60) < 30
    end = rng.normal(size=60) - behind * 0.3
    trials = []
    for n in range(60):
        if behind[n] and not is_reprieved(seed, n, 0.2):
            trials.append(trial(n, "ab"[n % 2], [0.0], "pruned"))
        else:
            trials.append(trial(n, "ab"[n % 2], [end[n]], reprieved_at=0 if behind[n] else None))
    bars = [max(end[m] for m in range(60) if not behind[m] and m % 2 == family) for family in (0, 1)]
    wrongly = [end[n] > bars[n % 2] for n in range(60) if behind[n]]
    return StudyRecord(config, tuple(trials)), float(np.mean(wrongly))


def test_the_estimate_is_unbiased_and_its_interval_covers_the_truth(config: StudyConfig) -> None:
    """Over 1,000 simulated studies the estimate is right on average, and 95 % intervals hold the truth.

    The bar is 93 %. The intervals must also say something: half of them are shorter than a half.
    """
    covered, errors, widths = 0, [], []
    for seed in range(1000):
        study, truth = simulated(seed, config)
        share = cost_of_pruning(study)[-1].beat_family
        covered += share.low <= truth <= share.high
        widths.append(share.high - share.low)
        if share.value is not None:
            errors.append(share.value - truth)
    assert covered >= 930
    assert np.median(widths) < 0.5
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(len(errors))


def late_bloomers(trials: int, epochs: int, seed: int) -> NDArray[np.float64]:
    """Return curves [trials, epochs] of which some start low and end high."""
    rng = np.random.default_rng(seed)
    end, start = rng.uniform(0.5, 0.9, trials), rng.uniform(0.1, 0.5, trials)
    time = np.linspace(0, 1, epochs) ** rng.uniform(0.3, 4, (trials, 1))
    return start[:, None] + (end - start)[:, None] * time + rng.normal(scale=0.02, size=(trials, epochs))


@pytest.mark.parametrize("keep", [0, 2])
@pytest.mark.parametrize("within", [True, False])
@pytest.mark.parametrize("lanes", [1, 5])
def test_replay_stops_whom_the_real_pruner_stops(*, within: bool, lanes: int, keep: int) -> None:
    """A study pruned for real, lanes refilled as they end, and its replay stop the same trials when.

    The replay is told the offsets at which the trials of the pruned study began.
    """
    signal = late_bloomers(40, 10, seed=lanes)
    signal[7, 3:] = -np.inf
    rule = MedianRule(n_warmup_steps=2, interval_steps=2, n_startup_trials=3, epochs=10, keep_best=keep)
    offsets, trained = search(signal, MedianPruner(rule, family="kind", within=within), lanes)
    assert epochs_trained(signal, offsets, KINDS, rule, within=within).tolist() == trained.tolist()
    assert 5 < (trained < 10).sum() < 35


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("lanes", [1, 5])
def test_replay_stops_whom_the_real_forecast_stops(*, lanes: int, keep: int) -> None:
    """The same for the rule that knows the schedule, one family's schedule following its training loss."""
    signal = 0.15 + 0.5 * late_bloomers(40, 10, seed=lanes)
    signal[7, 3:] = -np.inf  # diverges
    signal[11] = 0.1  # learns nothing
    rule = PredictRule(n_warmup_steps=3, n_startup_trials=6, epochs=10, keep_best=keep)
    offsets, trained = search(signal, PredictPruner(rule, ACCURACY, family="kind"), lanes)
    traits = np.stack([trial_traits(asked(n), LOSSES, row, bounded=True) for n, row in enumerate(signal)])
    final = signal[:, -1]
    again = epochs_forecast(signal, traits, final, offsets, KINDS, rule, failed=ACCURACY.failed, bounded=True)
    assert again.tolist() == trained.tolist()
    assert 5 < (trained < 10).sum() < 35


#: Families of the trials that are searched for real, and the training loss of each epoch of each.
KINDS = [("x", "y", "z")[n % 3] for n in range(40)]
LOSSES = (1.0, 0.8, 0.7, 0.7, 0.7, 0.7, 0.5, 0.5, 0.5, 0.4)


def asked(number: int) -> TrialSpec:
    """What a trial is to train: a cosine, a constant, or a plateau, from rates of its own."""
    schedule = (lrsched.Cosine(T_max=10), lrsched.Constant(), lrsched.Plateau(patience=1, factor=0.5))[
        number % 3
    ]
    return spec_of(number, family=KINDS[number], schedule=schedule, base_rate=0.1 * 1.05**number, epochs=10)


def search(
    signal: NDArray[np.float64], pruner: MedianPruner, lanes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Search for real, lanes refilled as they end; return where each trial began and the epochs that it trained."""
    count = len(signal)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    offsets, trained = np.zeros(count, dtype=np.int64), np.full(count, 10)
    running: list[tuple[optuna.Trial, int]] = []
    started, clock = 0, 0
    while running or started < count:
        while len(running) < lanes and started < count:
            study.enqueue_trial({"kind": KINDS[started]})
            new = study.ask()
            new.suggest_categorical("kind", ("x", "y", "z"))
            new.set_user_attr("asked", asked(started).to_json())
            offsets[started] = clock
            running.append((new, 0))
            started += 1
        for each, epoch in running:
            each.report(signal[each.number, epoch], epoch)
        still = []
        for each, epoch in sorted(
            running, key=lambda job: -job[1]
        ):  # as the search: who finishes comes first
            gave = epochs_of(signal[each.number, : epoch + 1])
            gave = [replace(e, train_loss=loss) for e, loss in zip(gave, LOSSES, strict=False)]
            if epoch == 9 and np.isfinite(signal[each.number, epoch]):
                each.set_user_attr("epochs", [e.to_json() for e in gave])
                study.tell(each, signal[each.number, -1])
            elif decide(study, each, gave) == "prune" or not np.isfinite(signal[each.number, epoch]):
                trained[each.number] = epoch + 1
                still.append((each, -1))
            else:
                still.append((each, epoch + 1))
        for each, epoch in still:
            if epoch < 0:
                study.tell(each, state=TrialState.PRUNED)
        running, clock = (
            sorted(((e, n) for e, n in still if n >= 0), key=lambda job: job[0].number),
            clock + 1,
        )
    return offsets, trained


def data(signal: NDArray[np.float64], families: Sequence[str]) -> Curves:
    return Curves(tuple(families), np.zeros(len(signal), dtype=np.int64), {"val": signal}, signal[:, -1])


def test_measure_by_hand() -> None:
    """Six trials of four epochs: the winner is stopped, one family's best is kept, the other's is not."""
    final = np.array([0.9, 0.8, 0.7, 0.6, 0.5, -np.inf])
    signal = np.repeat(final[:, None], 4, axis=1)
    signal[5, 0] = 0.1  # diverged in its second epoch
    got = measure(SETTING, data(signal, "aaabbb"), np.array([2, 4, 3, 4, 1, 2]))
    rounded = {family: round(points, 9) for family, points in got.losses.items()}
    assert replace(got, regret=round(got.regret, 9), losses=rounded) == Replay(
        setting=SETTING,
        stopped=3,
        saved=1 - 16 / 22,
        winner_kept=False,
        families_kept=1,
        families=2,
        regret=10.0,
        losses={"a": 10.0, "b": 0.0},
        false_prunes={"a": 0.5, "b": 0.0},
    )


#: A setting that did no harm.
BASE = Replay(
    SETTING, 5, 0.3, winner_kept=True, families_kept=3, families=4, regret=0.0, losses={}, false_prunes={}
)


def test_a_family_of_which_nothing_is_kept_loses_down_to_guessing() -> None:
    signal = np.repeat([[0.9], [0.6], [0.05]], 4, axis=1)
    got = measure(SETTING, data(signal, "abc"), np.array([4, 1, 1]))
    assert got.losses == pytest.approx({"a": 0.0, "b": 50.0, "c": 0.0})
    assert got.worst_loss == pytest.approx(50.0)


def test_a_pruner_that_never_stops_costs_nothing() -> None:
    signal = late_bloomers(12, 6, seed=0)
    never = replace(SETTING, rule=MedianRule(n_warmup_steps=6, epochs=6))
    got = judge(never, data(signal, "ab" * 6))
    assert (got.stopped, got.saved, got.winner_kept, got.families_kept, got.regret) == (0, 0.0, True, 2, 0.0)
    assert got.false_prunes == {"a": None, "b": None}


def test_other_orders_move_trials_within_their_family_only() -> None:
    """A winner that bloomed late survives where it comes first, in about half the orders of two."""
    early = replace(SETTING, rule=MedianRule(n_warmup_steps=1, n_startup_trials=1, epochs=4))
    signal = np.array([[0.1, 0.9, 0.9, 0.9], [0.5, 0.5, 0.5, 0.5], [0.3] * 4])
    late = Curves(("a", "a", "b"), np.array([0, 4, 2]), {"val": signal}, signal[:, -1])
    assert judge(early, late).winner_kept
    kept = sum(r.winner_kept for r in in_other_orders(early, late, 100))
    assert 35 < kept < 65


def test_recommend_takes_the_most_saving_that_does_no_harm() -> None:
    """Neither the winner nor a family may be lost, as the trials ran or in any other order."""
    greedy = replace(BASE, saved=0.6, winner_kept=False, regret=0.4)
    unfair = replace(BASE, saved=0.5, losses={"a": 0.0, "b": 1.5})
    lucky = replace(BASE, saved=0.4)
    careful = replace(BASE, saved=0.1)
    kinder = replace(BASE, families_kept=4)
    idle = replace(BASE, saved=0.0, stopped=0)

    def others(replay: Replay) -> list[Replay]:
        return [replay, unfair] if replay is lucky else [replay]

    assert recommend([greedy, careful, unfair, lucky, BASE], others) is BASE
    assert recommend([BASE, kinder], others) is kinder
    assert recommend([greedy, idle, unfair, lucky], others) is None


def test_leaders_are_the_best_different_ones_of_each_kind() -> None:
    same = replace(BASE, setting=replace(SETTING, rule=replace(RULE, n_startup_trials=1)))
    less, least = replace(BASE, saved=0.2), replace(BASE, saved=0.1)
    other = replace(least, setting=replace(SETTING, pruner="median"))
    keeping = replace(other, setting=replace(other.setting, rule=replace(RULE, keep_best=1)), saved=0.05)
    assert leaders([least, same, other, less, BASE, keeping], 2) == [BASE, less, other, keeping]
    assert leaders([least, less, BASE], 1, also=least) == [BASE, least]
    assert leaders([least, less, BASE], 1, also=BASE) == [BASE]


def test_the_figure_shows_every_setting_and_the_shares_of_some() -> None:
    """A filled point where the winner is kept, an open one where not; None is an empty cell."""
    kept = replace(BASE, false_prunes={"a": 0.5, "b": None})
    lost = replace(kept, setting=replace(SETTING, pruner="median"), winner_kept=False, losses={"a": 0.4})
    figure = audit_figure([kept, lost], [kept], kept)
    family, everyone, ring, cells = figure.data
    assert (list(family.x), list(family.y), list(family.marker.symbol)) == ([0.3], [0.0], ["circle"])
    assert (list(everyone.y), list(everyone.marker.symbol)) == ([0.4], ["circle-open"])
    assert (list(ring.x), ring.name) == ([0.3], "recommended")
    assert [list(row) for row in cells.z] == [[0.5, None]]
    assert [list(row) for row in cells.text] == [["50%", ""]]
    assert len(audit_figure([lost], [], None).data) == 1


def test_curves_are_read_from_the_records(config: StudyConfig) -> None:
    """Diverged epochs are minus infinity, running and interrupted trials are left out."""
    study = StudyRecord(
        config,
        (
            trial(0, "a", [0.1, 0.2, 0.3, 0.4], offset=3, averaged=0.5),
            trial(1, "b", [0.1, 0.2], "diverged", offset=5, averaged=0.5),
            trial(2, "b", [0.1], "running"),
            trial(3, "b", [0.1], "interrupted"),
        ),
    )
    got = curves(study)
    assert got.families == ("a", "b")
    assert got.offsets.tolist() == [3, 5]
    assert got.final.tolist() == [0.4, -np.inf]
    assert got.signals["val"].tolist() == [[0.1, 0.2, 0.3, 0.4], [0.1, -np.inf, -np.inf, -np.inf]]
    assert got.signals["averaged"][0].tolist() == [0.5] * 4
    without = StudyRecord(config, (trial(0, "a", [0.1] * 4),))
    assert curves(without).signals.keys() == {"val"}


def test_a_pruned_or_unfinished_study_cannot_be_replayed(config: StudyConfig) -> None:
    with pytest.raises(InputError, match="was pruned, so its stopped curves have no end"):
        curves(StudyRecord(config, (trial(0, "a", [0.1] * 4), trial(1, "a", [0.1], "pruned"))))
    with pytest.raises(InputError, match="has no finished trial to replay"):
        curves(StudyRecord(config, (trial(0, "a", [0.1], "running"),)))

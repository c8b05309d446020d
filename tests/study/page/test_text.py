"""Laws of the answer at the top: four figures that follow from the records, a headline of ten words at most."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from study.core.metric import Metric
from study.core.records import StudyRecord
from study.page.text import notices, tiles
from study.page.verdict_text import open_verdict
from study.stats.leaderboard import leaderboard
from study.stats.verdict import Plan, verdict
from study.stats.verdict_words import sentences
from study.terminal.cells import MISSING

Maker = Callable[..., StudyRecord]
NAMES = ("warmup_stable_decay #3", "constant #12", "cosine #7")


def table(leads: tuple[float, float, float], seeds: int = 12) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.001, (seeds, 3))
    return 0.9 + np.array(leads) / 100 + noise


@pytest.mark.parametrize("leads", [(2.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.1, 0.0, 0.05)])
def test_every_headline_has_ten_words_at_most(made_up: Maker, leads: tuple[float, float, float]) -> None:
    judged = verdict(table(leads), NAMES, Plan((12,)))
    assert len(sentences(judged)[0].split()) <= 10
    assert len(open_verdict(made_up(12)).headline.split()) <= 10


def test_a_confirmed_study_is_answered_by_its_verdict(made_up: Maker) -> None:
    record = made_up(100)
    judged = verdict(table((2.0, 0.0, 1.0)), NAMES, Plan((12,)))
    best, following, constant, cost = tiles(record, leaderboard(record), judged)
    leader = judged.finalists[0]
    assert leader.typical is not None
    assert best.label == "test accuracy"
    assert best.value == f"{leader.typical:.4f}"
    assert best.detail.startswith("warmup_stable_decay #3")
    differences = {d.name: d.lead for d in judged.differences}
    assert following.value == f"+{100 * (differences['cosine #7'] or 0):.2f} points"
    assert following.detail.startswith("cosine #7; ")
    assert constant.value == f"+{100 * (differences['constant #12'] or 0):.2f} points"
    assert cost.value == "1 h 43 min"  # trials of 4 minutes, a minute apart
    assert "36 runs of 30 epochs" in cost.detail


def test_a_leader_that_is_a_constant_rate_is_not_ahead_of_itself(made_up: Maker) -> None:
    record = made_up(24)
    judged = verdict(table((0.0, 2.0, 1.0)), NAMES, Plan((12,)))
    _, _, constant, _ = tiles(record, leaderboard(record), judged)
    assert (constant.value, constant.detail) == (MISSING, "it is a constant rate itself")


def test_a_study_that_was_not_confirmed_says_what_its_scores_are(made_up: Maker) -> None:
    record = made_up(100)
    rows = leaderboard(record)
    best, following, constant, _ = tiles(record, rows, None)
    assert best.label == "best accuracy in the search"
    assert best.value == f"{rows[0].score:.4f}"
    assert "so too good" in best.detail
    assert following.value == f"+{100 * ((rows[0].score or 0) - (rows[1].score or 0)):.2f} points"
    assert "no interval" in following.detail
    by_family = {row.family: row.score or 0 for row in rows}
    if rows[0].family != "constant":
        assert constant.value == f"+{100 * ((rows[0].score or 0) - by_family['constant']):.2f} points"


def test_a_metric_that_is_minimised_is_ahead_where_it_is_smaller(made_up: Maker) -> None:
    loss = Metric("loss", "minimize", chance=2.3, low=0.0)
    whole = made_up(100)
    trials = tuple(
        dataclasses.replace(t, metric=loss, value=None if t.value is None else 1.2 - t.value)
        for t in whole.trials
    )
    record = dataclasses.replace(whole, trials=trials, config=dataclasses.replace(whole.config, metric=loss))
    best, following, *_ = tiles(record, leaderboard(record), None)
    assert best.label == "best loss in the search"
    assert best.value == f"{min(t.value for t in trials if t.value is not None):.5g}"
    assert following.value.startswith("+0.")


def test_an_empty_study_has_four_tiles_that_say_so(made_up: Maker) -> None:
    record = made_up(0)
    assert [tile.value for tile in tiles(record, leaderboard(record), None)] == [MISSING] * 4


def test_a_quick_look_is_said_of_what_was_one(made_up: Maker) -> None:
    whole = made_up(24)
    record = dataclasses.replace(whole, config=dataclasses.replace(whole.config, train_images=6_000))
    (alone,) = notices(record)
    assert alone.startswith("The search was a quick look: it trained on 6,000 of 50,000 images.")
    (beside,) = notices(record, 60_000)
    assert beside.endswith("The confirmation trained on 60,000.")
    assert notices(whole, 60_000) == ()

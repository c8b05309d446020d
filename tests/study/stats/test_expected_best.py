"""The expected best of n trials: exact against every subset, and its band."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.core.errors import InputError
from study.core.metric import Metric
from study.stats.expected_best import best_weights, expected_best

scores = st.lists(st.floats(0, 1), min_size=1, max_size=7)


@given(scores)
def test_is_the_mean_best_over_all_subsets(x: list[float]) -> None:
    by_hand = [np.mean([max(c) for c in combinations(x, n)]) for n in range(1, len(x) + 1)]
    assert expected_best(x).expected == pytest.approx(by_hand, abs=1e-12)


@given(scores)
def test_starts_at_the_mean_never_falls_and_ends_at_the_best(x: list[float]) -> None:
    curve = expected_best(x)
    assert curve.expected[0] == pytest.approx(np.mean(x), abs=1e-12)
    assert curve.expected[-1] == pytest.approx(max(x), abs=1e-12)
    assert (np.diff(curve.expected) >= -1e-12).all()
    assert (curve.low <= curve.high + 1e-12).all()


def test_the_band_holds_the_curve_and_ends_at_the_best_seen() -> None:
    x = np.random.default_rng(0).normal(0.85, 0.03, 100)
    curve = expected_best(x)
    assert curve.trials.tolist() == list(range(1, 101))
    assert (curve.low <= curve.expected).all()
    assert (curve.expected[:50] <= curve.high[:50]).all()
    assert curve.high[-1] == pytest.approx(x.max())


def test_the_band_covers_what_other_searches_give() -> None:
    """At 5 of 60 trials the true expected best lies in the band in about 95 % of searches."""
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(200_000, 5)).max(1).mean()
    bands = [expected_best(rng.normal(size=60)) for _ in range(120)]
    held = np.mean([b.low[4] <= truth <= b.high[4] for b in bands])
    assert 0.88 <= held <= 1


def test_a_wider_level_gives_a_wider_band() -> None:
    x = np.random.default_rng(2).random(30)
    narrow, wide = expected_best(x, level=0.5), expected_best(x, level=0.99)
    assert (wide.high - wide.low >= narrow.high - narrow.low).all()


def test_a_trial_without_a_score_uses_up_a_trial() -> None:
    curve = expected_best([0.9, None, 0.8, math.nan])
    assert curve.expected == pytest.approx(expected_best([0.9, 0.8, 0.8, 0.8]).expected)


def test_a_thousand_trials_give_a_thinned_curve() -> None:
    curve = expected_best(np.random.default_rng(3).random(1000))
    assert (len(curve.trials), curve.trials[0], curve.trials[-1]) == (200, 1, 1000)
    assert np.isfinite(curve.expected).all()


def test_weights_are_chances() -> None:
    weights = best_weights(1000, np.arange(1, 1001))
    assert weights.sum(1) == pytest.approx(np.ones(1000), abs=1e-9)
    assert (weights >= 0).all()


@pytest.mark.parametrize("x", [[], [None], [math.nan, None]])
def test_no_score_at_all_is_refused(x: list[float | None]) -> None:
    with pytest.raises(InputError, match=f"none of {len(x)} trials has a score"):
        expected_best(x)


def test_a_level_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"level must be in \(0, 1\), got 95"):
        expected_best([0.5], level=95)


def test_the_expected_best_of_losses_is_that_of_gains_turned_round() -> None:
    losses = np.random.default_rng(3).uniform(0.2, 2.0, 30)
    turned, straight = (
        expected_best(losses, metric=Metric("loss", "minimize", chance=2.3)),
        expected_best(-losses),
    )
    assert turned.expected == pytest.approx(-straight.expected)
    assert (turned.low <= turned.expected + 1e-12).all()
    assert (turned.expected <= turned.high + 1e-12).all()
    assert turned.expected[-1] == pytest.approx(losses.min())

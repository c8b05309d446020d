"""One look at a table: exact where scipy or statsmodels say the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from study.stats.comparison import (
    FAILS_TOO_OFTEN,
    OWN_VARIANCE_FROM,
    bad_runs,
    compare,
    fails_more,
    holm,
    hopeless,
    one_look,
)

Floats = NDArray[np.float64]
Make = Callable[..., Floats]


@pytest.mark.parametrize("seeds", [5, OWN_VARIANCE_FROM, 20])
def test_two_finalists_are_a_paired_t_test(normal_table: Make, seeds: int) -> None:
    """With few seeds, where the pooled variance is the pair's own, and with many, where only that counts."""
    table = normal_table(1, seeds, leads=(0.1, 0.0))
    c = compare(table[None], one_look(0.05, 2))
    leader = int(c.leader[0])
    by_hand = stats.ttest_rel(table[:, leader], table[:, 1 - leader])
    interval = by_hand.confidence_interval(0.95)
    assert c.statistic[0, 1 - leader] == pytest.approx(by_hand.statistic, rel=1e-9)
    assert c.p[0, 1 - leader] == pytest.approx(by_hand.pvalue, rel=1e-9)
    assert (c.low[0, 1 - leader], c.high[0, 1 - leader]) == pytest.approx(tuple(interval), rel=1e-9)
    assert c.freedom[0, 1 - leader] == seeds - 1


def test_with_enough_seeds_every_pair_is_a_paired_t_test_of_its_own(normal_table: Make) -> None:
    """Whatever the other finalists do: one of them ten times as noisy changes no other pair."""
    table = normal_table(2, OWN_VARIANCE_FROM, leads=(0.5, 0.0, 0.1, 0.2))
    wild = table.copy()
    wild[:, 3] += np.random.default_rng(0).normal(0, 0.002, OWN_VARIANCE_FROM)
    for y in (table, wild):
        c = compare(y[None], one_look(0.05, 4))
        assert c.leader[0] == 0
        for f in (1, 2):
            by_hand = stats.ttest_rel(table[:, 0], table[:, f])
            assert c.p[0, f] == pytest.approx(by_hand.pvalue, rel=1e-9)


@pytest.mark.parametrize("missing", [0, 6], ids=["whole", "bad runs"])
def test_leads_and_pooled_variance_are_those_of_the_two_way_model(normal_table: Make, missing: int) -> None:
    table = normal_table(2, leads=(0.5, 0.0, 0.1, 0.0, 0.2))
    hit = np.random.default_rng(5).choice(table.size, missing, replace=False)
    table.flat[hit] -= 0.07
    good = np.ones(table.size, dtype=bool)
    good[hit] = False
    rows, columns = np.indices(table.shape).reshape(2, -1)
    frame = pd.DataFrame({"y": table.ravel(), "seed": rows, "finalist": columns})[good]
    model = smf.ols("y ~ C(seed) + C(finalist)", frame).fit()
    result = compare(table[None], one_look(0.05, 5), own_from=11, former=True)
    effects = np.array([0.0, *(model.params[f"C(finalist)[T.{f}]"] for f in range(1, 5))])
    assert result.bad[0].ravel().tolist() == (~good).tolist()
    assert result.leader[0] == 0
    assert result.difference[0] == pytest.approx(effects.max() - effects, abs=1e-12)
    assert result.freedom[0].tolist() == [model.df_resid] * 5
    # Where the pair's own variance is the smaller, the standard error is the model's.
    for f in range(1, 5):
        both = (good.reshape(table.shape)[:, [0, f]]).all(1)
        own = (table[both, 0] - table[both, f]).var(ddof=1)
        expected = model.bse[f"C(finalist)[T.{f}]"] * np.sqrt(max(1, own / (2 * model.mse_resid)))
        assert result.error[0, f] == pytest.approx(expected, rel=1e-9)


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_at_one_look_is_that_of_statsmodels(p: list[float]) -> None:
    rejected, needed = holm(np.array([p]), np.ones((1, len(p)), dtype=bool), one_look(0.05, len(p) + 1))
    corrected = multipletests(p, method="holm")[1]
    clear = np.abs(corrected - 0.05) > 1e-12  # at the threshold itself rounding decides
    assert rejected[0][clear].tolist() == (corrected < 0.05)[clear].tolist()
    assert (rejected == (np.array([p]) < needed)).all()


def test_who_is_not_tested_is_not_counted() -> None:
    p, tested = np.array([[0.001, 0.03, 0.0]]), np.array([[True, True, False]])
    rejected, needed = holm(p, tested, one_look(0.05, 4))
    assert rejected.tolist() == [[True, True, False]]
    assert needed[0, :2].tolist() == [0.025, 0.05]


def test_an_interval_lies_above_zero_exactly_where_it_is_told_apart(simulated: Make) -> None:
    c = compare(simulated((0.3, 0.2, 0.0, 0.0, -0.3), 10, repetitions=300), one_look(0.05, 5))
    others = np.arange(5) != c.leader[:, None]
    assert ((c.low > 0) == c.told)[others].all()
    assert 0.2 < c.told[others].mean() < 0.9


def test_a_run_far_below_its_siblings_is_bad(normal_table: Make) -> None:
    table = normal_table(20)
    table[3, 1] -= 0.05
    table[6, 4] = np.nan
    table[7, 0] = 0.1
    assert np.argwhere(bad_runs(table[None])[0]).tolist() == [[3, 1], [6, 4], [7, 0]]


def test_plain_noise_has_no_bad_runs(simulated: Make) -> None:
    assert bad_runs(simulated((0.0,) * 5, 10)).mean() < 1e-4


TABLES = st.integers(0, 10_000)


def failing_table(seed: int, seeds: int = 20) -> Floats:
    """One table of five finalists, each failing with a chance of its own."""
    rng = np.random.default_rng(seed)
    table = 0.9 + rng.normal(0, 0.002, (seeds, 5)) + rng.choice([0.0, 0.004], 5)
    fails = rng.choice([0.0, 0.05, 0.2, 0.7], 5)
    return np.where(rng.random(table.shape) < fails, 0.1, table)


@settings(max_examples=100)
@given(TABLES, st.sampled_from([5, 10, 20]))
def test_who_fails_too_often_leads_only_where_all_do(seed: int, seeds: int) -> None:
    """And is never excluded without a reason: behind, failing more often, or out."""
    table = failing_table(seed, seeds)
    c = compare(table[None], one_look(0.05, 5))
    fails, leader = c.bad[0].mean(0), int(c.leader[0])
    assert fails[leader] < FAILS_TOO_OFTEN or (fails >= FAILS_TOO_OFTEN).all()
    asked = ~np.isnan(c.fails_p[0])
    steady = fails[leader] < FAILS_TOO_OFTEN
    assert (asked == (steady & (fails >= FAILS_TOO_OFTEN) & ~c.out[0])).all()
    for f in set(range(5)) - {leader}:
        behind, more = bool(c.low[0, f] > 0), bool(asked[f] and 2 * c.fails_p[0, f] < c.needed[0, f])
        assert c.told[0, f] == (c.out[0, f] or behind or more)
        assert not c.excluded[0, f] or c.mean[0, f] <= c.mean[0, leader]


@settings(max_examples=50)
@given(TABLES)
def test_failing_more_often_is_the_sign_test_over_seeds(seed: int) -> None:
    bad = failing_table(seed)[None] < 0.5
    for leader in range(5):
        found = fails_more(bad, np.array([leader]))[0]
        for f in range(5):
            more = int((bad[0, :, f] & ~bad[0, :, leader]).sum())
            less = int((~bad[0, :, f] & bad[0, :, leader]).sum())
            by_hand = stats.binomtest(more, more + less).pvalue if more > less else 1.0
            assert found[f] == pytest.approx(by_hand, rel=1e-9)


@pytest.mark.parametrize(
    ("failed", "seeds", "expected"),
    [
        (4, 5, False),
        (5, 5, True),
        (2, 2, True),
        (8, 10, False),
        (9, 10, True),
        (13, 20, False),
        (14, 20, True),
    ],
)
def test_a_few_failures_of_a_few_runs_put_nobody_out(failed: int, seeds: int, *, expected: bool) -> None:
    bad = (np.arange(seeds) < failed)[None, :, None]
    assert hopeless(bad).tolist() == [[expected]]

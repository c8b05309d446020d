"""Laws of the verdict: exact where scipy or statsmodels say the same, by simulation where chance rules."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from study.core.errors import InputError
from study.stats.comparison import bad_runs, compare, holm, share_of_best
from study.stats.verdict import verdict
from study.stats.verdict_record import Verdict

Floats = NDArray[np.float64]
NAMES = ("cosine", "linear", "one_cycle", "polynomial", "constant")
REPETITIONS = 4000


def normal_table(seed: int, seeds: int = 10, leads: tuple[float, ...] = (0.0,) * 5) -> Floats:
    """One table around 90 %, with an effect of the seed, spread .25 points; leads in points."""
    rng = np.random.default_rng(seed)
    noise = 0.25 * rng.normal(size=(seeds, len(leads))) + 0.3 * rng.normal(size=(seeds, 1))
    return 0.9 + (np.array(leads) + noise) / 100


def simulated(leads: tuple[float, ...], seeds: int, *, heavy: bool) -> Floats:
    """Many tables, spread .25 points; heavy: one run in ten ends 5 to 10 points low."""
    rng = np.random.default_rng([seeds, heavy])
    shape = (REPETITIONS, seeds, len(leads))
    low = (rng.random(shape) < 0.1 * heavy) * rng.uniform(5, 10, shape)
    return 0.9 + (np.array(leads) + 0.25 * rng.normal(size=shape) - low) / 100


def decide(table: Floats, **options: float) -> Verdict:
    return verdict(table, NAMES[: table.shape[1]], **options)


class TestAgreesWithOthers:
    """The figures are those of scipy and statsmodels called by hand."""

    def test_two_finalists_are_a_paired_t_test(self) -> None:
        table = normal_table(1, leads=(0.1, 0.0))
        (difference,) = decide(table).differences
        leader, other = (0, 1) if difference.name == NAMES[1] else (1, 0)
        by_hand = stats.ttest_rel(table[:, leader], table[:, other])
        interval = by_hand.confidence_interval(0.95)
        assert difference.t == pytest.approx(by_hand.statistic, rel=1e-9)
        assert difference.p == pytest.approx(by_hand.pvalue, rel=1e-9)
        assert (difference.low, difference.high) == pytest.approx(tuple(interval), rel=1e-9)
        assert difference.freedom == 9

    @pytest.mark.parametrize("missing", [0, 6], ids=["whole", "bad runs"])
    def test_leads_and_pooled_variance_are_those_of_the_two_way_model(self, missing: int) -> None:
        table = normal_table(2, leads=(0.5, 0.0, 0.1, 0.0, 0.2))
        hit = np.random.default_rng(5).choice(table.size, missing, replace=False)
        table.flat[hit] -= 0.07
        good = np.ones(table.size, dtype=bool)
        good[hit] = False
        rows, columns = np.indices(table.shape).reshape(2, -1)
        frame = pd.DataFrame({"y": table.ravel(), "seed": rows, "finalist": columns})[good]
        model = smf.ols("y ~ C(seed) + C(finalist)", frame).fit()
        result = compare(table[None])
        effects = np.array([0.0, *(model.params[f"C(finalist)[T.{f}]"] for f in range(1, 5))])
        assert result.bad[0].ravel().tolist() == (~good).tolist()
        assert result.difference[0] == pytest.approx(effects.max() - effects, abs=1e-12)
        assert result.freedom[0].tolist() == [model.df_resid] * 5
        # Where the pair's own variance is the smaller, the standard error is the model's.
        leader = int(result.leader[0])
        for f in range(1, 5):
            error = model.bse[f"C(finalist)[T.{f}]"]
            both = (good.reshape(table.shape)[:, [0, f]]).all(1)
            own = (table[both, 0] - table[both, f]).var(ddof=1)
            assert leader == 0
            expected = error * np.sqrt(max(1, own / (2 * model.mse_resid)))
            assert result.error[0, f] == pytest.approx(expected, rel=1e-9)

    def test_p_values_are_those_of_the_statistic(self) -> None:
        for d in decide(normal_table(3)).differences:
            assert d.t is not None
            assert d.freedom is not None
            assert d.p == pytest.approx(2 * stats.t.sf(d.t, d.freedom), rel=1e-9)

    @settings(max_examples=50)
    @given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
    def test_holm_is_that_of_statsmodels(self, p: list[float]) -> None:
        corrected, _ = holm(np.array([p]), np.ones((1, len(p)), dtype=bool), 0.05)
        assert corrected[0] == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)

    def test_a_finalists_own_figures_are_numpys(self) -> None:
        table = normal_table(4)
        for f, row in enumerate(decide(table).finalists):
            runs = table[:, f]
            low, high = stats.t.interval(0.95, 9, runs.mean(), stats.sem(runs))
            assert (row.mean, row.typical) == pytest.approx((runs.mean(), runs.mean()))
            assert (row.median, row.sd) == pytest.approx((np.median(runs), runs.std(ddof=1)))
            assert (row.low, row.high) == pytest.approx((low, high))


class TestSimulated:
    """False winners stay at or under 5 %; true ones are named more often than by plain t-tests."""

    @pytest.mark.parametrize("heavy", [False, True], ids=["normal", "heavy"])
    @pytest.mark.parametrize("seeds", [5, 10])
    @pytest.mark.parametrize("tied", [2, 3, 4, 5])
    def test_false_winners(self, tied: int, seeds: int, heavy: bool) -> None:  # noqa: FBT001
        leads = (0.0,) * tied + (-4.0,) * (5 - tied)
        result = compare(simulated(leads, seeds, heavy=heavy))
        assert result.winner.mean() <= 0.05
        assert (~result.excluded[:, 0]).mean() >= 0.95

    @pytest.mark.parametrize(("seeds", "plain_t_tests"), [(10, 0.71), (5, 0.15)])
    def test_true_winners_at_normal_spread(self, seeds: int, plain_t_tests: float) -> None:
        result = compare(simulated((0.4, 0, 0, 0, 0), seeds, heavy=False))
        assert (result.winner & (result.leader == 0)).mean() > plain_t_tests

    def test_true_winners_with_bad_runs(self) -> None:
        """Plain t-tests name 1 % here; where nobody is steady, half of the names must wait."""
        result = compare(simulated((0.4, 0, 0, 0, 0), 10, heavy=True))
        told = (result.p_holm < 0.05).sum(1) == 4
        assert (told & (result.leader == 0)).mean() > 0.55
        assert (result.winner & (result.leader == 0)).mean() > 0.2

    def test_intervals_hold_all_true_differences_together(self) -> None:
        result = compare(simulated((0.0,) * 5, 10, heavy=False))
        half = stats.t.isf(result.step_level / 2, result.freedom) * result.error
        assert (result.difference <= half).all(1).mean() > 0.92


class TestDecides:
    """Inputs left, decisions right."""

    def test_a_clear_lead_wins(self) -> None:
        v = decide(normal_table(7, leads=(0, 0, 1.0, 0, 0)))
        assert (v.outcome, v.winner, v.contenders, v.more_seeds) == (
            "winner",
            "one_cycle",
            ("one_cycle",),
            None,
        )
        assert v.sentences[0].startswith("one_cycle wins: ahead of all others")

    def test_no_lead_ties_and_says_what_would_settle_it(self) -> None:
        v = decide(normal_table(8, leads=(0.15, 0, 0, -3, -3)))
        assert v.outcome == "tie"
        assert v.winner is None
        assert set(v.contenders) <= {"cosine", "linear", "one_cycle"}
        assert v.more_seeds is not None
        assert f"About {v.more_seeds} more seeds" in v.sentences[-1]

    def test_equal_values_tie(self) -> None:
        v = decide(np.full((4, 3), 0.9))
        assert (v.outcome, v.contenders, v.more_seeds) == ("tie", NAMES[:3], None)
        assert [d.p for d in v.differences] == [1.0, 1.0]
        assert [f.probability_best for f in v.finalists] == pytest.approx([1 / 3] * 3)

    def test_a_finalist_entered_twice_never_wins(self) -> None:
        table = normal_table(9, leads=(2.0, 0, 0, 0))
        v = decide(np.column_stack([table, table[:, 0]]))
        assert set(v.contenders) == {"cosine", "constant"}

    def test_equal_differences_at_every_seed_are_certain(self) -> None:
        """No spread in the differences and a lead: nothing of it is chance."""
        table = np.array([[0.91, 0.90], [0.92, 0.91], [0.905, 0.895]])
        v = decide(table)
        assert v.winner == "cosine"
        assert json.loads(json.dumps(v.to_json(), allow_nan=False))["differences"][0]["p"] == pytest.approx(0)

    def test_two_seeds_can_decide_only_a_wide_lead(self) -> None:
        assert decide(normal_table(10, seeds=2, leads=(0.2, 0, 0, 0, 0))).outcome == "tie"
        assert decide(normal_table(10, seeds=2, leads=(9, 0, 0, 0, 0))).winner == "cosine"

    def test_json_is_plain_whatever_number_type_came_in(self) -> None:
        v = verdict(normal_table(11).astype(np.float32), NAMES, margin=np.float64(0.01))
        data = v.to_json()
        assert json.loads(json.dumps(data, allow_nan=False)) == data

    def test_a_lead_within_the_margin_is_no_win(self) -> None:
        table = normal_table(11, seeds=30, leads=(0.5, 0, 0))
        assert decide(table).winner == "cosine"
        assert decide(table, margin=0.003).outcome != "equal"
        v = decide(table, margin=0.02)
        assert (v.outcome, v.winner) == ("equal", None)
        expected = "No difference that matters: cosine, linear and one_cycle are within 2.00 points (30 seeds"
        assert v.sentences[0].startswith(expected)

    @settings(max_examples=25)
    @given(st.integers(0, 10_000))
    def test_interval_p_value_and_set_agree(self, seed: int) -> None:
        v = decide(normal_table(seed, leads=(0.4, 0.2, 0, 0, -0.3)))
        for d in v.differences:
            assert d.low is not None
            assert d.p_holm is not None
            assert (d.low > 0) == (d.p_holm < 0.05) == d.told_apart
        assert (v.winner is not None) == all(d.excluded for d in v.differences)
        assert {*v.contenders} == {v.leader, *(d.name for d in v.differences if not d.excluded)}
        assert sum(f.probability_best for f in v.finalists) == pytest.approx(1)

    @settings(max_examples=20)
    @given(st.integers(0, 1000), st.permutations(range(5)), st.permutations(range(10)))
    def test_order_of_finalists_and_seeds_does_not_matter(
        self, seed: int, columns: list[int], rows: list[int]
    ) -> None:
        table = normal_table(seed, leads=(0.4, 0.2, 0, 0, -0.3))
        here = verdict(table, NAMES)
        there = verdict(table[rows][:, columns], [NAMES[c] for c in columns])
        assert (here.outcome, here.leader, set(here.contenders)) == (
            there.outcome,
            there.leader,
            set(there.contenders),
        )

    def test_the_same_table_gives_the_same_verdict(self) -> None:
        assert decide(normal_table(12)) == decide(normal_table(12))


class TestBadRuns:
    """A schedule that fails one time in ten is not a winner."""

    def test_a_run_far_below_its_siblings_is_bad(self) -> None:
        table = normal_table(20)
        table[3, 1] -= 0.05
        table[6, 4] = np.nan
        table[7, 0] = 0.1
        assert np.argwhere(bad_runs(table[None])[0]).tolist() == [[3, 1], [6, 4], [7, 0]]

    def test_plain_noise_has_no_bad_runs(self) -> None:
        assert bad_runs(simulated((0.0,) * 5, 10, heavy=False)).mean() < 1e-4

    def test_a_bad_run_of_another_does_not_hide_the_winner(self) -> None:
        table = normal_table(21, leads=(0.8, 0, 0, 0, 0))
        table[[2, 5], [1, 3]] -= 0.08
        v = decide(table)
        assert v.winner == "cosine"
        assert [f.bad_runs for f in v.finalists] == [0, 1, 0, 1, 0]

    def test_one_bad_run_in_ten_takes_the_win_away(self) -> None:
        table = normal_table(22, leads=(1.0, 0, 0, 0, 0))
        assert decide(table).winner == "cosine"
        table[4, 0] -= 0.08
        v = decide(table)
        assert (v.outcome, v.winner, v.leader) == ("tie", None, "cosine")
        assert all(d.told_apart and not d.excluded for d in v.differences)
        assert v.sentences[0].startswith("Tie: cosine is best in a typical run, but its bad runs keep")
        assert v.sentences[1].startswith("cosine failed in 1 of 10 runs")
        assert v.more_seeds is None

    def test_one_bad_run_in_twenty_does_not_where_the_mean_still_leads(self) -> None:
        table = normal_table(23, seeds=20, leads=(1.0, 0, 0, 0, 0))
        table[4, 0] -= 0.08
        assert decide(table).winner == "cosine"
        table[4, 0] -= 0.5
        assert decide(table).winner is None

    def test_who_fails_as_often_as_the_leader_is_not_kept_in_by_it(self) -> None:
        table = normal_table(24, leads=(1.0, 0, 0, 0, 0))
        table[[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]] -= 0.08
        assert decide(table).winner == "cosine"

    def test_a_diverged_run_counts_as_guessing(self) -> None:
        table = normal_table(25)
        table[0, 2] = np.nan
        row = decide(table).finalists[2]
        assert row.mean == pytest.approx((table[1:, 2].sum() + 0.1) / 10)
        assert (row.bad_runs, row.diverged) == (1, 1)
        assert row.typical == pytest.approx(table[1:, 2].mean())

    def test_a_finalist_that_always_diverges_is_out(self) -> None:
        table = normal_table(26, leads=(1.0, 0, 0, 0, 0))
        table[:, 4] = np.nan
        v = decide(table)
        last = v.differences[-1]
        assert v.winner == "cosine"
        assert (last.name, last.out, last.excluded, last.lead, last.p_holm) == (
            "constant",
            True,
            True,
            None,
            None,
        )
        assert v.finalists[4].typical is None
        json.dumps(v.to_json(), allow_nan=False)

    def test_the_only_one_that_runs_wins(self) -> None:
        table = normal_table(27)
        table[:, 1:] = np.nan
        v = decide(table)
        assert v.winner == "cosine"
        assert v.sentences[0].startswith("cosine wins: every other finalist failed")

    def test_finalists_that_never_ran_well_together_cannot_be_told_apart(self) -> None:
        table = np.array([[0.95, np.nan], [np.nan, 0.85], [0.951, 0.851], [0.95, np.nan], [np.nan, 0.85]])
        v = decide(table)
        assert v.outcome == "tie"
        assert v.differences[0].lead is None
        assert v.sentences[-1] == "Too few seeds ran well to compare cosine with linear."


class TestRefuses:
    """Tables that no verdict can rest on."""

    @pytest.mark.parametrize(
        ("table", "names", "options", "message"),
        [
            ([[0.9, 0.8]], "ab", {}, "at least 2 seeds, got 1"),
            ([[0.9], [0.8]], "a", {}, "at least 2 finalists, got 1"),
            ([0.9, 0.8], "ab", {}, r"seeds x finalists: got shape \(2,\)"),
            ([[0.9, 0.8]] * 2, "abc", {}, "for 3 names"),
            ([[0.9, 0.8]] * 2, "aa", {}, "different names, got a, a"),
            ([[90.0, 80.0], [91.0, 80.5]], "ab", {}, r"in \[0, 1\] .* got 90"),
            ([[0.9, np.inf], [0.9, 0.8]], "ab", {}, "got inf"),
            ([[0.9, 0.8]] * 2, "ab", {}, "did not use their seeds"),
            ([[np.nan, np.nan]] * 2, "ab", {}, "every finalist failed in most"),
            ([[0.9, 0.8], [0.91, 0.8]], "ab", {"level": 95}, r"level must be in \[0.5, 1\), got 95"),
            ([[0.9, 0.8], [0.91, 0.8]], "ab", {"margin": -0.1}, r"margin must be in \[0, 1\)"),
        ],
    )
    def test_with_a_reason(
        self, table: list[list[float]], names: str, options: dict[str, float], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            verdict(table, list(names), **options)


def test_bootstrap_shares_follow_the_lead() -> None:
    clear = share_of_best(normal_table(30, leads=(2, 0, 0, 0, 0)), draws=500, seed=0)
    assert clear.tolist() == [1, 0, 0, 0, 0]
    rng = np.random.default_rng(0)
    base = rng.normal(0.9, 0.002, (2000, 1))
    mirrored = np.hstack([base + 0.001, base - 0.001])
    mirrored[::2] = mirrored[::2, ::-1]
    assert share_of_best(mirrored, draws=2000, seed=1) == pytest.approx([0.5, 0.5], abs=0.05)

"""What a verdict decides and says, look by look."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from study.core.errors import InputError
from study.stats.comparison import Bools
from study.stats.example_sums import ExampleSums
from study.stats.verdict import Plan, Singly, Verdict, verdict
from study.stats.verdict_words import sentences

Floats = NDArray[np.float64]
Make = Callable[..., Floats]
NAMES = ("cosine", "linear", "one_cycle", "polynomial", "constant")


def decide(table: Floats, *, looks: tuple[int, ...] | None = None, margin: float = 0.001) -> Verdict:
    plan = Plan(looks or (len(table),), margin=margin)
    return verdict(table, NAMES[: table.shape[1]], plan)


class TestDecides:
    """Inputs left, decisions right."""

    def test_a_clear_lead_wins_and_the_looks_after_it_are_not_taken(self, normal_table: Make) -> None:
        v = decide(normal_table(7, 40, leads=(0, 0, 1.0, 0, 0)), looks=(5, 10, 20, 40))
        assert (v.outcome, v.winner, v.contenders, v.final) == ("winner", "one_cycle", ("one_cycle",), True)
        assert v.seeds < 40
        headline = sentences(v)[0]
        assert headline.startswith("one_cycle wins, ")
        assert len(headline.split()) <= 10

    def test_losers_are_dropped_and_their_later_runs_are_not_read(self, normal_table: Make) -> None:
        table = normal_table(8, 40, leads=(0.0, 0.0, -4.0, -4.0, -4.0))
        v = decide(table, looks=(5, 10, 20, 40))
        out = {f.name: f.dropped for f in v.finalists}
        assert set(v.contenders) == {"cosine", "linear"}
        assert all((out[name] or 99) <= 10 for name in NAMES[2:])
        for name, seeds in out.items():
            if seeds is not None:
                table[seeds:, NAMES.index(name)] = np.nan
        assert decide(table, looks=(5, 10, 20, 40)) == v
        assert "Excluded: " in " ".join(sentences(v))

    def test_equals_within_the_margin_have_no_difference_that_matters(self, normal_table: Make) -> None:
        v = decide(normal_table(9, 40, leads=(0.0, 0.0, -4.0)), looks=(5, 10, 20, 40), margin=0.003)
        assert (v.outcome, v.winner, v.final) == ("equal", None, True)
        assert sentences(v)[0] == f"No difference that matters between {' and '.join(v.contenders)}."

    def test_a_lead_that_is_sure_and_below_the_margin_wins_and_is_called_small(
        self, normal_table: Make
    ) -> None:
        v = decide(normal_table(11, 30, leads=(0.5, 0.0)), margin=0.02)
        assert v.winner == "cosine"
        assert "is real, but below 2.00 points: too small to matter." in " ".join(sentences(v))

    def test_undecided_at_the_plans_end_says_what_would_settle_it(self, normal_table: Make) -> None:
        v = decide(normal_table(8, leads=(0.15, 0, 0, -3, -3)))
        assert (v.outcome, v.winner, v.final) == ("undecided", None, True)
        said = " ".join(sentences(v))
        assert v.settled_at is not None
        assert v.settled_at > 10
        assert f"About {v.settled_at} seeds in all would probably name a winner" in said
        assert "Only a margin above" in said

    def test_undecided_before_the_plans_end_goes_on(self, normal_table: Make) -> None:
        v = decide(normal_table(8, leads=(0.05, 0, 0)), looks=(5, 10, 30, 60))
        assert (v.outcome, v.final, v.seeds, len(v.looks)) == ("undecided", False, 10, 2)
        assert sentences(v)[-1] == "The next look is at 30 seeds, the last at 60: the same command goes on."

    def test_equal_values_are_undecided_without_a_margin(self) -> None:
        v = decide(np.full((4, 3), 0.9), margin=0.0)
        assert (v.outcome, v.contenders, v.settled_at) == ("undecided", NAMES[:3], None)
        assert [d.p for d in v.differences] == [1.0, 1.0]

    def test_a_finalist_entered_twice_never_wins(self, normal_table: Make) -> None:
        table = normal_table(9, leads=(2.0, 0, 0, 0))
        v = decide(np.column_stack([table, table[:, 0]]))
        assert set(v.contenders) == {"cosine", "constant"}

    def test_equal_differences_at_every_seed_are_certain(self) -> None:
        """No spread in the differences and a lead: nothing of it is chance."""
        v = decide(np.array([[0.91, 0.90], [0.92, 0.91], [0.905, 0.895]]))
        assert v.winner == "cosine"
        assert (
            json.loads(json.dumps(v.to_json(), allow_nan=False))["looks"][0]["differences"][0]["t"] == "inf"
        )

    def test_two_seeds_can_decide_only_a_wide_lead(self, normal_table: Make) -> None:
        assert decide(normal_table(10, seeds=2, leads=(0.2, 0, 0, 0, 0))).outcome == "undecided"
        assert decide(normal_table(10, seeds=2, leads=(9, 0, 0, 0, 0))).winner == "cosine"

    def test_json_is_plain_whatever_number_type_came_in(self, normal_table: Make) -> None:
        plan = Plan((5, 10), margin=float(np.float64(0.01)))
        data = verdict(normal_table(11).astype(np.float32), NAMES, plan).to_json()
        assert json.loads(json.dumps(data, allow_nan=False)) == data

    @settings(max_examples=25)
    @given(st.integers(0, 10_000))
    def test_interval_p_value_set_and_seeds_agree(self, normal_table: Make, seed: int) -> None:
        table = normal_table(seed, 20, leads=(0.4, 0.2, 0, 0, -0.3))
        v = decide(table, looks=(5, 10, 20))
        for look in v.looks:
            assert {d.name for d in look.differences if d.excluded} == set(look.dropped)
            for d in look.differences:
                assert d.p is not None
                assert d.needed is not None
                assert d.low is not None
                assert (d.low > 0) == (d.p < d.needed) == d.told_apart
                columns = [NAMES.index(name) for name in (look.leader, d.name)]
                ahead = table[: look.seeds, columns[0]] > table[: look.seeds, columns[1]]
                assert (d.ahead, d.shared) == (ahead.sum(), look.seeds)
        assert (v.winner is not None) == (len(v.contenders) == 1)
        assert {*v.contenders} == {f.name for f in v.finalists if f.dropped is None}

    @settings(max_examples=20)
    @given(st.integers(0, 1000), st.permutations(range(5)), st.permutations(range(10)))
    def test_order_of_finalists_and_of_the_seeds_of_a_look_does_not_matter(
        self, normal_table: Make, seed: int, columns: list[int], rows: list[int]
    ) -> None:
        table = normal_table(seed, leads=(0.4, 0.2, 0, 0, -0.3))
        plan = Plan((10,))
        here = verdict(table, NAMES, plan)
        there = verdict(table[rows][:, columns], [NAMES[c] for c in columns], plan)
        assert (here.outcome, here.leader, set(here.contenders)) == (
            there.outcome,
            there.leader,
            set(there.contenders),
        )

    def test_the_same_table_gives_the_same_verdict(self, normal_table: Make) -> None:
        assert decide(normal_table(12)) == decide(normal_table(12))

    def test_a_finalists_own_figures_are_numpys(self, normal_table: Make) -> None:
        table = normal_table(4)
        for f, row in enumerate(decide(table).finalists):
            runs = table[:, f]
            low, high = stats.t.interval(0.95, 9, runs.mean(), stats.sem(runs))
            assert (row.mean, row.typical) == pytest.approx((runs.mean(), runs.mean()))
            assert (row.median, row.sd) == pytest.approx((np.median(runs), runs.std(ddof=1)))
            assert (row.low, row.high) == pytest.approx((low, high))


class TestImages:
    """The sentence says on which images the decision holds."""

    @pytest.mark.parametrize(
        ("kinds", "said"),
        [
            (0.0, "It holds on new images of this kind too"),
            (0.3, "on new images of this kind the lead may be gone"),
        ],
    )
    def test_a_win_holds_on_new_images_where_these_are_no_special_choice(
        self, kinds: float, said: str
    ) -> None:
        """``kinds``: how far chances of being right differ between the two from image to image."""
        rng = np.random.default_rng(1)
        tilt = rng.normal(0, kinds, 2000)
        tilt += 0.008 - tilt.mean()
        right = rng.random((20, 2, 2000)) < np.stack([0.6 + tilt / 2, 0.6 - tilt / 2])

        def sums(_look: int, leader: int, rival: int, shared: Bools) -> ExampleSums:
            rows = right[: len(shared)][shared]
            return ExampleSums.of(rows[:, leader], rows[:, rival])

        v = verdict(right.mean(2), NAMES[:2], Plan((20,)), Singly(2000, sums))
        (d,) = v.differences
        assert d.examples is not None
        assert d.low is not None
        assert v.winner == "cosine"
        assert d.examples.low <= d.low
        assert said in " ".join(sentences(v))
        assert (d.examples.low > 0) == (not kinds)
        assert v.examples == 2000


class TestBadRuns:
    """A schedule that fails one time in ten is not a winner."""

    def test_a_bad_run_of_another_does_not_hide_the_winner(self, normal_table: Make) -> None:
        table = normal_table(21, leads=(0.8, 0, 0, 0, 0))
        table[[2, 5], [1, 3]] -= 0.08
        v = decide(table)
        assert v.winner == "cosine"
        assert [f.bad_runs for f in v.finalists] == [0, 1, 0, 1, 0]

    def test_one_bad_run_in_ten_takes_the_win_away(self, normal_table: Make) -> None:
        table = normal_table(22, leads=(1.0, 0, 0, 0, 0))
        assert decide(table).winner == "cosine"
        table[4, 0] -= 0.08
        v = decide(table)
        assert (v.outcome, v.winner, v.leader) == ("undecided", None, "one_cycle")
        last = next(d for d in v.differences if d.name == "cosine")
        assert (last.lead or 0) < 0
        assert last.fails_p == 1.0
        assert not last.told_apart
        said = sentences(v)
        assert any(each.startswith("cosine failed in 1 of 10 runs") for each in said)
        (unsure,) = (
            each for each in said if each.startswith("cosine fails too often to lead, but not surely more")
        )
        # One look; four comparisons are open, of two questions each.
        assert unsure.endswith(f"(p = 1, sign test over seeds; below {0.05 / 4 / 2:.2g} would be sure).")
        assert v.settled_at is None

    def test_by_the_rules_of_version_3_it_leads_and_nobody_can_be_excluded(self, normal_table: Make) -> None:
        table = normal_table(22, leads=(1.0, 0, 0, 0, 0))
        table[4, 0] -= 0.08
        v = verdict(table, NAMES, Plan((10,), rules=3))
        assert (v.outcome, v.leader) == ("undecided", "cosine")
        assert all(d.told_apart and not d.excluded for d in v.differences)
        assert sentences(v)[0] == "Undecided: cosine leads, but fails too often."

    def test_who_fails_more_often_beyond_chance_does_not_keep_the_steady_one_from_winning(
        self, normal_table: Make
    ) -> None:
        table = normal_table(28, seeds=20, leads=(0.2, 0.0))
        table[:9, 0] = 0.1
        v = verdict(table, NAMES[:2], Plan((20,)))
        (d,) = v.differences
        assert (v.winner, d.by_failing, d.excluded) == (NAMES[1], True, True)
        assert d.fails_p == pytest.approx(2 * 0.5**9)
        said = sentences(v)
        assert said[0] == f"{NAMES[1]} wins: cosine fails too often."
        assert "9 of 20 runs against 0 of 20 runs (p = 0.0039, sign test over seeds)" in " ".join(said)
        ahead = "behind" if (d.lead or 0) < 0 else "ahead of"
        assert re.search(rf"In a typical run {NAMES[1]} is 0\.\d\d points {ahead} cosine", " ".join(said))

    def test_who_fails_too_often_is_no_equal(self, normal_table: Make) -> None:
        table = normal_table(29, seeds=20, leads=(0.0, 0.0))
        assert verdict(table, NAMES[:2], Plan((20,), margin=0.01)).outcome == "equal"
        table[:3, 0] = 0.1
        assert verdict(table, NAMES[:2], Plan((20,), margin=0.01)).outcome == "undecided"

    def test_one_bad_run_in_twenty_does_not_where_the_mean_still_leads(self, normal_table: Make) -> None:
        table = normal_table(23, seeds=20, leads=(1.0, 0, 0, 0, 0))
        table[4, 0] -= 0.08
        assert decide(table).winner == "cosine"
        table[4, 0] -= 0.5
        assert decide(table).winner is None

    def test_who_fails_as_often_as_the_leader_is_not_kept_in_by_it(self, normal_table: Make) -> None:
        table = normal_table(24, leads=(1.0, 0, 0, 0, 0))
        table[[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]] -= 0.08
        assert decide(table).winner == "cosine"

    def test_a_diverged_run_counts_as_guessing(self, normal_table: Make) -> None:
        table = normal_table(25)
        table[0, 2] = np.nan
        row = decide(table).finalists[2]
        assert row.mean == pytest.approx((table[1:, 2].sum() + 0.1) / 10)
        assert (row.bad_runs, row.diverged) == (1, 1)
        assert row.typical == pytest.approx(table[1:, 2].mean())

    def test_a_finalist_that_always_diverges_is_out(self, normal_table: Make) -> None:
        table = normal_table(26, leads=(1.0, 0, 0, 0, 0))
        table[:, 4] = np.nan
        v = decide(table)
        last = v.differences[-1]
        assert v.winner == "cosine"
        assert (last.name, last.out, last.excluded, last.lead, last.p) == ("constant", True, True, None, None)
        assert v.finalists[4].typical is None
        json.dumps(v.to_json(), allow_nan=False)

    def test_the_only_one_that_runs_wins(self, normal_table: Make) -> None:
        table = normal_table(27)
        table[:, 1:] = np.nan
        v = decide(table)
        assert v.winner == "cosine"
        assert sentences(v)[0] == "cosine wins: all others failed."

    def test_finalists_that_never_ran_well_together_cannot_be_told_apart(self) -> None:
        table = np.array([[0.95, np.nan], [np.nan, 0.85], [0.951, 0.851], [0.95, np.nan], [np.nan, 0.85]])
        v = decide(table)
        assert v.outcome == "undecided"
        assert v.differences[0].lead is None
        assert sentences(v)[-1] == "Too few seeds ran well to compare cosine with linear."


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 5), st.sampled_from([0.0, 0.001, 0.005]))
def test_every_headline_is_short_and_every_sentence_ends(
    normal_table: Make, seed: int, finalists: int, margin: float
) -> None:
    """At most ten words, whatever happened; no sentence runs into another."""
    rng = np.random.default_rng(seed)
    table = normal_table(seed, 12, leads=tuple(rng.choice([0.0, 0.4, 1.0, -3.0], finalists)))
    table[rng.random(table.shape) < 0.1] -= 0.08
    names = [f"warmup_stable_decay #{100 + f}" for f in range(finalists)]
    said = sentences(verdict(table, names, Plan((6, 12, 24), margin=margin)))
    assert len(said[0].split()) <= 10
    assert all(each.strip() == each and each.endswith(".") for each in said)


class TestRefuses:
    """Tables that no verdict can rest on."""

    @pytest.mark.parametrize(
        ("table", "names", "message"),
        [
            ([[0.9, 0.8]], "ab", "the first look needs 2 seeds, got 1"),
            ([[0.9], [0.8]], "a", "at least 2 finalists, got 1"),
            ([0.9, 0.8], "ab", r"seeds x finalists: got shape \(2,\)"),
            ([[0.9, 0.8]] * 2, "abc", "for 3 names"),
            ([[0.9, 0.8]] * 2, "aa", "different names, got a, a"),
            ([[90.0, 80.0], [91.0, 80.5]], "ab", r"in \[0, 1\] .* got 90"),
            ([[0.9, np.inf], [0.9, 0.8]], "ab", "got inf"),
            ([[0.9, 0.8]] * 2, "ab", "did not use their seeds"),
            ([[np.nan, np.nan]] * 2, "ab", "every finalist failed in most"),
        ],
    )
    def test_with_a_reason(self, table: list[list[float]], names: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            verdict(table, list(names), Plan((2, 4)))

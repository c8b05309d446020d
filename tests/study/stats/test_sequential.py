"""Planned looks: thresholds as published, errors held over all looks, losers dropped."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from study.core.errors import InputError
from study.stats.comparison import one_look
from study.stats.sequential import Plan, nominal, spent, walk

Floats = NDArray[np.float64]
Make = Callable[..., Floats]
LOOKS = (5, 10, 20, 40)


@pytest.mark.parametrize(
    ("alpha", "published"),
    [
        # Lan and DeMets's O'Brien-Fleming-like boundaries at four equal steps, two-sided 5 %, as the programs
        # ld98 and gsDesign print them; and one-sided 5 %, from SeqBounds.jl's documentation.
        (0.05, (4.3326, 2.9631, 2.3590, 2.0141)),
        (0.10, (3.74955, 2.53993, 2.01604, 1.72014)),
    ],
)
def test_boundaries_are_the_published_ones(alpha: float, published: tuple[float, ...]) -> None:
    found = stats.norm.isf(np.array(nominal((0.25, 0.5, 0.75, 1.0), alpha)) / 2)
    assert found == pytest.approx(published, abs=1.5e-4)


def test_one_look_is_holm() -> None:
    assert Plan((12,)).needed(0, 5)[1:] == pytest.approx(one_look(0.05, 5)[1:], rel=1e-9)


def test_the_whole_allowance_is_spent_at_the_end_and_nearly_none_at_first() -> None:
    assert spent(1.0, 0.05) == pytest.approx(0.05, rel=1e-12)
    assert spent(5 / 40, 0.05) < 1e-8


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(2, 60), min_size=1, max_size=6, unique=True), st.sampled_from([0.01, 0.05, 0.2]))
def test_a_path_without_a_lead_crosses_with_the_allowed_chance(looks: list[int], alpha: float) -> None:
    """Simulated: a Brownian motion seen at the looks of any plan is beyond a threshold in alpha of all cases."""
    seeds = np.sort(looks)
    needed = np.array(nominal(tuple((seeds / seeds[-1]).tolist()), alpha))
    steps = np.diff(seeds, prepend=0)
    paths = np.random.default_rng(0).normal(size=(40_000, len(seeds))) * np.sqrt(steps)
    z = np.abs(paths.cumsum(1)) / np.sqrt(seeds)
    crossed = (z > stats.norm.isf(needed / 2)).any(1).mean()
    assert crossed == pytest.approx(alpha, abs=5 * np.sqrt(alpha * (1 - alpha) / 40_000))


def test_more_comparisons_need_smaller_p_values_and_later_looks_larger_ones() -> None:
    plan = Plan(LOOKS)
    table = np.array([plan.needed(look, 5)[1:] for look in range(4)])
    assert (np.diff(table, axis=0) > 0).all()
    assert (np.diff(table, axis=1) < 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"looks": ()}, "looks must be rising numbers of seeds, 2 or more, got none"),
        ({"looks": (1, 5)}, "got 1,5"),
        ({"looks": (5, 5)}, "got 5,5"),
        ({"level": 95}, r"level must be in \[0.5, 1\), got 95"),
        ({"margin": -0.1}, "margin must be a number of 0 or more, got -0.1"),
    ],
)
def test_a_plan_that_cannot_be_judged_by_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Plan(**change)  # type: ignore[arg-type]  # wrong on purpose


class Ends:
    """How many confirmations ended: who won, who was called equal, and what share of the runs was trained."""

    def __init__(self, y: Floats, plan: Plan) -> None:
        self.winner = np.full(len(y), -1)
        self.equal = np.zeros(len(y), dtype=bool)
        runs, before = 0, (0, *plan.looks)
        for look in walk(y, plan):
            runs += (plan.looks[look.number] - before[look.number]) * len(look.columns) * len(look.rows)
            self.winner[look.rows] = np.where(look.won, look.columns[look.comparison.leader], -1)
            self.equal[look.rows] = look.equal
        self.trained = runs / (len(y) * plan.seeds * y.shape[2])


@pytest.mark.parametrize("heavy", [False, True], ids=["normal", "heavy"])
@pytest.mark.parametrize(
    ("leads", "spreads"),
    [
        ((0.0,) * 5, 0.25),
        ((0.0, 0.0, -4.0, -4.0, -4.0), 0.25),
        ((0.0, 0.0, -4.0, -4.0, -4.0), (0.5, 0.5, 0.25, 0.25, 0.25)),
        ((0.0, 0.0), 0.25),
    ],
    ids=["equal", "two equal", "two equal and noisy", "two"],
)
def test_false_winners_over_all_looks(
    simulated: Make,
    leads: tuple[float, ...],
    spreads: tuple[float, ...] | float,
    heavy: bool,  # noqa: FBT001
) -> None:
    """At most 5 %: here within three standard errors of 4,000 tables; ``benchmarks/verdict.py`` draws 10,000."""
    ends = Ends(simulated(leads, 40, heavy=heavy, spreads=spreads), Plan(LOOKS))
    assert (ends.winner >= 0).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)


def test_true_winners_and_what_dropping_saves(simulated: Make) -> None:
    assert (Ends(simulated((0.2, 0, 0, 0, 0), 40), Plan(LOOKS)).winner == 0).mean() > 0.78
    assert (Ends(simulated((0.4, 0, 0, 0, 0), 40), Plan(LOOKS)).winner == 0).mean() > 0.99
    assert Ends(simulated((0, 0, -4, -4, -4), 40), Plan(LOOKS)).trained < 0.6


def test_no_difference_that_matters(simulated: Make) -> None:
    """Said of equals, and hardly ever of a difference of twice the margin."""
    two, margin = (-4.0, -4.0, -4.0), Plan(LOOKS, margin=0.002)
    assert Ends(simulated((0, 0, *two), 40), margin).equal.mean() > 0.75
    assert Ends(simulated((0.4, 0, *two), 40), margin).equal.mean() < 0.05
    assert Ends(simulated((0,) * 5, 40), Plan(LOOKS, margin=0.003)).equal.mean() > 0.7


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_tables_judged_together_end_as_judged_alone(seed: int) -> None:
    """Who is dropped in one table changes nothing in another."""
    rng = np.random.default_rng(seed)
    leads = rng.choice([0.0, 0.3, 0.6, -1.0], size=4)
    y = 0.9 + (leads + 0.25 * rng.normal(size=(12, 20, 4))) / 100
    plan = Plan((5, 10, 20), margin=0.002)
    together = Ends(y, plan)
    alone = [Ends(table[None], plan) for table in y]
    assert together.winner.tolist() == [int(one.winner[0]) for one in alone]
    assert together.equal.tolist() == [bool(one.equal[0]) for one in alone]
    assert together.trained == pytest.approx(np.mean([one.trained for one in alone]))


def test_who_is_dropped_is_not_read_again(simulated: Make) -> None:
    """Its later runs may be missing: the walk is the same with nothing in their place."""
    y = simulated((0.0, 0.0, -4.0), 40, repetitions=50)
    gone = y.copy()
    gone[:, 10:, 2] = np.nan
    plan = Plan(LOOKS)
    pairs = list(zip(walk(y, plan), walk(gone, plan), strict=True))
    assert len(pairs) >= 4
    for whole, cut in pairs:
        assert whole.rows.tolist() == cut.rows.tolist()
        assert whole.comparison.p.tolist() == cut.comparison.p.tolist()

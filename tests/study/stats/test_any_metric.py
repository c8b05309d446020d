"""A verdict knows a metric by its gains alone: turned, shifted in name or measured in another unit, it decides alike."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from study.core.metric import ACCURACY, Metric
from study.stats.base_rates import BaseRates
from study.stats.certificate import Conditions, build, check, judged, read, to_text
from study.stats.comparison import Bools, bad_runs, counted
from study.stats.example_sums import ExampleSums
from study.stats.verdict import Plan, Singly, Verdict, verdict
from study.stats.verdict_words import sentences

Floats = NDArray[np.float64]
NAMES = ("cosine #1", "linear #2", "constant #3")
LOSS = Metric("loss", "minimize", chance=math.log(10))
ERROR = Metric("squared_error", "minimize", chance=1.0, low=0.0)
PLAN = Plan((5, 10, 20), margin=0.002)


def losses(seed: int, leads: tuple[float, ...] = (0.05, 0.0, -0.4)) -> Floats:
    """Losses around 0.5; a positive lead is a smaller loss; now and then a run that ends far above, or diverges."""
    rng = np.random.default_rng(seed)
    table = 0.5 - np.array(leads) + 0.03 * rng.normal(size=(20, 3)) + 0.03 * rng.normal(size=(20, 1))
    table[rng.random(table.shape) < 0.05] += 0.5
    table[rng.random(table.shape) < 0.03] = np.nan
    return table


def decisions(v: Verdict) -> object:
    return (
        v.outcome, v.contenders, v.seeds, v.settled_at,
        [(f.name, f.runs, f.bad_runs, f.diverged, f.dropped) for f in v.finalists],
        [[(d.name, d.ahead, d.shared, d.told_apart, d.excluded, d.equal) for d in look.differences] for look in v.looks],
    )  # fmt: skip


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_less_is_better_is_more_is_better_turned(seed: int) -> None:
    """Leads, intervals and decisions are those of the negated table; a finalist's own figures are turned."""
    table = losses(seed)
    reward = Metric("reward", "maximize", chance=-LOSS.chance)
    here, there = verdict(table, NAMES, PLAN, metric=LOSS), verdict(-table, NAMES, PLAN, metric=reward)
    assert decisions(here) == decisions(there)
    for one, other in zip(here.looks, there.looks, strict=True):
        assert one.differences == other.differences
    for mine, theirs in zip(here.finalists, there.finalists, strict=True):
        assert mine.mean == -theirs.mean
        if mine.typical is not None and theirs.low is not None and theirs.high is not None:
            assert (mine.typical, mine.low, mine.high) == (
                -(theirs.typical or 0.0),
                -theirs.high,
                -theirs.low,
            )


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([1e-6, 0.01, 1e6]))
def test_the_unit_does_not_matter(seed: int, unit: float) -> None:
    """A loss in thousandths is judged as one in wholes, its margin and its chance level in the same unit."""
    table = losses(seed)
    scaled = replace(LOSS, chance=LOSS.chance * unit)
    here = verdict(table, NAMES, PLAN, metric=LOSS)
    there = verdict(table * unit, NAMES, replace(PLAN, margin=PLAN.margin * unit), metric=scaled)
    assert decisions(here) == decisions(there)


def test_the_finalist_with_the_smallest_loss_wins_and_its_lead_is_positive() -> None:
    v = verdict(losses(1, leads=(0.0, 0.3, -0.4)), NAMES, PLAN, metric=LOSS)
    assert v.winner == "linear #2"
    assert all(d.lead is not None and d.lead > 0 for d in v.differences)
    assert [f.name for f in v.ranked] == ["linear #2", "cosine #1", "constant #3"]
    typical = {f.name: f.typical for f in v.finalists}
    assert typical["linear #2"] == pytest.approx(0.2, abs=0.05)


def test_a_diverged_loss_counts_as_chance_and_nothing_counts_as_worse() -> None:
    gains = -np.array([[[0.5], [np.nan], [1e9], [2.2], [0.52]]])
    assert counted(gains, LOSS)[0, :, 0] == pytest.approx([-0.5, -LOSS.chance, -LOSS.chance, -2.2, -0.52])
    assert bad_runs(gains, LOSS)[0, :, 0].tolist() == [False, True, True, True, False]
    assert counted(np.array([[[0.05]]]), ACCURACY)[0, 0, 0] == 0.05  # a share has a worst value of its own


def test_words_and_numbers_are_the_metrics() -> None:
    steady, failing = (
        " ".join(
            sentences(
                verdict(losses(seed, leads=(0.0, 0.3, -0.4)), NAMES, PLAN, metric=LOSS, noun="examples")
            )
        )
        for seed in (2, 1)  # with seed 1, whom the winner is compared with fails too often
    )
    for said in (steady, failing):
        assert "point" not in said
        assert "%" not in said.replace("95 %", "")
    assert " in loss, over seeds " in steady
    assert "In a typical run linear #2 is 0.273 ahead of cosine #1, its lead over seeds 0." in failing
    said = steady
    assert "The loss is one number for all test examples, so that only seeds count as chance here" in said
    points = " ".join(sentences(verdict(0.9 - losses(1) / 100, NAMES, PLAN)))
    assert " points" in points


def scored() -> tuple[Floats, Verdict]:
    """Squared errors of every example, two finalists apart on all examples and one far behind."""
    rng = np.random.default_rng(4)
    hard = rng.gamma(2.0, 0.1, 300)
    each = np.array([0.9, 1.1, 3.0])[:, None] * hard * rng.gamma(20.0, 0.05, (20, 3, 300))
    table = each.mean(2)

    def sums(_look: int, leader: int, rival: int, shared: Bools) -> ExampleSums:
        rows = each[: len(shared)][shared]
        return ExampleSums.of(rows[:, rival], rows[:, leader])

    return table, verdict(table, NAMES, PLAN, Singly(300, sums), metric=ERROR, noun="examples")


def certificate(table: Floats, found: Verdict) -> dict[str, object]:
    conditions = Conditions({"name": "demo", "problem": "mine"}, {}, {"train": "ab"}, None)
    return build(conditions, [{"name": name} for name in NAMES], table, found)


@pytest.mark.parametrize("case", ["each example", "one number"])
def test_a_certificate_of_a_loss_holds_and_a_changed_one_does_not(case: str, tmp_path: object) -> None:
    from pathlib import Path

    table, found = scored()
    if case == "one number":
        found = verdict(table, NAMES, PLAN, metric=ERROR, noun="examples")
    path = Path(str(tmp_path)) / "certificate.json"
    path.write_text(to_text(certificate(table, found)), "utf-8")
    data = read(path)
    assert check(data) == []
    assert judged(data).to_json() == found.to_json()
    assert data["examples"]["test"] == (300 if case == "each example" else None)
    assert (data["examples"]["called"], data["metric"]["direction"]) == ("examples", "minimize")
    turned = json.loads(path.read_text("utf-8"))
    turned["metric"]["direction"] = "maximize"
    assert check(turned)
    lowered = json.loads(path.read_text("utf-8"))
    lowered["values"][found.leader][0] *= 0.9
    assert check(lowered)
    odd = json.loads(path.read_text("utf-8"))
    odd["metric"]["direction"] = "sideways"
    assert check(odd) == [
        "its figures allow no verdict: its metric is none: direction must be maximize or minimize, got 'sideways'"
    ]


def test_examples_widen_an_interval_of_any_per_example_metric() -> None:
    _, v = scored()
    for d in v.differences:
        assert d.examples is not None
        assert d.low is not None
        assert d.examples.low <= d.low
    assert "new examples of this kind" in " ".join(sentences(v))


def test_a_base_rate_that_raises_the_loss_loses() -> None:
    rates = BaseRates((0.5, 1.0, 2.0), {"a": np.array([[0.55, 0.5, np.nan]])}, 100, LOSS, "examples")
    assert rates.losses("a") == pytest.approx([0.05, 0.0, LOSS.chance - 0.5])
    assert rates.sentence("a").startswith("a loses 0.0230259 beyond x0.7")
    assert BaseRates.from_json(rates.to_json(), LOSS, "examples").to_json() == rates.to_json()

"""A metric knows which direction is better, what chance is, and how to say its values."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.core.errors import InputError
from study.core.metric import ACCURACY, Metric

LOSS = Metric("loss", "minimize", chance=2.3, low=0.0)
FREE = Metric("reward", "maximize", chance=-5.0)
METRICS = st.sampled_from([ACCURACY, LOSS, FREE])
NUMBERS = st.floats(-1e6, 1e6)


@given(METRICS, NUMBERS, NUMBERS)
def test_a_better_value_is_a_larger_gain(metric: Metric, one: float, other: float) -> None:
    assert metric.better(one, other) == (metric.gain(one) > metric.gain(other))
    assert metric.gain(metric.gain(one)) == one
    assert metric.better(one, math.nan)
    assert not metric.better(math.nan, one)
    assert metric.best([math.nan, one, other]) == (one if metric.gain(one) >= metric.gain(other) else other)


def test_the_best_of_diverged_runs_is_none() -> None:
    assert math.isnan(LOSS.best([math.nan]))


def test_failed_is_between_chance_and_what_is_good() -> None:
    """Ten classes: under 0.2; ten classes' cross-entropy: above 8/9 of ln 10; any reward: past chance."""
    assert ACCURACY.failed == pytest.approx(0.2)
    assert LOSS.failed == pytest.approx(2.3 * 8 / 9)
    assert FREE.failed == pytest.approx(-5 + 5 / 9)
    for metric in (ACCURACY, LOSS, FREE):
        assert metric.better(metric.failed, metric.chance)


def test_a_drop_is_two_points_of_ten_classes_unless_stated() -> None:
    assert ACCURACY.bad_drop == pytest.approx(0.02)
    assert LOSS.bad_drop == pytest.approx(2.3 / 45)
    assert Metric(drop=0.3).bad_drop == 0.3


def test_words() -> None:
    assert ACCURACY.value(0.91234) == "0.9123"
    assert ACCURACY.difference(0.0123) == "1.23 points"
    assert ACCURACY.span(0.001, 0.02) == "0.10 to 2.00 points"
    assert ACCURACY.title("test") == "Test accuracy"
    assert LOSS.value(1.2345678) == "1.2346"
    assert LOSS.difference(0.0123) == "0.0123"
    assert LOSS.span(0.001, 0.02) == "0.001 to 0.02"


@given(METRICS)
def test_json_brings_a_metric_back(metric: Metric) -> None:
    assert Metric.from_json(json.loads(json.dumps(metric.to_json()))) == metric


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        ({"direction": "up"}, "direction must be maximize or minimize, got 'up'"),
        ({"low": 1.0, "high": 0.0}, r"bounds must be \(low, high\) with low < high, got \(1, 0\)"),
        ({"chance": 2.0, "high": 1.0}, "chance must be a number from -inf to 1, got chance=2.0"),
        ({"chance": math.nan}, "chance must be a number from -inf to inf, got chance=nan"),
        ({"drop": 0.0}, "drop must be above 0, got drop=0.0"),
    ],
)
def test_wrong_metrics(fault: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Metric(**fault)  # type: ignore[arg-type]  # wrong on purpose


@given(METRICS, NUMBERS)
def test_progress_is_zero_at_chance_and_grows_with_the_gain(metric: Metric, value: float) -> None:
    """A share is its own progress; another metric's is the part of the room that lies behind it."""
    if metric is ACCURACY:
        assert metric.progress(value) == value
    else:
        assert metric.progress(metric.chance) == 0
        assert (metric.progress(value) > 0) == metric.better(value, metric.chance)
    assert LOSS.progress(0.0) == pytest.approx(1.0)


def test_what_does_not_matter_is_a_tenth_of_what_is_noticed() -> None:
    """0.1 points of any share; else a thousandth of the way from chance to best, or of chance without a best."""
    assert ACCURACY.margin(None) == Metric(chance=0.5, low=0.0, high=1.0).margin(None) == 0.001
    assert LOSS.margin(None) == pytest.approx(2.3 / 1000)
    assert FREE.margin(None) == pytest.approx(5 / 1000)
    assert ACCURACY.noticeable == 0.01
    assert LOSS.noticeable == pytest.approx(0.023)


def test_a_margin_is_stated_in_points_or_in_the_metrics_own_unit() -> None:
    assert ACCURACY.margin(0.2) == pytest.approx(0.002)
    assert LOSS.margin(0.2) == 0.2
    assert (ACCURACY.written(0.002), LOSS.written(0.002)) == ("0.2 points", "0.002")


@pytest.mark.parametrize("stated", [51.0, -0.1])
def test_a_margin_beyond_half_of_the_range_is_none(stated: float) -> None:
    with pytest.raises(
        InputError, match=f"`margin` must be from 0 to half of the range .* got {stated:g} points"
    ):
        ACCURACY.margin(stated)


def test_a_metric_without_a_scale_needs_its_margin_stated() -> None:
    correlation = Metric("correlation", "maximize", chance=0.0)
    assert not correlation.scaled
    assert correlation.margin(0.01) == 0.01
    with pytest.raises(InputError, match="`margin` must be given for correlation"):
        correlation.margin(None)
    assert Metric("correlation", "maximize", chance=0.0, high=1.0).margin(None) == pytest.approx(0.001)


def test_runs_count_alike_below_the_worst_value_or_below_chance_where_there_is_none() -> None:
    assert ACCURACY.floor == 0.0
    assert Metric("loss", "minimize", chance=2.3, low=0.0).floor == -2.3
    assert FREE.floor == -5.0
    assert Metric("error", "minimize", chance=0.9, low=0.0, high=1.0).floor == -1.0

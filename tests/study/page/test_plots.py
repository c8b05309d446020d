"""Laws of the figures: the data says what the records say, and every figure draws what it was given."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from study.core.records import StudyRecord, TrialRecord, best_of
from study.page.look.palette import COLOUR_BINS
from study.page.outputs.pictures import grid
from study.page.plots.base_rate_cloud import base_rate_figure, by_base_rate
from study.page.plots.expected_best_curve import by_family, expected_best_figure
from study.page.plots.importance_bars import importance_figure
from study.page.plots.learning_curves import drawn, joined, learning_figure, learning_lines
from study.page.plots.pruning.epochs_spent import epochs_figure, epochs_spent
from study.page.plots.pruning.pruning_cost_intervals import pruning_cost_figure
from study.page.plots.rate_curves import (
    RATE_TOLERANCE,
    RateCurve,
    binned,
    rate_curves,
    rate_figure,
)
from study.page.plots.warm_up_cloud import by_warm_up, trend, warm_up_figure
from study.page.style import (
    COLOUR_BAR,
    AccuracyScale,
    accuracy_scale,
    on_white,
)
from study.stats.expected_best import BestOf
from study.stats.pruning_cost import Cost, estimate

Maker = Callable[..., StudyRecord]


def curve_of(trial: TrialRecord, rates: Callable[[Any], Any]) -> RateCurve:
    """A trial's rates over 30 epochs, as a function of the time makes them."""
    times = np.linspace(0, 30, 601)
    return RateCurve(trial, times, rates(times))


def test_a_jump_keeps_its_two_sides(made_up: Maker) -> None:
    curve = curve_of(made_up(1).trials[0], lambda times: np.where(times < 8, 1.0, 0.5)).thinned
    assert curve.rates.tolist() == [1.0, 1.0, 0.5, 0.5]
    assert curve.times[2] == 8.0


def test_a_line_needs_two_points(made_up: Maker) -> None:
    assert len(curve_of(made_up(1).trials[0], lambda times: 1 - times / 30).thinned.times) == 2


def test_thinning_is_relative_to_the_highest_rate(made_up: Maker) -> None:
    (trial,) = made_up(1).trials
    low = curve_of(trial, lambda times: 1e-3 * (1 + np.cos(np.pi * times / 30)) / 2)
    high = curve_of(trial, lambda times: 10 * (1 + np.cos(np.pi * times / 30)) / 2)
    assert low.thinned.times.tolist() == high.thinned.times.tolist()
    full = np.interp(low.times, low.thinned.times, low.thinned.rates)
    assert np.abs(full - low.rates).max() <= RATE_TOLERANCE * 1e-3


def test_lines_joined_into_one_trace_come_apart_at_the_gaps() -> None:
    a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])
    lines = joined([(7, a, a), (9, b, -b)])
    gap = int(np.flatnonzero(np.isnan(lines.x))[0])
    assert np.isnan(lines.y[gap])
    assert lines.x[:gap].tolist() == a.tolist()
    assert lines.y[gap + 1 :].tolist() == (-b).tolist()
    assert lines.numbers[:gap].tolist() == [7, 7]
    assert lines.numbers[gap + 1 :].tolist() == [9, 9, 9]
    assert np.isnan(lines.x).sum() == 1


@pytest.mark.parametrize(
    ("accuracy", "bin_"), [(0.0, 0), (0.80, 0), (0.851, 5), (0.9, COLOUR_BINS - 1), (1.0, COLOUR_BINS - 1)]
)
def test_accuracy_to_colour(accuracy: float, bin_: int) -> None:
    assert AccuracyScale(0.8, 0.9).bin(accuracy) == bin_


@pytest.mark.parametrize(
    ("accuracies", "low", "high"),
    [
        ([], 0.0, 1.0),
        ([None], 0.0, 1.0),
        ([0.9], 0.89, 0.91),
        ([0.9, 0.9], 0.89, 0.91),
        ([0.1] * 5 + [0.8 + i / 100 for i in range(11)], 0.81, 0.9),
        ([0.3, *(0.8 + i / 100 for i in range(10))], 0.8, 0.89),
        ([0.1, 0.1], 0.09, 0.11),
        ([math.nan, 0.8, 0.9], 0.81, 0.9),
    ],
)
def test_failed_runs_do_not_set_the_scale_however_many(
    accuracies: list[float | None], low: float, high: float
) -> None:
    scale = accuracy_scale(accuracies)
    assert (scale.low, scale.high) == pytest.approx((low, high))


def test_every_finished_curve_is_in_the_bin_of_its_accuracy_and_the_others_are_grey(made_up: Maker) -> None:
    record = made_up(100)
    curves = rate_curves(record)
    scale = accuracy_scale(t.value for t in record.trials)
    groups = binned(curves, scale)
    place = {n: key for key, lines in groups.items() for n in lines.numbers.tolist()}
    assert place.keys() == {t.number for t in record.trials if t.epochs}
    for trial in record.trials:
        expected = None if trial.value is None else scale.bin(trial.value)
        assert place[trial.number] == expected
    assert list(groups) == sorted(groups, key=lambda key: -1 if key is None else key)


def test_a_thousand_trials_are_a_dozen_traces_and_none_is_lost(made_up: Maker) -> None:
    record = made_up(1000)
    figure = rate_figure(rate_curves(record))
    assert len(figure.data) <= COLOUR_BINS + 2
    drawn = {int(text.split()[1].rstrip(",")) for trace in figure.data if trace.text for text in trace.text}
    assert drawn == {t.number for t in record.trials if t.epochs}


def test_of_many_trials_some_are_drawn_and_each_familys_best(made_up: Maker) -> None:
    record = made_up(200)
    some = drawn(record, 50)
    assert 45 <= len(some.trials) <= 50
    numbers = [t.number for t in some.trials]
    assert numbers == sorted(set(numbers))
    assert {t.number for t in map(best_of, record.by_family.values()) if t} <= {*numbers}
    assert min(numbers) < 20
    assert max(numbers) >= 180
    assert drawn(record, 200) is record


def test_the_best_curve_is_drawn_last(made_up: Maker) -> None:
    record = made_up(60)
    best = record.best
    assert best is not None
    *_, last, bar = rate_figure(rate_curves(record)).data
    assert bar.name == COLOUR_BAR
    assert any(text.startswith(f"trial {best.number},") for text in last.text)


def test_the_scale_says_that_its_lowest_colour_is_for_all_below(made_up: Maker) -> None:
    scale = AccuracyScale(0.86, 0.91)
    bar = rate_figure(rate_curves(made_up(60)), scale).data[-1].marker.colorbar
    assert (bar.tickvals[0], bar.tickvals[-1]) == pytest.approx((0.86, 0.91))
    assert bar.ticktext[0] == "≤ 0.860"
    assert bar.ticktext[-1] == "0.910"


def test_learning_curves_are_the_records(made_up: Maker) -> None:
    record = made_up(30)
    lines = learning_lines(record.trials, "val_accuracy")
    for trial in record.trials:
        mine = (lines.numbers == trial.number) & ~np.isnan(lines.x)
        assert lines.x[mine].tolist() == [epoch.epoch + 1 for epoch in trial.epochs]
        assert lines.y[mine].tolist() == [epoch.val_accuracy for epoch in trial.epochs]


def test_a_loss_that_is_not_finite_is_a_gap(made_up: Maker) -> None:
    record = made_up(100)
    diverged = next(trial for trial in record.trials if trial.outcome == "diverged")
    assert np.isnan(learning_lines([diverged], "train_loss").y).all()


def test_points_hold_each_trial_of_the_family_once(made_up: Maker) -> None:
    record = made_up(100)
    for trials in record.by_family.values():
        for cloud, name in ((by_base_rate(trials), "base_rate"), (by_warm_up(trials), "warmup")):
            assert cloud.numbers.tolist() == [t.number for t in trials]
            assert cloud.x.tolist() == [t.spec.params[name] for t in trials]
            assert cloud.finished.tolist() == [t.outcome == "finished" for t in trials]


def test_the_trend_is_the_medians_of_finished_trials(made_up: Maker) -> None:
    cloud = by_base_rate(made_up(100).trials)
    line = trend(cloud, intervals=5)
    assert line is not None
    x, y = cloud.x[cloud.finished], cloud.accuracies[cloud.finished]
    first = np.argsort(x, kind="stable")[: len(np.array_split(x, 5)[0])]
    assert line.median[0] == np.median(y[first])
    assert (line.low <= line.median).all()
    assert (line.median <= line.high).all()
    assert trend(by_base_rate(made_up(20).trials), intervals=5) is None


def test_epochs_are_spent_saved_or_still_to_come(made_up: Maker) -> None:
    record = made_up(100)
    spent = epochs_spent(record)
    trained = sum(len(t.epochs) for t in record.trials)
    assert sum(row.finished + row.stopped for row in spent) == trained
    diverged = sum(t.spec.epochs - len(t.epochs) for t in record.trials if t.outcome == "diverged")
    assert sum(row.saved for row in spent) == 100 * record.config.epochs - trained - diverged


@pytest.mark.parametrize("quantity", ["val_accuracy", "val_loss", "train_loss"])
def test_the_learning_figure_has_everyone_in_grey_and_each_familys_best(
    made_up: Maker, quantity: Any
) -> None:
    record = made_up(100)
    figure = learning_figure(record, quantity)
    named = {trace.name for trace in figure.data if trace.name}
    finished = {t.family for t in record.finished}
    assert named == {family.replace("_", " ") for family in finished}
    assert np.isfinite(figure.data[0].y).sum() > 0


def test_every_figure_has_traces_with_points(made_up: Maker) -> None:
    record = made_up(100)
    clouds = {family: by_base_rate(trials) for family, trials in record.by_family.items()}
    cost = Cost("linear", 9, 4, 2, estimate(1, 2, 4), estimate(0, 2, 4), 10, 5, 36)
    figures = [
        base_rate_figure("cosine", clouds["cosine"], (0.02, 2.0), (0.88, 0.91)),
        warm_up_figure(record.by_family),
        importance_figure({"base rate": 0.8, "warm-up": 0.2}),
        epochs_figure(epochs_spent(record)),
        pruning_cost_figure([cost]),
        expected_best_figure(by_family(record)),
    ]
    for figure in figures:
        assert figure.layout.height > 0
        assert figure.data
        for trace in figure.data:
            assert len(trace.x) == len(trace.y) > 0


def test_a_point_below_the_picture_lies_on_its_floor_and_keeps_its_value(made_up: Maker) -> None:
    cloud = by_base_rate(made_up(100).trials)
    floor = float(np.median(cloud.accuracies))
    figure = base_rate_figure("cosine", cloud, (0.02, 2.0), (floor, 1.0))
    assert min(min(trace.y) for trace in figure.data) == floor
    told = np.concatenate([trace.customdata[:, 1] for trace in figure.data])
    assert sorted(told.tolist()) == sorted(cloud.accuracies.tolist())


def test_a_finished_trial_below_the_warm_up_picture_lies_on_its_floor_and_keeps_its_value(
    made_up: Maker,
) -> None:
    record = made_up(100)
    first = next(t for t in record.trials if t.outcome == "finished")
    dead = [dataclasses.replace(t, value=0.1) if t.number == first.number else t for t in record.trials]
    figure = warm_up_figure({"all": dead})
    dots = figure.data[0]
    told = {int(number): (y, value) for (number, value), y in zip(dots.customdata, dots.y, strict=True)}
    assert told[first.number] == (figure.layout.yaxis.range[0], 0.1)
    assert told.keys() == {t.number for t in record.trials if t.outcome == "finished"}


def test_no_axis_of_accuracy_goes_below_zero(made_up: Maker) -> None:
    trials = [
        dataclasses.replace(trial, outcome="finished", value=epochs[-1].val_accuracy, epochs=epochs)
        for trial, level in zip(made_up(11).trials, np.linspace(0.2, 0.9, 11).tolist(), strict=True)
        for epochs in [(dataclasses.replace(trial.epochs[0], val_accuracy=level),)]
    ]
    figure = learning_figure(dataclasses.replace(made_up(0), trials=tuple(trials)), "val_accuracy")
    assert figure.layout.yaxis.range[0] == 0


def test_the_expected_best_is_shown_within_the_limits_given() -> None:
    n = np.arange(1, 4)
    figure = expected_best_figure({"all families": BestOf(n, n / 4, n / 5, n / 3)}, (0.5, 0.8))
    assert figure.layout.yaxis.range == (0.5, 0.8)


def test_a_sheet_holds_every_trace_of_its_figures_on_axes_of_their_own(made_up: Maker) -> None:
    record = made_up(60)
    small = {
        family: base_rate_figure(family, by_base_rate(trials), (0.02, 2.0), (0.88, 0.91))
        for family, trials in record.by_family.items()
    }
    sheet = grid(small, columns=4)
    assert len(sheet.data) == sum(len(figure.data) for figure in small.values())
    assert len({trace.xaxis for trace in sheet.data}) == len(small)
    assert [a.text for a in sheet.layout.annotations] == list(small)


def test_a_figure_of_its_own_is_white_and_taller_by_its_title(made_up: Maker) -> None:
    figure = learning_figure(made_up(30), "val_accuracy")
    alone = on_white(figure, "A & B")
    assert alone.layout.paper_bgcolor == "white"
    assert alone.layout.height > figure.layout.height
    assert alone.layout.annotations[-1].text == "A &amp; B"
    assert figure.layout.paper_bgcolor is None


def test_an_empty_study_gives_empty_data_and_figures_that_can_be_drawn(made_up: Maker) -> None:
    record = made_up(0)
    assert rate_curves(record) == ()
    assert learning_lines(record.trials, "val_loss").x.size == 0
    assert trend(by_warm_up(record.trials)) is None
    assert len(rate_figure([]).data) == 0
    assert len(learning_figure(record, "val_loss").data) == 0
    assert sum(row.finished + row.stopped + row.saved for row in epochs_spent(record)) == 0

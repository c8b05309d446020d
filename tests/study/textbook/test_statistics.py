"""A published table beside its repetition: what is inside, what more runs would do, what a delay costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from study.textbook.curves_figure import curves_figure
from study.textbook.statistics import (
    FIGURES,
    Cell,
    Measured,
    about_outside,
    compare,
    costs,
    outside_by_chance,
    widening,
)


def measured(
    run: str, way: str, final: list[list[float]], published: tuple[float, float, float] | None = None
) -> Measured:
    """Runs of two epochs that end in ``final``, a row a seed."""
    ends = np.array(final)
    return Measured(run, way, published, np.stack([ends - 0.1, ends], axis=1))


def test_widening_is_rounding_and_for_accuracies_the_binomial_error_of_10_000_images() -> None:
    assert widening("train loss", 0.2) == 0.0005
    assert widening("test accuracy", 0.9) == pytest.approx(0.0005 + 0.003)  # sqrt(.9 * .1 / 10000)
    assert widening("train accuracy", 0.5) == pytest.approx(0.0005 + 0.005)


@pytest.mark.parametrize(
    ("figure", "published", "inside"),
    [
        ("test accuracy", 0.885, True),  # between
        ("test accuracy", 0.880, True),  # at the lowest value
        ("test accuracy", 0.877, True),  # sqrt(.877 * .123 / 1e4) = .0033 below it
        ("test accuracy", 0.876, False),
        ("test accuracy", 0.893, True),
        ("test accuracy", 0.894, False),
        ("train loss", 0.8796, True),  # a loss has no binomial error, only its rounding
        ("train loss", 0.879, False),
        ("test accuracy", None, None),
    ],
)
def test_inside_means_inside_the_widened_range(figure: str, published: float | None, inside: object) -> None:
    assert Cell("run", figure, (0.88, 0.89, 0.885), published).inside is inside


def test_a_cell_shows_every_seed_and_its_median_ignores_a_failed_one() -> None:
    cell = Cell("run", "test accuracy", (0.89, 0.80, 0.90), None)
    assert cell.median == 0.89
    assert cell.mean == pytest.approx(0.8633333)
    assert cell.sd == pytest.approx(math.sqrt((0.0266667**2 + 0.0633333**2 + 0.0366667**2) / 2), abs=1e-6)


def test_one_seed_has_no_spread_and_no_interval() -> None:
    cell = Cell("run", "test accuracy", (0.89,), 0.89)
    assert (cell.sd, cell.predicted, cell.inside) == (None, None, True)
    assert Cell("run", "test accuracy", (0.01,)).interval is None


def test_a_further_run_ends_where_predicted_19_times_of_20() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        *values, further = rng.normal(0.9, 0.003, size=6).tolist()
        low, high = Cell("run", "test accuracy", tuple(values), None).predicted or (1.0, 0.0)
        hits += low <= further <= high
    assert hits / 2000 == pytest.approx(0.95, abs=0.015)  # 3 standard errors


@pytest.mark.parametrize("seeds", [1, 2, 5, 10])
def test_exact_repetitions_lie_outside_of_a_plain_range_as_often_as_said(seeds: int) -> None:
    draws = np.random.default_rng(2).normal(size=(20_000, seeds + 1))
    ours, further = draws[:, :-1], draws[:, -1]
    outside = (further < ours.min(1)) | (further > ours.max(1))
    assert outside.mean() == pytest.approx(outside_by_chance(seeds), abs=0.011)


def test_compare_gives_each_figure_of_each_run_with_its_own_published_one() -> None:
    one = measured("a", "both", [[0.1, 0.95, 0.88], [0.2, 0.94, 0.89]], (0.15, 0.945, 0.885))
    two = measured("b", "corrected", [[0.3, 0.90, 0.87], [0.4, 0.91, 0.86]])
    cells = compare([one, two])
    assert [(c.figure, c.title) for c in cells] == [(f, t) for f in FIGURES for t in ("a", "b, corrected")]
    assert cells[0].values == (0.1, 0.2)
    assert [c.published for c in cells] == [0.15, None, 0.945, None, 0.885, None]


def test_the_cost_is_paired_by_seed_and_only_of_runs_in_both_ways() -> None:
    """Seeds that differ much between each other, but equally in both ways, leave a narrow interval."""
    late = [[0.20, 0.93, 0.80], [0.21, 0.92, 0.90], [0.22, 0.91, 0.85]]
    right = [[0.19, 0.93, 0.81], [0.20, 0.92, 0.912], [0.21, 0.91, 0.859]]
    found = costs(
        [
            measured("constant", "both", late),
            measured("cosine", "as published", late),
            measured("cosine", "corrected", right),
            measured("other", "corrected", right),
        ]
    )
    assert [(c.title, c.figure) for c in found] == [("cosine", figure) for figure in FIGURES]
    test = found[2]
    assert test.values == pytest.approx((0.01, 0.012, 0.009))
    low, high = test.interval or (0.0, 0.0)
    expected = stats.ttest_1samp(test.values, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert found[0].values == pytest.approx((-0.01,) * 3)


def test_sentences_name_what_is_outside_and_what_chance_does() -> None:
    one = measured("a", "both", [[0.1, 0.95, 0.88], [0.2, 0.94, 0.89]], (0.15, 0.945, 0.8))
    *outside, last = about_outside(compare([one]))
    assert len(outside) == 1
    assert outside[0].startswith("a, test accuracy: published 0.800, ours 0.880..0.890; 95 % of further runs")
    assert last.startswith("2 of 3 published figures are inside.")
    assert "67%" in last
    assert about_outside(compare([measured("a", "both", [[0.1, 0.95, 0.88]])])) == []


def test_the_figure_has_a_panel_a_run_with_every_seed_and_the_median() -> None:
    runs = [
        measured("a", "both", [[0.1, 0.95, 0.88], [0.2, 0.94, 0.89], [0.3, 0.9, 0.8]]),
        measured("<b>", "corrected", [[0.3, 0.90, 0.87]]),
    ]
    figure = curves_figure(runs, "title")
    assert len(figure.data) == 2 * len(FIGURES) * 2
    seeds, median = figure.data[4], figure.data[5]
    assert np.nansum(np.asarray(seeds.y)) == pytest.approx(runs[0].curves[:, :, 2].sum())
    assert list(median.y) == pytest.approx([0.78, 0.88])
    assert list(median.x) == [1, 2]
    assert [trace.name for trace in figure.data if trace.showlegend] == list(FIGURES)
    titles = [a.text for a in figure.layout.annotations]
    assert "&lt;b&gt;, corrected" in titles

"""A lead over seeds and images: the parts of its variance, and intervals that hold it on new images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.anova import anova_lm

from study.stats.comparison import compare, one_look
from study.stats.example_sums import ExampleSums, half_over_both


def scores(seed: int, seeds: int, examples: int, disputed: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two finalists whose chances differ from image to image by ``disputed`` (sd)."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(0.3, 0.7, examples)
    tilt = rng.normal(0, disputed, examples)
    first, second = (np.clip(middle + sign * tilt / 2, 0, 1) for sign in (1, -1))
    shift = rng.normal(0, 0.01, (2, seeds, 1))
    return rng.random((seeds, examples)) < first + shift[0], rng.random((seeds, examples)) < second + shift[1]


def test_the_parts_are_those_of_a_two_way_analysis_of_variance() -> None:
    first, second = scores(1, 4, 30, 0.3)
    d = first.astype(float) - second
    rows, columns = np.indices(d.shape).reshape(2, -1)
    frame = pd.DataFrame({"d": d.ravel(), "seed": rows, "image": columns})
    table = anova_lm(smf.ols("d ~ C(seed) + C(image)", frame).fit())
    squares = table["mean_sq"]
    expected = max(squares["C(image)"] - squares["Residual"], 0.0) / d.size
    sums = ExampleSums.of(first, second)
    assert sums.variance() == pytest.approx(expected, rel=1e-9)
    assert sums.disputed == (first != second).sum()


def test_images_add_nothing_where_they_differ_by_chance_alone() -> None:
    found = [ExampleSums.of(*scores(seed, 10, 2000, 0.0)).variance() for seed in range(40)]
    assert np.mean(found) < 0.1 * 0.5 / (10 * 2000)
    assert min(found) == 0.0


def test_more_seeds_do_not_remove_what_images_add() -> None:
    few, many = (float(ExampleSums.of(*scores(3, seeds, 4000, 0.2)).variance()) for seeds in (5, 40))
    assert few == pytest.approx(0.2**2 / 4000, rel=0.2)
    assert many == pytest.approx(0.2**2 / 4000, rel=0.1)


def test_an_interval_over_both_is_never_narrower_than_over_seeds() -> None:
    for variance in np.geomspace(1e-12, 1e-2, 30):
        for freedom in (1, 4, 39):
            for needed in (0.05, 1e-9):
                alone = stats.t.isf(needed / 2, freedom) * 0.001
                assert half_over_both(0.001, freedom, variance, needed) >= alone


def test_it_holds_the_true_difference_on_new_images() -> None:
    """95 % of intervals, where intervals over seeds alone hold it in far fewer; 400 simulated pairs."""
    held, alone = [], []
    for seed in range(400):
        first, second = scores(seed, 8, 1500, 0.35)
        c = compare(np.stack([first.mean(1), second.mean(1)], axis=1)[None], one_look(0.05, 2))
        leader = int(c.leader[0])
        pair = (first, second) if leader == 0 else (second, first)
        error, freedom = c.error[0, 1 - leader], c.freedom[0, 1 - leader]
        half = half_over_both(error, freedom, ExampleSums.of(*pair).variance(), 0.05)
        off = abs(c.difference[0, 1 - leader])  # the two are equally good on all images together
        held.append(off <= half)
        alone.append(off <= stats.t.isf(0.025, freedom) * error)
    assert 0.92 <= np.mean(held) <= 0.98
    assert np.mean(alone) < 0.9


def test_many_pairs_at_once_are_each_alone() -> None:
    pairs = [scores(seed, 3, 50, 0.2) for seed in range(5)]
    together = ExampleSums.of(np.stack([a for a, _ in pairs]), np.stack([b for _, b in pairs])).variance()
    assert together.tolist() == [float(ExampleSums.of(a, b).variance()) for a, b in pairs]

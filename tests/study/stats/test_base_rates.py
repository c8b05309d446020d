"""Where a finalist loses a point when its base rate is off."""

from __future__ import annotations

import numpy as np
import pytest

from study.core.errors import InputError
from study.stats.base_rates import BaseRates

MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0)


def rates(*rows: tuple[float, ...]) -> BaseRates:
    return BaseRates(MULTIPLES, {"cosine #4": np.array(rows)}, 50_000)


@pytest.mark.parametrize(
    ("accuracies", "low", "high", "sentence"),
    [
        ((0.86, 0.885, 0.90, 0.895, 0.88), 2 ** (-2 / 3), 2 ** (4 / 3), "loses 1 point beyond x0.63 or x2.5"),
        ((0.895, 0.899, 0.90, 0.90, 0.88), None, 2**1.5, "loses 1 point beyond x2.8 of"),
        ((0.90, 0.91, 0.90, 0.90, 0.895), None, None, "loses less than 1 point from x0.25 to x4 of"),
        (
            (0.80, 0.90, 0.90, 0.90, np.nan),
            2**-1.1,
            2 ** (1 + 0.01 / 0.8),
            "loses 1 point beyond x0.47 or x2",
        ),
        ((0.90, 0.88, 0.90, 0.90, 0.90), 2**-0.5, None, "loses 1 point beyond x0.71 of"),
    ],
)
def test_crossings_are_straight_over_the_logarithm(
    accuracies: tuple[float, ...], low: float | None, high: float | None, sentence: str
) -> None:
    found = rates(accuracies)
    for reached, expected in zip(found.tolerated("cosine #4"), (low, high), strict=True):
        assert reached == pytest.approx(expected)
    assert f"cosine #4 {sentence}" in found.sentence("cosine #4")


def test_losses_are_paired_by_seed_and_averaged() -> None:
    found = rates((0.8, 0.8, 0.9, 0.9, 0.9), (0.7, 0.7, 0.7, 0.7, 0.6))
    assert found.losses("cosine #4") == pytest.approx([0.05, 0.05, 0, 0, 0.05])
    assert found.seeds == 2


def test_json_round_trip() -> None:
    found = rates((0.8, 0.8, 0.9, 0.9, np.nan))
    data = found.to_json()
    assert data["values"]["cosine #4"][0][4] is None
    assert BaseRates.from_json(data).to_json() == data


@pytest.mark.parametrize("multiples", [(), (1.0,), (0.5, 2.0), (2.0, 1.0), (0.0, 1.0)])
def test_multiples_that_do_not_rise_or_lack_one_are_refused(multiples: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="must rise from above 0 and hold 1"):
        BaseRates(multiples, {"a": np.zeros((1, len(multiples)))}, 1)

"""Laws of the time that a study took: pauses are none of it, trials side by side count once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from study.core.busy_time import BusyTime, duration
from study.core.records import StudyRecord

Maker = Callable[..., StudyRecord]
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def spans(made_up: Maker) -> Callable[..., BusyTime]:
    """Makes the time of trials from their starts and ends, in minutes."""

    def make(*pairs: tuple[int, int | None]) -> BusyTime:
        trials = [
            dataclasses.replace(
                trial,
                started=START + timedelta(minutes=start),
                ended=None if end is None else START + timedelta(minutes=end),
            )
            for trial, (start, end) in zip(made_up(len(pairs)).trials, pairs, strict=True)
        ]
        return BusyTime.of(trials)

    return make


def test_trials_side_by_side_count_once_and_a_pause_not_at_all(spans: Callable[..., BusyTime]) -> None:
    busy = spans((100, 110), (0, 5), (2, 7), (3, 4), (7, 9), (120, None))
    assert busy.seconds == 60 * (9 + 10)
    assert [busy.until(START + timedelta(minutes=m)) / 60 for m in (0, 4, 9, 50, 105, 200)] == [
        0,
        4,
        9,
        9,
        14,
        19,
    ]


def test_no_trial_took_no_time(spans: Callable[..., BusyTime]) -> None:
    assert spans().seconds == 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (515, "8 min 35 s"), (3599.6, "1 h"), (6725, "1 h 52 min")],
)
def test_a_time_is_said_in_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said

"""Writing takes its share of the time and a start, never more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.store.tracking.budget import SHARE, START, Budget


@given(steps=st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(0.0, 1.0)), max_size=200))
def test_spent_stays_within_share_and_start_but_for_the_last_writing(
    steps: list[tuple[float, float]],
) -> None:
    now = 0.0
    budget = Budget(lambda: now)
    spent = longest = 0.0
    for training, writing in steps:
        now += training
        if budget.allows():
            with budget.spending():
                now += writing
            spent, longest = spent + writing, max(longest, writing)
    assert spent <= START + SHARE * now + longest + 1e-6


def test_what_is_cheap_is_always_allowed() -> None:
    now = 0.0
    budget = Budget(lambda: now)
    for _ in range(1000):
        now += 10.0
        assert budget.allows()
        with budget.spending():
            now += 0.1


def test_time_counts_as_spent_when_writing_fails() -> None:
    now = 0.0
    budget = Budget(lambda: now)

    def write() -> None:
        nonlocal now
        with budget.spending():
            now += 3.0
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write()
    assert not budget.allows()

"""Laws of the progress display: what it counts, and what it writes with and without a terminal."""

from __future__ import annotations

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from study.terminal.progress import WINDOW, Pace, Progress, clock_time


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def plain() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=False, width=60), out


def test_speed_and_time_left_of_a_steady_pace_are_exact() -> None:
    pace = Pace(total=100)
    for second in range(11):
        pace.add(float(second), 2.0 * second)
    assert pace.per_second == 2.0
    assert pace.share == 0.2
    assert pace.seconds_left(10.0) == 40.0
    assert pace.seconds_left(15.0) == 35.0


def test_units_of_an_earlier_run_do_not_count_for_the_speed() -> None:
    pace = Pace(total=1000)
    pace.add(0.0, 900)
    pace.add(10.0, 910)
    assert pace.per_second == 1.0
    assert pace.seconds_left(10.0) == 90.0


def test_speed_forgets_what_lies_before_the_window() -> None:
    pace = Pace(total=10_000)
    for step in range(100):
        pace.add(step * 10.0, step * 1.0)
    before = 99 * 10.0
    for step in range(1, 61):
        pace.add(before + step * 10.0, 99.0 + step * 5.0)
    assert pace.per_second == pytest.approx(0.5, rel=1e-12)
    assert pace.seen[0][0] >= before + 600.0 - WINDOW - 10.0


def test_nothing_is_claimed_before_it_is_known() -> None:
    pace = Pace(total=10)
    assert (pace.done, pace.per_second, pace.seconds_left(0.0)) == (0.0, None, None)
    pace.add(0.0, 0)
    assert pace.per_second is None
    pace.add(5.0, 0)
    assert pace.seconds_left(5.0) is None


@given(
    total=st.integers(0, 10**6),
    steps=st.lists(st.tuples(st.floats(0, 1e4), st.integers(0, 1000)), max_size=40),
)
def test_share_and_time_left_stay_in_range(total: int, steps: list[tuple[float, int]]) -> None:
    pace, now, done = Pace(total), 0.0, 0
    for wait, more in steps:
        now, done = now + wait, done + more
        pace.add(now, done)
        assert 0.0 <= pace.share <= 1.0
        left = pace.seconds_left(now)
        assert left is None or (left >= 0.0 and math.isfinite(left))


def test_without_a_terminal_lines_are_plain_and_seldom() -> None:
    console, out = plain()
    clock = Clock()
    with Progress(60, "search", console=console, every=30, clock=clock) as progress:
        for second in range(0, 61, 5):
            clock.now = 1000.0 + second
            progress.update(second, {"finished": str(second), "best": "0.9 [cosine]"})
    lines = out.getvalue().splitlines()
    assert lines == [
        "search   0%  0/60 epochs  0 s gone, ? left  |  finished 0  best 0.9 [cosine]",
        "search  50%  30/60 epochs  1.00 epochs/s  30 s gone, 30 s left  |  finished 30  best 0.9 [cosine]",
        "search 100%  60/60 epochs  1.00 epochs/s  1:00 min gone, 0 s left  |  finished 60  best 0.9 [cosine]",
    ]


def test_the_last_state_is_printed_once_even_when_interrupted() -> None:
    console, out = plain()
    clock = Clock()

    def work() -> None:
        with Progress(9, "search", console=console, clock=clock) as progress:
            progress.update(0, {})
            clock.now += 3
            progress.update(6, {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert [line.split()[2] for line in out.getvalue().splitlines()] == ["0/9", "6/9"]


def test_work_that_falls_away_shortens_the_total() -> None:
    console, out = plain()
    with Progress(100, "search", console=console, clock=Clock()) as progress:
        progress.update(50, {}, total=50)
    assert out.getvalue().startswith("search 100%  50/50 epochs")


def test_nothing_to_do_writes_nothing() -> None:
    console, out = plain()
    with Progress(0, "search", console=console):
        pass
    assert out.getvalue() == ""


@pytest.mark.parametrize("width", [80, 100, 200])
def test_at_a_terminal_the_bar_shows_all_facts(width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None, legacy_windows=False)
    clock = Clock()
    with Progress(3000, "search", console=console, clock=clock) as progress:
        progress.update(0, {})
        clock.now += 3723
        progress.update(1234, {"finished": "12", "pruned": "30", "best": "0.9042 one_cycle"})
    text = out.getvalue()
    last = text[text.rindex("search") :]
    for part in (
        "41%",
        "1:02:03 h gone",
        "left",
        "1,234/3,000 epochs",
        "finished 12",
        "best 0.9042 one_cycle",
    ):
        assert part in last


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1:00 min"),
        (187, "3:07 min"),
        (3723, "1:02:03 h"),
        (1e5, "27:46:40 h"),
    ],
)
def test_durations_read_as_people_write_them(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text


def test_the_best_stands_first_and_minibatches_move_the_bar() -> None:
    """At 80 columns no fact is cut off, and numbers are whole."""
    clock, out = Clock(), io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, color_system=None, legacy_windows=False)
    progress = Progress(1000.4, "lr-schedules", console=console, clock=clock)
    facts = {"best": "0.9102 warmup_stable_decay #67", "finished": "51", "pruned": "31", "running": "8"}
    progress.update(199.059, facts)
    console.print(progress._render())
    before = out.getvalue()
    for part in (
        "best 0.9102 warmup_stable_decay #67",
        "finished 51",
        "running 8",
        "199/1,000 epochs",
        "20%",
    ):
        assert part in " ".join(before.split())
    assert before.index("best") < before.index("finished")
    assert max(len(line.rstrip()) for line in before.splitlines()) <= 80
    progress.within(300.0)
    console.print(progress._render())
    assert "50%" in out.getvalue()[len(before) :]
    progress.update(210, facts)
    console.print(progress._render())
    assert "21%" in out.getvalue()[len(before) :]

"""What a person sees while a command works: a live bar at a terminal, plain lines elsewhere.

rich is imported when a display is made, not when this file is, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: Seconds of the past that the speed is measured over: long enough for several epochs of all lanes.
WINDOW = 300.0


@dataclass
class Pace:
    """How fast units get done, from when each count was seen.

    Attributes:
        total: Units there are to do.
        seen: Pairs of seconds and units done by then, oldest first, over the last ``WINDOW``.
    """

    total: float
    seen: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, now: float, done: float) -> None:
        """Take in that ``done`` units were done at ``now`` seconds."""
        self.seen.append((now, done))
        while len(self.seen) > 2 and self.seen[1][0] <= now - WINDOW:
            self.seen.popleft()

    @property
    def done(self) -> float:
        """Units done when last seen."""
        return self.seen[-1][1] if self.seen else 0.0

    @property
    def share(self) -> float:
        """Share of the total that is done, from 0 to 1; 1 where there is nothing to do."""
        return min(1.0, self.done / self.total) if self.total > 0 else 1.0

    @property
    def per_second(self) -> float | None:
        """Units a second over the window; ``None`` until it can be told."""
        if len(self.seen) < 2:
            return None
        (first, before), (last, done) = self.seen[0], self.seen[-1]
        return (done - before) / (last - first) if last > first and done > before else None

    def seconds_left(self, now: float) -> float | None:
        """Seconds from ``now`` until all is done at this pace; ``None`` until it can be told."""
        rate = self.per_second
        if rate is None:
            return None
        return max(0.0, (self.total - self.done) / rate - (now - self.seen[-1][0]))


@contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """Yield a function that tells what is being done before there is anything to count.

    At a terminal the last thing told stands there with a spinner, and is gone in the end; elsewhere nothing is shown.
    """
    if not sys.stdout.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console().status("starting") as status:
        yield lambda what: status.update(f"{what} ...")


class Progress:
    """A live display of work that is counted in units, as a context manager.

    At a terminal: a bar with percentage, speed, elapsed and remaining time, and a line of facts
    below. Elsewhere: a plain line at the first update, at most every ``every`` seconds, and at
    the end. Printing to stdout or stderr meanwhile appears above the bar.

    Args:
        total: Units to do; ``update`` may change it when work falls away.
        title: What is being done, in a word or two.
        unit: What a unit is called, in the plural.
        aside: Whether to write to stderr, where what the command prints may be piped elsewhere.
        console: Where to write instead.
        every: Seconds between two plain lines.
        clock: Seconds that only grow, for tests.
    """

    def __init__(
        self,
        total: float,
        title: str,
        *,
        unit: str = "epochs",
        aside: bool = False,
        console: Console | None = None,
        every: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        self.console = console or Console(highlight=False, stderr=aside)
        self.title, self.unit, self.every, self.clock = title, unit, every, clock
        self.pace = Pace(total)
        self.facts: dict[str, str] = {}
        self._started = clock()
        self._printed: float | None = None
        self._part = 0.0
        self._live = (
            Live(get_renderable=self._render, console=self.console, refresh_per_second=2)
            if self.console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        """Show the display; units done before the first ``update`` do not count for the speed."""
        self._started = self.clock()
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state standing."""
        if self._live is not None:
            self._live.stop()
        elif self.pace.seen and self._printed != self.pace.seen[-1][0]:
            self._print()

    def update(self, done: float, facts: Mapping[str, str], total: float | None = None) -> None:
        """Show that ``done`` units are done, and the facts beside it.

        Args:
            done: Units done so far, those of earlier runs included.
            facts: What to show, by name, in order: ``{"finished": "12", "best": "0.912 cosine"}``.
            total: Units to do, where that has changed.
        """
        if total is not None:
            self.pace.total = total
        self.pace.add(self.clock(), done)
        self._part = 0.0
        self.facts = dict(facts)
        if self._live is None and (
            self._printed is None or self.pace.seen[-1][0] - self._printed >= self.every
        ):
            self._print()

    def within(self, units: float) -> None:
        """Show that so many units more than at the last ``update`` are under way: minibatches of an epoch, say."""
        self._part = units

    def line(self) -> str:
        """Return the state as one plain line."""
        state = f"{self.title} {self.pace.share:4.0%}  {self._counts()}  {self._times()}"
        facts = "  ".join(f"{name} {value}" for name, value in self.facts.items())
        return f"{state}  |  {facts}" if facts else state

    def _print(self) -> None:
        self._printed = self.pace.seen[-1][0]
        self.console.print(self.line(), markup=False, soft_wrap=True)

    def _counts(self) -> str:
        rate = self.pace.per_second
        speed = "" if rate is None else f"  {rate:.2f} {self.unit}/s"
        return f"{self.pace.done:,.0f}/{self.pace.total:,.0f} {self.unit}{speed}"

    def _times(self) -> str:
        now = self.clock()
        left = self.pace.seconds_left(now)
        return f"{clock_time(now - self._started)} gone, {'?' if left is None else clock_time(left)} left"

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        total = max(self.pace.total, 1e-9)
        done = min(total, self.pace.done + self._part) if self.pace.total > 0 else total
        top = Table.grid(padding=(0, 1), expand=True)
        for ratio in (None, 1, None, None):
            top.add_column(ratio=ratio, no_wrap=True)
        top.add_row(
            Text(self.title, style="bold"),
            ProgressBar(total=total, completed=done),
            f"{done / total:.0%}",
            Text(self._times(), style="cyan"),
        )
        below = Text()
        for name, value in self.facts.items():
            below.append(f"{name} ", "dim").append(value, "bold" if name == "best" else None).append("  ")
        return Group(top, below.append(self._counts()))


def clock_time(seconds: float) -> str:
    """Return a duration as people read it: ``42 s``, ``3:07 min``, ``1:02:03 h``."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}:{minutes:02}:{rest:02} h"
    return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"

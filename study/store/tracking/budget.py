"""How much of the time recording may take, so that watching a study does not slow it down."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Share of the time that writing may take.
SHARE = 0.04
#: Seconds that it may take beyond that, so that the first epochs are seen at once.
START = 2.0


class Budget:
    """Seconds spent on writing against seconds gone by.

    ``allowed <=> spent <= START + SHARE * gone``. On two cores an epoch of eight trials takes some 12 s and
    its records half a second; on a GPU an epoch is over in less than its records take.

    Args:
        clock: Seconds that only grow, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = clock()
        self._spent = 0.0

    def allows(self) -> bool:
        """Return whether something may be written now."""
        return self._spent <= START + SHARE * (self._clock() - self._began)

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Count the time of a block as spent."""
        began = self._clock()
        try:
            yield
        finally:
            self._spent += self._clock() - began

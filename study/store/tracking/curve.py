"""A trial's rate curve on its way to MLflow's charts: few points, given out epoch by epoch.

A run of 30 epochs has thousands of optimizer steps; charts show some 320 points.
"""

from __future__ import annotations

from collections.abc import Sequence

from study.core.thinning import AT_MOST, FEWEST, thin


class GrowingCurve:
    """A curve that arrives epoch by epoch and may stop early, in ``at_most`` points in all.

    Its length is only planned: a pruned trial's curve stops where its training stopped. Points are
    given out as soon as the share of the epochs so far allows ``FEWEST`` of them.
    """

    def __init__(self, epochs: int, at_most: int = AT_MOST) -> None:
        self._epochs = epochs
        self._at_most = at_most
        self._seen = 0
        self._given = 0
        self._held: list[float] = []
        self._first = 0  # step of the first value held

    def add(self, values: Sequence[float]) -> list[tuple[int, float]]:
        """Take an epoch's values, one a step; return the points to show now as ``(step, value)``."""
        self._seen += 1
        self._held += map(float, values)
        # What `rest` may need is set aside, so that the sum keeps to the bound.
        share = (self._at_most - FEWEST) * self._seen // max(self._epochs, self._seen)
        room = share - self._given
        return self._give(room) if room >= FEWEST else []

    def rest(self) -> list[tuple[int, float]]:
        """Return the points held back so far, as ``(step, value)``: the curve ends here."""
        return self._give(FEWEST) if self._held else []

    def _give(self, at_most: int) -> list[tuple[int, float]]:
        points = [(self._first + int(i), self._held[i]) for i in thin(self._held, at_most)]
        self._given += len(points)
        self._first += len(self._held)
        self._held = []
        return points

"""A rate curve in few points: thinned so that its corners stay visible.

A run of 30 epochs has thousands of optimizer steps; charts show some 320 points. Taking every k-th
would slope a milestone's jump over k steps, so points are chosen where a straight line errs most.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Points that MLflow's charts ask for.
AT_MOST = 320
#: Fewest points that hold both ends, both extremes and both sides of two jumps.
FEWEST = 8


def thin(curve: Sequence[float] | NDArray[np.float64], at_most: int = AT_MOST) -> NDArray[np.intp]:
    """Choose the points of a curve that show its shape.

    Kept are the first and the last point, a lowest and a highest one, both sides of the
    ``min(at_most // 4, (at_most - 4) // 2)`` largest jumps, then, one by one, the point that is farthest
    from the line through its kept neighbours, until the lines meet the curve or ``at_most`` are kept.

    Args:
        curve: Values at steps 0, 1, ...; shape ``[n]``, finite.
        at_most: Points to keep, at least 8.

    Returns:
        Indices into the curve, ascending, each once; all of them where ``n <= at_most``.

    Raises:
        ValueError: ``at_most`` is below 8.
    """
    if at_most < FEWEST:
        raise ValueError(f"at_most must be at least {FEWEST}, got at_most={at_most}")
    values = np.asarray(curve, dtype=np.float64)
    if len(values) <= at_most:
        return np.arange(len(values))
    kept = {0, len(values) - 1, int(values.argmin()), int(values.argmax())}
    for left in largest_jumps(values, min(at_most // 4, (at_most - 4) // 2)):
        kept |= {int(left), int(left) + 1}
    _fill(values, kept, at_most)
    return np.array(sorted(kept), dtype=np.intp)


def largest_jumps(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the indices before the ``count`` largest steps between neighbours; flat ones are none."""
    heights = np.abs(np.diff(values))
    order = np.argsort(-heights, kind="stable")[:count]
    return order[heights[order] > 0]


def _fill(values: NDArray[np.float64], kept: set[int], at_most: int) -> None:
    """Add the worst represented points to ``kept`` until it is full or nothing is left to represent."""
    exact = 1e-9 * float(np.abs(values).max())
    ends = sorted(kept)
    heap: list[tuple[float, int, int, int]] = []

    def look(left: int, right: int) -> None:
        error, at = _worst(values, left, right)
        if error > exact:
            heapq.heappush(heap, (-error, at, left, right))

    for left, right in itertools.pairwise(ends):
        look(left, right)
    while heap and len(kept) < at_most:
        _, at, left, right = heapq.heappop(heap)
        kept.add(at)
        look(left, at)
        look(at, right)


def _worst(values: NDArray[np.float64], left: int, right: int) -> tuple[float, int]:
    """Return the largest distance of the curve from the line between two of its points, and where."""
    if right - left < 2:
        return 0.0, left
    line = np.linspace(values[left], values[right], right - left + 1)
    distance = np.abs(values[left : right + 1] - line)
    at = int(distance.argmax())
    return float(distance[at]), left + at


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

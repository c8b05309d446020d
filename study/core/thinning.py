"""A curve in few points, chosen where a straight line errs most, so that its corners stay visible.

Taking every k-th point would slope a milestone's jump over k steps. Here the point that is farthest from the
line through its kept neighbours is kept, one by one (Ramer 1972, Douglas and Peucker 1973), the worst first.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Points that MLflow's charts ask for.
AT_MOST = 320
#: Fewest points that hold both ends, both extremes and both sides of two jumps.
FEWEST = 8


def thin(curve: Sequence[float] | Floats, at_most: int = AT_MOST) -> NDArray[np.intp]:
    """Choose at most so many points of a curve that show its shape.

    Kept are the first and the last point, a lowest and a highest one, both sides of the
    ``min(at_most // 4, (at_most - 4) // 2)`` largest jumps, then the points where lines err most, until they meet
    the curve or ``at_most`` are kept.

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
    steps = np.arange(len(values), dtype=np.float64)
    return _refined(steps, values, kept, 1e-9 * float(np.abs(values).max()), at_most)


def thin_within(times: Floats, values: Floats, tolerance: float) -> NDArray[np.intp]:
    """Choose the points of a curve whose connecting lines leave it by at most ``tolerance``.

    Args:
        times: Times that do not descend, shape ``[n]``.
        values: The curve's values, shape ``[n]``, finite.
        tolerance: Largest vertical distance allowed, in units of ``values``.

    Returns:
        Indices into the curve, ascending, each once, the first and the last point among them.
    """
    ends = {0, len(times) - 1} if len(times) else set()
    return _refined(times, values, ends, tolerance, len(times))


def largest_jumps(values: Floats, count: int) -> NDArray[np.intp]:
    """Return the indices before the ``count`` largest steps between neighbours; flat ones are none."""
    heights = np.abs(np.diff(values))
    order = np.argsort(-heights, kind="stable")[:count]
    return order[heights[order] > 0]


def _refined(
    times: Floats, values: Floats, kept: set[int], tolerance: float, at_most: int
) -> NDArray[np.intp]:
    """Return ``kept`` with the worst represented points added, until it is full or none errs by more than allowed."""
    heap: list[tuple[float, int, int, int]] = []

    def look(left: int, right: int) -> None:
        error, at = _worst(times, values, left, right)
        if error > tolerance:
            heapq.heappush(heap, (-error, at, left, right))

    for left, right in itertools.pairwise(sorted(kept)):
        look(left, right)
    while heap and len(kept) < at_most:
        _, at, left, right = heapq.heappop(heap)
        kept.add(at)
        look(left, at)
        look(at, right)
    return np.array(sorted(kept), dtype=np.intp)


def _worst(times: Floats, values: Floats, left: int, right: int) -> tuple[float, int]:
    """Return the largest distance of the curve from the line between two of its points, and where."""
    if right - left < 2:
        return 0.0, left
    inner = slice(left + 1, right)
    line = np.interp(times[inner], times[[left, right]], values[[left, right]])
    distance = np.abs(values[inner] - line)
    at = int(distance.argmax())
    return float(distance[at]), left + 1 + at

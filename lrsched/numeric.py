"""The few primitives that the formulas share. Each takes an array or a Python float."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from lrsched.schedule import Array


def ramp(t: Array, start: float, end: float) -> Array:
    """Return how far t is on the way from ``start`` to ``end``, in [0, 1]; a jump if they coincide.

    Exactly 0 up to ``start`` and exactly 1 from ``end`` on; at ``start == end`` the end wins.
    """
    if end <= start:
        return np.asarray(t >= end, dtype=np.float64)
    progress: Any = (t - start) / (end - start)
    # np.clip costs a single number ten times as much as min and max.
    single = isinstance(progress, float)
    limited = min(max(progress, 0.0), 1.0) if single else np.clip(progress, 0.0, 1.0)
    return cast("Array", limited)


def cycles(t: Array, period: float) -> tuple[Array, Array]:
    """Return the number of whole periods before t and the time since the last one, in [0, period]."""
    with np.errstate(over="ignore"):  # more periods than a number can count: t stands at the start of one
        n = np.floor(t / period)
    return n, np.minimum(np.maximum(t - n * period, 0.0), period)


def blend(low: float, height: Array) -> Array:
    """Return the value at ``height`` in [0, 1] between ``low`` and 1; exact at both ends."""
    return low + (1.0 - low) * height


def falling_cosine(u: Array) -> Array:
    """Return half a cosine wave from 1 at u = 0 to 0 at u = 1."""
    return (1.0 + np.cos(np.pi * u)) / 2.0

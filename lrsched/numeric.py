"""The few primitives that the formulas share. Each takes an array or a Python float."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrsched.schedule import Array


def ramp(t: Any, start: float, end: float) -> Any:
    """Return how far t is on the way from ``start`` to ``end``, in [0, 1]; a jump if they coincide.

    Exactly 0 up to ``start`` and exactly 1 from ``end`` on; at ``start == end`` the end wins.
    """
    if end <= start:
        return (t >= end) * 1.0
    if isinstance(t, float):  # np.clip costs a number ten times as much as this
        return min(max((t - start) / (end - start), 0.0), 1.0)
    return np.clip((t - start) / (end - start), 0.0, 1.0)


def blend(low: float, height: Array) -> Array:
    """Return the value at ``height`` in [0, 1] between ``low`` and 1; exact at both ends."""
    return low + (1.0 - low) * height


def falling_cosine(u: Array) -> Array:
    """Return half a cosine wave from 1 at u = 0 to 0 at u = 1."""
    return (1.0 + np.cos(np.pi * u)) / 2.0

"""Schedules given by a user's own function."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from lrsched.numeric import each, single
from lrsched.parameter import parameter
from lrsched.schedule import Array, Schedule


def five_percent_off(t: float) -> float:
    """Return 0.95 ** t, the example of torch's documentation."""
    return float(0.95**t)


def always_five_percent(t: float) -> float:  # noqa: ARG001  # a factor per step may ignore the step
    """Return 0.95, a factor for each step."""
    return 0.95


class Function(Schedule, name="function"):
    """The user's own function of time.

    It may exceed 1: who writes it asks for it. It cannot be written as JSON.

    Formula::

        value = function(int(t) if whole else t)

    Source: torch's ``LambdaLR`` (``whole=True``: the function gets a whole number).

    Raises:
        ValueError: When called, if the function gives a negative or non-finite number.

    >>> Function(lambda t: 1 / (1 + t))(3)
    0.25
    """

    function: Callable[[Any], float] = parameter(
        "multiplier as a function of time", "function", example=five_percent_off
    )
    whole: bool = parameter(
        "give the function whole numbers only", "choice", default=False, choices=(False, True)
    )

    def _value(self, t: Array) -> Array:
        return each(self._one, t)

    def _one(self, t: float) -> float:
        return _checked(self.function, math.floor(t) if self.whole else t)


class Multiplicative(Schedule, name="multiplicative"):
    """The product of the user's factors of all whole times up to now.

    The factors are asked for once each, in order, as far as a time needs them.

    Formula::

        value = prod(function(i) for i in range(1, int(t) + 1))

    Source: torch's ``MultiplicativeLR``.

    Raises:
        ValueError: When called, if the function gives a negative or non-finite number.

    >>> Multiplicative(lambda i: 0.5)(3)
    0.125
    """

    function: Callable[[int], float] = parameter(
        "factor of each whole time", "function", example=always_five_percent
    )

    @cached_property
    def _products(self) -> list[float]:
        """Products known so far: they depend on the function alone, not on the order of calls."""
        return [1.0]

    def _value(self, t: Array) -> Array:
        last = int(t if single(t) else np.max(t, initial=0.0))
        known = self._products
        while len(known) <= last:
            known.append(known[-1] * _checked(self.function, len(known)))
        levels: Any = known
        return levels[last] if single(t) else np.array(levels)[t.astype(np.int64)]


def _checked(function: Callable[[Any], float], t: float) -> float:
    """Return ``function(t)``, refusing what cannot be a multiplier."""
    value = float(function(t))
    if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(f"the function must give a finite number >= 0, got {value} at t={t}")
    return value

"""Schedules given by a user's own function."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from lrsched.numeric import REACH, each, single, whole
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
        return _checked(self.function(int(whole(t)) if self.whole else t), t)


#: Factors that a product is formed of: each is kept, a hundred bytes or so.
MOST_FACTORS = 10_000_000


class Multiplicative(Schedule, name="multiplicative"):
    """The product of the user's factors of all whole times up to now.

    The factors are asked for in order, as far as a time needs them, and each once (threads that are there at the same
    time may ask for the same one).

    Formula::

        value = prod(function(i) for i in range(1, int(t) + 1))

    Source: torch's ``MultiplicativeLR``.

    Raises:
        ValueError: When called, if the function gives a negative or non-finite number, the product is too large, or
            the time lies beyond ``MOST_FACTORS``.

    >>> Multiplicative(lambda i: 0.5)(3)
    0.125
    """

    function: Callable[[int], float] = parameter(
        "factor of each whole time", "function", example=always_five_percent
    )

    @cached_property
    def _products(self) -> dict[int, float]:
        """Products known so far, by the time that they hold from.

        They depend on the function alone, and each is written under its own number: threads that come at once
        write the same.
        """
        return {0: 1.0}

    def _value(self, t: Array) -> Array:
        known: Any = self._products
        if not single(t):
            furthest: Any = float(np.max(t, initial=0.0))
            self._value(furthest)
            return each(lambda x: float(known[int(x * REACH)]), t)
        if t > MOST_FACTORS:
            raise ValueError(f"a product of at most {MOST_FACTORS:,} factors is formed, got t={t:g}")
        last = int(t * REACH)
        for i in range(len(known), last + 1):
            known[i] = _checked(self.function(i), i, known[i - 1])
        value: Array = known[last]
        return value


def _checked(value: Any, t: float, before: float = 1.0) -> float:
    """Return a multiplier times what was ``before`` it, refusing what cannot be one."""
    multiplier = float(value)
    product = multiplier * before
    if not (multiplier >= 0.0 and product < math.inf):
        raise ValueError(f"the function must give a finite number >= 0, got {multiplier} at t={t}")
    return product

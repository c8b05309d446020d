"""Schedules that stand still between jumps: constant, step, factor, multi-step, by hand.

The lines after ``Formula::`` are Python; a test evaluates them against the code.
"""

from __future__ import annotations

from functools import cached_property

from lrsched.decay import OVER_THE_RUN
from lrsched.numeric import Pieces, larger, power, whole
from lrsched.parameter import Search, parameter, sorted_distinct
from lrsched.schedule import Array, Schedule


class Constant(Schedule, name="constant"):
    """The base rate, always.

    Formula::

        value = 1

    Source: plain SGD; the baseline of every comparison.

    >>> Constant()(7)
    1.0
    """

    @property
    def duration(self) -> float:
        """Zero: it never changes."""
        return 0.0

    def _value(self, t: Array) -> Array:
        return 1.0 + 0.0 * t


class Step(Schedule, name="step"):
    """Multiply by ``factor`` every ``step_size``.

    1e-9 keeps rounding from delaying a drop.

    Formula::

        value = factor ** int(t / step_size + 1e-9)

    Source: torch's ``StepLR``.

    >>> Step(step_size=4, factor=0.5)(9)
    0.25
    """

    step_size: float = parameter(
        "time between two drops", "time", above=True, example=4, search=Search(0.08, 0.6, of_run=True)
    )
    factor: float = parameter(
        "multiplier at each drop", "ratio", default=0.5, search=Search(0.1, 0.95), also=("gamma",)
    )

    def _value(self, t: Array) -> Array:
        return power(self.factor, whole(t / self.step_size))


class Factor(Schedule, name="factor"):
    """Multiply by ``factor`` at each whole time, but never fall below ``floor``.

    Closed form of the recurrence value(t+1) = max(floor, value(t) * factor), value(0) = 1. It steps, as its
    source's does; ``exponential`` is the smooth one.

    Formula::

        value = max(floor, factor ** int(t))

    Source: Zhang et al., Dive into Deep Learning, "factor scheduler".

    >>> Factor(factor=0.5, floor=0.2)(2.9)
    0.25
    """

    factor: float = parameter(
        "multiplier per unit of time", "ratio", default=0.9, search=OVER_THE_RUN, also=("gamma",)
    )
    floor: float = parameter("lowest multiplier", "ratio", default=0.0, search=Search(1e-3, 0.5, log=True))

    def _value(self, t: Array) -> Array:
        return larger(power(self.factor, whole(t)), self.floor)


class MultiStep(Schedule, name="multi_step"):
    """Multiply by ``factor`` at each milestone.

    Formula::

        value = factor ** sum(m <= t for m in milestones)

    Source: Zhang et al., Dive into Deep Learning, "multi-factor"; torch's ``MultiStepLR``.

    >>> MultiStep(milestones=(15, 30), factor=0.5)(15)
    0.5
    """

    milestones: tuple[float, ...] = parameter(
        "times of the drops",
        "time",
        many=True,
        ordered="increasing",
        example=(8, 14, 19),
        search=Search(0.1, 1.0, of_run=True, count=3, collect=sorted_distinct),
    )
    factor: float = parameter(
        "multiplier at each drop", "ratio", default=0.5, search=Search(0.05, 0.9), also=("gamma",)
    )

    @property
    def duration(self) -> float:
        """The last milestone."""
        return self.milestones[-1]

    @cached_property
    def _pieces(self) -> Pieces:
        """The multiplier after 0, 1, ... milestones."""
        return Pieces(self.milestones, [float(self.factor) ** n for n in range(len(self.milestones) + 1)])

    def _value(self, t: Array) -> Array:
        (level,) = self._pieces.at(t)
        return level


class ByHand(Schedule, name="by_hand"):
    """Multipliers set by hand: ``values[i]`` from ``times[i]`` on, and the base rate before the first.

    Formula::

        value = ([1] + [v for at, v in zip(times, values) if at <= t])[-1]

    Source: Keras' ``PiecewiseConstantDecay``.

    >>> ByHand(times=(5, 12), values=(0.3, 0.6))(12)
    0.6
    """

    times: tuple[float, ...] = parameter(
        "times of the changes",
        "time",
        many=True,
        ordered="increasing",
        example=(5, 12, 16),
        search=Search(0.05, 1.0, of_run=True, count=3, collect=sorted_distinct),
    )
    values: tuple[float, ...] = parameter(
        "multiplier from each time on",
        "ratio",
        many=True,
        example=(0.3, 0.6, 0.1),
        search=Search(1e-3, 1.0, log=True, count=3),
    )

    def _check(self) -> None:
        check_pairs(self.times, self.values)

    @property
    def duration(self) -> float:
        """The last change."""
        return self.times[-1]

    @cached_property
    def _pieces(self) -> Pieces:
        """The multiplier after 0, 1, ... changes."""
        return Pieces(self.times, [1.0, *self.values])

    def _value(self, t: Array) -> Array:
        (level,) = self._pieces.at(t)
        return level


def check_pairs(times: tuple[float, ...], values: tuple[float, ...]) -> None:
    """Raise ValueError unless each time has its value."""
    if len(times) != len(values):
        raise ValueError(
            f"times and values must be equally many, got {len(times)} times, {len(values)} values"
        )

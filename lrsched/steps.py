"""Schedules that stand still between jumps: constant, hold, step, multi-step.

``factor`` jumps as well; it stands in ``decay.py`` beside ``exponential``, the smooth form of it. The lines after
``Formula::`` are Python; a test evaluates them against the code.
"""

from __future__ import annotations

from functools import cached_property

from lrsched.numeric import Pieces, floor, jump, power
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


class Hold(Schedule, name="hold"):
    """A share of the base rate for a while, then the base rate.

    Formula::

        value = factor if t < length else 1

    Source: torch's ``ConstantLR``.

    >>> Hold(factor=0.5, length=8)(7)
    0.5
    """

    factor: float = parameter(
        "rate at first, as a share of the base rate", "ratio", default=0.5, search=Search(0.02, 0.8, log=True)
    )
    length: float = parameter(
        "time until the full rate", "time", default=8, search=Search(0.02, 0.5, of_run=True)
    )

    @property
    def duration(self) -> float:
        """The length."""
        return self.length

    def _value(self, t: Array) -> Array:
        return jump(t, self.length, self.factor, 1.0)


class Step(Schedule, name="step"):
    """Multiply by ``factor`` every ``step_size``.

    Formula::

        value = factor ** int(t / step_size)

    Source: torch's ``StepLR``.

    >>> Step(step_size=4, factor=0.5)(9)
    0.25
    """

    step_size: float = parameter(
        "time between two drops", "time", above=True, example=4, search=Search(0.08, 0.6, of_run=True)
    )
    factor: float = parameter("multiplier at each drop", "ratio", default=0.5, search=Search(0.1, 0.95))

    def _value(self, t: Array) -> Array:
        return power(self.factor, floor(t / self.step_size))


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
    factor: float = parameter("multiplier at each drop", "ratio", default=0.5, search=Search(0.05, 0.9))

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

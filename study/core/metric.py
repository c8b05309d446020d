"""What a study measures: its name, which direction is better, its bounds, and how its values read.

Statistics compare *gains*: ``gain(value) = value`` where more is better, ``-value`` where less is. A larger
gain is a better run whatever the metric is, so no comparison asks for the direction again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from study.core.errors import InputError

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Metric:
    """A figure of merit.

    Attributes:
        name: As it is said in sentences: ``accuracy``, ``loss``.
        direction: Whether more or less of it is better.
        chance: What a network that learned nothing scores.
        low: Smallest value that it can take.
        high: Largest value that it can take.
        drop: A run this much worse than its siblings is bad; by default a 45th of the room, which is
            two points of accuracy for ten classes.

    Raises:
        ValueError: The direction is no direction, bounds are out of order, or ``chance`` lies outside of them.
    """

    name: str = "accuracy"
    direction: Direction = "maximize"
    chance: float = 0.1
    low: float = -math.inf
    high: float = math.inf
    drop: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no metric."""
        if self.direction not in {"maximize", "minimize"}:
            raise ValueError(f"direction must be maximize or minimize, got {self.direction!r}")
        if not self.low < self.high:
            raise ValueError(f"bounds must be (low, high) with low < high, got ({self.low:g}, {self.high:g})")
        if not (math.isfinite(self.chance) and self.low <= self.chance <= self.high):
            raise ValueError(
                f"chance must be a number from {self.low:g} to {self.high:g}, got chance={self.chance}"
            )
        if self.drop is not None and not (math.isfinite(self.drop) and self.drop > 0):
            raise ValueError(f"drop must be above 0, got drop={self.drop}")

    @property
    def maximized(self) -> bool:
        """Whether more is better."""
        return self.direction == "maximize"

    @property
    def share(self) -> bool:
        """Whether it is a share of a whole, whose differences are said in points (hundredths)."""
        return (self.low, self.high) == (0.0, 1.0)

    @property
    def room(self) -> float:
        """The distance from chance to the better bound; the size of chance where that bound is infinite."""
        best = self.high if self.maximized else self.low
        return abs(best - self.chance) if math.isfinite(best) else max(abs(self.chance), 1e-12)

    @property
    def scaled(self) -> bool:
        """Whether chance or a bound says what a large difference is."""
        return self.chance != 0 or math.isfinite(self.high if self.maximized else self.low)

    @property
    def bad_drop(self) -> float:
        """Return how much worse than its siblings a run is that counts as bad."""
        return self.drop if self.drop is not None else self.room / 45

    @property
    def noticeable(self) -> float:
        """Return a difference that anybody would notice: a point of a share, else a hundredth of ``room``."""
        return 0.01 if self.share else self.room / 100

    @property
    def floor(self) -> float:
        """Return the gain below which runs count alike: chance, where the metric has no worst value.

        Otherwise one run that explodes would decide a mean, and count less than one that diverged.
        """
        worst = self.low if self.maximized else self.high
        return self.gain(self.chance) if math.isinf(worst) else self.gain(worst)

    @property
    def failed(self) -> float:
        """Return the value that a run must beat to have learned anything: a ninth of the room past chance."""
        return self.chance + (self.room / 9 if self.maximized else -self.room / 9)

    def gain(self, value: float) -> float:
        """Return the value turned so that more is better; its own inverse."""
        return value if self.maximized else -value

    def progress(self, value: float) -> float:
        """Return a value as a share, larger is better: itself for a share, else the part of ``room`` past chance."""
        if self.share and self.maximized:
            return value
        return (self.gain(value) - self.gain(self.chance)) / self.room

    def better(self, one: float, other: float) -> bool:
        """Whether ``one`` is better than ``other``; NaN, a diverged run, is worse than any number."""
        if math.isnan(one) or math.isnan(other):
            return math.isnan(other) and not math.isnan(one)
        return self.gain(one) > self.gain(other)

    def best(self, values: Iterable[float]) -> float:
        """Return the best of some values; NaN where there is none."""
        return max((v for v in values if not math.isnan(v)), key=self.gain, default=math.nan)

    def margin(self, stated: float | None) -> float:
        """Return the difference that does not matter, as users state it; a tenth of ``noticeable`` by default.

        Args:
            stated: In points for a share, else in the metric's own unit; ``None`` for the default.

        Raises:
            InputError: It is no difference of this metric, or there is no default.
        """
        if stated is None:
            if not self.scaled:
                raise InputError(
                    f"`margin` must be given for {self.name}, whose chance level of 0 without a bound says nothing "
                    "of what is much: the difference that does not matter"
                )
            return self.noticeable / 10
        difference = stated / 100 if self.share else stated
        if not 0 <= difference <= (self.high - self.low) / 2:
            raise InputError(
                f"`margin` must be from 0 to half of the range of {self.name}, got {self.written(difference)}"
            )
        return difference

    def value(self, value: float) -> str:
        """Return a value as it is printed: four decimals for shares, five significant digits otherwise."""
        return f"{value:.4f}" if self.share else f"{value:.5g}"

    def said(self, value: float) -> str:
        """Return a value as a sentence has it: per cent for a share."""
        return f"{100 * value:.2f} %" if self.share else self.value(value)

    @property
    def unit(self) -> str:
        """What differences are said in, with a space before it: points for a share, else nothing."""
        return " points" if self.share else ""

    @property
    def named_unit(self) -> str:
        """What differences are said in where nothing else tells what is measured: points, else the metric."""
        return self.unit or f" in {self.name}"

    @property
    def units(self) -> float:
        """How many of ``unit`` a difference of 1 is."""
        return 100.0 if self.share else 1.0

    def number(self, difference: float) -> str:
        """Return a difference without its unit: two decimals for points, else four significant digits."""
        return f"{100 * difference:.2f}" if self.share else f"{difference:.4g}"

    def written(self, difference: float) -> str:
        """Return a difference as a user wrote it."""
        return f"{self.units * difference:g}{self.unit}"

    def difference(self, difference: float) -> str:
        """Return a difference in words: ``1.20 points`` for a share, a plain number otherwise."""
        return f"{self.number(difference)}{self.unit}"

    def span(self, low: float, high: float) -> str:
        """Return an interval of differences in words, its unit once."""
        return f"{self.number(low)} to {self.number(high)}{self.unit}"

    def title(self, split: str) -> str:
        """Return its name with the split it was measured on, for a heading: ``Test accuracy``."""
        return f"{split} {self.name}".strip().capitalize()

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back; an infinite bound as ``None``."""
        return {k: None if v in {math.inf, -math.inf} else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Metric:
        """Read what ``to_json`` wrote."""
        known = {f.name: data[f.name] for f in fields(cls) if data.get(f.name) is not None}
        return cls(**known)


#: What the default problem is measured by: ten classes, a run two points below its siblings is bad.
ACCURACY = Metric("accuracy", "maximize", chance=0.1, low=0.0, high=1.0)

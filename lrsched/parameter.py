"""What a schedule's field is: meaning, unit, domain, default and search range, declared once.

Validation, the study's search space, the catalogue and the command's options are all derived from
these declarations.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field
from typing import Any

#: Domain of each numeric unit: lowest value, highest value, whole numbers only.
_DOMAINS: dict[str, tuple[float, float, bool]] = {
    "time": (0.0, math.inf, False),
    "ratio": (0.0, 1.0, False),
    "exponent": (0.0, math.inf, False),
    "number": (-math.inf, math.inf, False),
    "count": (0.0, math.inf, True),
}
#: Sizes of numbers that leave room for sums and products of a few of them, and for division by times.
_SMALLEST, _LARGEST = 1e-100, 1e100
#: What a field must be that is neither a number nor a choice, by its unit.
_PARTS = {"schedule": "a schedule", "function": "a function of time"}


def plain(value: Any) -> Any:
    """Return a number of numpy or torch as Python's own; anything else as it is.

    >>> import numpy
    >>> plain(numpy.float64(0.5)), plain("linear")
    (0.5, 'linear')
    """
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def is_number(value: Any) -> bool:
    """Whether it is a whole or a real number of Python; truth values are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def sorted_distinct(values: Sequence[float]) -> tuple[float, ...]:
    """Return the values in increasing order, each once: how drawn times become milestones."""
    return tuple(sorted(set(values)))


@dataclass(frozen=True)
class Search:
    """Where a study looks for a field's best value.

    Attributes:
        low: Lowest value drawn. ``low == high`` pins the field to that value.
        high: Highest value drawn.
        log: Draw evenly on a logarithmic scale.
        integer: Draw whole numbers.
        choices: Draw one of these instead of a number.
        of_run: ``low`` and ``high`` are shares of the run's length, not times or epochs.
        over_run: ``low`` and ``high`` are what the whole run makes of 1; the field is a factor per unit of time.
        count: Numbers drawn; more than one for a field that holds several.
        collect: Makes the field's value from the ``count`` numbers drawn.
    """

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    integer: bool = False
    choices: tuple[Any, ...] | None = None
    of_run: bool = False
    over_run: bool = False
    count: int = 1
    collect: Callable[[Sequence[float]], Any] = tuple

    def ends(self, run: float) -> tuple[float, float]:
        """Return the lowest and the highest value drawn for a run of length ``run``, in its unit of time.

        >>> Search(0.1, 0.5, of_run=True).ends(30)
        (3.0, 15.0)
        >>> Search(0.0625, 0.25, over_run=True).ends(2)
        (0.25, 0.5)
        """
        if self.of_run:
            return self.low * run, self.high * run
        if self.over_run:
            return self.low ** (1 / run), self.high ** (1 / run)
        return self.low, self.high


#: Pins a length to the run's own length.
WHOLE_RUN = Search(1.0, 1.0, of_run=True)


@dataclass(frozen=True)
class Parameter:
    """One declared field of a schedule.

    Attributes:
        name: The field's name.
        meaning: What it is, in a few words.
        unit: ``time`` (any unit, the schedule's own), ``ratio`` (share of the base rate or of the
            length), ``exponent``, ``number``, ``count``, ``choice``, ``schedule`` or ``function``.
        default: Value when not given; ``None`` where it must be given (see ``required``).
        required: Whether it must be given.
        example: A typical value, for the catalogue's picture; the default unless declared otherwise.
        low: Lowest value allowed.
        high: Highest value allowed.
        above: ``low`` itself is not allowed.
        below: ``high`` itself is not allowed.
        choices: The values allowed for a choice.
        many: The field holds a tuple, and the domain applies to each item.
        ordered: Items must not decrease (``"rising"``) or must strictly increase (``"increasing"``).
        search: Where a study looks for its best value; ``None`` if it is not searched.
        also: Names that the field goes by elsewhere, accepted as its own.
    """

    name: str
    meaning: str
    unit: str
    default: Any
    required: bool
    example: Any
    low: float
    high: float
    above: bool
    below: bool
    choices: tuple[Any, ...]
    many: bool
    ordered: str | None
    search: Search | None
    also: tuple[str, ...]

    @property
    def plain(self) -> bool:
        """Whether it holds numbers or choices, which a terminal and a search can give; else schedules or functions."""
        return self.unit not in _PARTS

    @property
    def integer(self) -> bool:
        """Whether only whole numbers are allowed."""
        return self.unit in _DOMAINS and _DOMAINS[self.unit][2]

    @property
    def rule(self) -> str:
        """The domain in words, as error messages say it."""
        if not self.plain:
            return _PARTS[self.unit]
        if self.unit == "choice":
            return "one of " + ", ".join(repr(c) for c in self.choices)
        kind = "a whole number" if self.integer else "a number"
        if math.isinf(self.low) and math.isinf(self.high):
            return f"{kind}, finite"
        if math.isinf(self.high):
            return f"{kind} {'>' if self.above else '>='} {self.low:g}"
        return (
            f"{kind} in {'(' if self.above else '['}{self.low:g}, {self.high:g}{')' if self.below else ']'}"
        )

    @property
    def summary(self) -> str:
        """The field in one line: meaning, domain, default."""
        each = " each" if self.many else ""
        default = "required" if self.required else f"default {self.default!r}"
        also = f"; also called {', '.join(self.also)}" if self.also else ""
        return f"{self.meaning} ({self.rule}{each}); {default}{also}"

    def check(self, value: Any) -> Any:
        """Return ``value`` as plain immutable Python data.

        Raises:
            TypeError: It is of another kind than the field.
            ValueError: It lies outside the field's domain.
        """
        if not self.many:
            return self._check_one(value, self.name)
        if isinstance(value, str) or not hasattr(value, "__iter__") or getattr(value, "ndim", 1) == 0:
            raise TypeError(f"{self.name} must be a sequence, got {self.name}={value!r}")
        items = tuple(self._check_one(v, f"{self.name}[{i}]") for i, v in enumerate(value))
        if not items:
            raise ValueError(f"{self.name} must hold at least one item, got {self.name}=()")
        steps = list(itertools.pairwise(items))
        if self.ordered == "increasing" and not all(a < b for a, b in steps):
            raise ValueError(f"{self.name} must be strictly increasing, got {self.name}={items}")
        if self.ordered == "rising" and not all(a <= b for a, b in steps):
            raise ValueError(f"{self.name} must not decrease, got {self.name}={items}")
        return items

    def _check_one(self, value: Any, label: str) -> Any:
        """Check one item; ``label`` names it in messages."""
        if not self.plain:
            # Duck typing keeps this file below schedule.py; `at` is what composition calls. A class has it too.
            schedule = hasattr(value, "at") and hasattr(value, "to_json") and not isinstance(value, type)
            if not (callable(value) if self.unit == "function" else schedule):
                raise TypeError(f"{label} must be {self.rule}, got {label}={value!r}")
            return value
        value = plain(value)
        if self.unit == "choice":
            # Compared with types, lest True pass for 1.
            if not any(value == c and type(value) is type(c) for c in self.choices):
                raise ValueError(f"{label} must be {self.rule}, got {label}={value!r}")
            return value
        if not is_number(value):
            raise TypeError(f"{label} must be {self.rule}, got {label}={value!r}")
        if _LARGEST < abs(value) < math.inf or (self.unit == "time" and self.above and 0 < value < _SMALLEST):
            raise ValueError(
                f"{label} must be from {_SMALLEST:g} to {_LARGEST:g} in size, got {label}={value!r}"
            )
        if not self._allows(value):
            raise ValueError(f"{label} must be {self.rule}, got {label}={value!r}")
        return int(value) if self.integer or isinstance(value, int) else float(value)

    def _allows(self, value: float) -> bool:
        """Whether a number lies inside the domain."""
        if not math.isfinite(value) or (self.integer and value != int(value)):
            return False
        over = value > self.low if self.above else value >= self.low
        return over and (value < self.high if self.below else value <= self.high)


def parameter(
    meaning: str,
    unit: str,
    *,
    default: Any = MISSING,
    example: Any = None,
    low: float | None = None,
    high: float | None = None,
    above: bool = False,
    below: bool = False,
    choices: tuple[Any, ...] = (),
    many: bool = False,
    ordered: str | None = None,
    search: Search | None = None,
    also: tuple[str, ...] = (),
) -> Any:
    """Declare a field of a schedule; the arguments are those of ``Parameter``.

    ``low`` and ``high`` narrow the unit's own domain. A field without a default must be given.

    Raises:
        ValueError: There is no such unit.
    """
    units = (*_DOMAINS, "choice", *_PARTS)
    if unit not in units:
        raise ValueError(f"unit must be one of {', '.join(map(repr, units))}, got unit={unit!r}")
    unit_low, unit_high, _ = _DOMAINS.get(unit, (-math.inf, math.inf, False))
    required = default is MISSING
    declared = Parameter(
        name="",
        meaning=meaning,
        unit=unit,
        default=None if required else default,
        required=required,
        example=default if example is None else example,
        low=unit_low if low is None else low,
        high=unit_high if high is None else high,
        above=above,
        below=below,
        choices=choices,
        many=many,
        ordered=ordered,
        search=search,
        also=also,
    )
    metadata = {"parameter": declared}
    return field(metadata=metadata) if required else field(default=default, metadata=metadata)

"""How a finalist fares when its base rate is not what it was tuned to: the first question of practice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from study.core.errors import InputError
from study.core.metric import ACCURACY, Metric
from study.stats.comparison import Floats, counted


@dataclass(frozen=True)
class BaseRates:
    """Finalists trained at multiples of their base rates.

    Attributes:
        multiples: The multiples, rising, 1 among them.
        values: Validation values of the metric by finalist, ``[seeds, multiples]``; NaN for a diverged run.
        examples: Examples that they were trained on.
        metric: What they are measured by; a multiple is judged by ``Metric.noticeable``.
        noun: What the examples are called.
    """

    multiples: tuple[float, ...]
    values: Mapping[str, Floats]
    examples: int
    metric: Metric = ACCURACY
    noun: str = "images"

    def __post_init__(self) -> None:
        """Refuse multiples that do not rise or lack 1, and a metric of which nothing says what is much."""
        if not self.metric.scaled:
            raise InputError(
                f"other base rates need a metric with a chance level other than 0, or bounds: {self.metric.name} "
                "has neither"
            )
        m = self.multiples
        if len(m) < 2 or 1.0 not in m or m[0] <= 0 or any(b <= a for a, b in pairwise(m)):
            told = ",".join(f"{each:g}" for each in m)
            raise InputError(
                f"multiples of the base rate must rise from above 0 and hold 1, got {told or 'none'}"
            )

    @property
    def seeds(self) -> int:
        """Seeds of each multiple."""
        return len(next(iter(self.values.values())))

    def losses(self, name: str) -> Floats:
        """Return what a finalist loses in the mean against its own rate, seed by seed, ``[multiples]``; own rate: 0."""
        y = counted(self.values[name] if self.metric.maximized else -self.values[name], self.metric)
        own = self.multiples.index(1.0)
        lost: Floats = (y[:, [own]] - y).mean(0)
        return lost

    def tolerated(self, name: str) -> tuple[float | None, float | None]:
        """Return the multiples below and above 1 at which a finalist first loses ``Metric.noticeable``.

        Between two multiples the loss is taken as straight over the logarithm of the multiple. ``None``
        where it loses less at all of them.
        """
        lost, own = self.losses(name), self.multiples.index(1.0)
        logs = np.log(np.array(self.multiples))
        return (
            _crossing(logs[own::-1], lost[own::-1], self.metric.noticeable),
            _crossing(logs[own:], lost[own:], self.metric.noticeable),
        )

    def sentence(self, name: str) -> str:
        """Say within which multiples a finalist loses less than what is noticed."""
        much = self.metric.written(self.metric.noticeable).replace("1 points", "1 point")
        low, high = self.tolerated(name)
        beyond = [f"x{each:.2g}" for each in (low, high) if each is not None]
        if beyond:
            return f"{name} loses {much} beyond {' or '.join(beyond)} of its base rate."
        return f"{name} loses less than {much} from x{self.multiples[0]:g} to x{self.multiples[-1]:g} of its base rate."

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is said of each finalist."""
        return tuple(self.sentence(name) for name in self.values)

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back, with the sentences."""
        return {
            "multiples": list(self.multiples),
            "values": {
                name: [[None if math.isnan(a) else float(a) for a in row] for row in table]
                for name, table in self.values.items()
            },
            "train_examples": self.examples,
            "sentences": list(self.sentences),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], metric: Metric = ACCURACY, noun: str = "images") -> BaseRates:
        """Read what ``to_json`` wrote, for a metric that stands elsewhere."""
        tables = {
            name: np.array([[math.nan if a is None else a for a in row] for row in rows], dtype=np.float64)
            for name, rows in data["values"].items()
        }
        return cls(tuple(data["multiples"]), tables, int(data["train_examples"]), metric, noun)


def _crossing(logs: Floats, lost: Floats, much: float) -> float | None:
    """Return the first multiple, going along, at which ``much`` is lost."""
    for before, after in zip(range(len(logs)), range(1, len(logs)), strict=False):
        if lost[after] >= much:
            share = (much - lost[before]) / (lost[after] - lost[before])
            return float(np.exp(logs[before] + share * (logs[after] - logs[before])))
    return None

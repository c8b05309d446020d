"""How a finalist fares when its base rate is not what it was tuned to: the first question of practice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.core.errors import InputError
from study.core.records import CHANCE

Floats = NDArray[np.float64]

#: The loss of accuracy that a multiple is judged by: one point.
LOSS = 0.01


@dataclass(frozen=True)
class BaseRates:
    """Finalists trained at multiples of their base rates.

    Attributes:
        multiples: The multiples, rising, 1 among them.
        accuracies: Validation accuracy by finalist, ``[seeds, multiples]``; NaN for a diverged run.
        images: Images that they were trained on.
    """

    multiples: tuple[float, ...]
    accuracies: Mapping[str, Floats]
    images: int

    def __post_init__(self) -> None:
        """Refuse multiples that do not rise or lack 1."""
        m = self.multiples
        if len(m) < 2 or 1.0 not in m or m[0] <= 0 or any(b <= a for a, b in pairwise(m)):
            told = ",".join(f"{each:g}" for each in m)
            raise InputError(
                f"multiples of the base rate must rise from above 0 and hold 1, got {told or 'none'}"
            )

    @property
    def seeds(self) -> int:
        """Seeds of each multiple."""
        return len(next(iter(self.accuracies.values())))

    def losses(self, name: str) -> Floats:
        """Return a finalist's mean loss against its own rate, seed by seed, ``[multiples]``; own rate: 0."""
        y = np.where(np.isnan(self.accuracies[name]), CHANCE, self.accuracies[name])
        own = self.multiples.index(1.0)
        lost: Floats = (y[:, [own]] - y).mean(0)
        return lost

    def tolerated(self, name: str) -> tuple[float | None, float | None]:
        """Return the multiples below and above 1 at which a finalist first loses ``LOSS``.

        Between two multiples the loss is taken as straight over the logarithm of the multiple. ``None``
        where it loses less at all of them.
        """
        lost, own = self.losses(name), self.multiples.index(1.0)
        logs = np.log(np.array(self.multiples))
        return (
            _crossing(logs[own::-1], lost[own::-1]),
            _crossing(logs[own:], lost[own:]),
        )

    def sentence(self, name: str) -> str:
        """Say within which multiples a finalist loses less than a point."""
        low, high = self.tolerated(name)
        beyond = [f"x{each:.2g}" for each in (low, high) if each is not None]
        if beyond:
            return f"{name} loses 1 point beyond {' or '.join(beyond)} of its base rate."
        return f"{name} loses less than 1 point from x{self.multiples[0]:g} to x{self.multiples[-1]:g} of its base rate."

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is said of each finalist."""
        return tuple(self.sentence(name) for name in self.accuracies)

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back, with the sentences."""
        return {
            "multiples": list(self.multiples),
            "accuracies": {
                name: [[None if math.isnan(a) else float(a) for a in row] for row in table]
                for name, table in self.accuracies.items()
            },
            "train_images": self.images,
            "sentences": list(self.sentences),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BaseRates:
        """Read what ``to_json`` wrote."""
        tables = {
            name: np.array([[math.nan if a is None else a for a in row] for row in rows], dtype=np.float64)
            for name, rows in data["accuracies"].items()
        }
        return cls(tuple(data["multiples"]), tables, int(data["train_images"]))


def _crossing(logs: Sequence[float] | Floats, lost: Sequence[float] | Floats) -> float | None:
    """Return the first multiple, going along, at which the loss reaches ``LOSS``."""
    for before, after in zip(range(len(logs)), range(1, len(logs)), strict=False):
        if lost[after] >= LOSS:
            share = (LOSS - lost[before]) / (lost[after] - lost[before])
            return float(np.exp(logs[before] + share * (logs[after] - logs[before])))
    return None

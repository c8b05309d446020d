"""Who trains in which lane, and how far each is: what every kind of lanes keeps beside its weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from study.core.records import EpochMetrics


@dataclass
class _Lane:
    key: int
    epochs: int = 0


class Roster:
    """The networks in training, in lane order.

    Args:
        lanes: Key and number of epochs trained of each, as :meth:`state` returns them.
    """

    def __init__(self, lanes: Iterable[tuple[int, int]] = ()) -> None:
        self._lanes = [_Lane(key, epochs) for key, epochs in lanes]

    def __len__(self) -> int:
        """Return how many lanes train."""
        return len(self._lanes)

    @property
    def keys(self) -> list[int]:
        """Keys of the lanes that train, in lane order."""
        return [lane.key for lane in self._lanes]

    def add(self, key: int) -> None:
        """Append a lane.

        Raises:
            ValueError: The key trains already.
        """
        if key in self.keys:
            raise ValueError(f"lane {key} trains already")
        self._lanes.append(_Lane(key))

    def drop(self, key: int) -> list[int]:
        """Take a lane out; return the rows of those that stay.

        Raises:
            ValueError: The key does not train.
        """
        rows = [row for row, lane in enumerate(self._lanes) if lane.key != key]
        if len(rows) == len(self._lanes):
            raise ValueError(f"no lane trains {key}")
        self._lanes = [self._lanes[row] for row in rows]
        return rows

    def epoch(
        self,
        figures: Sequence[Sequence[float]],
        rates: Sequence[float],
        seconds: float,
        *,
        on_test: bool = False,
    ) -> dict[int, EpochMetrics]:
        """Note that every lane trained an epoch; return what it gave, by key.

        Args:
            figures: A row a lane: loss and metric in training; where measured, those of the evaluation; where an
                average of the weights is kept, those of the average.
            rates: Each lane's learning rate at the last step.
            seconds: What the epoch took, for each lane.
            on_test: Whether the evaluation was made on the test set.
        """
        found = {}
        for lane, row, rate in zip(self._lanes, figures, rates, strict=True):
            train_loss, train_metric, loss, metric, _, averaged = [*row, *[None] * (6 - len(row))]
            found[lane.key] = EpochMetrics(
                epoch=lane.epochs,
                rate=float(rate),
                train_loss=train_loss,
                train_accuracy=train_metric,
                val_loss=None if on_test else loss,
                val_accuracy=None if on_test else metric,
                averaged_accuracy=averaged,
                seconds=seconds,
                test_loss=loss if on_test else None,
                test_accuracy=metric if on_test else None,
            )
            lane.epochs += 1
        return found

    def state(self) -> list[tuple[int, int]]:
        """Return what another process makes the same roster from."""
        return [(lane.key, lane.epochs) for lane in self._lanes]

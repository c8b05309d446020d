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
    """The networks in training, by the row of the stacked weights that each is trained in.

    Args:
        lanes: Key and number of epochs trained of each, as :meth:`state` returns them.
    """

    def __init__(self, lanes: Iterable[tuple[int, int]] = ()) -> None:
        self._lanes: list[_Lane | None] = [_Lane(key, epochs) for key, epochs in lanes]

    def __len__(self) -> int:
        """Return how many rows there are, free ones too."""
        return len(self._lanes)

    @property
    def rows(self) -> list[int]:
        """Rows of the lanes that train, in order."""
        return [row for row, lane in enumerate(self._lanes) if lane is not None]

    @property
    def keys(self) -> list[int]:
        """Keys of the lanes that train, in the order of their rows."""
        return [lane.key for lane in self._lanes if lane is not None]

    def row(self, key: int) -> int:
        """Return the row of a lane.

        Raises:
            ValueError: The key does not train.
        """
        if key not in self.keys:
            raise ValueError(f"no lane trains {key}")
        return self.rows[self.keys.index(key)]

    def add(self, key: int) -> int:
        """Give a lane the first free row, or a new last one; return it.

        Raises:
            ValueError: The key trains already.
        """
        if key in self.keys:
            raise ValueError(f"lane {key} trains already")
        free = [row for row, lane in enumerate(self._lanes) if lane is None]
        row = free[0] if free else len(self._lanes)
        self._lanes[row : row + 1] = [_Lane(key)]
        return row

    def free(self, key: int) -> int:
        """Take a lane out and leave its row free; return the row.

        Raises:
            ValueError: The key does not train.
        """
        row = self.row(key)
        self._lanes[row] = None
        return row

    def drop(self, key: int) -> list[int]:
        """Take a lane out and close the gap; return the rows of those that stay.

        Raises:
            ValueError: The key does not train.
        """
        self.free(key)
        rows = self.rows
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
            figures: A row a lane that trains: loss and metric in training; where measured, those of the evaluation; where an
                average of the weights is kept, those of the average.
            rates: Each lane's learning rate at the last step.
            seconds: What the epoch took, for each lane.
            on_test: Whether the evaluation was made on the test set.
        """
        found = {}
        training = [lane for lane in self._lanes if lane is not None]
        for lane, row, rate in zip(training, figures, rates, strict=True):
            measured: list[float | None] = [*row[2:], *[None] * (6 - len(row))]
            loss, metric, _, averaged = measured
            found[lane.key] = EpochMetrics(
                epoch=lane.epochs,
                rate=float(rate),
                train_loss=row[0],
                train_accuracy=row[1],
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
        return [(lane.key, lane.epochs) for lane in self._lanes if lane is not None]

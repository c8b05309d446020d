"""What the runs of a sweep say, with intervals: cells summed up, and two cells compared over the seeds that they share.

A run that diverged, learned nothing or ended far below its cell's better runs on the validation images is *bad* (as in
``docs/verdict.md``): it is counted, and typical figures are of the others. What is chosen (a best base rate, a best length) is chosen by the mean
validation accuracy; what is stated is test accuracy, which nothing was chosen by.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from study.core.metric import ACCURACY
from study.questions.sweep import Run

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """The runs of one cell.

    Attributes:
        place: Where the cell stands on the grid.
        runs: Its runs, by seed.
    """

    place: Mapping[str, float | str]
    runs: Mapping[int, Run]

    @property
    def seeds(self) -> int:
        """Runs, bad ones included."""
        return len(self.runs)

    @cached_property
    def good(self) -> dict[int, Run]:
        """The runs that are not bad."""
        ends = [end for run in self.runs.values() if not math.isnan(end := run.validation[-1])]
        if not ends:
            return {}
        least = max(ACCURACY.failed, float(np.quantile(ends, 0.75)) - ACCURACY.bad_drop)
        return {seed: run for seed, run in self.runs.items() if run.validation[-1] >= least}

    @property
    def bad(self) -> int:
        """How many runs were bad."""
        return len(self.runs) - len(self.good)

    @property
    def test(self) -> float:
        """Mean test accuracy of the typical runs; NaN where there is none."""
        return _mean(run.test for run in self.good.values())

    @property
    def validation(self) -> float:
        """Mean validation accuracy of the typical runs, and minus infinity for a cell that fails in most of its runs."""
        if 2 * self.bad > self.seeds or not self.good:
            return -math.inf
        return _mean(run.validation[-1] for run in self.good.values())

    def epochs_to(self, target: float) -> float:
        """Return after how many epochs the median run's validation accuracy reached ``target``; infinite if it did not."""
        reached = [
            next((e for e, value in enumerate(run.validation, start=1) if value >= target), math.inf)
            for run in self.runs.values()
        ]
        return float(np.quantile(reached, 0.5, method="higher"))


@dataclass(frozen=True)
class Contrast:
    """One cell's test accuracy minus another's, over the seeds on which both ran well.

    Attributes:
        mean: Mean difference.
        low: Lower end of Student's 95 % interval of it; NaN for fewer than two seeds.
        high: Its upper end.
        seeds: Seeds.
    """

    mean: float
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, one: Summary, other: Summary) -> Contrast:
        """Compare two cells."""
        shared = sorted(one.good.keys() & other.good.keys())
        found = np.array([one.good[seed].test - other.good[seed].test for seed in shared])
        if len(found) < 2:
            return cls(_mean(found), math.nan, math.nan, len(found))
        half = float(stats.t.ppf(0.5 + LEVEL / 2, len(found) - 1) * found.std(ddof=1) / math.sqrt(len(found)))
        return cls(float(found.mean()), float(found.mean()) - half, float(found.mean()) + half, len(found))

    @property
    def told(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        """Return ``0.12 points (-0.05 to 0.29, 5 seeds, not told from zero)``."""
        if math.isnan(self.mean):
            return "by an unknown difference (no seed on which both ran well)"
        span = "no interval" if math.isnan(self.low) else f"{100 * self.low:.2f} to {100 * self.high:.2f}"
        doubt = "" if self.told or math.isnan(self.low) else ", not told from zero"
        return f"{100 * self.mean:.2f} points ({span}, {self.seeds} seed{'s' * (self.seeds != 1)}{doubt})"


def summed_up(runs: Iterable[Run]) -> list[Summary]:
    """Return a summary a cell, in the order in which cells first appear on the grid."""
    cells: dict[tuple[tuple[str, float | str], ...], dict[int, Run]] = {}
    for run in runs:
        cells.setdefault(tuple(run.cell.place.items()), {})[run.seed] = run
    return [Summary(dict(place), dict(sorted(found.items()))) for place, found in cells.items()]


def where(summaries: Sequence[Summary], **place: float | str) -> list[Summary]:
    """Return the cells at these places; an axis of two words is named with an underscore."""
    wanted = {axis.replace("_", " "): value for axis, value in place.items()}
    return [s for s in summaries if all(s.place[axis] == value for axis, value in wanted.items())]


def best(summaries: Sequence[Summary]) -> Summary:
    """Return the cell of best mean validation accuracy, the earlier one at a tie."""
    return max(summaries, key=lambda s: s.validation)


def axis(summaries: Sequence[Summary], name: str) -> list[float | str]:
    """Return the values of one axis, in order of appearance."""
    return list(dict.fromkeys(s.place[name] for s in summaries))


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else math.nan

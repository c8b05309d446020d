"""What the runs of a sweep say, with intervals: cells summed up, and two cells compared over the seeds that they share.

A run that diverged, learned nothing or ended far behind its cell's better runs on the validation data is *bad* (as in
``docs/verdict.md``): it is counted, and typical figures are of the others. What is chosen (a best base rate, a best length) is
chosen by the mean on the validation data; what is stated is of the test data, which nothing was chosen by.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from study.core.metric import Metric
from study.questions.sweep import Run

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """The runs of one cell.

    Attributes:
        place: Where the cell stands on the grid.
        runs: Its runs, by seed.
        metric: What they are measured by.
    """

    place: Mapping[str, float | str]
    runs: Mapping[int, Run]
    metric: Metric

    @property
    def seeds(self) -> int:
        """Runs, bad ones included."""
        return len(self.runs)

    @cached_property
    def good(self) -> dict[int, Run]:
        """The runs that are not bad."""
        gain = self.metric.gain
        ends = {s: gain(run.validation[-1]) for s, run in self.runs.items()}
        finite = [end for end in ends.values() if not math.isnan(end)]
        if not finite:
            return {}
        least = max(gain(self.metric.failed), float(np.quantile(finite, 0.75)) - self.metric.bad_drop)
        return {seed: self.runs[seed] for seed, end in ends.items() if end >= least}

    @property
    def bad(self) -> int:
        """How many runs were bad."""
        return len(self.runs) - len(self.good)

    @property
    def test(self) -> float:
        """Mean of the typical runs on the test data; NaN where there is none."""
        return _mean(run.test for run in self.good.values())

    @property
    def fails(self) -> bool:
        """Whether most of its runs are bad."""
        return 2 * self.bad > self.seeds or not self.good

    @property
    def validation(self) -> float:
        """Mean of the typical runs on the validation data; NaN for a cell that fails."""
        return math.nan if self.fails else _mean(run.validation[-1] for run in self.good.values())

    @property
    def gain(self) -> float:
        """What cells are chosen by: ``validation``, turned so that more is better; minus infinity for one that fails."""
        return -math.inf if self.fails else self.metric.gain(self.validation)

    def epochs_to(self, target: float) -> float:
        """Return after how many epochs the median run reached ``target`` on the validation data; infinite if it did not."""
        gain = self.metric.gain
        reached = [
            next(
                (e for e, value in enumerate(run.validation, start=1) if gain(value) >= gain(target)),
                math.inf,
            )
            for run in self.runs.values()
        ]
        return float(np.quantile(reached, 0.5, method="higher"))


@dataclass(frozen=True)
class Contrast:
    """By how much one cell is better than another on the test data, over the seeds on which both ran well.

    Attributes:
        metric: What they are measured by.
        mean: Mean difference of gains: above 0 where the one is better, whichever direction is.
        low: Lower end of Student's 95 % interval of it; NaN for fewer than two seeds.
        high: Its upper end.
        seeds: Seeds.
    """

    metric: Metric
    mean: float
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, one: Summary, other: Summary) -> Contrast:
        """Compare two cells."""
        shared = sorted(one.good.keys() & other.good.keys())
        gain = one.metric.gain
        found = np.array([gain(one.good[seed].test) - gain(other.good[seed].test) for seed in shared])
        if len(found) < 2:
            return cls(one.metric, _mean(found), math.nan, math.nan, len(found))
        half = float(stats.t.ppf(0.5 + LEVEL / 2, len(found) - 1) * found.std(ddof=1) / math.sqrt(len(found)))
        mean = float(found.mean())
        return cls(one.metric, mean, mean - half, mean + half, len(found))

    @property
    def told(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        """Return ``0.12 points (-0.05 to 0.29, 5 seeds, not told from zero) above``, or below; as numbers are, not gains."""
        if math.isnan(self.mean):
            return "(no seed on which both ran well) against"
        better = self.mean >= 0
        mean, *ends = (self.mean, self.low, self.high) if better else (-self.mean, -self.high, -self.low)
        number = self.metric.number
        span = "no interval" if math.isnan(self.low) else f"{number(ends[0])} to {number(ends[1])}"
        doubt = "" if self.told or math.isnan(self.low) else ", not told from zero"
        seeds = f"{self.seeds} seed{'s' * (self.seeds != 1)}"
        side = "above" if better == self.metric.maximized else "below"
        return f"{self.metric.difference(mean)} ({span}, {seeds}{doubt}) {side}"


def summed_up(runs: Iterable[Run], metric: Metric) -> list[Summary]:
    """Return a summary a cell, in the order in which cells first appear on the grid."""
    cells: dict[tuple[tuple[str, float | str], ...], dict[int, Run]] = {}
    for run in runs:
        cells.setdefault(tuple(run.cell.place.items()), {})[run.seed] = run
    return [Summary(dict(place), dict(sorted(found.items())), metric) for place, found in cells.items()]


def where(summaries: Sequence[Summary], **place: float | str) -> list[Summary]:
    """Return the cells at these places; an axis of two words is named with an underscore."""
    wanted = {axis.replace("_", " "): value for axis, value in place.items()}
    return [s for s in summaries if all(s.place[axis] == value for axis, value in wanted.items())]


def best(summaries: Sequence[Summary]) -> Summary:
    """Return the cell of best mean on the validation data, the earlier one at a tie."""
    return max(summaries, key=lambda s: s.gain)


def axis(summaries: Sequence[Summary], name: str) -> list[float | str]:
    """Return the values of one axis, in order of appearance."""
    return list(dict.fromkeys(s.place[name] for s in summaries))


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else math.nan

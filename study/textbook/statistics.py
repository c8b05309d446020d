"""A published table beside our repetition of it, as pure functions over what the runs gave.

Notation: S seeds, E epochs, Q = 3 figures: training loss, training accuracy, test accuracy, in the order in
which the textbook prints them after the last epoch.

The published figures come from one run each. S exact repetitions leave one more run outside of their range
with probability 2 / (S + 1), for each figure: with 5 seeds, every third figure of a perfect repetition
would lie outside of the plain range. The range is therefore widened by what is known of a figure's error
(``widening``), and where a figure still lies outside, ``Cell.predicted`` says where 95 % of further runs
would end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FIGURES = ("train loss", "train accuracy", "test accuracy")
#: Images that the binomial error of an accuracy is taken of: the size of the test set.
IMAGES = 10_000
#: The sources print three digits: a printed figure stands for what is this near to it.
ROUNDING = 0.0005
LEVEL = 0.95


@dataclass(frozen=True)
class Measured:
    """What one run gave with every seed.

    Attributes:
        run: The run's name in its source.
        way: ``as published``, ``corrected``, or ``both`` where the two are the same run.
        published: The source's three figures; ``None`` where it printed none or they cannot be compared.
        curves: The figures after each epoch, ``[S, E, Q]``; the last axis in the order of ``FIGURES``.
    """

    run: str
    way: str
    published: tuple[float, float, float] | None
    curves: NDArray[np.float64]

    @property
    def final(self) -> NDArray[np.float64]:
        """The figures after the last epoch, ``[S, Q]``."""
        return self.curves[:, -1]

    @property
    def title(self) -> str:
        """Its name, and its way where the other way is another run."""
        return titled(self.run, self.way)


@dataclass(frozen=True)
class Cell:
    """One figure of one run over the seeds; or what a figure of a run gained, paired by seed.

    Attributes:
        title: The run.
        figure: One of ``FIGURES``.
        values: The figure, or the difference, of every seed, in order.
        published: The source's figure, if there is one to compare with.
    """

    title: str
    figure: str
    values: tuple[float, ...]
    published: float | None = None

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def median(self) -> float:
        """Median over the seeds: a seed that failed does not move it."""
        return float(np.median(self.values))

    @property
    def sd(self) -> float | None:
        """Standard deviation over the seeds (ddof 1); ``None`` for one seed."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    @property
    def inside(self) -> bool | None:
        """Whether the published figure lies in the widened range; ``None`` where there is none."""
        if self.published is None:
            return None
        room = widening(self.figure, self.published)
        return min(self.values) - room <= self.published <= max(self.values) + room

    @property
    def interval(self) -> tuple[float, float] | None:
        """Student's 95 % interval of the mean, ``mean -+ t * sd / sqrt(S)``; ``None`` for one seed."""
        return self._around_mean(1 / len(self.values))

    @property
    def predicted(self) -> tuple[float, float] | None:
        """Where one more run ends with 95 % confidence, the runs being normal; ``None`` for one seed.

        ``mean -+ t * sd * sqrt(1 + 1 / S)``, t Student's quantile of S - 1 degrees of freedom.
        """
        return self._around_mean(1 + 1 / len(self.values))

    def _around_mean(self, variances: float) -> tuple[float, float] | None:
        """Return the interval whose error has so many times the variance of one value."""
        if self.sd is None:
            return None
        quantile = float(stats.t.ppf(0.5 + LEVEL / 2, len(self.values) - 1))
        half = quantile * self.sd * math.sqrt(variances)
        return self.mean - half, self.mean + half


def titled(run: str, way: str) -> str:
    """Return a run's name, with its way where the other way is another run."""
    return run if way == "both" else f"{run}, {way}"


def widening(figure: str, published: float) -> float:
    """Return by how much the range over seeds is widened on each side before a figure is called outside.

    Half of the last printed digit, and for an accuracy p one binomial standard error of 10,000 images,
    ``sqrt(p * (1 - p) / 10000)``.
    """
    if figure == "train loss":
        return ROUNDING
    return ROUNDING + math.sqrt(published * (1 - published) / IMAGES)


def outside_by_chance(seeds: int) -> float:
    """Return how often one more run of the same kind lies outside of the plain range of ``seeds`` runs."""
    return 2 / (seeds + 1)


def compare(measured: Sequence[Measured]) -> list[Cell]:
    """Return every figure of every run over the seeds, figure by figure, runs in their order."""
    return [
        Cell(
            one.title,
            figure,
            tuple(one.final[:, place].tolist()),
            None if one.published is None else one.published[place],
        )
        for place, figure in enumerate(FIGURES)
        for one in measured
    ]


def costs(measured: Sequence[Measured]) -> list[Cell]:
    """Return what the source's loop costs each run that was trained in both ways, figure by figure.

    The values are corrected minus as published; for the loss a negative difference is a gain.
    """
    corrected = {one.run: one for one in measured if one.way == "corrected"}
    pairs = [
        (one, corrected[one.run]) for one in measured if one.way == "as published" and one.run in corrected
    ]
    return [
        Cell(late.run, figure, tuple((right.final - late.final)[:, place].tolist()))
        for place, figure in enumerate(FIGURES)
        for late, right in pairs
    ]


def about_outside(cells: Sequence[Cell]) -> list[str]:
    """Return a sentence for every published figure outside of its range, and one on chance."""
    said = []
    for cell in cells:
        if cell.inside is False:
            more = "" if cell.predicted is None else "; 95 % of further runs would end in {:.3f}..{:.3f}"
            said.append(
                f"{cell.title}, {cell.figure}: published {cell.published:.3f}, "
                f"ours {min(cell.values):.3f}..{max(cell.values):.3f}" + more.format(*(cell.predicted or ()))
            )
    judged = [cell for cell in cells if cell.inside is not None]
    if judged:
        chance = outside_by_chance(len(judged[0].values))
        said.append(
            f"{len(judged) - len(said)} of {len(judged)} published figures are inside. Each is of one run: "
            f"of exact repetitions, {chance:.0%} would lie outside of a range that is not widened."
        )
    return said

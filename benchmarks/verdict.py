"""How often the verdict names a false winner, and how often a true one: simulated confirmations.

    python benchmarks/verdict.py [--repetitions 10000]

Each repetition draws a table of seeds x finalists and sends it through ``study.stats.comparison``, the
code that judges a real confirmation. Accuracies: 90 % plus the planted lead, plus an effect shared by
all finalists of a seed, plus normal noise of the given spread; "heavy" lets each run, on its own, end 5
to 10 points lower with a chance of one in ten. Beside it stands the plain way: a paired t-test at 5 % of
the best mean against each other.
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy import stats

from study.stats.comparison import compare
from study.stats.verdict import verdict

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SPREAD = 0.25
FAR = -4.0


@dataclass(frozen=True)
class World:
    """What the finalists are like. Points of accuracy.

    Attributes:
        name: What it is called in the table.
        leads: Each finalist's true typical accuracy, against 90 %.
        spreads: Each finalist's standard deviation from seed to seed.
        seed_effect: Standard deviation of the effect that a seed has on all finalists.
        tails: ``normal`` noise, or ``t3``: Student's with 3 degrees, scaled to the same quartiles.
    """

    name: str
    leads: tuple[float, ...]
    spreads: tuple[float, ...] = (SPREAD,) * 5
    seed_effect: float = 0.0
    tails: str = "normal"


NOBODY = (
    World("5 equal", (0.0,) * 5),
    World("5 equal, seeds matter (sd .5)", (0.0,) * 5, seed_effect=0.5),
    World("2 equal, 3 far behind", (0.0, 0.0, FAR, FAR, FAR)),
    World("3 equal, 2 far behind", (0.0, 0.0, 0.0, FAR, FAR)),
    World("4 equal, 1 far behind", (0.0, 0.0, 0.0, 0.0, FAR)),
    World("2 finalists, equal", (0.0, 0.0), (SPREAD,) * 2),
    World("2 equal, 3 far, t3 noise", (0.0, 0.0, FAR, FAR, FAR), tails="t3"),
    World("2 equal at spread .25, 3 far at .5", (0.0, 0.0, FAR, FAR, FAR), (0.25, 0.25, 0.5, 0.5, 0.5)),
    World("2 equal at spread .5, 3 far at .25", (0.0, 0.0, FAR, FAR, FAR), (0.5, 0.5, 0.25, 0.25, 0.25)),
)
AHEAD = tuple(World(f"1 ahead by {lead}", (lead, 0.0, 0.0, 0.0, 0.0)) for lead in (0.2, 0.4, 0.8))


def draw(world: World, seeds: int, heavy: float, repetitions: int, rng: np.random.Generator) -> Floats:
    """Return simulated tables, ``[repetitions, seeds, finalists]``."""
    shape = (repetitions, seeds, len(world.leads))
    noise = rng.normal(size=shape)
    if world.tails == "t3":
        noise = rng.standard_t(3, size=shape) * stats.norm.ppf(0.75) / stats.t.ppf(0.75, 3)
    points = np.array(world.leads) + np.array(world.spreads) * noise
    points += world.seed_effect * rng.normal(size=(repetitions, seeds, 1))
    points -= (rng.random(shape) < heavy) * rng.uniform(5, 10, size=shape)
    return 0.9 + points / 100


def plain(y: Floats) -> Bools:
    """Whether the best mean beats every other by a paired t-test at 5 %, uncorrected, ``[R]``."""
    rows, best = np.arange(len(y)), y.mean(1).argmax(1)
    difference = y[rows, :, best][:, :, None] - y
    error = difference.std(1, ddof=1) / np.sqrt(y.shape[1])
    t = difference.mean(1) / np.where(error > 0, error, 1)
    t[rows, best] = np.inf
    beats: Bools = (t > stats.t.ppf(0.975, y.shape[1] - 1)).all(1)
    return beats


def shares(world: World, y: Floats) -> tuple[float, float, float, float, float]:
    """Return percentages: winner named, told apart in a typical run, plain, best kept, intervals right.

    With one finalist ahead only decisions for it count. "Best kept": the first finalist, which is (one
    of) the best, is in the set of contenders. "Intervals right": all of a table's intervals hold the true
    differences.
    """
    c = compare(y)
    right = np.ones(len(y), dtype=bool)
    right_plain = right
    if sum(lead == max(world.leads) for lead in world.leads) == 1:
        right, right_plain = c.leader == 0, y.mean(1).argmax(1) == 0
    others = y.shape[2] - 1
    told = (c.out | (c.p_holm < 0.05)).sum(1) == others
    leads = np.array(world.leads) / 100
    truth = leads[c.leader][:, None] - leads
    half = stats.t.isf(c.step_level / 2, c.freedom) * c.error
    covered = (np.abs(c.difference - truth) <= half + 1e-12).all(1)
    outcomes = (c.winner & right, told & right, plain(y) & right_plain, ~c.excluded[:, 0], covered)
    named, typical, by_plain, kept, intervals = (100 * float(np.mean(o)) for o in outcomes)
    return named, typical, by_plain, kept, intervals


def table(worlds: tuple[World, ...], seeds: tuple[int, ...], repetitions: int) -> None:
    """Print one line for each world, number of seeds and kind of noise."""
    print(
        f"| {'finalists':36} | seeds | runs   | winner named | ahead when well | plain t | best kept | intervals |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for world in worlds:
        for count in seeds:
            for heavy in (0.0, 0.1):
                rng = np.random.default_rng([count, round(10 * heavy), len(world.name)])
                named, typical, by_plain, kept, intervals = shares(
                    world, draw(world, count, heavy, repetitions, rng)
                )
                print(
                    f"| {world.name:36} | {count:5} | {'heavy' if heavy else 'normal':6} | {named:10.1f} % "
                    f"| {typical:13.1f} % | {by_plain:5.1f} % | {kept:7.1f} % | {intervals:7.1f} % |"
                )


def settled(world: World, seeds: int, repetitions: int) -> tuple[int, int, float]:
    """Return ties with a hint of at most 60 more seeds, decisions after that many, and the median hint."""
    rng = np.random.default_rng(seeds)
    hints, decided = [], 0
    for y in draw(world, seeds + 60, 0.0, repetitions, rng):
        hint = verdict(y[:seeds], [str(f) for f in range(y.shape[1])]).more_seeds
        if hint is not None and hint <= 60:
            hints.append(hint)
            decided += bool(compare(y[None, : seeds + hint]).winner[0])
    return len(hints), decided, float(np.median(hints)) if hints else 0.0


def looked_again(world: World, looks: tuple[int, ...], repetitions: int) -> float:
    """Return the percentage that names a false winner at any of several looks at growing tables."""
    y = draw(world, looks[-1], 0.0, repetitions, np.random.default_rng(looks[-1]))
    named = np.any([compare(y[:, :seeds]).winner for seeds in looks], axis=0)
    return 100 * float(named.mean())


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=10_000, help="simulated confirmations a line")
    n = parser.parse_args().repetitions
    start = time.perf_counter()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}")
    print(f"n = {n} confirmations a line, spread {SPREAD} points, level 95 %\n\nFalse winners\n")
    table(NOBODY, (5, 10), n)
    print("\nTrue winners\n")
    table(AHEAD, (5, 10, 20), n)
    print("\nFalse winners when a tie is extended and judged again\n")
    for world in (NOBODY[0], NOBODY[2]):
        for looks in ((5, 10), (10, 20), (5, 10, 20)):
            print(f"{world.name}, judged at {looks} seeds: {looked_again(world, looks, n):.1f} %")
    print(f"\nHow good is the hint at more seeds (n = {n // 50} confirmations a line)\n")
    for world in AHEAD[:2]:
        for seeds in (5, 10):
            hinted, decided, median = settled(world, seeds, n // 50)
            share = 100 * decided / max(hinted, 1)
            print(
                f"{world.name}, {seeds} seeds: {hinted} hints of at most 60, median {median:g}; followed, "
                f"{share:.0f} % end with a winner"
            )
    print(
        f"\n{time.perf_counter() - start:.0f} s; chance alone moves a figure near 5 % by {100 * (0.05 * 0.95 / n) ** 0.5:.1f} (standard error)"
    )


if __name__ == "__main__":
    main()

"""How often the verdict names a false winner, how often a true one, and what it costs: simulated confirmations.

    python benchmarks/verdict.py [--repetitions 10000] [--only LINE]

Each repetition draws a table of seeds x finalists and sends it through ``study.stats.sequential.walk``, the code
that judges a real confirmation, at looks after 5, 10, 20 and 40 seeds. Accuracies: 90 % plus the planted lead,
plus an effect shared by all finalists of a seed, plus normal noise of the given spread; "heavy" lets each run,
on its own, end 5 to 10 points lower with a chance of one in ten. Finalists that fail with chances of their own learn nothing
in a run that fails.

The last table has two sources of noise, seeds and images. Its images are those of a real confirmation:
``data/image_scores.npz`` holds for each of 3 finalists, 5 seeds and 10,000 test images whether it was right.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy import stats

from study.stats.comparison import compare, one_look
from study.stats.example_sums import ExampleSums, half_over_both
from study.stats.sequential import RULES, Plan, walk

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SPREAD = 0.25
FAR = -4.0
CHANCE = 0.1
LOOKS = (5, 10, 20, 40)
SCORES = Path(__file__).parent / "data" / "image_scores.npz"


@dataclass(frozen=True)
class World:
    """What the finalists are like. Points of accuracy.

    Attributes:
        name: What it is called in the table.
        leads: Each finalist's true typical accuracy, against 90 %.
        spreads: Each finalist's standard deviation from seed to seed.
        seed_effect: Standard deviation of the effect that a seed has on all finalists.
        tails: ``normal`` noise, or ``t3``: Student's with 3 degrees, scaled to the same quartiles.
        fails: Each finalist's chance that a run learns nothing.
    """

    name: str
    leads: tuple[float, ...]
    spreads: tuple[float, ...] = (SPREAD,) * 5
    seed_effect: float = 0.0
    tails: str = "normal"
    fails: tuple[float, ...] = (0.0,) * 5

    @property
    def best(self) -> Bools:
        """Who is best in a typical run, alone or with others, of those that fail least, ``[F]``."""
        fails = np.array(self.fails[: len(self.leads)])
        leads = np.where(fails == fails.min(), np.array(self.leads), -np.inf)
        best: Bools = leads == leads.max()
        return best


EQUAL = World("5 equal", (0.0,) * 5)
TWO = World("2 equal, 3 far behind", (0.0, 0.0, FAR, FAR, FAR))
NOISY = World("2 equal at spread .5, 3 far at .25", TWO.leads, (0.5, 0.5, 0.25, 0.25, 0.25))
NOBODY = (
    EQUAL,
    World("5 equal, seeds matter (sd .5)", EQUAL.leads, seed_effect=0.5),
    TWO,
    World("3 equal, 2 far behind", (0.0, 0.0, 0.0, FAR, FAR)),
    World("4 equal, 1 far behind", (0.0, 0.0, 0.0, 0.0, FAR)),
    World("2 finalists, equal", (0.0, 0.0), (SPREAD,) * 2),
    World("2 equal, 3 far, t3 noise", TWO.leads, tails="t3"),
    World("2 equal at spread .25, 3 far at .5", TWO.leads, (0.25, 0.25, 0.5, 0.5, 0.5)),
    NOISY,
    World("2 equal at .5, 3 near (.5 behind) at .25", (0.0, 0.0, -0.5, -0.5, -0.5), NOISY.spreads),
)
#: Failing with chances of their own: first those among whom nobody is best alone.
ALIKE = tuple(
    World(f"2 equal, both failing 1 in {n}", (0.0, 0.0), (SPREAD,) * 2, fails=(1 / n, 1 / n))
    for n in (20, 10, 5, 3)
)
FAILING = (
    World("1 failing 1 in 5, 1 steady and equal", (0.0, 0.0), (SPREAD,) * 2, fails=(0.2, 0.0)),
    World("1 failing 1 in 5 and .2 ahead, 1 steady", (0.2, 0.0), (SPREAD,) * 2, fails=(0.2, 0.0)),
    World("1 failing 1 in 3 and .2 ahead, 1 steady", (0.2, 0.0), (SPREAD,) * 2, fails=(1 / 3, 0.0)),
    World(
        "1 failing 1 in 5, 3 near (.5 behind), 1 steady",
        (0.0, 0.0, -0.5, -0.5, -0.5),
        fails=(0.2, 0.0, 0.0, 0.0, 0.0),
    ),
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
    values: Floats = 0.9 + points / 100
    if any(world.fails):
        values = np.where(rng.random(shape) < np.array(world.fails[: shape[2]]), CHANCE, values)
    return values


@dataclass(frozen=True)
class Ends:
    """How R confirmations ended.

    Attributes:
        winner: Who was named; -1 where nobody was, ``[R]``.
        equal: Whether no difference that matters was said, ``[R]``.
        kept: Whether nobody who is truly best was ever excluded, ``[R]``.
        runs: Runs trained, ``[R]``.
    """

    winner: NDArray[np.int64]
    equal: Bools
    kept: Bools
    runs: NDArray[np.int64]


def judged(world: World, y: Floats, plan: Plan) -> Ends:
    """Send tables through the code that judges one."""
    count = len(y)
    winner, runs = np.full(count, -1), np.zeros(count, dtype=np.int64)
    equal, kept = np.zeros(count, dtype=bool), np.ones(count, dtype=bool)
    before = (0, *plan.looks)
    for look in walk(y, plan):
        runs[look.rows] += (plan.looks[look.number] - before[look.number]) * len(look.columns)
        winner[look.rows] = np.where(look.won, look.columns[look.comparison.leader], -1)
        equal[look.rows] = look.equal
        kept[look.rows] &= (look.remaining | ~world.best[look.columns]).all(1)
    return Ends(winner, equal, kept, runs)


def generator(world: World, heavy: float) -> np.random.Generator:
    """Return a generator of the line's own."""
    return np.random.default_rng([len(world.name), round(100 * sum(world.leads)) % 1000, round(10 * heavy)])


def false_and_true(worlds: Sequence[World], repetitions: int) -> Iterator[str]:
    """Yield a table: one line for each world and kind of noise."""
    yield "| finalists | runs | false winner | true winner | best kept | the same at 40 seeds at once | runs trained |"
    yield "|---|---|---|---|---|---|---|"
    for world in worlds:
        for heavy in (0.0, 0.1):
            y = draw(world, LOOKS[-1], heavy, repetitions, generator(world, heavy))
            ends, fixed = judged(world, y, Plan(LOOKS)), judged(world, y, Plan(LOOKS[-1:]))
            alone = world.best.sum() == 1
            named, at_once = ends.winner >= 0, fixed.winner >= 0
            right, right_at_once = (alone & (e.winner == world.best.argmax()) for e in (ends, fixed))
            share = ends.runs.mean() / (LOOKS[-1] * len(world.leads))
            yield (
                f"| {world.name} | {'heavy' if heavy else 'normal'} | {percent(named & ~right)} | "
                f"{percent(right) if alone else ''} | {percent(ends.kept)} | "
                f"{percent(right_at_once if alone else at_once)} | {100 * share:.0f} % |"
            )


def failing(repetitions: int) -> Iterator[str]:
    """Yield a table: finalists that fail with chances of their own, by the rules of today and of version 3."""
    yield "| finalists | false winner | true winner | best kept | runs trained | by version 3: false | true |"
    yield "|---|---|---|---|---|---|---|"
    for world in (*ALIKE, *FAILING):
        y = draw(world, LOOKS[-1], 0.0, repetitions, generator(world, 0.0))
        alone, cells = world.best.sum() == 1, []
        for rules in (RULES, 3):
            ends = judged(world, y, Plan(LOOKS, rules=rules))
            right = alone & (ends.winner == world.best.argmax())
            cells += [percent((ends.winner >= 0) & ~right), percent(right) if alone else ""]
            if rules == RULES:
                share = ends.runs.mean() / (LOOKS[-1] * len(world.leads))
                cells += [percent(ends.kept), f"{100 * share:.0f} %"]
        yield f"| {world.name} | {' | '.join(cells)} |"


def equivalence(repetitions: int) -> Iterator[str]:
    """Yield a table: how often no difference that matters is said, by margin."""
    yield "| finalists | margin | no difference that matters | winner named |"
    yield "|---|---|---|---|"
    for margin in (0.1, 0.2, 0.3):
        for behind, name in ((TWO.leads[2:], "2, 3 far behind"), ((0.0,) * 3, "5")):
            for lead in (0.0, 1.0, 2.0):
                truth = "equal" if not lead else f"1 ahead by {lead * margin:.1f}"
                world = World(f"{name}: {truth}", (lead * margin, 0.0, *behind))
                y = draw(world, LOOKS[-1], 0.0, repetitions, generator(world, margin))
                ends = judged(world, y, Plan(LOOKS, margin=margin / 100))
                yield f"| {world.name} | {margin} | {percent(ends.equal)} | {percent(ends.winner >= 0)} |"


def peeking(repetitions: int) -> Iterator[str]:
    """Yield a table: false winners where every look is judged as if it were the only one."""
    yield "| finalists | judged at 5 and 10 | 5, 10 and 20 | 5, 10, 20 and 40 | planned |"
    yield "|---|---|---|---|---|"
    for world in (EQUAL, TWO):
        y = draw(world, LOOKS[-1], 0.0, repetitions, generator(world, 0.0))
        at = [judged(world, y[:, :seeds], Plan((seeds,))).winner >= 0 for seeds in LOOKS]
        cells = [percent(np.any(at[:count], axis=0)) for count in (2, 3, 4)]
        planned = percent(judged(world, y, Plan(LOOKS)).winner >= 0)
        yield f"| {world.name} | {' | '.join(cells)} | {planned} |"


def short(repetitions: int) -> Iterator[str]:
    """Yield a table: plans of one look only, false winners and a lead of 0.4 points."""
    yield "| one look at | 5 equal | 2 equal, 3 far | 2 equal at .5, 3 far at .25 | 1 ahead by 0.4, named |"
    yield "|---|---|---|---|---|"
    for seeds in (5, 10, 20):
        cells = []
        for world in (EQUAL, TWO, NOISY, AHEAD[1]):
            ends = judged(world, draw(world, seeds, 0.0, repetitions, generator(world, 0.0)), Plan((seeds,)))
            cells.append(percent(ends.winner == 0 if world.best.sum() == 1 else ends.winner >= 0))
        yield f"| {seeds} seeds | {' | '.join(cells)} |"


def population(right: Bools) -> Floats:
    """Return each image's chance of being right, for a pair of finalists, ``[2, I]``.

    The shares seen in few seeds differ between the two by chance as well; their difference is drawn together
    until it varies over images as much as ``ExampleSums`` estimates that the true one does.

    Args:
        right: Whether each was right, ``[2, S, I]``.
    """
    seen = right.mean(1)
    middle, lead = seen.mean(0), seen[0] - seen[1]
    over_images = float(ExampleSums.of(right[0], right[1]).variance()) * right.shape[2]
    lead = lead.mean() + np.sqrt(over_images / lead.var(ddof=1)) * (lead - lead.mean())
    chances: Floats = np.clip(np.stack([middle + lead / 2, middle - lead / 2]), 0.0, 1.0)
    return chances


def draw_scores(chances: Floats, seeds: int, rng: np.random.Generator) -> Bools:
    """Return the scores of a pair with fresh seeds on fresh images of a population, ``[2, seeds, I]``.

    A seed moves a finalist's mean by a normal deviate of ``SPREAD`` points, images in doubt more than others.
    """
    count = chances.shape[1]
    chance = chances[:, rng.integers(count, size=count)].astype(np.float32)
    doubt = chance * (1 - chance)
    doubt /= doubt.mean(1, keepdims=True)
    shift = rng.normal(0.0, SPREAD / 100, size=(2, seeds, 1)).astype(np.float32)
    return rng.random((2, seeds, count), dtype=np.float32) < chance[:, None] + shift * doubt[:, None]


def images(repetitions: int) -> Iterator[str]:
    """Yield a table: how often intervals hold the true difference on new images."""
    with np.load(SCORES) as kept:
        names = [str(name) for name in kept["names"]]
        right = np.unpackbits(kept["right"], axis=2, count=int(kept["examples"])).astype(bool)
    yield "| pair | seeds | over seeds and images | over seeds alone | half width, both | half width, seeds |"
    yield "|---|---|---|---|---|---|"
    for pair in ((0, 1), (0, 2)):
        chances = population(right[list(pair)])
        truth = float((chances[0] - chances[1]).mean())
        rng = np.random.default_rng(pair)
        found = np.array([_covered(draw_scores(chances, LOOKS[-1], rng), truth) for _ in range(repetitions)])
        for place, seeds in enumerate(LOOKS):
            both, alone, wide, narrow = found[:, place].mean(0)
            yield (
                f"| {names[pair[0]]}, {names[pair[1]]} | {seeds} | {100 * both:.1f} % | {100 * alone:.1f} % | "
                f"{100 * wide:.2f} | {100 * narrow:.2f} |"
            )


def _covered(scores: Bools, truth: float) -> list[tuple[float, float, float, float]]:
    """Return at each look whether the intervals over both and over seeds hold the truth, and half their widths."""
    rows = []
    for seeds in LOOKS:
        now = scores[:, :seeds]
        c = compare(now.mean(2).T[None], one_look(0.05, 2))
        leader = int(c.leader[0])
        rival = 1 - leader
        both = float(
            half_over_both(
                c.error[0, rival],
                c.freedom[0, rival],
                ExampleSums.of(now[leader], now[rival]).variance(),
                c.needed[0, rival],
            )
        )
        alone = float(c.high[0, rival] - c.difference[0, rival])
        off = abs(float(c.difference[0, rival]) - (truth if leader == 0 else -truth))
        rows.append((float(off <= both), float(off <= alone), both, alone))
    return rows


def percent(cases: Bools) -> str:
    """Return the share of cases that are true."""
    return f"{100 * float(np.mean(cases)):.1f} %"


def main() -> None:
    """Print all tables."""
    sections = {
        "False winners": lambda n: false_and_true(NOBODY, n),
        "True winners": lambda n: false_and_true(AHEAD, n),
        "Failing": failing,
        "No difference that matters": equivalence,
        "Looks that nobody planned": peeking,
        "Plans of one look": short,
        "New images": images,
    }
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=10_000, help="simulated confirmations a line")
    parser.add_argument("--only", choices=sections, help="one table")
    given = parser.parse_args()
    n = given.repetitions
    start = time.perf_counter()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}")
    print(f"n = {n} confirmations a line, spread {SPREAD} points, level 95 %, looks {LOOKS}")
    for title, lines in sections.items():
        if given.only in {None, title}:
            print(f"\n{title}\n")
            for line in lines(n):
                print(line, flush=True)
    error = 100 * (0.05 * 0.95 / n) ** 0.5
    print(
        f"\n{time.perf_counter() - start:.0f} s; chance alone moves a figure near 5 % by {error:.1f} (standard error)"
    )


if __name__ == "__main__":
    main()

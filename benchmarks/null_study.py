"""Does a sampler favour a family that makes no difference? Simulated studies of a known answer.

    python benchmarks/null_study.py [--studies 200] [--samplers stratified,tpe]

Each study has 96 trials over 12 families, 16 at a time. The value depends on the base rate and on noise,
not on the family, so each family should come first in a twelfth of the studies. Printed, for each
sampler: the fewest and the most trials that a family got in a study (median and extreme over studies),
how often each family came first, the chi-square test's p for equal chances, and in how many studies
the winner was the one family with the most trials. Returns 1 if the
stratified sampler's shares differ by more than one or its p is at most .01.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
import optuna
from numpy.typing import NDArray
from scipy.stats import chisquare

from study.tuning.sampler import SeededSampler, StratifiedSampler, tpe

FAMILIES = tuple(f"f{i:02}" for i in range(12))
TRIALS, LANES, NOISE = 96, 16, 0.1
LEAST_P = 0.01


def sampler_of(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Return the study's stratified or joint sampler."""
    if name == "stratified":
        return StratifiedSampler("schedule", FAMILIES, seed)
    return SeededSampler(tpe, seed)


def search(sampler: optuna.samplers.BaseSampler, seed: int) -> tuple[list[int], str]:
    """Return the trials of each family, and the family of the best trial, in one study."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    noise = np.random.default_rng(seed).normal(scale=NOISE, size=TRIALS)
    for _ in range(0, TRIALS, LANES):
        lanes = [study.ask() for _ in range(LANES)]
        values = []
        for trial in lanes:
            trial.suggest_categorical("schedule", FAMILIES)
            rate = trial.suggest_float("base_rate", 0.01, 1.0, log=True)
            values.append(-((np.log10(rate) + 0.5) ** 2) + noise[trial.number])
        for trial, value in zip(lanes, values, strict=True):
            study.tell(trial, value)
    counts = Counter(t.params["schedule"] for t in study.get_trials(deepcopy=False))
    return [counts[f] for f in FAMILIES], study.best_trial.params["schedule"]


@dataclass(frozen=True)
class Result:
    """What one sampler did.

    Attributes:
        shares: Trials by study and family, [studies, 12].
        first: How often each family came first, [12].
        p: The chi-square test's p for equal chances of coming first.
        most: Studies won by the one family that had the most trials.
    """

    shares: NDArray[np.int64]
    first: NDArray[np.int64]
    p: float
    most: int

    @property
    def spread(self) -> int:
        """The largest difference between two families' trials in a study."""
        return int((self.shares.max(axis=1) - self.shares.min(axis=1)).max())


def simulate(name: str, studies: int) -> Result:
    """Search many studies with one sampler."""
    searched = [search(sampler_of(name, seed), seed) for seed in range(studies)]
    won = Counter(first for _, first in searched)
    first = np.array([won[f] for f in FAMILIES])
    most = sum(
        shares[FAMILIES.index(f)] == max(shares) and shares.count(max(shares)) == 1 for shares, f in searched
    )
    return Result(np.array([shares for shares, _ in searched]), first, float(chisquare(first).pvalue), most)


def main() -> int:
    """Print a paragraph for each sampler; return 1 if the stratified one misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--samplers", default="stratified,tpe")
    spec = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    missed = 0
    for name in spec.samplers.split(","):
        start = time.perf_counter()
        result = simulate(name, spec.studies)
        low, high = result.shares.min(axis=1), result.shares.max(axis=1)
        print(f"{name}: {spec.studies} studies in {time.perf_counter() - start:.0f} s")
        print(f"  fewest trials of a family: {np.median(low):.0f} (down to {low.min()})")
        print(f"  most trials of a family:   {np.median(high):.0f} (up to {high.max()})")
        print(f"  came first: {' '.join(map(str, result.first))}; p = {result.p:.3g}")
        print(f"  won by the family with most trials: {result.most} of {spec.studies}", flush=True)
        if name == "stratified":
            missed = int(result.spread > 1 or result.p <= LEAST_P)
    return missed


if __name__ == "__main__":
    sys.exit(main())

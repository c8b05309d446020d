"""What bfloat16 steps change: the same schedules, seeds and data orders trained in both precisions.

    python benchmarks/precision.py [--epochs 6] [--seeds 10] [--folder runs/precision] [--table]

Each of four schedules is trained with each seed (initial weights and order of the images) once with the steps'
arithmetic in float32 and once in bfloat16: the same pairs, so that only the arithmetic differs. Printed, in
points of validation accuracy with 95 % intervals of a paired t-test over the seeds: what bfloat16 gives over
float32 for each schedule, and what it does to the differences between schedules, which is what a study reports.

One pass trains the runs of one seed side by side and is kept in a checkpoint after each epoch, so the
same command continues what was cut off; ``--table`` trains nothing and prints what is complete.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

import lrsched
from study.core.records import SEARCH_IMAGES, TrialSpec
from study.loops.passes import Pass, schedule_rates
from study.problems.fashion_mnist import load_search
from study.training.lanes import Lanes
from study.training.process import prepare_process

PRECISIONS = ("float32", "bfloat16")
FIRST_SEED = 1_000  # none that a search or a confirmation of ours was drawn with
LEVEL = 0.95
COLLAPSED = 0.2  # validation accuracy of a network that has died and guesses, with room to spare
EDGE = "one_cycle at 0.6"  # a rate at which some runs die whatever the precision: only the deaths are counted


def schedules(epochs: int) -> dict[str, tuple[lrsched.Schedule, float]]:
    """Return four schedules of different character by name, each with a base rate that suits it, and ``EDGE``."""
    length = float(epochs)
    return {
        "constant": (lrsched.Constant(), 0.1),
        "cosine": (lrsched.Cosine(T_max=length), 0.25),
        "one_cycle": (lrsched.OneCycle(length=length, peak=0.3), 0.35),
        "warmup_linear": (
            lrsched.Warmup(lrsched.Polynomial(length=length, power=1.0), length=0.1 * length),
            0.3,
        ),
        EDGE: (lrsched.OneCycle(length=length, peak=0.3), 0.6),
    }


def main() -> int:
    """Train what is not trained yet, seed by seed in both precisions, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--train-images", type=int, default=SEARCH_IMAGES)
    parser.add_argument("--folder", type=Path, default=Path("runs/precision"))
    parser.add_argument("--table", action="store_true", help="train nothing")
    options = parser.parse_args()
    if options.seeds < 2 or options.epochs < 1:
        parser.error("--seeds must be 2 or more, --epochs 1 or more")
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    passes = {
        (precision, seed): one_pass(precision, seed, options.epochs, options.folder)
        for seed, precision in itertools.product(seeds, PRECISIONS)
    }
    if not options.table:
        train(passes, options.train_images)
    whole = [s for s in seeds if all(passes[p, s].trained() == options.epochs for p in PRECISIONS)]
    if len(whole) < 2:
        print(f"{len(whole)} of {len(seeds)} seeds are trained in both precisions; a table needs two")
        return 1
    report(passes, whole, list(schedules(options.epochs)))
    return 0


def one_pass(precision: str, seed: int, epochs: int, folder: Path) -> Pass:
    """Return the runs of one seed in one precision; they share the order of the images."""
    runs = [
        TrialSpec(
            number=number,
            family=name,
            schedule=schedule,
            base_rate=base_rate,
            params={},
            epochs=epochs,
            seed=seed,
            offset=0,
            lanes=5,
        )
        for number, (name, (schedule, base_rate)) in enumerate(schedules(epochs).items())
    ]
    return Pass(runs, schedule_rates, folder / f"{precision}-{epochs}-{seed}.pt")


def train(passes: dict[tuple[str, int], Pass], train_images: int) -> None:
    """Train every pass to its end."""
    prepare_process()
    split = load_search(None, torch.device("cpu"), train_images=train_images)
    for (precision, seed), runs in passes.items():
        lanes = Lanes(split, batch_size=256, order_seed=seed, bfloat16=precision == "bfloat16")
        runs.train(lanes, lambda *_: None)
        last = runs.history()[-1]
        print(f"seed {seed} {precision}: {[last[run.number].val_accuracy for run in runs.runs]}, "
              f"load average {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip


def report(passes: dict[tuple[str, int], Pass], seeds: list[int], names: list[str]) -> None:
    """Print what bfloat16 changes for each schedule and for each difference between two."""
    accuracy, loss = (np.array([[[getattr(passes[p, s].history()[-1][k], figure) for k in range(len(names))]
                                 for s in seeds] for p in PRECISIONS], dtype=np.float64)
                      for figure in ("val_accuracy", "train_loss"))  # fmt: skip
    for k, name in enumerate(names):
        dead = (accuracy[:, :, k] < COLLAPSED).sum(axis=1)
        print(f"{name}: {dead[0]} of {len(seeds)} networks died in float32, {dead[1]} in bfloat16")
    kept = [k for k, name in enumerate(names) if name != EDGE]
    names, accuracy, loss = names[: len(kept)], accuracy[:, :, kept], loss[:, :, kept]
    print(f"{len(seeds)} seeds; accuracies in points; bfloat16 minus float32 with {LEVEL:.0%} intervals\n")
    print(
        "| schedule | float32 | bfloat16 | difference | p | deviation over seeds | train loss, float32 | bfloat16 |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for k, name in enumerate(names):
        a = 100 * accuracy[:, :, k]
        print(f"| {name} | {a[0].mean():.3f} | {a[1].mean():.3f} | {paired(a[1] - a[0])} "
              f"| {a[0].std(ddof=1):.3f} | {loss[0, :, k].mean():.4f} | {loss[1, :, k].mean():.4f} |")  # fmt: skip
    means = 100 * accuracy.mean(2)  # over the schedules: one value a seed, so that the seeds stay independent
    print(
        f"| all four | {means[0].mean():.3f} | {means[1].mean():.3f} | {paired(means[1] - means[0])} | | | |"
    )
    print("\n| difference between schedules | float32 | bfloat16 | change | p |\n|---|---|---|---|---|")
    for one, other in itertools.combinations(range(len(names)), 2):
        gap = 100 * (accuracy[:, :, one] - accuracy[:, :, other])
        print(f"| {names[one]} - {names[other]} | {gap[0].mean():.3f} | {gap[1].mean():.3f} "
              f"| {paired(gap[1] - gap[0])} |")  # fmt: skip
    orders = [sorted(names, key=lambda n: -accuracy[p, :, names.index(n)].mean()) for p in range(2)]
    for precision, order in zip(PRECISIONS, orders, strict=True):
        print(f"{precision}: {' > '.join(order)}")


def paired(differences: NDArray[np.float64]) -> str:
    """Return mean, interval and p-value of a paired t-test, as two cells of a table."""
    n = len(differences)
    mean, error = float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(n))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    p = float(stats.ttest_1samp(differences, 0.0).pvalue) if error > 0 else 1.0
    return f"{mean:+.3f} ({mean - reach:+.3f} to {mean + reach:+.3f}) | {p:.2f}"


if __name__ == "__main__":
    sys.exit(main())

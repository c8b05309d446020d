"""Sweeps and runs that nobody trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import lrsched
from study.core.metric import ACCURACY, Metric
from study.questions.grids import QUESTIONS
from study.questions.sweep import Cell, Results, Run, Sweep
from study.stats.leaderboard import Finalist
from tests.making import config_of, spec_of


def sweep_of(question: str, metric: Metric = ACCURACY) -> Sweep:
    """Return a sweep of two finalists (one for the exponent) with the question's own grid."""
    linear = lrsched.Warmup(lrsched.Linear(length=30.0, start=1.0, final=0.0), 2.0)
    one = Finalist("linear #4", spec_of(4, family="linear", schedule=linear, base_rate=0.2), 0.9)
    two = Finalist(
        "one_cycle #7", spec_of(7, family="one_cycle", schedule=lrsched.OneCycle(length=30.0)), 0.89
    )
    asked = QUESTIONS[question]
    return Sweep(
        question=question,
        finalists=(one, two) if asked.finalists > 1 else (one,),
        source="study made up, 2 trials of 30 epochs",
        values=asked.values,
        multiples=asked.multiples,
        config=config_of(
            epochs=30, batch_size=256, train_images=50_000, data={"train": "c59f"}, metric=metric
        ),
    )


def run_of(cell: Cell, seed: int, test: float, validation: float | None = None) -> Run:
    """Return a run that rises in a straight line to its end."""
    end = test if validation is None else validation
    rising = tuple(
        round(end * (e + 1) / cell.epochs, 5) if math.isfinite(end) else math.nan for e in range(cell.epochs)
    )
    return Run(
        cell=cell, seed=seed, validation=rising, test=test, train_loss=0.25, seconds=45.0, when="2026-11-26",
        device="cpu", versions={"python": "3.11.7", "torch": "2.14.1"}, revision="0123456789ab",
    )  # fmt: skip


def results_of(
    question: str,
    test: Callable[[Cell, int], float],
    seeds: int = 3,
    path: Path = Path("made.jsonl"),
    metric: Metric = ACCURACY,
) -> Results:
    """Return a whole sweep whose runs ended as ``test`` says."""
    sweep = sweep_of(question, metric)
    cells = QUESTIONS[question].cells(sweep)
    runs = [run_of(cell, seed, test(cell, seed)) for seed in range(1, seeds + 1) for cell in cells]
    return Results(path, sweep, tuple(runs))

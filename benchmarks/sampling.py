"""What the sampler and the pruner cost, up to 1,000 trials on SQLite, 16 lanes.

    python benchmarks/sampling.py [--trials 1000] [--lanes 16]

A study over the twelve default families is filled with made-up trials of 30 epochs. At several sizes the
lanes are asked for, report an epoch and are decided, as the search does it. Printed: milliseconds for
choosing one trial's family and parameters (Optuna's own ``ask`` apart), for one decision, and for one
report beside it, which is Optuna's writing and none of ours; medians, and the worst. The bar: 95 of 100
decisions take less than 20 ms, and their mean grows no worse than the number of trials. One decision of
an epoch is dearer than the rest: it reads the study for all lanes.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna

from study.core.records import StudyConfig, TrialSpec
from study.store import database, urls
from study.tuning.classic import CLASSIC as FAMILIES
from study.tuning.pruner import decide, make_pruner
from study.tuning.sampler import make_sampler
from study.tuning.space import FAMILY, Point, Space

EPOCHS = 30
LIMIT_MS = 20.0


def config(sampler: str, pruner: str) -> StudyConfig:
    """Return the settings of one arm of the benchmark."""
    return StudyConfig(
        name="s",
        epochs=EPOCHS,
        batch_size=256,
        schedules=FAMILIES,
        sampler=sampler,
        pruner=pruner,
        n_warmup_steps=1,
        interval_steps=1,
        n_startup_trials=4,
        prune_on="val",
        reprieve=0.1,
        seed=0,
        train_images=50_000,
        device="cpu",
    )


def timed(calls: list[Callable[[], object]]) -> np.ndarray:
    """Return the milliseconds of each call."""
    taken = []
    for call in calls:
        start = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - start))
    return np.array(taken)


def fill(study: optuna.Study, space: Space, until: int) -> None:
    """Add ended trials without sampling: the families in turn, random parameters, 30 reports each."""
    rng = np.random.default_rng(until)
    source = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=until))
    for number in range(len(study.get_trials(deepcopy=False)), until):
        source.enqueue_trial({FAMILY: FAMILIES[number % len(FAMILIES)]})
        drawn = source.ask()
        asked = spec(number, space.suggest(drawn))
        shown = np.sort(rng.uniform(0.1, 0.9, EPOCHS))
        epochs = [{"epoch": e, "train_loss": 1 - v} for e, v in enumerate(shown.tolist())]
        study.add_trial(
            optuna.create_trial(
                value=float(shown[-1]),
                params=drawn.params,
                distributions=drawn.distributions,
                intermediate_values=dict(enumerate(shown.tolist())),
                user_attrs={"asked": asked.to_json(), "epochs": epochs},
            )
        )


def spec(number: int, point: Point) -> TrialSpec:
    """Return what a trial is to train."""
    return TrialSpec(number, point.family, point.schedule, point.base_rate, {}, EPOCHS, 0, 0, 1)


def measure(study: optuna.Study, space: Space, lanes: int) -> dict[str, np.ndarray]:
    """Ask for a set of lanes, train them for three epochs in pretence, and put them away as failed."""
    trials = [study.ask() for _ in range(lanes)]
    points: dict[int, Point] = {}
    chosen: list[Callable[[], object]] = [
        lambda t=t: points.update({t.number: space.suggest(t)})  # type: ignore[misc]  # mypy cannot see t
        for t in trials
    ]
    got = {"choose": timed(chosen)}
    for trial in trials:
        trial.set_user_attr("asked", spec(trial.number, points[trial.number]).to_json())
    reports, decisions = [], []
    for epoch in range(3):
        reports.append(timed([lambda t=t, e=epoch: t.report(0.5, e) for t in trials]))  # type: ignore[misc]
        decisions.append(timed([lambda t=t: decide(study, t) for t in trials]))  # type: ignore[misc]
    for trial in trials:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return {**got, "report": np.concatenate(reports), "decide": np.concatenate(decisions)}


def main() -> int:
    """Print the table; return 1 if decisions are too slow or grow too fast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--lanes", type=int, default=16)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    print(
        f"Python {platform.python_version()}, Optuna {optuna.__version__}, {platform.machine()}, SQLite with WAL"
    )
    print(f"{options.lanes} lanes; median (worst) milliseconds of one call\n")
    print(f"{'sampler':>11} {'pruner':>14} {'trials':>7} {'choose':>16} {'decide':>16} {'report':>16}")
    sizes = [n for n in (125, 250, 500, 1000) if n <= options.trials]
    decisions: dict[str, list[np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder)}/optuna.db"
        optuna.create_study(study_name="s", storage=url, direction="maximize")
        database.use_wal(urls.parse(url, "storage"))
        space = Space(FAMILIES, EPOCHS)
        study = optuna.load_study(study_name="s", storage=url)
        for size in sizes:
            fill(study, space, size)
            for sampler, pruner in (
                ("stratified", "family-median"),
                ("tpe", "median"),
                ("stratified", "predict"),
            ):
                arm = config(sampler, pruner)
                study.sampler, study.pruner = make_sampler(arm, space), make_pruner(arm)
                got = measure(study, space, options.lanes)
                cells = [
                    f"{np.median(got[k]):7.2f} ({got[k].max():6.2f})" for k in ("choose", "decide", "report")
                ]
                print(f"{sampler:>11} {pruner:>14} {size:>7} {cells[0]:>16} {cells[1]:>16} {cells[2]:>16}")
                decisions.setdefault(pruner, []).append(got["decide"])
    print()
    return max(verdict(pruner, sizes, taken) for pruner, taken in decisions.items())


def verdict(pruner: str, sizes: list[int], taken: list[np.ndarray]) -> int:
    """Print whether one pruner keeps to the bar; return 1 if it does not."""
    high = max(float(np.quantile(each, 0.95)) for each in taken)
    growth, more = float(taken[-1].mean() / taken[0].mean()), sizes[-1] / sizes[0]
    print(f"{pruner}: 95 % of decisions under {high:.1f} ms (bar {LIMIT_MS:.0f})", end="; ")
    print(f"{growth:.1f} times as long with {more:.0f} times the trials")
    return int(high > LIMIT_MS or growth > max(more, 1.0) * 1.1)


if __name__ == "__main__":
    sys.exit(main())

"""Do 64 workers share one study on PostgreSQL? Trials a second, waiting for locks, connections, shares and totals.

    PYTHONPATH=. python benchmarks/fleet.py [--workers 64] [--trials 600] [--epochs 3] [--killed 3] [--seconds 1]

Every worker is a process of its own that asks for trials, draws them, reports their epochs, decides about them and
ends them, as a search does, against a real PostgreSQL server. Training alone is replaced: an epoch lasts
``--seconds`` and gives what an epoch of a real search gave (``data/curves.npz``: 66 recorded trials of 30 epochs, thinned
to ``--epochs``). While they work some are killed.

Printed: trials a second, and how many the epochs' seconds alone would allow; how long it takes from asking until
a trial may train, median and 95 %; most connections and most waiting for a lock, looked at four times a second; what
each family got. Returns 1 unless the study has exactly its trials, each ended once, with shares that differ by
one at most, and every worker that was not killed ended by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import optuna
import psycopg

from study.core.records import EpochMetrics, Outcome, StudyConfig, TrialSpec
from study.store import lifecycle
from study.store import optuna_storage as store
from study.tuning.classic import CLASSIC as FAMILIES
from study.tuning.pruner import decide, make_pruner
from study.tuning.sampler import make_sampler
from study.tuning.space import Space
from tests import servers

CURVES = Path(__file__).resolve().parent / "data" / "curves.npz"


@dataclass(frozen=True)
class Fleet:
    """What is measured: see the module's text."""

    workers: int
    trials: int
    epochs: int
    killed: int
    seconds: float

    @property
    def config(self) -> StudyConfig:
        """The study that they share."""
        return StudyConfig(
            name="fleet", epochs=self.epochs, batch_size=256, schedules=FAMILIES, sampler="stratified",
            pruner="median", n_warmup_steps=1, interval_steps=1, n_startup_trials=6, prune_on="val", reprieve=0.1,
            seed=0, train_images=50_000, device="cpu", keep_best=1,
        )  # fmt: skip


def curve(number: int, epochs: int) -> list[EpochMetrics]:
    """Return what the epochs of a recorded trial gave, evenly thinned to so many, the last one among them."""
    recorded = np.load(CURVES)["curves"]
    of_run = recorded[number % len(recorded)]
    places = np.linspace(0, len(of_run) - 1, epochs + 1).round().astype(int)[1:]
    columns = [[float(value) for value in of_run[place]] for place in places]
    return [
        EpochMetrics(epoch, 0.1, train, accuracy, val, val_accuracy, None, 1.0)
        for epoch, (train, accuracy, val, val_accuracy) in enumerate(columns)
    ]


def work(url: str, fleet: Fleet, worker: int) -> None:
    """Be a worker: one trial at a time, until the study is complete. Prints a line of JSON."""
    config = fleet.config
    space = Space(config.schedules, config.epochs, config.base_rate)
    study = store.open_study(url, config)
    study.sampler, study.pruner = make_sampler(config, space), make_pruner(config)
    lifecycle.recover(study)
    waits: list[float] = []
    while True:
        asked = time.perf_counter()
        with lifecycle.alone(study):
            trial = lifecycle.ask(study, fleet.trials)
            if trial is not None:
                point = space.suggest(trial)
                spec = TrialSpec(
                    trial.number, point.family, point.schedule, point.base_rate, dict(trial.params), config.epochs,
                    trial.number, 0, 1,
                )  # fmt: skip
                lifecycle.begin(trial, spec)
        if trial is not None:
            waits.append(time.perf_counter() - asked)
            train(study, trial, fleet)
        elif lifecycle.running(study):
            time.sleep(fleet.seconds)
            lifecycle.recover(study, mine=())
        else:
            break
    print(json.dumps({"worker": worker, "waits": waits}), flush=True)
    store.close(study)


def train(study: optuna.Study, trial: optuna.Trial, fleet: Fleet) -> None:
    """Report the epochs of a trial until it ends."""
    epochs: list[EpochMetrics] = []
    outcome: Outcome = "finished"
    for number, epoch in enumerate(curve(trial.number, fleet.epochs)):
        time.sleep(fleet.seconds)
        epochs.append(epoch)
        if not epoch.finite or epoch.val_accuracy is None:
            outcome = "diverged"
            break
        if not lifecycle.report(trial, epoch.val_accuracy, number):
            return
        if number + 1 < fleet.epochs and decide(study, trial) == "prune":
            outcome = "pruned"
            break
    lifecycle.finish(study, trial, epochs, outcome)


def watch(server: str, processes: list[BaseProcess], kills: int) -> tuple[int, int, float]:
    """Look at the server while workers work, and kill some; return most connections, most waiting, seconds."""
    began, connections, waiting = time.perf_counter(), 0, 0
    due = [began + 5 + 5 * k for k in range(kills)]
    victims = processes[:: max(1, len(processes) // max(1, kills))][:kills]
    with psycopg.connect(f"{server.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        while any(process.is_alive() for process in processes):
            row = connection.execute(
                "SELECT COUNT(*), COUNT(*) FILTER (WHERE wait_event_type = 'Lock') FROM pg_stat_activity"
                " WHERE datname = 'fleet'"
            ).fetchone()
            here, held = row or (0, 0)
            connections, waiting = max(connections, here), max(waiting, held)
            if due and time.perf_counter() > due[0]:
                due.pop(0)
                victim = victims.pop()
                if victim.is_alive() and victim.pid is not None:
                    os.kill(victim.pid, signal.SIGKILL)
            time.sleep(0.25)
    return connections, waiting, time.perf_counter() - began


def measure(fleet: Fleet, server: servers.Postgres) -> int:
    """Run the fleet, print what it did, and return the exit code."""
    url = server.database("fleet")
    store.close(store.open_study(url, fleet.config))
    reading, writing = os.pipe()
    context = multiprocessing.get_context("fork")
    processes: list[BaseProcess] = []
    for worker in range(fleet.workers):
        processes.append(context.Process(target=into, args=(writing, url, fleet, worker)))
        processes[-1].start()
    os.close(writing)
    connections, waiting, seconds = watch(server.url, processes, fleet.killed)
    with os.fdopen(reading) as lines:
        waits = [wait for line in lines for wait in json.loads(line)["waits"]]
    record = store.load(url)
    outcomes, shares = Counter(t.outcome for t in record.trials), Counter(t.family for t in record.trials)
    trained = sum(len(t.epochs) for t in record.trials)
    codes = Counter(process.exitcode for process in processes)
    median, high = np.percentile(waits, [50, 95])
    print(
        f"{fleet.workers} workers, {fleet.trials} trials, epochs of {fleet.seconds:g} s; exit codes {dict(codes)}"
    )
    print(
        f"{fleet.trials / seconds:.1f} trials a second in {seconds:.0f} s; "
        f"the epochs alone would allow {fleet.trials * fleet.workers / (trained * fleet.seconds):.1f}"
    )
    print(f"from asking to training: median {median:.2f} s, 95 % {high:.2f} s, n = {len(waits)}")
    print(f"most connections {connections}, most waiting for a lock {waiting}")
    print(f"outcomes {dict(outcomes)}; shares {sorted(shares.values())}")
    exact = sum(outcomes.values()) == fleet.trials and not outcomes.keys() & {"running", "interrupted"}
    equal = max(shares.values()) - min(shares.values()) <= 1
    ended = codes == Counter({0: fleet.workers - fleet.killed, -signal.SIGKILL: fleet.killed})
    return 0 if exact and equal and ended else 1


def into(writing: int, url: str, fleet: Fleet, worker: int) -> None:
    """Be a worker that prints into a pipe."""
    os.dup2(writing, 1)
    work(url, fleet, worker)


def main() -> int:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--trials", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--killed", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    fleet = Fleet(**vars(parser.parse_args()))
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(servers.postgres())
        if server is None:
            print("PostgreSQL's programs are not installed")
            return 2
        return measure(fleet, server)


if __name__ == "__main__":
    sys.exit(main())

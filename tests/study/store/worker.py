"""A process that works on a study without training: ``worker.py MODE STORAGE TOTAL [TRACKING]``.

``hang``: starts trials until it has as many as TOTAL says, prints ``ready`` and waits to be killed.
``work``: opens the study, recovers, and finishes trials until the study has TOTAL; prints their numbers.
"""

from __future__ import annotations

import sys
import time

import optuna

import lrsched
from study.core.records import TrialSpec
from study.store import lifecycle as life
from study.store import optuna_storage as store
from study.store.database import exclusively
from study.store.tracking.mlflow_tracking import RunSpec, Tracker
from study.store.urls import parse
from tests.making import config_of, epochs_of, spec_of

SETTINGS = config_of(
    name="shared", epochs=2, schedules=("constant",), sampler="random", pruner="none", n_warmup_steps=1,
    n_startup_trials=1, reprieve=0.0, data={},
)  # fmt: skip


def begin(study: optuna.Study, total: int) -> tuple[optuna.Trial, TrialSpec] | None:
    """Start one trial, if the study has room for it."""
    trial = life.ask(study, total)
    if trial is None:
        return None
    rate = trial.suggest_float("base_rate", 0.01, 1.0, log=True)
    spec = spec_of(
        trial.number, family="constant", schedule=lrsched.Constant(), base_rate=rate, params=trial.params, epochs=2, lanes=1
    )  # fmt: skip
    life.begin(trial, spec)
    return trial, spec


def hang(study: optuna.Study, total: int) -> None:
    """Start trials and never end them."""
    while begin(study, total):
        pass
    print("ready", flush=True)  # noqa: T201 - the test reads it
    time.sleep(600)


def work(study: optuna.Study, total: int, tracker: Tracker | None) -> None:
    """Finish trials until the study is complete."""
    life.recover(study)
    while (begun := begin(study, total)) is not None:
        trial, spec = begun
        child = tracker.start(RunSpec.trial(spec)) if tracker else ""
        epochs = epochs_of([0.8, 0.8], rate=spec.base_rate)
        for epoch in epochs:
            assert life.report(trial, 0.8, epoch.epoch)
            if tracker:
                tracker.epoch(child, epoch, [spec.base_rate] * 20)
        if tracker:
            tracker.end(child, "finished")
        assert life.finish(study, trial, epochs, "finished")
        print(trial.number, flush=True)  # noqa: T201 - the test reads it


def main(mode: str, url: str, total: str, uri: str | None = None) -> None:
    """Work as the arguments say."""
    study = store.open_study(url, SETTINGS)
    if mode == "hang":
        hang(study, int(total))
        return
    tracker = None
    if uri is not None:
        with exclusively(parse(url, "storage")):
            tracker = Tracker.open(
                uri,
                SETTINGS,
                attributes={},
                key=study.user_attrs["key"],
                running=lambda: life.running(study),
            )
    work(study, int(total), tracker)
    if tracker:
        tracker.close("finished")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A search from its options to its last trial: everything opened, each thing checked before anything is created."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import optuna

from study.core.families import SCHEDULE_FREE
from study.core.provenance import git_revision, provenance
from study.core.records import StudyConfig
from study.core.signals import held_back
from study.loops.searching.search_checkpoint import clear_slots, free_slot
from study.loops.searching.search_display import progress_facts, what_runs
from study.loops.searching.search_loop import SearchLoop, next_clock
from study.loops.searching.search_options import SearchOptions
from study.problems.fashion_mnist import choose_device
from study.store import lifecycle
from study.store import optuna_storage as store
from study.store.database import exclusively
from study.store.run_links import where_to_look
from study.store.tracking.mlflow_tracking import Tracker
from study.store.urls import check_tracking, parse
from study.terminal.progress import Progress
from study.terminal.tables import say
from study.training.lanes import automatic_lanes
from study.training.precision import precision_for
from study.training.process import prepare_process
from study.training.workload import Workload, open_workload
from study.tuning.pruner import make_pruner
from study.tuning.sampler import make_sampler
from study.tuning.space import Space


@dataclass(frozen=True)
class Search:
    """A search that is open.

    Attributes:
        study: Its Optuna study, with sampler and pruner.
        space: What is sampled.
        tracker: Its parent run in MLflow.
        workload: What is trained.
        ended: Trials that had ended before.
        to_do: Whether trials are left to train, here or elsewhere.
    """

    study: optuna.Study
    space: Space
    tracker: Tracker
    workload: Workload
    ended: int
    to_do: bool


def open_search(options: SearchOptions, at: Callable[[str], None]) -> Search:
    """Open everything that a search needs, each thing checked before anything is created.

    Args:
        options: What was asked.
        at: Is told what takes time.
    """
    prepare_process()
    check_tracking(options.tracking_uri, options.storage)
    recorded = store.settings_of(options.storage, options.study)
    device = choose_device(options.device)
    at("reading the data")
    workload = open_workload(
        options.problem, device, data_dir=options.data_dir, train_images=options.train_images,
        optimizer=options.optimizer, weight_decay=options.weight_decay,
        schedule_free=SCHEDULE_FREE in options.schedules,
    )  # fmt: skip
    joined = recorded.precision if recorded else None
    precision = precision_for(options.precision, device, workload.source, joined)
    config = options.config(device.type, precision, workload)
    workload.require_room(options.lanes or automatic_lanes(device), config)
    space = Space(config.schedules, config.epochs, config.base_rate)
    sampler, pruner = make_sampler(config, space), make_pruner(config)
    at("opening Optuna's and MLflow's databases")
    with held_back():  # what is written here is written whole
        study = store.open_study(options.storage, config, timeout=options.storage_timeout)
        study.sampler, study.pruner = sampler, pruner
        made_by = {} if "git_revision" in study.user_attrs else {"git_revision": git_revision() or "unknown"}
        for name, fact in {**workload.facts, **made_by}.items():
            study.set_user_attr(name, fact)
        tracker = _open_tracker(study, config, options)
    if options.problem is not None:
        click.echo(f"{config.problem}: {workload.facts['lanes']}")
    to_do = bool(lifecycle.remaining(study, options.trials) or lifecycle.running(study))
    return Search(study, space, tracker, workload, len(store.record(study).ended), to_do)


def train(search: Search, options: SearchOptions) -> None:
    """Train until the study is complete, with a display."""
    known = store.record(search.study)
    config = known.config
    lanes = search.workload.lanes(
        batch_size=config.batch_size,
        order_seed=config.seed,
        averaging=1.0 if config.pruner == "none" or config.prune_on == "averaged" else None,
        bfloat16=config.precision == "bfloat16",
        clock=next_clock(known),
    )
    width = options.lanes or automatic_lanes(choose_device(options.device))
    say(what_runs(config, options.trials, width))
    for line in where_to_look(config, options.storage, options.tracking_uri, search.tracker.experiment_id):
        click.echo(line)
    with (
        Progress(options.trials * config.epochs, config.name) as progress,
        free_slot(_checkpoints(search, options)) as slot,
    ):
        progress.update(known.epochs_trained, {})
        lanes.on_step = lambda share: progress.within(share * len(lanes.keys))
        SearchLoop(
            search.study, config, search.space, search.tracker, lanes, slot, width=width, total=options.trials,
            show=lambda tally: progress.update(tally.trained, progress_facts(tally, config), tally.expected),
        ).run()  # fmt: skip


def tidy(search: Search, options: SearchOptions) -> None:
    """Remove the checkpoints of a complete study that a process left which was killed between its last trial and its end."""
    if lifecycle.is_over(search.study):
        clear_slots(_checkpoints(search, options))


def _checkpoints(search: Search, options: SearchOptions) -> Path:
    return options.checkpoints / str(search.study.user_attrs["key"])[:12]


def _open_tracker(study: optuna.Study, config: StudyConfig, options: SearchOptions) -> Tracker:
    """Queue again what dead processes left, and open the study's parent run, one process at a time."""
    with exclusively(parse(options.storage, "storage")):
        queued = lifecycle.recover(study)
        if queued:
            click.echo(f"{queued} trials were cut off earlier; they go on")
        tracker = Tracker.open(
            options.tracking_uri,
            config,
            attributes=provenance(config.device),
            key=study.user_attrs["key"],
            resume_run_id=study.user_attrs.get("mlflow_run_id"),
            running=lambda: lifecycle.running(study),
        )
        study.set_user_attr("mlflow_run_id", tracker.run_id)
    return tracker

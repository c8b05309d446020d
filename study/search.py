"""``python -m study.search``: search the schedules, fairly, and record everything."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from study.loops.search_options import SearchOptions
from study.terminal.command import (
    command,
    data_dir_option,
    device_option,
    lanes_option,
    option,
    seed_option,
    storage_option,
    tracking_option,
)
from study.terminal.values import Choice, Names, Real, Whole

if TYPE_CHECKING:
    from study.core.records import Outcome, StudyConfig
    from study.loops.search_loop import Tally
    from study.store.mlflow_tracking import Tracker

#: The families that are searched unless told otherwise; ``lrsched`` has more.
FAMILIES = (
    "constant",
    "square_root",
    "factor",
    "multi_step",
    "polynomial",
    "linear",
    "cosine",
    "cosine_restarts",
    "cyclic",
    "one_cycle",
    "warmup_stable_decay",
    "plateau",
)


def _searchable() -> list[str]:
    """Return the families that can be searched, the default ones first."""
    from study.core.families import searchable

    return [*FAMILIES, *sorted(set(searchable()) - set(FAMILIES))]


def _list_schedules(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's signature
    """Print the catalogue and leave."""
    if asked and not ctx.resilient_parsing:
        from study.terminal.searched import print_catalogue

        print_catalogue(FAMILIES, _searchable())
        ctx.exit()


_study, _search, _other = (partial(option, group=group) for group in ("Study", "Search", "Other"))


@command(
    "search",
    takes=SearchOptions,
    examples=[
        ("the whole study: 100 trials of 30 epochs", "--trials 100"),
        ("a quick look, minutes on a laptop", "--trials 12 --epochs 3 --study look"),
        ("two families only", "--schedules cosine,one_cycle --trials 40 --study two"),
        ("your own network and data: docs/your-own-problem.md", "--problem mine.py:problem --trials 24"),
        ("train one trial again, alone", "--rerun 17"),
        ("several machines: the same command on each", "--storage postgresql+psycopg://user@host/optuna"),
    ],
)
@_study("--trials", type=Whole(1), default=100, help="Trials the study is to have in total.")
@_study(
    "--problem",
    metavar="FILE.py:NAME",
    default=None,
    show_default="LeNet on Fashion-MNIST",
    help="Your own network, data and optimizer; or MODULE:NAME. The file is run.",
)
@_study(
    "--epochs",
    type=Whole(1),
    default=None,
    show_default="30, or the problem's",
    help="Epochs a trial; the winner's budget.",
)
@_study("--study", metavar="NAME", default="lr-schedules", help="The study's name.")
@_study(
    "--schedules",
    metavar="NAME,...",
    type=Names(_searchable, every="all"),
    default=",".join(FAMILIES),
    show_default="the twelve classic families",
    help="Schedule families to search, or all; see --list-schedules.",
)
@_study(
    "--batch-size",
    type=Whole(1),
    default=None,
    show_default="256, or the problem's",
    help="Examples a minibatch.",
)
@_study(
    "--train-images",
    metavar="N",
    type=Whole(1),
    default=None,
    show_default="all",
    help="Train on the first N examples only, for a quick look.",
)
@_study(
    "--optimizer",
    type=Choice(["sgd", "momentum", "nesterov", "adamw"]),
    default=None,
    show_default="sgd",
    help="What trains LeNet; a --problem brings its own.",
)
@_study(
    "--weight-decay", type=Real(0), default=None, show_default="0", help="Weight decay of that optimizer."
)
@seed_option
@_search(
    "--sampler",
    type=Choice(["stratified", "tpe", "random"]),
    default="stratified",
    help="stratified: each family its own TPE and an equal share of the trials.",
)
@_search(
    "--pruner",
    type=Choice(["median", "family-median", "none"]),
    default="median",
    help="Stop a trial that falls behind the median of all, or of its own family; docs/pruning.md.",
)
@_search(
    "--n-warmup-steps",
    old="--prune-after",
    type=Whole(1),
    default=None,
    show_default="a quarter of --epochs, 3 or more",
    help="Epochs before a trial can be stopped.",
)
@_search(
    "--interval-steps", old="--prune-every", type=Whole(1), default=1, help="Epochs between two decisions."
)
@_search(
    "--n-startup-trials",
    old="--prune-startup",
    type=Whole(1),
    default=None,
    show_default="6; 2 of one family",
    help="Other trials that a median needs.",
)
@_search(
    "--keep-best",
    old="--prune-keep",
    type=Whole(0),
    default=1,
    help="Best trials of each family so far that are never stopped.",
)
@_search(
    "--prune-on",
    type=Choice(["val", "averaged"]),
    default="val",
    help="Accuracy that is compared: of the weights, or of their running average.",
)
@_search(
    "--reprieve",
    type=Real(0, 1),
    default=0.1,
    help="Share of the trials to be stopped that train on, to measure what pruning costs.",
)
@lanes_option
@option(
    "--precision",
    type=Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    group="Machine",
    help="Arithmetic of the training steps; auto takes bfloat16 where the hardware has it, or as the study does.",
)
@device_option
@data_dir_option
@storage_option
@tracking_option
@_other("--rerun", metavar="TRIAL", type=Whole(0), default=None, help="Train one trial again.")
@_other(
    "--list-schedules",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_schedules,
    help="Print the schedules with their parameters' ranges.",
)
def main(options: SearchOptions) -> int:
    """Search for the learning-rate schedule that trains LeNet best on Fashion-MNIST, or --problem, yours.

    Optuna samples a schedule and its parameters, many trials train side by side, MLflow records rates
    and accuracies. --trials is the study's total: the same command again continues an interrupted study.
    Results are search scores; study.confirm finds out who really won.
    """
    if options.rerun is not None:
        from study.loops.rerun import rerun_trial

        return rerun_trial(
            options.storage, options.study, options.rerun, options.device, options.data_dir, options.problem
        )
    _run(options)
    return 0


def _run(options: SearchOptions) -> None:
    """Open everything, each thing checked before anything is created; then train."""
    from study.core.families import SCHEDULE_FREE
    from study.loops.search_loop import SearchLoop, next_clock
    from study.loops.signals import held_back
    from study.problems.fashion_mnist import choose_device
    from study.store import lifecycle
    from study.store import optuna_storage as store
    from study.store.urls import check_tracking
    from study.terminal.progress import Progress
    from study.training.lanes import automatic_lanes
    from study.training.precision import AUTO, FLOAT32, choose_precision
    from study.training.process import prepare_process
    from study.training.workload import open_workload
    from study.tuning.pruner import make_pruner
    from study.tuning.sampler import make_sampler
    from study.tuning.space import Space

    prepare_process()
    device = choose_device(options.device)
    workload = open_workload(
        options.problem, device, data_dir=options.data_dir, train_images=options.train_images,
        optimizer=options.optimizer, weight_decay=options.weight_decay,
        schedule_free=SCHEDULE_FREE in options.schedules,
    )  # fmt: skip
    recorded = store.settings_of(options.storage, options.study)
    precision = choose_precision(options.precision, device, recorded.precision if recorded else None)
    if options.precision == AUTO and workload.source:
        precision = FLOAT32  # bfloat16 is measured for LeNet alone; a user's problem has to ask for it
    config = options.config(device.type, precision, workload)
    space = Space(config.schedules, config.epochs, config.base_rate)
    sampler, pruner = make_sampler(config, space), make_pruner(config)
    check_tracking(options.tracking_uri, options.storage)
    study = store.open_study(options.storage, config)
    study.sampler, study.pruner = sampler, pruner
    for name, fact in workload.facts.items():
        study.set_user_attr(name, fact)
    if options.problem is not None:
        click.echo(f"{config.problem}: {workload.facts['lanes']}")

    tracker = _open_tracker(study, config, options)
    known = store.record(study)
    lanes = workload.lanes(
        batch_size=config.batch_size,
        order_seed=config.seed,
        averaging=1.0 if config.pruner == "none" or config.prune_on == "averaged" else None,
        bfloat16=config.precision == "bfloat16",
        clock=next_clock(known),
    )
    counted = sum(t.outcome != "interrupted" for t in known.trials)
    complete = None if lifecycle.remaining(study, options.trials) else counted
    outcome: Outcome = "interrupted"
    try:
        if complete is None:
            with Progress(options.trials * config.epochs, config.name) as progress:
                SearchLoop(
                    study, config, space, tracker, lanes,
                    width=options.lanes or automatic_lanes(device), total=options.trials,
                    show=lambda tally: progress.update(tally.trained, _facts(tally, config), tally.expected),
                ).run()  # fmt: skip
        outcome = "finished"
    finally:
        with held_back():
            from study.page.closing import (
                close_study,
                print_closing,
            )  # half a second that no start should wait for

            results = close_study(store.record(study), tracker, outcome)
    print_closing(results, options.storage, options.tracking_uri, tracker.experiment_id, complete=complete)
    store.close(study)


def _open_tracker(study: Any, config: StudyConfig, options: SearchOptions) -> Tracker:
    """Queue again what dead processes left, and open the study's parent run, one process at a time."""
    from study.core.provenance import provenance
    from study.store import lifecycle
    from study.store.database import exclusively
    from study.store.mlflow_tracking import Tracker
    from study.store.urls import parse

    with exclusively(parse(options.storage, "storage")):
        queued = lifecycle.recover(study)
        if queued:
            click.echo(f"{queued} trials were cut off earlier; they are trained again")
        tracker = Tracker.open(
            options.tracking_uri,
            config,
            attributes=provenance(config.device),
            resume_run_id=study.user_attrs.get("mlflow_run_id"),
            running=lambda: lifecycle.running(study),
        )
        study.set_user_attr("mlflow_run_id", tracker.run_id)
    return tracker


def _facts(tally: Tally, config: StudyConfig) -> dict[str, str]:
    """Return what the progress display says beside its bar."""
    facts: dict[str, str] = {
        name: str(n) for name, n in tally.outcomes.items() if n or name in {"finished", "running"}
    }
    if tally.best is not None:
        value, family, number = tally.best
        facts["best"] = f"{config.metric.value(value)} {family} #{number}"
    if not config.whole:
        facts["images"] = f"{config.train_images} only"
    return facts


if __name__ == "__main__":
    main()

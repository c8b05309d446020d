"""``python -m study.search``: search the schedules, fairly, and record everything."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from study.loops.searching.search_options import SearchOptions
from study.terminal.command import (
    WORDS,
    checkpoints_option,
    command,
    data_dir_option,
    device_option,
    lanes_option,
    option,
    seed_option,
    storage_option,
    tracking_option,
    workers_option,
)
from study.terminal.values import Choice, Duration, Names, Real, StudyName, Whole
from study.tuning.classic import CLASSIC

if TYPE_CHECKING:
    from study.core.records import Outcome


def _searchable() -> list[str]:
    """Return the families that can be searched, the default ones first."""
    from study.core.families import searchable

    return [*CLASSIC, *sorted(set(searchable()) - set(CLASSIC))]


def _list_schedules(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's signature
    """Print the catalogue and leave."""
    if asked and not ctx.resilient_parsing:
        from study.terminal.searched import print_catalogue

        print_catalogue(CLASSIC, _searchable())
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
@_study("--study", metavar="NAME", type=StudyName(), default="lr-schedules", help="The study's name.")
@_study(
    "--schedules",
    metavar="NAME,...",
    type=Names(_searchable, every="all"),
    default=",".join(CLASSIC),
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
    type=Whole(1, 10**9),
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
    type=Choice(["median", "family-median", "predict", "none"]),
    default="median",
    help="Stop a trial that falls behind the median of all or of its family, or is predicted to end too low; docs/pruning.md.",
)
@_search(
    "--n-warmup-steps",
    old="--prune-after",
    type=Whole(1),
    default=None,
    show_default="a quarter of --epochs, an eighth for predict; 3 or more",
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
    show_default="6; 2 of one family; 8 for predict",
    help="Other trials that a median needs, or finished ones that a prediction does.",
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
@workers_option
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
@option(
    "--storage-timeout",
    type=Duration(),
    default="2m",
    group="Records",
    help="How long a database server that goes away is waited for, with its unit: 90s, 10m.",
)
@tracking_option
@checkpoints_option("runs/search")
@_other(
    "--rerun",
    metavar="TRIAL",
    type=Whole(0),
    default=None,
    goes_with=("study", "storage", "problem", "device", "data_dir"),
    help="Train one trial again.",
)
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
        from study.loops.searching.rerun import rerun_trial

        return rerun_trial(
            options.storage, options.study, options.rerun, options.device, options.data_dir, options.problem
        )
    if options.workers > 1:
        from study.loops.searching.workers import divide_and_run

        divide_and_run(options.workers, options.device, click.get_current_context().meta[WORDS])
    _run(options)  # after workers it trains what a dead one left, and tells how it ended
    return 0


def _run(options: SearchOptions) -> None:
    """Open everything, train until the study is complete, and show how it ended."""
    from study.core.signals import held_back
    from study.terminal.progress import stages

    with stages() as at:
        at("loading PyTorch, Optuna and MLflow")
        from study.loops.searching.search_run import open_search, tidy, train
        from study.store import optuna_storage as store

        search = open_search(options, at)
    outcome: Outcome = "interrupted"
    try:
        if search.to_do:
            train(search, options)
        tidy(search, options)
        outcome = "finished"
    finally:
        with held_back():
            # Half a second that no start should wait for.
            from study.page.closing import close_study, print_closing

            results = close_study(store.record(search.study), search.tracker, outcome)
    complete = None if search.to_do else search.ended
    experiment = search.tracker.experiment_id
    print_closing(results, options.storage, options.tracking_uri, experiment, complete=complete)
    store.close(search.study)


if __name__ == "__main__":
    main()

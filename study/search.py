"""``python -m study.search``: search the schedules, fairly, and record everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from study.core.records import SEARCH_IMAGES
from study.terminal.command import (
    command,
    data_dir_option,
    device_option,
    lanes_option,
    option,
    seed_option,
    storage_option,
    tracking_option,
    train_images_option,
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
    import lrsched

    others = sorted(n for n, cls in lrsched.REGISTRY.items() if n not in FAMILIES and cls.searchable())
    return [*FAMILIES, *others]


def _list_schedules(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's signature
    """Print the catalogue and leave."""
    if asked and not ctx.resilient_parsing:
        from study.terminal.catalogue import print_catalogue

        print_catalogue(FAMILIES, _searchable())
        ctx.exit()


@command(
    "search",
    examples=[
        ("the whole study: 100 trials of 30 epochs", "--trials 100"),
        ("a quick look, minutes on a laptop", "--trials 12 --epochs 3 --study look"),
        ("two families only", "--schedules cosine,one_cycle --trials 40 --study two"),
        ("train one trial again, alone", "--rerun 17"),
        ("several machines: the same command on each", "--storage postgresql+psycopg://user@host/optuna"),
    ],
)
@option("--trials", type=Whole(1), default=100, group="Study", help="Trials the study is to have in total.")
@option("--epochs", type=Whole(1), default=30, group="Study", help="Epochs a trial; the winner's budget.")
@option("--study", metavar="NAME", default="lr-schedules", group="Study", help="The study's name.")
@option(
    "--schedules",
    metavar="NAME,...",
    type=Names(_searchable, every="all"),
    default=",".join(FAMILIES),
    show_default="the twelve classic families",
    group="Study",
    help="Schedule families to search, or all; see --list-schedules.",
)
@option("--batch-size", type=Whole(1), default=256, group="Study", help="Images a minibatch.")
@train_images_option(SEARCH_IMAGES, group="Study")
@seed_option
@option(
    "--sampler",
    type=Choice(["stratified", "tpe", "random"]),
    default="stratified",
    group="Search",
    help="stratified: each family its own TPE and an equal share of the trials.",
)
@option(
    "--pruner",
    type=Choice(["median", "family-median", "none"]),
    default="median",
    group="Search",
    help="Stop a trial that falls behind the median of all, or of its own family; docs/pruning.md.",
)
@option(
    "--n-warmup-steps",
    "--prune-after",
    type=Whole(1),
    default=None,
    show_default="a quarter of --epochs, 3 or more",
    group="Search",
    help="Epochs before a trial can be stopped.",
)
@option(
    "--interval-steps",
    "--prune-every",
    type=Whole(1),
    default=1,
    group="Search",
    help="Epochs between two decisions.",
)
@option(
    "--n-startup-trials",
    "--prune-startup",
    type=Whole(1),
    default=None,
    show_default="6; 2 of one family",
    group="Search",
    help="Other trials a median needs.",
)
@option(
    "--keep-best",
    "--prune-keep",
    type=Whole(0),
    default=1,
    group="Search",
    help="Best trials of each family so far that are never stopped.",
)
@option(
    "--prune-on",
    type=Choice(["val", "averaged"]),
    default="val",
    group="Search",
    help="Accuracy that is compared: of the weights, or of their running average.",
)
@option(
    "--reprieve",
    type=Real(0.0, 1.0),
    default=0.1,
    group="Search",
    help="Share of the losers trained to the end, to measure what pruning costs.",
)
@lanes_option
@option(
    "--precision",
    type=Choice(["float32", "bfloat16"]),
    default="float32",
    group="Machine",
    help="Arithmetic of the training steps; bfloat16 is faster where the processor has it.",
)
@device_option
@data_dir_option
@storage_option
@tracking_option
@option("--rerun", metavar="TRIAL", type=Whole(0), default=None, group="Other", help="Train one trial again.")
@option(
    "--list-schedules",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_schedules,
    group="Other",
    help="Print the schedules with their parameters' ranges.",
)
def main(*, trials: int, rerun: int | None, **options: Any) -> int:
    """Search for the learning-rate schedule that trains LeNet best on Fashion-MNIST.

    Optuna samples a schedule and its parameters, many trials train side by side, MLflow records rates
    and accuracies. --trials is the study's total: the same command again continues an interrupted study.
    Results are search scores; study.confirm finds out who really won.
    """
    if rerun is not None:
        from study.loops.rerun import rerun_trial

        return rerun_trial(
            options["storage"], options["study"], rerun, options["device"], options["data_dir"]
        )
    _search(trials, **options)
    return 0


def pruning_defaults(pruner: str, epochs: int) -> dict[str, int]:
    """Return the options of pruning that depend on others; ``docs/pruning.md`` says what they rest on.

    Args:
        pruner: As ``--pruner`` names it.
        epochs: Length of a whole trial. A warm-up takes up to 30 % of it, and earlier than at a quarter slow
            starters are stopped that end high.
    """
    return {
        "n_warmup_steps": max(3, -(-epochs // 4)),
        "n_startup_trials": 2 if pruner == "family-median" else 6,
    }


def _search(
    trials: int,
    *,
    lanes: int | None,
    device: str,
    data_dir: str | None,
    storage: str,
    tracking_uri: str,
    **chosen: Any,
) -> None:
    """Open everything, each thing checked before anything is created; then train."""
    from study.core.records import StudyConfig
    from study.loops.search_loop import SearchLoop, next_clock
    from study.loops.signals import held_back
    from study.page.closing import close_study, print_closing
    from study.problems.fashion_mnist import choose_device, load_search
    from study.store import optuna_storage as store
    from study.store import tracking_uri as tracking
    from study.terminal.progress import Progress
    from study.training.lanes import Lanes, automatic_lanes
    from study.training.process import prepare_process
    from study.tuning.pruner import make_pruner
    from study.tuning.sampler import make_sampler
    from study.tuning.space import Space

    for name, value in pruning_defaults(chosen["pruner"], chosen["epochs"]).items():
        if chosen[name] is None:
            chosen[name] = value
    prepare_process()
    where = choose_device(device)
    split = load_search(data_dir, where, train_images=chosen["train_images"])
    config = StudyConfig(name=chosen.pop("study"), **chosen, device=where.type, data=split.checksums)
    space = Space(config.schedules, config.epochs)
    sampler, pruner = make_sampler(config, space), make_pruner(config)
    tracking.check(tracking_uri, storage)
    study = store.open_study(storage, config)
    study.sampler, study.pruner = sampler, pruner

    tracker = _open_tracker(study, config, storage, tracking_uri)
    known = store.record(study).trials
    fleet = Lanes(
        split,
        batch_size=config.batch_size,
        order_seed=config.seed,
        averaging=1.0 if config.pruner == "none" or config.prune_on == "averaged" else None,
        bfloat16=config.precision == "bfloat16",
        clock=next_clock((t.spec.offset, len(t.epochs)) for t in known),
    )
    counted = sum(t.outcome != "interrupted" for t in known)
    complete = counted if store.remaining(study, trials) == 0 else None
    outcome: Outcome = "interrupted"
    try:
        if complete is None:
            with Progress(trials * config.epochs, config.name) as progress:
                SearchLoop(
                    study, config, space, tracker, fleet,
                    width=lanes or automatic_lanes(where), total=trials,
                    show=lambda tally: progress.update(tally.trained, _facts(tally, config), tally.expected),
                ).run()  # fmt: skip
        outcome = "finished"
    finally:
        with held_back():
            close_study(study, tracker, outcome)
    print_closing(store.record(study), storage, tracking_uri, tracker.experiment_id, complete=complete)
    store.close(study)


def _open_tracker(study: Any, config: StudyConfig, storage: str, tracking_uri: str) -> Tracker:
    """Put back what dead processes left, and open the study's parent run, one process at a time."""
    from study.core.provenance import provenance
    from study.store import optuna_storage as store
    from study.store.mlflow_tracking import Tracker

    with store.exclusively(storage):
        put_back = store.recover(study)
        if put_back:
            click.echo(f"{put_back} trials were cut off earlier; they are trained again")
        tracker = Tracker.open(
            tracking_uri,
            config,
            attributes=provenance(config.device),
            resume_run_id=study.user_attrs.get("mlflow_run_id"),
            running=lambda: store.running(study),
        )
        study.set_user_attr("mlflow_run_id", tracker.run_id)
    return tracker


def _facts(tally: Tally, config: StudyConfig) -> dict[str, str]:
    """Return what the progress display says beside its bar."""
    facts = {name: str(n) for name, n in tally.outcomes.items() if n or name in {"finished", "running"}}
    if tally.best is not None:
        accuracy, family, number = tally.best
        facts["best"] = f"{accuracy:.4f} {family} #{number}"
    if config.train_images < SEARCH_IMAGES:
        facts["images"] = f"{config.train_images} only"
    return facts


if __name__ == "__main__":
    main()

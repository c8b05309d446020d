"""``python -m study.confirm``: train the finalists on fresh seeds until the winner is named, or none matters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from study.loops.confirm_options import MAX_SEEDS, ConfirmOptions
from study.terminal.command import (
    checkpoints_option,
    command,
    data_dir_option,
    device_option,
    option,
    storage_option,
    study_option,
    tracking_option,
)
from study.terminal.problem_option import problem_option
from study.terminal.values import Choice, Duration, Numbers, Real, Whole

if TYPE_CHECKING:
    from study.core.records import StudyConfig, StudyRecord
    from study.loops.confirmation import Confirmation
    from study.loops.recording import Limit
    from study.loops.validation_runs import ValidationRuns
    from study.stats.base_rates import BaseRates
    from study.stats.comparison import Floats
    from study.stats.leaderboard import Finalist
    from study.store.tracking.mlflow_tracking import Tracker
    from study.training.evaluation import Examination
    from study.training.workload import Workload


@command(
    "confirm",
    takes=ConfirmOptions,
    examples=[
        ("the latest study: five finalists, judged after 5, 10, 20 and 40 seeds", ""),
        ("at most 20 seeds, in at most an hour", "--max-seeds 20 --budget 60m"),
        ("and how far off the base rate may be", "--rates 0.25,0.5,1,2,4"),
        ("a study of your own problem", "--problem mine.py:problem"),
        ("recompute all looks from the figures in a certificate", "--check certificate.json"),
    ],
)
@study_option
@problem_option
@option("--finalists", type=Whole(2), default=5, group="Finalists", help="How many, the baseline among them.")
@option("--per-family", type=Whole(1), default=1, group="Finalists", help="Trials of one family at most.")
@option(
    "--baseline",
    metavar="NAME|none",
    default="constant",
    group="Finalists",
    help="Family whose best trial is always among them.",
)
@option(
    "--heats",
    type=Whole(0),
    default=None,
    show_default="3; 0 before a plan of fewer than 20 seeds",
    group="Finalists",
    help="Seeds that thrice as many candidates are trained with before, three of a family, on the search's data: "
    "the best in the mean are the finalists. 0: the search's scores choose.",
)
@option(
    "--train-images",
    metavar="N",
    type=Whole(1),
    default=None,
    show_default="all",
    group="Finalists",
    help="Train on the first N examples only, for a quick look.",
)
@option(
    "--looks",
    type=Numbers(2, whole=True),
    default=None,
    group="Plan",
    help="Seeds after which they are judged. Default: 5,10,20,... up to --max-seeds. Fixed at the first look.",
)
@option(
    "--max-seeds",
    type=Whole(2),
    default=None,
    group="Plan",
    help=f"Seeds of the last look; fresh, shared by all. Default: the last of --looks, or {MAX_SEEDS}.",
)
@option("--seeds", type=Whole(2), default=None, hidden=True, excludes=("looks", "max_seeds"))
@option(
    "--budget",
    type=Duration(),
    default=None,
    group="Plan",
    help="Time that it may take, heats included, with its unit: 60m. The same command goes on.",
)
@option(
    "--level", type=Real(0.5, 0.9999), default=0.95, group="Plan", help="Confidence over all looks together."
)
@option(
    "--margin",
    metavar="X",
    type=Real(0.0),
    default=None,
    show_default="0.1 points, or a thousandth of the way from chance to best",
    group="Plan",
    help="Difference that does not matter: in points of accuracy (0.1 is 90.0 % against 90.1 %), else in the metric's "
    "own unit.",
)
@option(
    "--rates",
    metavar="X,...",
    type=Numbers(1e-6),
    default=None,
    group="Base rate",
    help="Also train the finalists at these multiples of their base rates; 1 among them.",
)
@option(
    "--rate-seeds", type=Whole(1), default=3, needs="rates", group="Base rate", help="Seeds of each multiple."
)
@option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("certificate.json"),
    group="Records",
    help="The certificate.",
)
@option(
    "--check",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    goes_with=(),
    group="Records",
    help="Recompute all looks of a certificate; train nothing.",
)
@storage_option
@tracking_option
@checkpoints_option("runs/confirm")
@option(
    "--precision",
    type=Choice(["float32", "bfloat16", "auto"]),
    default="float32",
    group="Machine",
    help="Arithmetic of the training steps, whatever the search's was; auto takes what the hardware has.",
)
@device_option
@data_dir_option
def main(options: ConfirmOptions) -> int:
    """Confirm the search's best schedules on fresh seeds: a winner, or no difference that matters.

    Every finalist is trained on all data but the test's with the same seeds (initial weights and data order).
    At planned numbers of seeds the test data judges them; who is excluded is dropped, and as soon as it is
    settled training stops. Heats choose them before, for one lucky run makes no finalist. Interrupted, the same
    command continues.
    """
    if options.check is not None:
        from study.page.confirmed import recheck

        return recheck(options.check)
    _confirm(options)
    return 0


def _confirm(options: ConfirmOptions) -> None:
    """Train and judge as planned; write, print and keep what was found."""
    from contextlib import ExitStack

    from study.loops.confirmation import confirm
    from study.loops.recording import Limit, alone_in, closing, open_parent
    from study.page.confirmed import Certified, conclude, standing_facts
    from study.stats.certificate import Examples
    from study.terminal.progress import Progress
    from study.terminal.tables import say

    limit = Limit(options.budget)
    prepared = _prepare(options, limit)
    if prepared is None:
        say("The time is up before the last of the heats; the same command goes on.")
        return
    record, confirmation, workload, examination = prepared
    with ExitStack() as held:
        held.enter_context(alone_in(confirmation.place))
        confirmation.check_plan()
        opened = open_parent(options.tracking_uri, confirmation.config, confirmation.place, "confirm")
        tracker = held.enter_context(closing(opened))
        with Progress(confirmation.epochs_at_most, f"confirm {confirmation.config.name}") as progress:
            judged, table = confirm(
                confirmation, examination, tracker,
                lambda s: progress.update(
                    s.done,
                    standing_facts(s.judged, f"{s.seed} of {confirmation.plan.seeds}", s.last, confirmation.config.metric),
                    s.total,
                ),
                limit,
                progress.within,
            )  # fmt: skip
        if judged is None:
            first = confirmation.plan.looks[0]
            say(f"The time is up before the first look at {first} seeds; the same command goes on.")
            return
        rates = (
            None if options.rates is None else _base_rates(options, confirmation, workload, tracker, limit)
        )
        certified = Certified(
            confirmation.config, confirmation.finalists, examination.digests(), judged, table, rates,
            Examples(examination.train, examination.whole), options.problem,
        )  # fmt: skip
        conclude(certified, tracker, options.out)
        _publish(options, record, tracker)


def _prepare(
    options: ConfirmOptions, limit: Limit
) -> tuple[StudyRecord, Confirmation, Workload, Examination] | None:
    """Return the study, what is confirmed of it, and what that trains; ``None`` where the time is up in the heats."""
    from dataclasses import replace

    from study.core.files import require_writable
    from study.loops.confirmation import Confirmation
    from study.outside.study_names import folder_of
    from study.page.confirmed import announce
    from study.problems.fashion_mnist import choose_device
    from study.stats.certificate import Examples
    from study.stats.leaderboard import choose_finalists
    from study.store import optuna_storage as store
    from study.store.urls import check_tracking
    from study.terminal.tables import say
    from study.training.precision import precision_for
    from study.training.process import prepare_process
    from study.training.reopening import reopen_workload

    require_writable(options.out, "`out`")
    prepare_process()
    where = choose_device(options.device)
    check_tracking(options.tracking_uri, options.storage)
    record = store.load(options.storage, options.study)
    metric = record.config.metric
    plan = options.plan(metric)
    options.require_rates(metric)
    chosen = choose_finalists(record, options.choice)
    recorded = record.attributes.get("problem_reference", "")
    workload = reopen_workload(
        record.config,
        options.problem,
        recorded,
        where,
        data_dir=options.data_dir,
        at_most=options.train_images,
    )
    examination = workload.examination(options.train_images)
    precision = precision_for(options.precision, where, workload.source)
    config = replace(record.config, device=where.type, precision=precision, train_images=examination.train)
    widest = max(len(chosen), min(len(chosen), options.finalists) * len(options.rates or (1,)))
    workload.require_room(widest, config, what="the runs side by side,")
    if workload.source:
        say(workload.facts["lanes"])
    folder = options.checkpoints / folder_of(record.config.name)
    if options.choice.heats:
        trained_on = replace(config, train_images=workload.train_images)
        chosen = _heats(options, trained_on, chosen, workload, folder, limit)
        if not chosen:
            return None
    confirmation = Confirmation(config, chosen, plan, folder)
    announce(record.config, chosen, plan, Examples(examination.train, examination.whole))
    return record, confirmation, workload, examination


def _heats(
    options: ConfirmOptions,
    config: StudyConfig,
    candidates: tuple[Finalist, ...],
    workload: Workload,
    folder: Path,
    limit: Limit,
) -> tuple[Finalist, ...]:
    """Train the candidates with a few seeds, on the search's data; return who goes through: nobody if the time is up."""
    from study.loops.recording import alone_in, closing, open_parent
    from study.loops.validation_runs import ValidationRuns
    from study.stats.leaderboard import through_heats
    from study.terminal.tables import say

    heats = options.choice.heats
    runs = ValidationRuns("heats", config, candidates, heats, folder)
    say(f"heats: {len(candidates)} candidates with {heats} seeds each, on the validation {config.noun}")
    with (
        alone_in(runs.place),
        closing(open_parent(options.tracking_uri, config, runs.place, "heats")) as tracker,
    ):
        values = _validated(runs, f"heats of {config.name}", workload, tracker, limit)
    return () if values is None else through_heats(candidates, values, options.choice, config.metric)


def _validated(
    runs: ValidationRuns, title: str, workload: Workload, tracker: Tracker, limit: Limit
) -> Mapping[str, Floats] | None:
    """Train runs under a progress bar; return their validation values by finalist, ``None`` where the time is up."""
    from study.loops.validation_runs import train_validated
    from study.terminal.progress import Progress

    with Progress(runs.epochs, title) as progress:
        return train_validated(
            runs, workload.lanes, tracker,
            lambda done, seed: progress.update(done, {"seed": f"{seed} of {runs.seeds}"}), progress.within, limit,
        )  # fmt: skip


def _publish(options: ConfirmOptions, record: StudyRecord, tracker: Tracker) -> None:
    """Keep the study's page with the verdict in optuna-dashboard and with the confirmation's parent run."""
    from study.page.gather import confirmation, gather
    from study.page.outputs.publish import publish
    from study.store import optuna_storage as store

    opened = store.existing_study(options.storage, record.config.name)
    page = gather(record, confirmation(record.config.name, options.out))
    publish(opened, page, options.tracking_uri, tracker.run_id)
    store.close(opened)


def _base_rates(
    options: ConfirmOptions, confirmation: Confirmation, workload: Workload, tracker: Tracker, limit: Limit
) -> BaseRates | None:
    """Train the finalists at multiples of their base rates; on the search's data, validation measured."""
    from dataclasses import replace

    from study.loops.validation_runs import ValidationRuns
    from study.stats.base_rates import BaseRates
    from study.terminal.tables import say

    config = replace(confirmation.config, train_images=workload.train_images)
    multiples = options.rates or ()
    runs = ValidationRuns(
        "rates", config, confirmation.finalists, options.rate_seeds, confirmation.folder, multiples
    )
    values = _validated(runs, f"base rates of {config.name}", workload, tracker, limit)
    if values is None:
        say("The time is up before the last of the base rates; the same command goes on.")
        return None
    return BaseRates(multiples, values, config.train_images, config.metric, config.noun)


if __name__ == "__main__":
    main()

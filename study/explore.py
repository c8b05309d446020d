"""``python -m study.explore``: small sweeps that answer what the sources leave open, and their pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from study.questions.options import ExploreOptions
from study.terminal.command import (
    checkpoints_option,
    command,
    data_dir_option,
    device_option,
    lanes_option,
    option,
    storage_option,
    study_option,
    tracking_option,
)
from study.terminal.problem_option import problem_option
from study.terminal.values import Choice, Numbers, Whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from study.questions.sweep import Cell, Results, Sweep
    from study.questions.trained import Batch
    from study.store.tracking.mlflow_tracking import Tracker
    from study.training.evaluation import Scores
    from study.training.side_by_side import SideBySide
    from study.training.workload import Workload

PAGES = "pages"


@command(
    "explore",
    takes=ExploreOptions,
    examples=[
        ("how long should a warm-up be, for the best schedule of the latest study", "warmup"),
        ("the same sweep with more seeds, on any machine: its file says the rest", "warmup --seeds 10"),
        ("what would be trained, and how long that takes", "horizon --dry-run"),
        ("a study of your own problem", "rate --problem mine.py:problem"),
        ("a page a question from the files", "pages"),
    ],
)
@click.argument("question", type=Choice(["warmup", "exponent", "rate", "horizon", "optimizer", PAGES]))
@option("--seeds", type=Whole(1, 1000), default=5, group="Sweep", help="Seeds a point; more add to them.")
@option(
    "--long-seeds",
    type=Whole(1, 1000),
    default=3,
    group="Sweep",
    help="Seeds at most of runs over twice as long as the study's.",
)
@option(
    "--values",
    type=Numbers(0),
    default=None,
    show_default="the question's own",
    group="Sweep",
    help="Warm-ups in epochs, exponents, fixed rates or budgets that are compared.",
)
@option(
    "--multiples",
    type=Numbers(0),
    default=None,
    show_default="the question's own",
    group="Sweep",
    help="Multiples of each base rate that are tried.",
)
@option(
    "--finalists",
    type=Whole(1),
    default=None,
    show_default="1; horizon and optimizer 4",
    group="Sweep",
    help="Schedules that are varied: the best trial of each of so many families.",
)
@option(
    "--certificate",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    group="Sweep",
    help="A confirmation of the study: those are varied that it puts first, not those of the best search score, each of "
    "which may be one lucky run.",
)
@option(
    "--epochs",
    type=Whole(1),
    default=None,
    show_default="the study's",
    group="Sweep",
    help="Epochs a run; the schedules are stretched to it.",
)
@option(
    "--train-images",
    metavar="N",
    type=Whole(1),
    default=None,
    show_default="all",
    group="Sweep",
    help="Fewer, for a quick look.",
)
@option(
    "--precision",
    type=Choice(["auto", "float32", "bfloat16"]),
    default=None,
    show_default="as the file; float32 for a new one",
    group="Sweep",
    help="Arithmetic of the training steps.",
)
@option("--dry-run", is_flag=True, group="Sweep", help="Say what would be trained, and train nothing.")
@option(
    "--results",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("docs/results"),
    group="Records",
    help="Folder of the sweeps' files, QUESTION.jsonl, and of their pages.",
)
@option(
    "--figures/--no-figures",
    default=True,
    group="Records",
    help="Pages with their pictures, for which a browser draws.",
)
@study_option
@problem_option
@storage_option
@tracking_option
@checkpoints_option("runs/explore")
@lanes_option
@device_option
@data_dir_option
def main(options: ExploreOptions) -> None:
    """Train a small sweep over seeds that answers one question, or build the pages of those trained.

    warmup: how long should it last? exponent: what does the polynomial's do? rate: what does a fixed one give? horizon: does
    the winner change with the budget? optimizer: does the ranking change with it? The schedules are the best of a study,
    or of its confirmation.
    Runs are kept one a line in DIR/QUESTION.jsonl, from which the same command continues on any machine.
    """
    from study.questions.pages import write_pages

    if options.question == PAGES:
        for path in write_pages(options.results, figures=options.figures):
            click.echo(f"wrote {path}")
        return
    _sweep(options)


def _sweep(options: ExploreOptions) -> None:
    """Train what has no line yet, and say what the sweep says."""
    from study.loops.recording import alone_in, closing, is_open, open_until_ended
    from study.questions.answers import answer
    from study.questions.grids import QUESTIONS
    from study.questions.opening import opened
    from study.questions.outlook import outlook
    from study.questions.sweep import to_train
    from study.questions.trained import remove_ended
    from study.store.urls import check_tracking
    from study.terminal.tables import say
    from study.training.process import prepare_process

    prepare_process()
    results, workload = opened(options)
    examination = workload.examination()
    cells = QUESTIONS[options.question].cells(results.sweep)
    pending = to_train(cells, options.seeds, results, options.long_seeds)
    say(outlook(results, len(cells), options.seeds, pending))
    if workload.source:
        say(workload.facts["lanes"])
    if options.dry_run:
        return
    folder = options.checkpoints / f"{options.question}-{results.sweep.digest}"
    if pending or is_open(folder):  # the last process may have ended before it closed its records
        check_tracking(options.tracking_uri)
        with (
            alone_in(folder),
            open_until_ended(folder),
            closing(_open_tracker(results.sweep, options, folder)) as tracker,
        ):
            if pending:
                results = _train(options, results, pending, workload, examination.score, tracker, folder)
            remove_ended(folder, results)
            said = answer(results)
            tracker.log_text("\n".join(said.sentences) + "\n", "answer.txt")
    for sentence in answer(results).sentences:
        say(sentence)
    say(f"{len(results.runs)} runs are in {results.path}; python -m study.explore pages writes its page")


def _open_tracker(sweep: Sweep, options: ExploreOptions, folder: Path) -> Tracker:
    """Open the parent run that earlier processes recorded in, or a new one."""
    from study.core.provenance import provenance
    from study.loops.recording import recording_key
    from study.problems.fashion_mnist import choose_device
    from study.questions.trained import EXPERIMENT
    from study.store.tracking.mlflow_tracking import Tracker

    return Tracker.open(
        options.tracking_uri,
        sweep,
        attributes=provenance(choose_device(options.device).type),
        key=recording_key(folder),
        experiment=EXPERIMENT,
        kind="explore",
    )


def _train(
    options: ExploreOptions,
    results: Results,
    pending: Sequence[tuple[Cell, int]],
    workload: Workload,
    score: Callable[[SideBySide], Mapping[int, Scores]],
    tracker: Tracker,
    folder: Path,
) -> Results:
    """Train what is pending, with a display."""
    from functools import cache

    from study.problems.fashion_mnist import choose_device
    from study.questions.trained import train_sweep
    from study.terminal.progress import Progress
    from study.training.lanes import automatic_lanes
    from study.training.workload import open_default

    device, config = choose_device(options.device), results.sweep.config
    width = options.lanes or automatic_lanes(device)
    workload.require_room(width, config)

    @cache
    def trained_by(optimizer: str, weight_decay: float) -> Workload:
        if (optimizer, weight_decay) == results.sweep.by:
            return workload
        return open_default(device, options.data_dir, config.train_images, optimizer, weight_decay)

    total = sum(cell.epochs for cell, _ in pending)
    with Progress(total, results.sweep.name) as progress:

        def show(done: int, batch: Batch) -> None:
            about = {"seed": f"{batch.seed} of {options.seeds}", "runs": str(len(batch.cells))}
            progress.update(done, {**about, "optimizer": batch.cells[0].optimizer})

        return train_sweep(
            results, pending, lambda cell: trained_by(cell.optimizer, cell.weight_decay), score, tracker, folder,
            device=device.type, width=width, show=show, within=progress.within,
        )  # fmt: skip


if __name__ == "__main__":
    main()

"""``python -m study.explore``: small sweeps that answer what the sources leave open, and their pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from study.core.errors import InputError
from study.core.records import DEFAULT_PROBLEM, SEARCH_IMAGES
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
from study.terminal.values import Choice, Numbers, Whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from study.questions.sweep import Cell, Results, Sweep
    from study.questions.trained import Batch
    from study.training.workload import Workload

PAGES = "pages"


@dataclass(frozen=True)
class ExploreOptions:
    """The command's options, as its help tells them; ``None`` where the sweep's file or the question says it."""

    question: str
    seeds: int
    long_seeds: int
    values: tuple[float, ...] | None
    multiples: tuple[float, ...] | None
    finalists: int | None
    epochs: int | None
    train_images: int | None
    precision: str | None
    dry_run: bool
    results: Path
    figures: bool
    study: str | None
    storage: str
    tracking_uri: str
    checkpoints: Path
    lanes: int | None
    device: str
    data_dir: str | None


@command(
    "explore",
    takes=ExploreOptions,
    examples=[
        ("how long should a warm-up be, for the best schedule of the latest study", "warmup"),
        ("the same sweep with more seeds, on any machine: its file says the rest", "warmup --seeds 10"),
        ("what would be trained, and how long that takes", "horizon --dry-run"),
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
    help="Seeds at most of runs of over 60 epochs.",
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
    type=Whole(1, SEARCH_IMAGES),
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
@storage_option
@tracking_option
@checkpoints_option("runs/explore")
@lanes_option
@device_option
@data_dir_option
def main(options: ExploreOptions) -> None:
    """Train a small sweep over seeds that answers one question, or build the pages of those trained.

    warmup: how long should it last? exponent: what does the polynomial's do? rate: what does a fixed one give? horizon: does
    the winner change with the budget? optimizer: does the ranking change with it? The schedules are the best of a study.
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
    from study.loops.recording import alone_in, closing
    from study.problems.fashion_mnist import choose_device, load_search
    from study.questions.answers import answer
    from study.questions.grids import QUESTIONS
    from study.questions.outlook import outlook
    from study.questions.sweep import to_train
    from study.store.urls import check_tracking
    from study.training.process import prepare_process

    prepare_process()
    device = choose_device(options.device)
    checksums = load_search(options.data_dir, device).checksums
    results = _results(options, checksums)
    if dict(results.sweep.data) != dict(checksums):
        raise InputError(
            f"{results.path}: was trained on data files with other checksums; give the same `data_dir`"
        )
    cells = QUESTIONS[options.question].cells(results.sweep)
    pending = to_train(cells, options.seeds, results.runs, options.long_seeds)
    click.echo(outlook(results, len(cells), options.seeds, pending))
    if options.dry_run:
        return
    if pending:
        check_tracking(options.tracking_uri)
        folder = options.checkpoints / options.question
        with alone_in(folder), closing(_open_tracker(results.sweep, options, folder, device.type)) as tracker:
            results = _train(options, results, pending, tracker, folder)
            said = answer(results)
            tracker.log_text("\n".join(said.sentences) + "\n", "answer.txt")
    for sentence in answer(results).sentences:
        click.echo(sentence)
    click.echo(
        f"{len(results.runs)} runs are in {results.path}; python -m study.explore pages writes its page"
    )


def _results(options: ExploreOptions, checksums: Mapping[str, str]) -> Results:
    """Return the sweep's file as it stands, or a new sweep of a study's finalists with no runs yet.

    Raises:
        InputError: An option differs from what the file says, or there is no study to take schedules from.
    """
    from study.questions.sweep import read_results

    path = options.results / f"{options.question}.jsonl"
    if not path.exists():
        return _new(options, checksums, path)
    found = read_results(path)
    asked = {"values", "multiples", "epochs", "train_images", "precision"}
    for name in sorted(asked):
        given, kept = getattr(options, name), getattr(found.sweep, name)
        if given is not None and given not in {kept, "auto"}:
            raise InputError(
                f"`{name}` {_said(given)}: {path} holds a sweep with {_said(kept)}; leave it out to continue, or name another "
                "`results` folder"
            )
    if options.finalists not in {None, len(found.sweep.finalists)} or options.study is not None:
        names = ", ".join(f.name for f in found.sweep.finalists)
        raise InputError(
            f"{path} holds a sweep of {names}; leave out `study` and `finalists` to continue it, or name another `results` folder"
        )
    return found


def _new(options: ExploreOptions, checksums: Mapping[str, str], path: Path) -> Results:
    from study.problems.fashion_mnist import choose_device
    from study.questions.grids import QUESTIONS, scaled_down
    from study.questions.sweep import Results, Sweep
    from study.store import optuna_storage as store
    from study.training.precision import choose_precision

    record = store.load(options.storage, options.study)
    config = record.config
    if (config.problem, config.optimizer, config.weight_decay) != (DEFAULT_PROBLEM, "sgd", 0.0):
        raise InputError(f"study {config.name!r}: sweeps vary schedules of LeNet trained by plain SGD only")
    question = QUESTIONS[options.question]
    if options.values is not None and not question.values:
        raise InputError(f"`values`: {options.question} has none to choose")
    epochs = options.epochs or config.epochs
    return Results(
        path,
        Sweep(
            question=options.question,
            finalists=question.choose(record, options.finalists),
            source=f"study {config.name}, {len(record.ended)} trials of {config.epochs} epochs",
            values=options.values or scaled_down(options.question, epochs),
            multiples=options.multiples or question.multiples,
            epochs=epochs,
            batch_size=config.batch_size,
            train_images=options.train_images or SEARCH_IMAGES,
            precision=choose_precision(options.precision or "float32", choose_device(options.device)),
            data=dict(checksums),
        ),
        (),
    )


def _open_tracker(sweep: Sweep, options: ExploreOptions, folder: Path, device: str) -> Any:
    """Open the parent run that earlier processes recorded in, or a new one."""
    from study.core.provenance import provenance
    from study.loops.recording import recording_key
    from study.questions.trained import EXPERIMENT
    from study.store.tracking.mlflow_tracking import Tracker

    return Tracker.open(
        options.tracking_uri,
        sweep,
        attributes=provenance(device),
        key=recording_key(folder),
        experiment=EXPERIMENT,
        kind="explore",
    )


def _train(
    options: ExploreOptions, results: Results, pending: Sequence[tuple[Cell, int]], tracker: Any, folder: Path
) -> Results:
    """Train what is pending, with a display."""
    from functools import cache

    from study.problems.fashion_mnist import choose_device, load_final
    from study.questions.trained import train_sweep
    from study.terminal.progress import Progress
    from study.training.lanes import automatic_lanes
    from study.training.workload import open_workload

    device = choose_device(options.device)
    test = load_final(options.data_dir, device).evaluation
    if test is None:
        raise ValueError("the final split has no test images")

    @cache
    def opened(optimizer: str, weight_decay: float) -> Workload:
        return open_workload(
            None, device, data_dir=options.data_dir, train_images=results.sweep.train_images,
            optimizer=optimizer, weight_decay=weight_decay,
        )  # fmt: skip

    total = sum(cell.epochs for cell, _ in pending)
    with Progress(total, results.sweep.name) as progress:

        def show(done: int, batch: Batch) -> None:
            about = {"seed": f"{batch.seed} of {options.seeds}", "runs": str(len(batch.cells))}
            progress.update(done, {**about, "optimizer": batch.cells[0].optimizer})

        return train_sweep(
            results, pending, lambda cell: opened(cell.optimizer, cell.weight_decay), test, tracker, folder,
            width=options.lanes or automatic_lanes(device), show=show,
        )  # fmt: skip


def _said(value: Any) -> str:
    return ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    main()

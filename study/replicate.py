"""``python -m study.replicate``: repeat the sources' published table over several seeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from study.core.errors import InputError
from study.core.records import ALL_IMAGES
from study.terminal.command import (
    checkpoints_option,
    command,
    data_dir_option,
    device_option,
    option,
    tracking_option,
    train_images_option,
)
from study.terminal.values import Choice, Whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plotly.graph_objects import Figure

    from study.core.records import EpochMetrics
    from study.problems.fashion_mnist import Split
    from study.store.tracking.mlflow_tracking import Tracker
    from study.textbook.runs import Replication

PICTURES = (".html", ".png", ".svg")


@dataclass(frozen=True)
class ReplicateOptions:
    """The command's options, as its help tells them."""

    source: str
    seeds: int
    epochs: int | None
    train_images: int
    as_published: bool
    corrected: bool
    both: bool
    markdown: Path | None
    figure: Path | None
    tracking_uri: str
    checkpoints: Path
    device: str
    data_dir: str | None

    @property
    def ways(self) -> tuple[str, ...]:
        """How the rates are set, of ``textbook.runs.WAYS``; refused where two options say it."""
        if self.as_published + self.corrected + self.both > 1:
            raise InputError("`as_published`, `corrected` and `both` exclude each other; `both` is the two")
        return ("as published",) * (not self.corrected) + ("corrected",) * (self.corrected or self.both)


@command(
    "replicate",
    takes=ReplicateOptions,
    examples=[
        ("the chapter's table, as its loop ran it, over five seeds", ""),
        ("and what its loop costs, with the tables put into a document", "--both --markdown docs/results.md"),
        ("the hands-on article's settings, as they were meant", "--set article --corrected"),
        ("a quick look: its figures are not the published ones", "--seeds 2 --epochs 2 --train-images 2000"),
    ],
)
@option(
    "--set",
    "source",
    type=Choice(["chapter", "article"]),
    default="chapter",
    group="Runs",
    help="Whose runs: the textbook chapter's or the hands-on article's.",
)
@option("--seeds", type=Whole(1, 1000), default=5, group="Runs", help="Seeds of each run; more add to them.")
@option(
    "--epochs",
    type=Whole(1),
    default=None,
    show_default="the source's own, 30 or 10",
    group="Runs",
    help="Epochs a run.",
)
@train_images_option(ALL_IMAGES, group="Runs")
@option("--as-published", is_flag=True, group="Rates", help="As the source's loop set them; the default.")
@option("--corrected", is_flag=True, group="Rates", help="As its schedules are meant.")
@option("--both", is_flag=True, group="Rates", help="Both, and what the source's loop costs.")
@option(
    "--markdown",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    group="Output",
    help="Keep the tables in this file, between <!-- begin replicate SET --> and <!-- end ... -->.",
)
@option(
    "--figure",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    group="Output",
    help="Also write the figure that the chapter draws: .html, .png or .svg.",
)
@tracking_option
@checkpoints_option("runs/replicate")
@device_option
@data_dir_option
def main(options: ReplicateOptions) -> None:
    """Train a source's runs as it did, over several seeds, beside the figures that it printed.

    All 60,000 images, batches of 256, plain SGD, test accuracy after the last epoch. Nothing is chosen by
    it. The chapter's loop does not use the rates that its schedules are named after (docs/results.md);
    --corrected does.
    """
    from study.loops.recording import alone_in, closing
    from study.terminal.markdown import Section
    from study.terminal.tables import print_table
    from study.textbook.curves_figure import curves_figure
    from study.textbook.result_tables import as_markdown, tables

    section = None if options.markdown is None else Section(options.markdown, f"replicate {options.source}")
    if section is not None:
        section.check()
    if options.figure is not None:
        _check_figure(options.figure)
    replication, split = _prepare(options)
    with (
        alone_in(replication.place),
        closing(_open_tracker(replication, options.tracking_uri)) as tracker,
    ):
        _train(replication, split, tracker)
        measured = replication.measured()
        found = tables(measured, about="" if replication.comparable else f" ({_size(replication)})")
        drawn = curves_figure(measured, f"{options.source.capitalize()}: {_size(replication)}")
        tracker.log_text(drawn.to_html(include_plotlyjs=True), "curves.html")
        text = f"{_conditions(replication)}\n{as_markdown(found)}"
        tracker.log_text(text, "tables.md")

    for table in found:
        print_table(table.columns, table.rows, title=table.title)
        for sentence in table.sentences:
            click.echo(sentence)
    if not replication.comparable:
        click.echo(_not_comparable(replication))
    if section is not None:
        section.write(text)
        click.echo(f"wrote the section {section.name!r} of {section.path}")
    if options.figure is not None:
        _write_figure(drawn, options.figure)


def _prepare(options: ReplicateOptions) -> tuple[Replication, Split]:
    """Return what is to be repeated, and the images, the test set measured."""
    from dataclasses import replace

    from study.problems.fashion_mnist import choose_device, load_final
    from study.store.urls import check_tracking
    from study.textbook.runs import SOURCES, Replication
    from study.training.process import prepare_process

    prepare_process()
    device = choose_device(options.device)
    check_tracking(options.tracking_uri)
    data = load_final(options.data_dir, device)
    replication = Replication(
        source=SOURCES[options.source],
        ways=options.ways,
        seeds=options.seeds,
        epochs=options.epochs or SOURCES[options.source].epochs,
        train_images=options.train_images,
        device=device.type,
        data=data.checksums,
        folder=options.checkpoints,
    )
    return replication, replace(data, train=data.train.part(0, options.train_images))


def _open_tracker(replication: Replication, tracking_uri: str) -> Tracker:
    """Open the parent run that earlier processes of the same replication recorded in, or a new one."""
    from study.core.provenance import provenance
    from study.loops.recording import recording_key
    from study.store.tracking.mlflow_tracking import Tracker
    from study.textbook.runs import EXPERIMENT

    noted = replication.place / "mlflow-run"  # by an earlier version
    return Tracker.open(
        tracking_uri,
        replication,
        attributes=provenance(replication.device),
        key=recording_key(replication.place),
        resume_run_id=noted.read_text("utf-8") if noted.exists() else None,
        experiment=EXPERIMENT,
        kind="replicate",
    )


def _train(replication: Replication, split: Split, tracker: Tracker) -> None:
    """Train what is not trained yet, with a display."""
    from functools import partial

    from study.loops.recording import is_recorded, train_recorded
    from study.terminal.progress import Progress

    width = len(replication.runs)
    trained = sum(one.trained() for one in replication.passes) * width
    total = replication.seeds * replication.epochs * width
    if all(map(is_recorded, replication.passes)):
        click.echo(f"all {total} epochs are trained already, in {replication.place}")
        return
    facts = {} if replication.comparable else {"only": _size(replication)}
    with Progress(total, replication.name) as progress:
        progress.update(trained, facts)
        for seed, one in enumerate(replication.passes):

            def show(row: Sequence[EpochMetrics], seed: int = seed) -> None:
                nonlocal trained
                trained += len(row)
                about = {"seed": f"{seed + 1} of {replication.seeds}", "runs": str(width)}
                progress.update(trained, {**about, **facts})

            label = partial(replication.label, seed=seed)
            train_recorded(one, replication.lanes(split, seed), tracker, label, show, progress.within)


def _size(replication: Replication) -> str:
    seeds = f"{replication.seeds} seed{'s' * (replication.seeds > 1)}"
    return f"{seeds}, {replication.epochs} epochs, {replication.train_images:,} images"


def _not_comparable(replication: Replication) -> str:
    source = replication.source
    return (
        f"No published figures beside these: the {source.name} trained {source.epochs} epochs "
        f"on {ALL_IMAGES:,} images."
    )


def _conditions(replication: Replication) -> str:
    """Return what the tables were measured with: command, n, date, device, versions, revision."""
    from datetime import UTC, datetime

    from study.core.provenance import short_revision, versions

    way = "both" if len(replication.ways) > 1 else replication.ways[0].replace(" ", "-")
    arguments = (
        f"--set {replication.source.name} --seeds {replication.seeds} --epochs {replication.epochs} --{way}"
    )
    if replication.train_images < ALL_IMAGES:
        arguments += f" --train-images {replication.train_images}"
    tools = ", ".join(f"{name} {version}" for name, version in versions().items())
    return (
        f"```\npython -m study.replicate {arguments}\n```\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}: {_size(replication)}, {replication.device}; {tools}; "
        f"revision {short_revision()}.\n"
        + ("" if replication.comparable else f"\n{_not_comparable(replication)}\n")
    )


def _check_figure(path: Path) -> None:
    """Refuse a figure's file that cannot be written, before anything is trained."""
    from study.core.files import require_writable

    if path.suffix not in PICTURES:
        raise InputError(f"`figure` {path}: must end in {', '.join(PICTURES)}")
    require_writable(path, "`figure`")


def _write_figure(figure: Figure, path: Path) -> None:
    from study.core.files import whole_file
    from study.page.outputs.pictures import write_pictures

    if path.suffix == ".html":
        with whole_file(path, "`figure`") as part:
            figure.write_html(part, include_plotlyjs=True)
    else:
        write_pictures({path: figure}, named="`figure`", width=1100)
    click.echo(f"wrote {path}")


if __name__ == "__main__":
    main()

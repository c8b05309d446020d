"""``python -m study.replicate``: repeat the sources' published table over several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from study.store.mlflow_tracking import Tracker
    from study.textbook.runs import Replication

PICTURES = (".html", ".png", ".svg")


@command(
    "replicate",
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
def main(*, as_published: bool, corrected: bool, both: bool, **options: Any) -> None:
    """Train a source's runs as it did, over several seeds, beside the figures that it printed.

    All 60,000 images, batches of 256, plain SGD, test accuracy after the last epoch. Nothing is chosen by
    it. The chapter's loop does not use the rates that its schedules are named after (docs/results.md);
    --corrected does.
    """
    if as_published + corrected + both > 1:
        raise InputError("--as-published, --corrected and --both exclude each other; --both is the two")
    chosen = {both: ("as published", "corrected"), corrected: ("corrected",)}.get(True, ("as published",))
    _replicate(chosen, **options)


def _replicate(
    ways: tuple[str, ...],
    *,
    source: str,
    seeds: int,
    epochs: int | None,
    train_images: int,
    markdown: Path | None,
    figure: Path | None,
    tracking_uri: str,
    checkpoints: Path,
    device: str,
    data_dir: str | None,
) -> None:
    from dataclasses import replace

    from study.loops.recording import alone_in, closing
    from study.problems.fashion_mnist import choose_device, load_final
    from study.store.urls import check_tracking
    from study.terminal.tables import print_table
    from study.textbook.curves_figure import curves_figure
    from study.textbook.result_tables import Section, as_markdown, tables
    from study.textbook.runs import SOURCES, Replication, settings_of
    from study.training.process import prepare_process

    section = None if markdown is None else Section(markdown, f"replicate {source}")
    if section is not None:
        section.check()
    _check_figure(figure)
    prepare_process()
    where = choose_device(device)
    check_tracking(tracking_uri)
    data = load_final(data_dir, where)
    split = replace(data, train=data.train.part(0, train_images))
    config = settings_of(
        SOURCES[source], epochs=epochs, train_images=train_images, device=where.type, data=data.checksums
    )
    replication = Replication(SOURCES[source], ways, seeds, config, checkpoints)

    with alone_in(replication.place), closing(_open_tracker(replication, tracking_uri)) as tracker:
        _train(replication, split, tracker)
        measured = replication.measured()
        found = tables(measured, about=_about(replication))
        drawn = curves_figure(measured, f"{source.capitalize()}: {_size(replication)}")
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
        click.echo(f"wrote the section {section.name!r} of {markdown}")
    if figure is not None:
        _write_figure(drawn, figure)


def _open_tracker(replication: Replication, tracking_uri: str) -> Tracker:
    """Open the parent run that earlier processes of the same replication recorded in, or a new one."""
    from study.core.files import write_text
    from study.core.provenance import provenance
    from study.store.mlflow_tracking import Tracker
    from study.textbook.runs import EXPERIMENT

    kept = replication.place / "mlflow-run"
    tracker = Tracker.open(
        tracking_uri,
        replication.config,
        attributes={**provenance(replication.config.device), "ways": ", ".join(replication.ways)},
        params=replication.parameters,
        resume_run_id=kept.read_text("utf-8") if kept.exists() else None,
        experiment=EXPERIMENT,
        kind="replicate",
    )
    write_text(kept, tracker.run_id)
    return tracker


def _train(replication: Replication, split: Any, tracker: Tracker) -> None:
    """Train what is not trained yet, with a display."""
    from study.loops.recording import is_recorded, train_recorded
    from study.terminal.progress import Progress

    passes, width = replication.passes(), len(replication.runs)
    trained = sum(one.trained() for one in passes) * width
    total = replication.seeds * replication.config.epochs * width
    if all(map(is_recorded, passes)):
        click.echo(f"all {total} epochs are trained already, in {replication.place}")
        return
    facts = {} if replication.comparable else {"only": _size(replication)}
    with Progress(total, replication.config.name) as progress:
        progress.update(trained, facts)
        train_recorded(
            passes,
            lambda seed: replication.lanes(split, seed),
            tracker,
            replication.label,
            lambda done, seed: progress.update(
                done, {"seed": f"{seed + 1} of {replication.seeds}", "runs": str(width), **facts}
            ),
        )


def _size(replication: Replication) -> str:
    config = replication.config
    seeds = f"{replication.seeds} seed{'s' * (replication.seeds > 1)}"
    return f"{seeds}, {config.epochs} epochs, {config.train_images:,} images"


def _about(replication: Replication) -> str:
    """Return what a title must say where the figures are not comparable with the published ones."""
    return "" if replication.comparable else f" ({_size(replication)})"


def _not_comparable(replication: Replication) -> str:
    source = replication.source
    return (
        f"No published figures beside these: the {source.name} trained {source.epochs} epochs "
        f"on {ALL_IMAGES:,} images."
    )


def _conditions(replication: Replication) -> str:
    """Return what the tables were measured with: command, n, date, device, versions, revision."""
    from datetime import UTC, datetime

    from study.core.provenance import git_revision, versions

    config = replication.config
    way = {1: f"--{replication.ways[0].replace(' ', '-')}", 2: "--both"}[len(replication.ways)]
    arguments = f"--set {replication.source.name} --seeds {replication.seeds} --epochs {config.epochs} {way}"
    if config.train_images < ALL_IMAGES:
        arguments += f" --train-images {config.train_images}"
    tools = ", ".join(f"{name} {version}" for name, version in versions().items())
    return (
        f"```\npython -m study.replicate {arguments}\n```\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}: {_size(replication)}, {config.device}; {tools}; "
        f"revision {(git_revision() or 'unknown')[:12]}.\n"
        + ("" if replication.comparable else f"\n{_not_comparable(replication)}\n")
    )


def _check_figure(path: Path | None) -> None:
    """Refuse a figure's file that cannot be written, before anything is trained."""
    if path is None:
        return
    if path.suffix not in PICTURES:
        raise InputError(f"--figure {path}: must end in {', '.join(PICTURES)}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--figure {path}: there is no folder {path.parent}")


def _write_figure(figure: Any, path: Path) -> None:
    if path.suffix == ".html":
        figure.write_html(path, include_plotlyjs=True)
    else:
        try:
            figure.write_image(path, width=1100, scale=2 if path.suffix == ".png" else 1)
        except Exception as error:  # kaleido raises what the browser does
            raise InputError(
                f"--figure {path}: a picture needs Chrome or Chromium ({error}); .html does not"
            ) from error
    click.echo(f"wrote {path}")


if __name__ == "__main__":
    main()

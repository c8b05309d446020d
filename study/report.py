"""``python -m study.report``: the study as one page that opens anywhere, offline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from study.core.errors import InputError
from study.terminal.command import (
    Function,
    command,
    option,
    storage_option,
    study_option,
    tracking_option,
)
from study.terminal.problem_option import problem_option

if TYPE_CHECKING:
    from study.page.gather import Page


@dataclass(frozen=True)
class Options:
    """What the command was asked, an attribute an option."""

    study: str | None
    problem: str | None
    storage: str
    certificate: Path | None
    out: Path
    figures: Path | None
    export: Path | None
    markdown: Path | None
    publish: bool
    tracking_uri: str


def path_option(
    name: str, *, metavar: str = "FILE", group: str = "Output", **settings: Any
) -> Callable[[Function], Function]:
    """Declare an option that names a file or a folder."""
    return option(name, metavar=metavar, type=click.Path(path_type=Path), group=group, **settings)


@command(
    "report",
    examples=[
        ("the latest study, as report.html", ""),
        ("its figures as PNG files, for slides", "--figures figures"),
        ("one row a trial, for a spreadsheet or pandas", "--export results.csv"),
    ],
    interrupted="interrupted; nothing was left half written",
)
@study_option
@problem_option
@storage_option
@path_option(
    "--certificate",
    group="Records",
    help="The verdict, from study.confirm. Default: certificate.json, if it is this study's.",
)
@path_option("--out", default=Path("report.html"), help="The page.")
@path_option(
    "--figures",
    metavar="DIR",
    help="Also write every figure as a PNG file into this folder; needs Chromium or Chrome.",
)
@path_option("--export", help="Also write one row a trial; .csv, .parquet or .json.")
@path_option(
    "--markdown",
    help="Also put the answer into this file, a README say, between the lines <!-- begin answer --> and <!-- end answer -->; "
    "its pictures go beside the certificate.",
)
@option(
    "--publish",
    is_flag=True,
    group="Output",
    help="Also put the page, notes and main figures into MLflow's parent run and optuna-dashboard.",
)
@tracking_option
def main(**options: Any) -> None:
    """Write a study as one self-contained page: the verdict, the families, the curves, how to reproduce.

    Works on a study that still runs, on an empty and on a failed one. Nothing is trained.
    """
    report(Options(**options))


def report(options: Options) -> None:
    """Gather the page once; write it, and what else is asked for."""
    from study.core.files import whole_file
    from study.outside.passwords import hidden
    from study.page.gather import CERTIFICATE, confirmation, gather
    from study.page.html import render
    from study.store import optuna_storage as store
    from study.store.run_links import run_links

    _require_places(options)
    opened = store.existing_study(options.storage, options.study)
    record = store.record(opened)
    if options.problem is not None:
        from study.training.reopening import require_problem

        require_problem(record.config, options.problem)
    confirmed = confirmation(record.config.name, options.certificate)
    links = run_links(opened, options.tracking_uri)
    page = gather(record, confirmed, links)
    if options.markdown is not None:
        _put_answer(page, options.certificate or CERTIFICATE, options.markdown)
    if options.export is not None:
        from study.page.outputs.export import export

        export(record, options.export)
        click.echo(f"wrote {options.export}")
    if options.figures is not None:
        from study.page.outputs.pictures import pictures, write_pictures

        files = {options.figures / f"{name}.png": figure for name, figure in pictures(page).items()}
        write_pictures(files, named="`figures`")
        click.echo(f"wrote {len(files)} figures into {options.figures}")
    with whole_file(options.out, "`out`") as part:
        part.write_text(render(page), encoding="utf-8")
    click.echo(f"wrote {options.out} ({options.out.stat().st_size / 1e6:.1f} MB)")
    if record.trials and not links.runs:
        click.echo(
            f"its trials are linked to optuna-dashboard alone: {hidden(options.tracking_uri)} does not hold their runs"
        )
    if options.publish:
        from study.page.outputs.publish import publish

        publish(opened, page, options.tracking_uri)
        click.echo("put the page and the notes into MLflow and optuna-dashboard")


def _put_answer(page: Page, certificate: Path, document: Path) -> None:
    """Put the answer into a document, and its pictures beside the certificate."""
    from study.page.outputs.answer import SECTION, answer, answer_pictures
    from study.page.outputs.pictures import write_pictures
    from study.terminal.markdown import Section

    text = answer(page, certificate, document)
    write_pictures(answer_pictures(page, certificate), named="`markdown`")
    Section(document, SECTION).write(text)
    click.echo(f"wrote the section {SECTION!r} of {document}, and its pictures")


def _require_places(options: Options) -> None:
    """Refuse what could not be written in the end, before anything is read."""
    from study.core.files import require_folder, require_writable

    for path, named in ((options.out, "`out`"), (options.export, "`export`")):
        if path is not None:
            require_writable(path, named)
    if options.markdown is not None:
        from study.page.outputs.answer import SECTION
        from study.terminal.markdown import Section

        Section(options.markdown, SECTION).check()
    if options.figures is not None:
        require_folder(options.figures, "`figures`")
    if options.export is not None:
        from study.page.outputs.export import require_format

        require_format(options.export)
        if options.export.absolute() == options.out.absolute():
            raise InputError(f"`export` and `out` are both {str(options.out)!r}: name two files")
    if options.publish:
        from study.store.urls import check_tracking

        check_tracking(options.tracking_uri)


if __name__ == "__main__":
    main()

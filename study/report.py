"""``python -m study.report``: the study as one page that opens anywhere, offline."""

from __future__ import annotations

from collections.abc import Callable
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

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from study.page.drawings import Page


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
@option(
    "--publish",
    is_flag=True,
    group="Output",
    help="Also put the page, notes and main figures into MLflow's parent run and optuna-dashboard.",
)
@tracking_option
def main(
    *,
    study: str | None,
    storage: str,
    certificate: Path | None,
    out: Path,
    figures: Path | None,
    export: Path | None,
    publish: bool,
    tracking_uri: str,
) -> None:
    """Write a study as one self-contained page: the verdict, the families, the curves, how to reproduce.

    Works on a study that still runs, on an empty and on a failed one. Nothing is trained.
    """
    from study.core.files import whole_file
    from study.page.gather import confirmation, gather
    from study.page.html import render
    from study.store import optuna_storage as store

    opened = store.existing_study(storage, study)
    record = store.record(opened)
    page = gather(record, confirmation(record.config.name, certificate))
    if export is not None:
        from study.page.export import export as write_table

        write_table(record, export)
        click.echo(f"wrote {export}")
    if figures is not None:
        click.echo(f"wrote {_write_pictures(page, figures)} figures into {figures}")
    with whole_file(out, "--out") as part:
        part.write_text(render(page), encoding="utf-8")
    click.echo(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")
    if publish:
        from study.page.publish import publish as put

        put(opened, tracking_uri, certificate)
        click.echo("put the page and the notes into MLflow and optuna-dashboard")


def _write_pictures(page: Page, folder: Path) -> int:
    """Write every figure as a PNG file, a row of small ones as one sheet; return how many."""
    import plotly.io

    figures = _pictures(page)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        plotly.io.write_images(
            list(figures.values()),
            [folder / f"{name}.png" for name in figures],
            width=[960] * len(figures),
            height=[figure.layout.height for figure in figures.values()],
            scale=2,
        )
    except OSError as error:
        raise InputError(f"--figures {str(folder)!r} cannot be written: {error.strerror}") from None
    except RuntimeError as error:
        # Plotly's own error for it is a plain RuntimeError; what kaleido raised stands behind it.
        if type(error.__context__).__name__ != "ChromeNotFoundError":
            raise
        raise InputError(
            "--figures needs Chromium or Chrome, and none was found: install one, or name it in BROWSER_PATH"
        ) from None
    return len(figures)


def _pictures(page: Page) -> dict[str, Figure]:
    """Return the figures as they stand alone, by the name of their file."""
    from study.page.figures import grid
    from study.page.style import on_white

    sheets = {
        "rates_by_family": "Learning rates by family, coloured by final validation accuracy",
        "base_rate": "Accuracy against base rate by family",
    }
    figures = {}
    for key, drawings in page.drawings.items():
        if key in sheets and drawings:
            sheet = grid({drawing.title: drawing.figure for drawing in drawings})
            figures[key.replace("_", "-")] = on_white(sheet, sheets[key])
        else:
            figures |= {d.id: on_white(d.figure, d.title or d.description) for d in drawings}
    return figures


if __name__ == "__main__":
    main()

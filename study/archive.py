"""``python -m study.archive``: a finished study as small files for a repository, and databases made of them again."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import click

from study.core.errors import InputError
from study.terminal.command import command, option, storage_option, study_option, tracking_option


@dataclass(frozen=True)
class ArchiveOptions:
    """What the command was asked, an attribute an option."""

    save: Path | None
    restore: Path | None
    study: str | None
    certificate: Path | None
    storage: str
    tracking_uri: str


@command(
    "archive",
    takes=ArchiveOptions,
    examples=[
        ("keep the latest study as text files", "--save results"),
        ("look at a finished study without training one", "--restore docs/reference"),
    ],
    interrupted="interrupted; remove what was made of the study and begin again",
)
@option(
    "--save",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    goes_with=("study", "storage", "certificate"),
    group="Archive",
    help="Write the study into this folder: its settings, a line a trial, its certificate.",
)
@option(
    "--restore",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    goes_with=("storage", "tracking_uri", "certificate"),
    group="Archive",
    help="Make Optuna's and MLflow's records of the study in this folder, without training.",
)
@option(
    "--certificate",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    show_default="certificate.json, if it is this study's",
    group="Archive",
    help="The verdict, from study.confirm: kept beside the study, and written again on --restore.",
)
@study_option
@storage_option
@tracking_option
def main(options: ArchiveOptions) -> None:
    """Keep a finished study as small text files, or make its databases of such files again.

    The files hold what was asked and what every epoch gave; rate curves are computed again from the schedules.
    """
    if (options.save is None) == (options.restore is None):
        raise InputError("give either `save` or `restore`")
    if options.save is not None:
        _save(options, options.save)
    elif options.restore is not None:
        _restore(options, options.restore)


def _save(options: ArchiveOptions, folder: Path) -> None:
    from study.loops import archived_study
    from study.page.gather import CERTIFICATE, confirmation
    from study.store import optuna_storage as store

    study = store.existing_study(options.storage, options.study)
    known = confirmation(study.study_name, options.certificate)  # refused if it was named and is another's
    count = archived_study.save(study, folder)
    click.echo(f"wrote {count} trials of study {study.study_name!r} into {folder}")
    if known is not None:
        shutil.copyfile(options.certificate or CERTIFICATE, folder / archived_study.CERTIFICATE)
        click.echo("wrote its certificate there too")
    store.close(study)


def _restore(options: ArchiveOptions, folder: Path) -> None:
    from study.core.files import require_writable
    from study.core.provenance import provenance
    from study.loops import archived_study
    from study.page.closing import close_study, print_closing
    from study.page.gather import CERTIFICATE
    from study.store import optuna_storage as store
    from study.store.tracking.mlflow_tracking import Tracker
    from study.store.urls import check_tracking
    from study.terminal.progress import Progress

    kept, written = folder / archived_study.CERTIFICATE, options.certificate or CERTIFICATE
    if kept.exists() or options.certificate is not None:
        require_writable(written, "`certificate`")
        if written.exists():
            raise InputError(f"`certificate` {str(written)!r} exists; name another file")
    check_tracking(options.tracking_uri, options.storage)
    study = archived_study.restore(folder, options.storage)
    record = store.record(study)
    tracker = Tracker.open(
        options.tracking_uri,
        record.config,
        attributes={**provenance(record.config.device), "restored_from": str(folder)},
        key=study.user_attrs["key"],
    )
    study.set_user_attr("mlflow_run_id", tracker.run_id)
    with Progress(len(record.trials), record.config.name) as progress:
        archived_study.track(record, tracker, lambda done: progress.update(done, {}))
    if kept.exists():
        shutil.copyfile(kept, written)
    results = close_study(record, tracker, "finished")
    store.close(study)
    click.echo(f"{len(record.trials)} trials from {folder}; nothing was trained here")
    print_closing(results, options.storage, options.tracking_uri, tracker.experiment_id, complete=None)


if __name__ == "__main__":
    main()

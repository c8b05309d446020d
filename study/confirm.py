"""``python -m study.confirm``: train the finalists on fresh seeds, open the test set once, name the winner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from study.core.errors import InputError
from study.core.records import ALL_IMAGES, SEARCH_IMAGES
from study.terminal.command import (
    checkpoints_option,
    command,
    data_dir_option,
    device_option,
    option,
    storage_option,
    study_option,
    tracking_option,
    train_images_option,
)
from study.terminal.values import Choice, Real, Whole

if TYPE_CHECKING:
    from study.core.records import StudyConfig
    from study.loops.confirmation import Confirmation
    from study.problems.fashion_mnist import Split
    from study.stats.verdict import Verdict
    from study.store.mlflow_tracking import Tracker

#: Two looks at 95 % and the chance of a false winner over both, from docs/verdict.md.
SECOND_LOOK = "each further look adds to the chance of a false winner (about 6.6 % after 5 and then 10 seeds)"


@command(
    "confirm",
    examples=[
        ("the latest study: five finalists, ten seeds", ""),
        ("fewer seeds first; the same command with more adds to them", "--seeds 5"),
        ("recompute a verdict from the figures in its certificate", "--check certificate.json"),
    ],
)
@study_option
@option("--finalists", type=Whole(2), default=5, group="Finalists", help="How many, the baseline among them.")
@option("--per-family", type=Whole(1), default=1, group="Finalists", help="Trials of one family at most.")
@option(
    "--baseline",
    metavar="NAME|none",
    default="constant",
    group="Finalists",
    help="Family whose best trial is always among them.",
)
@option("--seeds", type=Whole(2), default=10, group="Finalists", help="Fresh seeds each, shared by all.")
@train_images_option(ALL_IMAGES, group="Finalists")
@option("--level", type=Real(0.5, 0.9999), default=0.95, group="Verdict", help="Confidence level.")
@option(
    "--margin",
    type=Real(0.0, 0.5),
    default=0.0,
    group="Verdict",
    help="Lead in accuracy that does not matter.",
)
@option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("certificate.json"),
    group="Verdict",
    help="The certificate.",
)
@option(
    "--check",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    group="Verdict",
    help="Recompute the verdict of a certificate; train nothing.",
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
def main(*, check: Path | None, **options: Any) -> int:
    """Confirm the search's best schedules on fresh seeds and say who won, or that it is a tie.

    Every finalist is trained on all 60,000 images with the same seeds (initial weights and data order),
    then the 10,000 test images are opened, once. Interrupted, the same command continues.
    """
    if check is not None:
        return _check(check)
    _confirm(**options)
    return 0


def _check(path: Path) -> int:
    """Recompute a certificate's verdict; return the exit code: 0 if it holds."""
    from study.stats import certificate

    data = certificate.read(path)
    problems = certificate.check(data)
    for problem in problems:
        click.echo(problem)
    click.echo(f"{path}: the verdict {'does NOT follow' if problems else 'follows'} from its figures")
    return 1 if problems else 0


def _confirm(
    *,
    study: str | None,
    storage: str,
    tracking_uri: str,
    device: str,
    precision: str,
    data_dir: str | None,
    finalists: int,
    per_family: int,
    baseline: str,
    seeds: int,
    train_images: int,
    level: float,
    margin: float,
    out: Path,
    checkpoints: Path,
) -> None:
    from dataclasses import replace

    from study.loops.confirmation import Confirmation, open_test_set
    from study.loops.recording import alone_in, closing
    from study.page.gather import confirmation as read_confirmation
    from study.page.gather import gather
    from study.page.publish import publish
    from study.problems.fashion_mnist import choose_device, load_final, load_training, require_final
    from study.stats.finalists import choose_finalists
    from study.store import optuna_storage as store
    from study.store.urls import check_tracking
    from study.training.precision import choose_precision
    from study.training.process import prepare_process

    if not out.absolute().parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}")
    prepare_process()
    where = choose_device(device)
    check_tracking(tracking_uri, storage)
    record = store.load(storage, study)
    if record.config.train_images < SEARCH_IMAGES:
        click.echo(
            f"note: the search saw {record.config.train_images:,} images only; this trains on "
            f"{train_images:,}"
        )
    if train_images < ALL_IMAGES:
        click.echo(f"a quick look: trained on {train_images:,} of 60,000 images, so no verdict on the whole")
    chosen = choose_finalists(
        record, finalists=finalists, per_family=per_family, baseline=None if baseline == "none" else baseline
    )
    config = replace(
        record.config,
        device=where.type,
        precision=choose_precision(precision, where),
        train_images=train_images,
    )
    confirmation = Confirmation(config, chosen, seeds, checkpoints / record.config.name)
    click.echo("finalists: " + ", ".join(f"{f.name} ({f.score:.4f} in the search)" for f in chosen))
    require_final(data_dir)
    split = load_training(data_dir, where, train_images=train_images)
    parent = record.attributes.get("mlflow_run_id")
    with alone_in(confirmation.place), closing(_open_tracker(config, tracking_uri, parent)) as tracker:
        _train(confirmation, split, tracker)
        final = load_final(data_dir, where)  # the test set is opened here, and nowhere else
        table = open_test_set(confirmation, final)
        _judge(confirmation, table, final.checksums, tracker, level=level, margin=margin, out=out)
    opened = store.existing_study(storage, record.config.name)
    page = gather(record, read_confirmation(record.config.name, out))
    publish(opened, page, tracking_uri, tracker.run_id)
    store.close(opened)


def _open_tracker(config: StudyConfig, tracking_uri: str, parent: str | None) -> Tracker:
    """Open the search's parent run again, or a new one where it is gone."""
    from study.core.provenance import provenance
    from study.store.mlflow_tracking import Tracker

    return Tracker.open(
        tracking_uri,
        config,
        attributes=provenance(config.device),
        resume_run_id=parent,
        kind="confirm",
    )


def _train(confirmation: Confirmation, split: Split, tracker: Tracker) -> None:
    """Train what is not trained yet, with a display."""
    from study.loops.confirmation import train_finalists
    from study.terminal.progress import Progress

    config = confirmation.config
    total = config.epochs * len(confirmation.finalists) * confirmation.seeds
    with Progress(total, f"confirm {config.name}") as progress:
        progress.update(confirmation.trained(), {"seeds": str(confirmation.seeds)})
        train_finalists(
            confirmation,
            split,
            tracker,
            lambda done, seed: progress.update(done, {"seed": f"{seed + 1} of {confirmation.seeds}"}),
        )


def _judge(
    confirmation: Confirmation,
    table: Any,
    checksums: dict[str, str],
    tracker: Tracker,
    *,
    level: float,
    margin: float,
    out: Path,
) -> None:
    """Reach the verdict, write the certificate, print both, and keep them in MLflow."""
    import json

    from study.core.provenance import git_revision, versions
    from study.page.gather import torch_code
    from study.stats import certificate
    from study.stats.verdict import verdict

    names = [finalist.name for finalist in confirmation.finalists]
    result = verdict(table, names, level=level, margin=margin)
    conditions = certificate.Conditions(confirmation.config.to_json(), versions(), checksums, git_revision())
    data = certificate.build(
        conditions,
        [{"name": f.name, "family": f.spec.family, "score": f.score, "asked": f.spec.to_json()}
         for f in confirmation.finalists],
        range(confirmation.seeds),
        table,
        result,
    )  # fmt: skip
    certificate.write(data, out)
    tracker.log_text(json.dumps(data, indent=2), "certificate.json")
    config = confirmation.config
    leader = confirmation.finalists[names.index(result.leader)].spec
    code = torch_code(leader, config.train_images, config.batch_size)
    tracker.log_text(code, "winner.py")
    _print(result, table, names, config.train_images)
    _warn_of_further_looks(confirmation)
    click.echo(f"\n{'The winner' if result.winner else 'The leader of the tie'} as code:\n\n{code}")
    click.echo(f"wrote {out}; python -m study.confirm --check {out} recomputes it")


def _print(result: Verdict, table: Any, names: list[str], train_images: int) -> None:
    from study.terminal.tables import Column, print_table

    columns = [Column("finalist")]
    titles = ("mean", "median", "typical run", "interval", "bad runs", "P(best)", "every seed")
    columns += [Column(title, "right") for title in titles[:-1]] + [Column(titles[-1], flexible=True)]
    rows = []
    for finalist in sorted(result.finalists, key=lambda f: -(f.typical or 0.0)):
        typical = "-" if finalist.typical is None else f"{finalist.typical:.4f}"
        interval = "-" if finalist.low is None else f"{finalist.low:.4f}..{finalist.high:.4f}"
        rows.append(
            [
                finalist.name,
                f"{finalist.mean:.4f}",
                f"{finalist.median:.4f}",
                typical,
                interval,
                f"{finalist.bad_runs}/{finalist.runs}",
                f"{finalist.probability_best:.2f}",
                " ".join(f"{value:.3f}" for value in table[:, names.index(finalist.name)]),
            ]
        )
    title = f"Test accuracy over {result.seeds} fresh seeds"
    if train_images < ALL_IMAGES:
        title += f", ONLY {train_images:,} TRAINING IMAGES"
    print_table(columns, rows, title=title)
    for sentence in result.sentences:
        click.echo(sentence)


def _warn_of_further_looks(confirmation: Confirmation) -> None:
    """Remember that the test set was looked at with this many seeds; say what a further look costs."""
    looks = confirmation.place / "looks.txt"
    earlier = looks.read_text().split() if looks.exists() else []
    if earlier and str(confirmation.seeds) not in earlier:
        click.echo(
            f"Judged before with {', '.join(earlier)} seeds: {SECOND_LOOK}; --level 0.975 makes up for one."
        )
    if str(confirmation.seeds) not in earlier:
        looks.write_text(" ".join([*earlier, str(confirmation.seeds)]))


if __name__ == "__main__":
    main()

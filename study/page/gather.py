"""Everything that stands on a study's page, gathered from its records; nothing is drawn or written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lrsched.pasteable import to_torch_code
from study.core.errors import InputError
from study.core.families import SCHEDULE_FREE, as_trained, momentum_of, schedule_free_code, warmup_of
from study.core.provenance import git_revision, versions
from study.core.records import StudyConfig, StudyRecord, TrialSpec
from study.page import reproduce
from study.page.family_table import Results
from study.page.plots import (
    base_rate_cloud,
    epochs_spent,
    expected_best_curve,
    importance_bars,
    learning_curves,
    pruning_cost_intervals,
    rate_curves,
    warm_up_cloud,
)
from study.page.style import AccuracyScale, Drawing, accuracy_scale, worded
from study.page.text import VerdictText
from study.page.verdict_text import Confirmation, open_verdict
from study.stats import certificate as certificates
from study.tuning.importance import Importance, importances

#: Where ``study.confirm`` puts its certificate unless told otherwise.
CERTIFICATE = Path("certificate.json")


@dataclass(frozen=True)
class Code:
    """Code to paste, under its title, with a note on what it is for."""

    title: str
    note: str
    text: str


@dataclass(frozen=True)
class Page:
    """All that the template shows; see ``report.html.jinja``.

    Attributes:
        results: The study and what follows from it.
        verdict: The verdict in words, or that there is none yet.
        confirmed: Confirmed accuracy by family.
        scale: Accuracy to colour.
        drawings: Figures by section; a section with nothing to draw is empty.
        importances: Which parameters explain the accuracies, by family.
        code: The best schedule there is as code.
        commands: Commands from the source to this page.
        provenance: Facts under titles: settings, versions, data.
        written: When it was gathered.
    """

    results: Results
    verdict: VerdictText
    confirmed: Mapping[str, float]
    scale: AccuracyScale
    drawings: Mapping[str, Sequence[Drawing]]
    importances: Sequence[Importance]
    code: Code | None
    commands: str
    provenance: Mapping[str, Mapping[str, str]]
    written: str


def confirmation(study: str, given: Path | None) -> Confirmation | None:
    """Read the certificate of this study, if there is one.

    Args:
        study: The study's name.
        given: The file that the user named; by default ``certificate.json``, if it is this study's.

    Raises:
        InputError: The file was named and is no certificate, or another study's; or it is this
            study's and its verdict does not follow from its own figures.
    """
    path = given or CERTIFICATE
    if given is None and not path.exists():
        return None
    data = certificates.read(path)
    name = data["study"].get("name")
    if name != study:
        if given is None:
            return None
        raise InputError(f"`certificate` {str(path)!r} is of study {name!r}, not of {study!r}")
    problems = certificates.check(data)
    if problems:
        raise InputError(f"`certificate` {str(path)!r} does not hold: {problems[0]}")
    return Confirmation.read(data)


def gather(record: StudyRecord, confirmed: Confirmation | None) -> Page:
    """Return all that the page of a study shows, whatever state the study is in."""
    results, explained, revision = Results.of(record), importances(record), git_revision()
    curves, scale = (
        rate_curves.rate_curves(record),
        accuracy_scale((t.value for t in record.trials), record.config.metric),
    )
    return Page(
        results=results,
        verdict=open_verdict(record.config.name) if confirmed is None else confirmed.text(),
        confirmed={} if confirmed is None else confirmed.by_family(),
        scale=scale,
        drawings=worded(
            record.config.metric,
            {
                "verdict": () if confirmed is None else confirmed.drawings(),
                "rates": rate_curves.draw(curves, scale),
                "rates_by_family": rate_curves.draw_by_family(record, curves, scale),
                "learning": learning_curves.draw(record),
                "base_rate": base_rate_cloud.draw(record),
                "warm_up": warm_up_cloud.draw(record),
                "importance": importance_bars.draw(explained),
                "expected_best": expected_best_curve.draw(record),
                "pruning": (*epochs_spent.draw(record), *pruning_cost_intervals.draw(results.costs)),
            },
        ),
        importances=explained,
        code=_code(record, confirmed),
        commands=reproduce.commands(record, revision),
        provenance=reproduce.provenance(record, versions(), revision),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _code(record: StudyRecord, confirmed: Confirmation | None) -> Code | None:
    """Return the winner as code; without one the best there is, and say so."""
    batch = record.config.batch_size
    if confirmed is not None and confirmed.leader is not None:
        spec = TrialSpec.from_json(confirmed.leader)
        won, images = confirmed.verdict.winner is not None, confirmed.images
        title = "The winner as code" if won else "The leader as code"
        note = f"{confirmed.verdict.leader}, for {spec.epochs} epochs on {images:,} images in batches of {batch}."
        return Code(title, note, torch_code(spec, images, batch, record.config))
    best = record.best
    if best is None:
        return None
    images = record.config.train_images
    note = (
        f"Trial {best.number}, for {best.spec.epochs} epochs on {images:,} images in batches of {batch}. "
        "It leads the search, which is no verdict."
    )
    return Code(
        "The best trial of the search as code", note, torch_code(best.spec, images, batch, record.config)
    )


def torch_code(spec: TrialSpec, images: int, batch: int, config: StudyConfig) -> str:
    """Return what a trial was asked as PyTorch code to paste, for so many images in batches of ``batch``."""
    if spec.family == SCHEDULE_FREE:
        return schedule_free_code(
            spec.base_rate, warmup_of(spec.schedule), -(-images // batch),
            optimizer=config.optimizer, weight_decay=config.weight_decay,
        )  # fmt: skip
    code = to_torch_code(
        spec.schedule, spec.base_rate, spec.epochs, -(-images // batch), examples=images, batch_size=batch
    )
    return as_trained(
        code, momentum_of(spec.schedule), optimizer=config.optimizer, weight_decay=config.weight_decay
    )

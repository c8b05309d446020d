"""Everything that stands on a study's page, gathered from its records; nothing is drawn or written here."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from lrsched.pasteable import to_torch_code
from study.core.errors import InputError
from study.core.provenance import git_revision, versions
from study.core.records import StudyRecord, TrialSpec
from study.page import drawings as page
from study.page import reproduce
from study.page import text as page_text
from study.page.closing import board
from study.page.drawings import Page
from study.page.figures_data import accuracy_scale, rate_curves_of
from study.page.rate_curve_data import rate_curve
from study.page.verdict_text import Confirmation, open_verdict
from study.stats import certificate as certificates
from study.stats.pruning_cost import cost_of_pruning
from study.tuning.importance import FEWEST_TRIALS, importances

#: Where ``study.confirm`` puts its certificate unless told otherwise.
CERTIFICATE = Path("certificate.json")


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
        raise InputError(f"--certificate {str(path)!r} is of study {name!r}, not of {study!r}")
    problems = certificates.check(data)
    if problems:
        raise InputError(f"--certificate {str(path)!r} does not hold: {problems[0]}")
    return Confirmation.read(data)


def gather(record: StudyRecord, confirmed: Confirmation | None) -> Page:
    """Return all that the page of a study shows, whatever state the study is in."""
    costs = cost_of_pruning(record)
    explained = [page.Explained(i.family, i.trials, i.shares) for i in importances(record)]
    rows = board(record) if record.trials else ()
    revision = git_revision()
    parts = page.Parts(
        curves=rate_curves_of(record, rate_curve),
        explained=explained,
        costs=costs,
        expected_best=page.expected_best_by_family(record),
        verdict_drawings=() if confirmed is None else confirmed.drawings(),
    )
    return Page(
        name=record.config.name,
        facts=page_text.facts(record),
        notices=page_text.notices(record),
        verdict=open_verdict(record.config.name) if confirmed is None else confirmed.text(),
        families=record.families,
        rows=rows,
        confirmed={} if confirmed is None else confirmed.by_family(),
        edges={row.family: row.edges for row in rows if row.edges},
        scale=accuracy_scale(t.value for t in record.trials),
        drawings=page.drawings(record, parts),
        fewest=FEWEST_TRIALS,
        too_few=tuple((e.family, e.trials) for e in explained if e.shares is None),
        pruning=page_text.pruning_sentences(costs),
        code=_code(record, confirmed),
        commands=reproduce.commands(record, revision),
        provenance=reproduce.provenance(record, versions(), revision),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _code(record: StudyRecord, confirmed: Confirmation | None) -> page.Code | None:
    """Return the winner as code; without one the best there is, and say so."""
    batch = record.config.batch_size
    if confirmed is not None and confirmed.leader is not None:
        spec = TrialSpec.from_json(confirmed.leader)
        won, images = confirmed.verdict.winner is not None, confirmed.images
        title = "The winner as code" if won else "The leader of the tie as code"
        note = f"{confirmed.verdict.leader}, for {spec.epochs} epochs on {images:,} images in batches of {batch}."
        return page.Code(title, note, torch_code(spec, images, batch))
    best = record.best
    if best is None:
        return None
    images = record.config.train_images
    note = (
        f"Trial {best.number}, for {best.spec.epochs} epochs on {images:,} images in batches of {batch}. "
        "It leads the search, which is no verdict."
    )
    return page.Code("The best trial of the search as code", note, torch_code(best.spec, images, batch))


def torch_code(spec: TrialSpec, images: int, batch: int) -> str:
    """Return what a trial was asked as PyTorch code to paste, for so many images in batches of ``batch``."""
    return to_torch_code(spec.schedule, spec.base_rate, spec.epochs, steps_per_epoch=-(-images // batch))

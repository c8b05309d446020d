"""Everything that stands on a study's page, gathered from its records; nothing is drawn or written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lrsched import Schedule
from study.core.errors import InputError
from study.core.provenance import git_revision, versions
from study.core.records import StudyRecord, TrialSpec
from study.page import reproduce
from study.page.family_table import Results
from study.page.plots import (
    base_rate_cloud,
    best_so_far,
    expected_best_curve,
    importance_bars,
    learning_curves,
    rate_curves,
    warm_up_cloud,
)
from study.page.plots.pruning import epochs_spent, pruning_cost_intervals, stopped_margins
from study.page.plots.rates import family_rates, top_rates, winner_curve
from study.page.style import AccuracyScale, Drawing, accuracy_scale, worded
from study.page.text import Tile, VerdictText, tiles
from study.page.verdict_text import Confirmation, open_verdict
from study.stats import certificate as certificates
from study.store.run_links import RunLinks
from study.tuning.importance import Importance, importances
from study.tuning.stops import Stop, stops

#: Where ``study.confirm`` puts its certificate unless told otherwise.
CERTIFICATE = Path("certificate.json")


@dataclass(frozen=True)
class Code:
    """Code to paste.

    Attributes:
        title: Heading above it.
        note: What it is for.
        text: The code, to be trained with as it stands.
        line: A line of Python that makes schedule and base rate with ``lrsched``.
    """

    title: str
    note: str
    text: str
    line: str


@dataclass(frozen=True)
class Page:
    """All that the template shows; see ``report.html.jinja``.

    Attributes:
        results: The study and what follows from it.
        verdict: The verdict in words, or that there is none yet.
        tiles: The answer in four figures.
        confirmation: What the certificate says, if there is one.
        scale: Accuracy to colour.
        drawings: Figures by section; a section with nothing to draw is empty.
        importances: Which parameters explain the accuracies, by family.
        stops: Why each stopped trial was stopped.
        code: The best schedule there is as code.
        commands: Commands from the source to this page.
        provenance: Facts under titles: settings, versions, data.
        links: Where each trial is seen in MLflow and optuna-dashboard, where that is known.
        written: When it was gathered.
    """

    results: Results
    verdict: VerdictText
    tiles: Sequence[Tile]
    confirmation: Confirmation | None
    scale: AccuracyScale
    drawings: Mapping[str, Sequence[Drawing]]
    importances: Sequence[Importance]
    stops: Sequence[Stop]
    code: Code | None
    commands: str
    provenance: Mapping[str, Mapping[str, str]]
    links: RunLinks | None
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


def gather(record: StudyRecord, confirmed: Confirmation | None, links: RunLinks | None = None) -> Page:
    """Return all that the page of a study shows, whatever state the study is in."""
    results, explained, revision = Results.of(record), importances(record), git_revision()
    lines = learning_curves.drawn(record)
    board, metric = results.leaderboard, record.config.metric
    curves, why = rate_curves.rate_curves(lines), stops(record)
    scale = accuracy_scale((t.value for t in record.trials), metric)
    return Page(
        results=results,
        verdict=open_verdict(record) if confirmed is None else confirmed.text(),
        tiles=tiles(record, board, None if confirmed is None else confirmed.verdict),
        confirmation=confirmed,
        scale=scale,
        drawings=worded(
            metric,
            {
                "winner": winner_curve.draw(curves, *_first_and_rivals(results, confirmed)),
                "verdict": () if confirmed is None else confirmed.drawings(),
                "rates_by_family": family_rates.draw(board, curves, record.config.epochs),
                "top_rates": top_rates.draw(curves, metric),
                "rates": rate_curves.draw(curves, scale),
                "learning": learning_curves.draw(lines),
                "best": best_so_far.draw(record),
                "expected_best": expected_best_curve.draw(record),
                "base_rate": base_rate_cloud.draw(record),
                "warm_up": warm_up_cloud.draw(record),
                "importance": importance_bars.draw(explained),
                "ranks": importance_bars.draw_ranks(explained),
                "pruning": (*epochs_spent.draw(record), *pruning_cost_intervals.draw(results.costs)),
                "stopped": stopped_margins.draw(why, metric),
            },
        ),
        importances=explained,
        stops=why,
        code=_code(record, confirmed),
        commands=reproduce.commands(record, confirmed, revision),
        provenance=reproduce.provenance(record, versions(), revision),
        links=links,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _first_and_rivals(results: Results, confirmed: Confirmation | None) -> tuple[int, list[int]]:
    """Return the number of the best trial there is, confirmed or not, and those of its rivals, the closest first."""
    best = [row.best.number for row in results.leaderboard if row.best is not None]
    if confirmed is None or confirmed.leader is None:
        return (best[0], best[1:]) if best else (-1, [])
    ranked = sorted(confirmed.verdict.differences, key=lambda d: d.mean_lead)
    asked = [confirmed.finalists[d.name].get("asked") for d in ranked]
    return confirmed.leader["number"], [spec["number"] for spec in asked if spec is not None]


def _code(record: StudyRecord, confirmed: Confirmation | None) -> Code | None:
    """Return the winner as code; without one the best there is, and say so."""
    batch, noun = record.config.batch_size, record.config.noun
    if confirmed is not None and confirmed.leader is not None:
        spec = TrialSpec.from_json(confirmed.leader)
        won, trained = confirmed.verdict.winner is not None, confirmed.trained
        title = "The winner as code" if won else "The leader as code"
        note = f"{confirmed.verdict.leader}, for {spec.epochs} epochs on {trained:,} {noun} in batches of {batch}."
        return _pasted(title, note, spec, trained, record)
    best = record.best
    if best is None:
        return None
    trained = record.config.train_images
    note = (
        f"Trial {best.number}, for {best.spec.epochs} epochs on {trained:,} {noun} in batches of {batch}. "
        "It leads the search, which is no verdict."
    )
    return _pasted("The best trial of the search as code", note, best.spec, trained, record)


def _pasted(title: str, note: str, spec: TrialSpec, trained: int, record: StudyRecord) -> Code:
    line = f"schedule, base_rate = {_python(spec.schedule)}, {spec.base_rate!r}"
    reference = record.attributes.get("problem_reference")
    return Code(title, note, reproduce.torch_code(spec, record.config, trained, reference), line)


def _python(value: Any) -> str:
    """Return a schedule as Python makes it, without the fields that have their usual values."""
    if not isinstance(value, Schedule):
        return repr(value)
    said = [
        f"{p.name}={_python(own)}"
        for p in value.parameters()
        for own in [getattr(value, p.name)]
        if p.required or own != p.default
    ]
    return f"lrsched.{type(value).__name__}({', '.join(said)})"

"""How a confirmation ends: its certificate, the winner as code, and what is printed."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from study.core.files import write_text
from study.core.metric import Metric
from study.core.provenance import git_revision, versions
from study.core.records import EpochMetrics, StudyConfig
from study.page.reproduce import torch_code
from study.page.style import Floats
from study.stats import certificate
from study.stats.base_rates import BaseRates
from study.stats.certificate import Examples
from study.stats.leaderboard import Finalist, heats_mean
from study.stats.verdict import Plan, Verdict
from study.stats.verdict_record import Difference
from study.stats.verdict_words import closest, sentences
from study.store.tracking.mlflow_tracking import Tracker
from study.terminal.cells import MISSING, minus
from study.terminal.tables import Column, print_table, say


@dataclass(frozen=True)
class Certified:
    """What a confirmation found, and what it was of.

    Attributes:
        config: The study's settings, with what the confirmation changed.
        finalists: Who was confirmed.
        checksums: Checksum by data file.
        judged: The verdict of the last look.
        table: Test values, seeds x finalists.
        rates: How the finalists fare at multiples of their base rates, where that was tried.
        examples: How many examples were trained on.
        reference: Where a user's problem stands.
    """

    config: StudyConfig
    finalists: Sequence[Finalist]
    checksums: Mapping[str, str]
    judged: Verdict
    table: Floats
    rates: BaseRates | None
    examples: Examples
    reference: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the certificate."""
        conditions = certificate.Conditions(
            self.config.to_json(), versions(), self.checksums, git_revision(), self.examples
        )
        finalists = [
            {"name": f.name, "family": f.spec.family, "score": f.score, "asked": f.spec.to_json()}
            | ({"heats": [value if math.isfinite(value) else None for value in f.heats]} if f.heats else {})
            for f in self.finalists
        ]
        rates = None if self.rates is None else self.rates.to_json()
        return certificate.build(conditions, finalists, self.table, self.judged, rates=rates)


def announce(searched: StudyConfig, finalists: Sequence[Finalist], plan: Plan, examples: Examples) -> None:
    """Say who is trained on what, and when they are judged."""
    train, whole, noun, metric = examples.train, examples.whole, searched.noun, searched.metric
    if not searched.whole:
        say(f"note: the search saw {searched.train_images:,} {noun} only; this trains on {train:,}")
    if train < whole:
        say(f"a quick look: trained on {train:,} of {whole:,} {noun}, no verdict on the whole")
    told = [f"{f.name} ({_chosen_by(f, metric)})" for f in finalists]
    looks, level = ", ".join(map(str, plan.looks)), f"{100 * plan.level:g} %"
    say(f"finalists: {', '.join(told)}\njudged after {looks} seeds at {level} over all; stops when settled")


def _chosen_by(finalist: Finalist, metric: Metric) -> str:
    """Return the figures that a finalist was chosen by."""
    if not finalist.heats:
        return f"{metric.value(finalist.score)} in the search"
    return f"{metric.value(heats_mean(finalist.heats, metric))} in the heats"


def standing_facts(
    judged: Verdict | None, seed: str, last: Mapping[str, EpochMetrics], metric: Metric
) -> dict[str, str]:
    """Return what is shown while finalists train: how it stood at the last look, then each one's training metric."""
    facts = {}
    if judged is not None:
        rival = closest(judged)
        lead = "" if rival is None or rival.lead is None else f" by {metric.difference(rival.lead)}"
        facts[f"at {judged.seeds} seeds"] = f"{judged.leader} leads{lead}, {len(judged.contenders)} remain"
    facts["seed"] = seed
    return facts | {name: metric.value(epoch.train_accuracy) for name, epoch in last.items()}


def conclude(found: Certified, tracker: Tracker, out: Path) -> None:
    """Write the certificate, print what it says, and keep both in MLflow.

    Raises:
        InputError: The certificate cannot be written.
    """
    text = certificate.to_text(found.to_json())
    write_text(out, text, "`out`")
    tracker.log_text(text, "certificate.json")
    judged, config = found.judged, found.config
    leader = next(f.spec for f in found.finalists if f.name == judged.leader)
    code = torch_code(leader, config, found.examples.train, found.reference)
    tracker.log_text(code, "winner.py")
    print_verdict(judged, found.examples)
    for sentence in () if found.rates is None else found.rates.sentences:
        say(sentence)
    click.echo(f"\n{'The winner' if judged.winner else 'The leader, no winner,'} as code:\n\n{code}")
    click.echo(f"wrote {out}; python -m study.confirm --check {shlex.quote(str(out))} recomputes it")


def recheck(path: Path) -> int:
    """Recompute a certificate's looks and verdict; return the exit code: 0 if they hold."""
    problems = certificate.check(certificate.read(path))
    for problem in problems:
        click.echo(problem)
    click.echo(f"{path}: the verdict {'does NOT follow' if problems else 'follows'} from its figures")
    return 1 if problems else 0


def print_verdict(judged: Verdict, examples: Examples) -> None:
    """Print the table of finalists, the leader first, and the verdict in words."""
    metric = judged.metric
    behind = {d.name: d for d in judged.differences}
    columns = [Column("finalist")]
    titles = (metric.name, "behind", "from", "to", "ahead on", "bad", "seeds")
    columns += [Column(title, "right") for title in titles]
    rows = [
        [
            f.name,
            MISSING if f.typical is None else minus(metric.value(f.typical)),
            *_lead(behind.get(f.name), metric),
            str(f.bad_runs),
            str(f.runs),
        ]
        for f in judged.ranked
    ]
    few = examples.train < examples.whole
    behind_by = (
        "points behind the leader" if metric.share else f"how far its {metric.name} is behind the leader's"
    )
    only = f", ONLY {examples.train:,} TRAINING {judged.noun.upper()}" if few else ""
    print_table(
        columns,
        rows,
        title=f"{metric.title('test')} over {judged.seeds} fresh seeds{only}",
        note=f"behind: {behind_by}, with the interval that decides; ahead on: seeds on which the "
        f"leader was ahead; left at fewer than {judged.seeds} seeds: excluded",
    )
    for sentence in sentences(judged):
        say(sentence)


def _lead(difference: Difference | None, metric: Metric) -> list[str]:
    """Return the cells of a leader's lead over a finalist; empty for itself and where there is none."""
    if difference is None or difference.lead is None or difference.low is None or difference.high is None:
        return [""] * 4
    leads = [minus(metric.number(value)) for value in (difference.lead, difference.low, difference.high)]
    return [*leads, f"{difference.ahead}/{difference.shared}"]

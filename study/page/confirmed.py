"""How a confirmation ends: its certificate, the winner as code, and what is printed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from study.core.files import write_text
from study.core.provenance import git_revision, versions
from study.core.records import ALL_IMAGES, EpochMetrics, StudyConfig
from study.page.gather import torch_code
from study.page.style import Floats
from study.stats import certificate
from study.stats.base_rates import BaseRates
from study.stats.leaderboard import Finalist
from study.stats.verdict import Verdict
from study.stats.verdict_record import Difference
from study.stats.verdict_words import closest, points, sentences
from study.store.mlflow_tracking import Tracker
from study.terminal.cells import accuracy, cell
from study.terminal.tables import Column, print_table


@dataclass(frozen=True)
class Certified:
    """What a confirmation found, and what it was of.

    Attributes:
        config: The study's settings, with what the confirmation changed.
        finalists: Who was confirmed.
        checksums: Checksum by data file.
        judged: The verdict of the last look.
        table: Test accuracies, seeds x finalists.
        rates: How the finalists fare at multiples of their base rates, where that was tried.
    """

    config: StudyConfig
    finalists: Sequence[Finalist]
    checksums: Mapping[str, str]
    judged: Verdict
    table: Floats
    rates: BaseRates | None

    def to_json(self) -> dict[str, object]:
        """Return the certificate."""
        conditions = certificate.Conditions(self.config.to_json(), versions(), self.checksums, git_revision())
        finalists = [
            {"name": f.name, "family": f.spec.family, "score": f.score, "asked": f.spec.to_json()}
            for f in self.finalists
        ]
        rates = None if self.rates is None else self.rates.to_json()
        return certificate.build(conditions, finalists, self.table, self.judged, rates=rates)


def standing_facts(
    judged: Verdict | None, seed: int, seeds: int, last: Mapping[str, EpochMetrics]
) -> dict[str, str]:
    """Return what is shown while finalists train: how it stood at the last look, then each one's accuracy."""
    facts = {}
    if judged is not None:
        rival = closest(judged)
        lead = "" if rival is None or rival.lead is None else f" by {points(rival.lead)}"
        facts[f"at {judged.seeds} seeds"] = f"{judged.leader} leads{lead}, {len(judged.contenders)} remain"
    facts["seed"] = f"{seed} of {seeds}"
    return facts | {name: f"{epoch.train_accuracy:.3f}" for name, epoch in last.items()}


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
    code = torch_code(leader, config.train_images, config.batch_size, config)
    tracker.log_text(code, "winner.py")
    print_verdict(judged, config.train_images)
    for sentence in () if found.rates is None else found.rates.sentences:
        click.echo(sentence)
    click.echo(f"\n{'The winner' if judged.winner else 'The leader, no winner,'} as code:\n\n{code}")
    click.echo(f"wrote {out}; python -m study.confirm --check {shlex.quote(str(out))} recomputes it")


def print_verdict(judged: Verdict, train_images: int) -> None:
    """Print the table of finalists, the leader first, and the verdict in words."""
    behind = {d.name: d for d in judged.differences}
    columns = [Column("finalist", flexible=True)]
    titles = ("accuracy", "behind", "from", "to", "ahead on", "bad", "seeds")
    columns += [Column(title, "right") for title in titles]
    ordered = sorted(judged.finalists, key=lambda f: (f.name != judged.leader, -(f.typical or 0.0)))
    rows = [
        [f.name, accuracy(f.typical), *_lead(behind.get(f.name)), str(f.bad_runs), str(f.runs)]
        for f in ordered
    ]
    only = f", ONLY {train_images:,} TRAINING IMAGES" if train_images < ALL_IMAGES else ""
    print_table(
        columns,
        rows,
        title=f"Test accuracy over {judged.seeds} fresh seeds{only}",
        note="behind: points behind the leader, with the interval that decides; ahead on: seeds on which the "
        f"leader was ahead; left at fewer than {judged.seeds} seeds: excluded",
    )
    for sentence in sentences(judged):
        click.echo(sentence)


def _lead(difference: Difference | None) -> list[str]:
    """Return the cells of a leader's lead over a finalist; empty for itself and where there is none."""
    if difference is None or difference.lead is None or difference.low is None or difference.high is None:
        return [""] * 4
    points = [cell(100 * value, ".2f") for value in (difference.lead, difference.low, difference.high)]
    return [*points, f"{difference.ahead}/{difference.shared}"]

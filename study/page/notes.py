"""What is said of a study and of a trial where people browse them: short Markdown, for both dashboards."""

from __future__ import annotations

import re

import numpy as np

from study.core.records import StudyRecord, TrialRecord
from study.page.drawings import VerdictText
from study.page.figures_data import Floats
from study.page.text import facts, notices
from study.stats.leaderboard import leaderboard

_BARS = "▁▂▃▄▅▆▇█"
#: Columns of a rate curve drawn in text.
_WIDTH = 60


def study_note(record: StudyRecord, verdict: VerdictText) -> str:
    """Return the verdict on a study, its families' table, and what to keep in mind."""
    lines = [f"## {plain(verdict.headline)}", *map(plain, verdict.sentences)]
    if verdict.command:
        lines.append(f"`{verdict.command.replace('`', '')}`")
    lines += [f"*{plain(notice)}*" for notice in notices(record)]
    lines.append(" · ".join(map(plain, facts(record))))
    if record.trials:
        table = [
            "| family | best search score | trial | trials | pruned | diverged |",
            "|---|---|---|---|---|---|",
        ]
        table += [
            f"| {_family(row.family)} | {_number(row.score)} | {'–' if row.best is None else row.best.number} "
            f"| {row.trials} | {row.pruned} | {row.diverged} |"
            for row in leaderboard(record)
        ]
        lines += [
            "\n".join(table),
            "Search scores are the best of several noisy trials: a shortlist, not a result.",
        ]
    return "\n\n".join(lines) + "\n"


def trial_note(trial: TrialRecord, formula: str, times: Floats, rates: Floats) -> str:
    """Return a trial's schedule as formula and picture, and how the trial ended.

    Args:
        trial: The trial.
        formula: The family's formula; an empty string where it has none.
        times: Times in epochs, shape [points].
        rates: Learning rate at them, shape [points].
    """
    accuracy = trial.last_accuracy
    ended = "trained to its end" if trial.value is not None else trial.outcome
    lines = [
        f"**{_family(trial.family)}**, base rate {trial.spec.base_rate:.4g}, warm-up {trial.spec.warmup:.3g} of "
        f"{trial.spec.epochs} epochs: {ended}"
        + ("" if accuracy is None else f", validation accuracy {accuracy:.4f}")
        + (
            ""
            if trial.reprieved_at is None
            else f"; the pruner would have stopped it after {trial.reprieved_at + 1} epochs"
        ),
    ]
    if formula:
        lines.append(f"```\nrate = base rate × warm-up × value\n{formula}\n```")
    if len(times):
        lines.append(
            f"```\n{sparkline(rates)}\n```\nLearning rate over epochs 0 to {times[-1]:g}, "
            f"from {rates.min():.3g} to {rates.max():.3g}."
        )
    return "\n\n".join(lines) + "\n"


def sparkline(values: Floats, width: int = _WIDTH) -> str:
    """Return a curve as one line of bars from zero to its highest value, at most ``width`` of them.

    Args:
        values: Values at equal distances, at least 0, shape [points].
        width: Bars.
    """
    columns = min(width, len(values))
    if columns == 0:
        return ""
    means = np.array([part.mean() for part in np.array_split(values, columns)])
    highest = float(means.max())
    if highest <= 0:
        return _BARS[0] * columns
    steps = np.round(means / highest * (len(_BARS) - 1)).astype(int)
    return "".join(_BARS[step] for step in steps)


def plain(text: str) -> str:
    """Return text that Markdown shows as it stands: no markup, no HTML, on one line."""
    one_line = " ".join(text.split())
    escaped = one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~$])", r"\\\1", escaped)


def _family(name: str) -> str:
    return plain(name.replace("_", " "))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"

"""What is computed of a study once, and the table of its families: for terminal, page and note alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.core.records import StudyRecord
from study.stats.leaderboard import Row, leaderboard
from study.stats.pruning_cost import Cost, cost_of_pruning
from study.terminal.cells import MISSING, parameter
from study.terminal.tables import Column
from study.tuning.space import Space


@dataclass(frozen=True)
class Results:
    """A study and what follows from it.

    Attributes:
        record: The study.
        leaderboard: Its families by their best search score.
        edges: By family, what of its best trial lies at an end of its range, a sentence each.
        costs: What pruning cost, by family, all of them last.
    """

    record: StudyRecord
    leaderboard: tuple[Row, ...]
    edges: Mapping[str, tuple[str, ...]]
    costs: tuple[Cost, ...]

    @classmethod
    def of(cls, record: StudyRecord) -> Results:
        """Compute them."""
        rows = leaderboard(record)
        space = Space(record.config.schedules, record.config.epochs, record.config.base_rate)
        best = [row.best for row in rows if row.best is not None]
        edges = {trial.family: tuple(space.edges(trial.family, trial.spec.params)) for trial in best}
        return cls(
            record, rows, {family: said for family, said in edges.items() if said}, cost_of_pruning(record)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the study's summary as plain data."""
        return {
            "settings": self.record.config.to_json(),
            "outcomes": self.record.outcomes,
            "note": "search scores, not a verdict: see study.confirm",
            "families": [
                {**row.to_json(), "edges": list(self.edges.get(row.family, ()))} for row in self.leaderboard
            ],
        }


def family_table(
    results: Results, confirmed: Mapping[str, float] | None = None
) -> tuple[tuple[Column, ...], list[list[str]]]:
    """Return the columns and the rows of the families' table, best search score first.

    Args:
        results: The study's results.
        confirmed: Confirmed accuracy by family, for a column beside the search scores. Without it there is one
            instead of how many stopped trials would have been better, where any was stopped.
    """
    counts = ("trials", "finished", "pruned", "diverged")
    stopped = {
        cost.family: str(cost.beat_family) if cost.beat_family.value is not None else MISSING
        for cost in results.costs
        if cost.stopped
    }
    more = ["stopped ones above it"] if stopped and confirmed is None else []
    scores = ["search score"] if confirmed is None else ["search score", "confirmed"]
    columns = (
        Column("family"),
        *(Column(title, "right") for title in (*scores, *counts, "trial")),
        *(Column(title, "right", flexible=True) for title in more),
        Column("its parameters", flexible=True),
    )
    metric = results.record.config.metric

    def value(number: float | None) -> str:
        return MISSING if number is None else metric.value(number).replace("-", "−")

    rows = []
    for row in results.leaderboard:
        cells = [row.family, value(row.score)]
        if confirmed is not None:
            cells.append(value(confirmed.get(row.family)))
        cells += [str(n) for n in (row.trials, row.finished, row.pruned, row.diverged)]
        cells.append(MISSING if row.best is None else str(row.best.number))
        if more:
            cells.append(stopped.get(row.family, MISSING))
        cells.append(
            ", ".join(f"{name}\N{NO-BREAK SPACE}{parameter(value)}" for name, value in row.parameters.items())
        )
        rows.append(cells)
    return columns, rows

"""The five questions: what each asks, whose schedules it takes, and what it trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lrsched import Constant, Polynomial, Schedule, Warmup
from study.core.errors import InputError
from study.core.families import SCHEDULE_FREE, warmup_of
from study.core.records import DEFAULT_PROBLEM, StudyConfig, StudyRecord, TrialRecord
from study.questions.rescaling import rescaled
from study.questions.sweep import Cell, Sweep
from study.stats.leaderboard import Finalist, leaderboard

#: Epochs of the runs that the questions' own times are for.
_USUAL = 30
#: The optimizers whose rankings are compared: name, weight decay, and how far their rates lie from plain SGD's.
OPTIMIZERS = {
    "SGD": ("sgd", 0.0, 1.0),
    "SGD, weight decay": ("sgd", 5e-4, 1.0),
    "momentum": ("momentum", 0.0, 0.1),
    "AdamW": ("adamw", 0.01, 0.01),
}


@dataclass(frozen=True)
class Question:
    """A question.

    Attributes:
        asks: The question, as its page is headed.
        values: The default of its own axis.
        axis: What that axis is, for the help and the figure.
        multiples: Multiples of each base rate that are tried, by default.
        finalists: How many families' best trials it varies, by default.
        cells: What it trains.
        family: The only family that it takes, where it is one.
    """

    asks: str
    values: tuple[float, ...]
    axis: str
    multiples: tuple[float, ...]
    finalists: int
    cells: Callable[[Sweep], list[Cell]]
    family: str | None = None

    def choose(
        self, record: StudyRecord, count: int | None, confirmed: Sequence[TrialRecord] | None = None
    ) -> tuple[Finalist, ...]:
        """Return who is varied; the constant rate is none of them.

        Args:
            record: The study.
            count: How many; by default as many as the question has.
            confirmed: The trials of its confirmation, the leader first; by default the best trial of each family,
                best search score first.

        Raises:
            InputError: There is none to take.
        """
        best = [row.best for row in leaderboard(record) if row.best is not None]
        ranked = best if confirmed is None else list(confirmed)
        if self.family is not None:
            ranked = [trial for trial in (*ranked, *best) if trial.family == self.family][:1]
        found = [trial for trial in ranked if trial.family not in {"constant", SCHEDULE_FREE}]
        if not found:
            of = f"{self.family}, which this varies" if self.family else "a schedule: search it first"
            raise InputError(f"study {record.config.name!r} has no finished trial of {of}")
        return tuple(_finalist(trial) for trial in found[: count or self.finalists])


def _finalist(trial: TrialRecord) -> Finalist:
    return Finalist(trial.spec.name, trial.spec, trial.value or 0.0)


def of_length(finalist: Finalist, epochs: int) -> Schedule:
    """Return a finalist's schedule for a run of so many epochs."""
    asked = finalist.spec
    return asked.schedule if epochs == asked.epochs else rescaled(asked.schedule, epochs / asked.epochs)


def _bare(schedule: Schedule) -> Schedule:
    return schedule.inner if isinstance(schedule, Warmup) else schedule


def _warmed(schedule: Schedule, length: float) -> Schedule:
    return Warmup(schedule, length) if length > 0 else schedule


def _warmup(sweep: Sweep) -> list[Cell]:
    return [
        Cell(
            {"schedule": f.name, "multiple": multiple, "warm-up": length},
            f.spec.family,
            _warmed(_bare(of_length(f, sweep.config.epochs)), length),
            f.spec.base_rate * multiple,
            sweep.config.epochs,
            *sweep.by,
        )
        for f in sweep.finalists
        for multiple in sweep.multiples
        for length in sweep.values
    ]


def _exponent(sweep: Sweep) -> list[Cell]:
    (finalist,) = sweep.finalists
    warmup = warmup_of(of_length(finalist, sweep.config.epochs))
    return [
        Cell(
            {"power": power, "multiple": multiple},
            "polynomial",
            _warmed(Polynomial(length=float(sweep.config.epochs), power=power, final=0.0), warmup),
            finalist.spec.base_rate * multiple,
            sweep.config.epochs,
            *sweep.by,
        )
        for power in sweep.values
        for multiple in sweep.multiples
    ]


def _rate(sweep: Sweep) -> list[Cell]:
    fixed = [
        Cell(
            {"schedule": "fixed rate", "rate": rate},
            "constant",
            Constant(),
            rate,
            sweep.config.epochs,
            *sweep.by,
        )
        for rate in sweep.values
    ]
    tuned = [
        Cell(
            {"schedule": f.name, "rate": f.spec.base_rate},
            f.spec.family,
            of_length(f, sweep.config.epochs),
            f.spec.base_rate,
            sweep.config.epochs,
            *sweep.by,
        )
        for f in sweep.finalists
    ]
    return [*fixed, *tuned]


def _horizon(sweep: Sweep) -> list[Cell]:
    return [
        Cell(
            {"epochs": epochs, "schedule": f.name, "multiple": multiple},
            f.spec.family,
            of_length(f, int(epochs)),
            f.spec.base_rate * multiple,
            int(epochs),
            *sweep.by,
        )
        for epochs in sweep.values
        for f in sweep.finalists
        for multiple in sweep.multiples
    ]


def _optimizer(sweep: Sweep) -> list[Cell]:
    return [
        Cell(
            {"optimizer": title, "schedule": f.name, "multiple": multiple},
            f.spec.family,
            of_length(f, sweep.config.epochs),
            f.spec.base_rate * multiple * scale,
            sweep.config.epochs,
            optimizer,
            decay,
        )
        for title, (optimizer, decay, scale) in OPTIMIZERS.items()
        for f in sweep.finalists
        for multiple in sweep.multiples
    ]


QUESTIONS = {
    "warmup": Question(
        "How long should the warm-up last?",
        (0.0, 1.0, 2.0, 3.0, 5.0, 8.0), "epochs of warm-up", (1.0, 2.0, 4.0), 1, _warmup,
    ),
    "exponent": Question(
        "How does the polynomial's exponent change convergence?",
        (0.5, 1.0, 1.5, 2.0, 3.0), "exponent", (0.5, 1.0, 2.0), 1, _exponent, "polynomial",
    ),
    "rate": Question(
        "What is the best that a fixed rate gives?",
        (0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.45), "fixed learning rate", (1.0,), 1, _rate,
    ),
    "horizon": Question(
        "Does the winner change with the budget?",
        (3.0, 10.0, 30.0, 90.0), "epochs of a run", (0.5, 1.0, 2.0), 4, _horizon,
    ),
    "optimizer": Question(
        "Does the ranking change under momentum, weight decay and AdamW?",
        (), "optimizer", (0.5, 1.0, 2.0), 4, _optimizer,
    ),
}  # fmt: skip


def default_values(question: str, config: StudyConfig) -> tuple[float, ...]:
    """Return a question's default axis for a study: times shrink with its runs, rates lie where its optimizer's do.

    Args:
        question: Name of the question.
        config: The study's settings, with the epochs of the sweep.
    """
    values = QUESTIONS[question].values
    if question == "warmup":
        return tuple(float(f"{v * config.epochs / _USUAL:.3g}") for v in values)
    if question == "horizon":
        return tuple(sorted({float(max(1, round(v * config.epochs / _USUAL))) for v in values}))
    if question == "rate" and not is_default(config):
        return tuple(float(f"{v:.2g}") for v in np.geomspace(*config.base_rate, len(values)))
    return values


def is_default(config: StudyConfig) -> bool:
    """Whether a study trains what the questions' own values are for: LeNet by plain SGD."""
    return (config.problem, config.optimizer, config.weight_decay) == (DEFAULT_PROBLEM, "sgd", 0.0)

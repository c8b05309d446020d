"""Made-up studies to draw with. Their curves have the shape of real ones; their numbers mean nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from study.core.records import Asked, Epoch, Outcome, Settings, StudyRecord, TrialRecord

FAMILIES = (
    "constant",
    "square_root",
    "factor",
    "multi_step",
    "polynomial",
    "linear",
    "cosine",
    "cosine_restarts",
    "cyclic",
    "one_cycle",
    "warmup_stable_decay",
    "plateau",
)
STARTED = datetime(2026, 1, 1, tzinfo=UTC)

Maker = Callable[..., StudyRecord]


def made_up_trial(number: int, settings: Settings, rng: np.random.Generator) -> TrialRecord:
    """Return a trial whose accuracy peaks at a base rate of 0.3 and which may be pruned or diverge."""
    families = settings.schedules
    family = families[number % len(families)]
    epochs = settings.epochs
    base_rate = float(np.exp(rng.uniform(np.log(0.02), np.log(2.0))))
    warmup = float(rng.uniform(0.0, 0.3 * epochs))
    final = 0.905 - 0.004 * (number % len(families)) / 4 - 0.006 * np.log(base_rate / 0.3) ** 2
    final += float(rng.normal(0.0, 0.002))
    outcome: Outcome = "finished"
    if base_rate > 1.7:
        outcome = "diverged"
    elif final < 0.894 and rng.uniform() < 0.8:
        outcome = "pruned"
    trained = {"finished": epochs, "diverged": 1, "pruned": min(epochs, int(rng.integers(5, max(6, epochs))))}
    t = np.arange(trained[outcome])
    decay = np.cos(np.pi * t / (2 * epochs))
    accuracy = final - 0.30 * np.exp(-t / 2.0) - 0.02 * decay + rng.normal(0, 0.004, len(t)) * decay
    loss = 1.9 * np.exp(-t / 1.5) + 0.30 - 0.1 * t / epochs
    rates = base_rate * (1 + np.cos(np.pi * (t + 1) / epochs)) / 2
    asked = Asked(
        number=number,
        family=family,
        schedule={"name": family},
        base_rate=base_rate,
        params={"schedule": family, "base_rate": base_rate, "warmup": warmup, f"{family}.final": 0.01},
        epochs=epochs,
        seed=number,
        offset=0,
        lanes=8,
    )
    return TrialRecord(
        number=number,
        asked=asked,
        epochs=tuple(
            Epoch(
                epoch=e,
                rate=float(rates[e]),
                train_loss=float(loss[e]) if outcome != "diverged" else float("nan"),
                train_accuracy=float(accuracy[e] + 0.01),
                val_loss=float(loss[e] + 0.03) if outcome != "diverged" else float("nan"),
                val_accuracy=float(accuracy[e]) if outcome != "diverged" else 0.1,
                averaged_accuracy=None,
                seconds=1.5,
            )
            for e in range(len(t))
        ),
        outcome=outcome,
        value=float(accuracy[-1]) if outcome == "finished" else None,
        reported={e: float(a) for e, a in enumerate(accuracy)},
        reprieved_at=None,
        started=STARTED + timedelta(minutes=number),
        ended=STARTED + timedelta(minutes=number + 4),
    )


@pytest.fixture
def made_up(settings_of: Callable[..., Settings]) -> Maker:
    """Makes a study of so many trials that nobody ran."""
    settings = settings_of(schedules=FAMILIES)

    def make(trials: int) -> StudyRecord:
        rng = np.random.default_rng(0)
        return StudyRecord(settings, tuple(made_up_trial(n, settings, rng) for n in range(trials)))

    return make

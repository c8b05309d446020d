"""A trial's learning rate over time, from what it was asked and what it recorded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import lrsched
from study.records.trial import TrialRecord

Floats = NDArray[np.float64]

#: Points an epoch: a jump anywhere in it is drawn over a twentieth of an epoch.
POINTS = 20


def rate_curve(trial: TrialRecord) -> tuple[Floats, Floats]:
    """Return times in epochs and the learning rate at them, as far as the trial has trained.

    ``rate(t) = base_rate * schedule(t)``. A schedule that is driven by a metric is drawn from the rates
    recorded, one an epoch.

    Returns:
        Two arrays of shape [points]; empty where the trial has not ended its first epoch.
    """
    trained = len(trial.epochs) or 1 + max(trial.reported, default=-1)
    if trial.asked is None or trained == 0:
        return np.empty(0), np.empty(0)
    schedule = lrsched.from_json(trial.asked.schedule)
    if schedule.metric_driven:
        rates = np.array([epoch.rate for epoch in trial.epochs], dtype=np.float64)
        edges = np.arange(len(rates) + 1, dtype=np.float64)
        return np.repeat(edges, 2)[1:-1], np.repeat(rates, 2)
    times = np.linspace(0.0, trained, POINTS * trained + 1)
    return times, trial.asked.base_rate * schedule(times)


def formula(family: str) -> str:
    """Return a family's formula as its documentation states it; an empty string if it states none."""
    text = lrsched.REGISTRY[family].__doc__ or ""
    _, found, after = text.partition("Formula::")
    if not found:
        return ""
    lines: list[str] = []
    for line in after.strip("\n").splitlines():
        if line.strip() and not line.startswith("        "):
            break
        lines.append(line.strip())
    return "\n".join(lines).strip()

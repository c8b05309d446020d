"""A trial's learning rate over time, from what it was asked and what it recorded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from study.core.records import TrialRecord

Floats = NDArray[np.float64]

#: Points an epoch: a jump anywhere in it is drawn over a twentieth of an epoch.
POINTS = 20


def rate_curve(trial: TrialRecord) -> tuple[Floats, Floats]:
    """Return times in epochs and the learning rate at them, as far as the trial has trained.

    ``rate(t) = base_rate * schedule(t)``. A schedule that is driven by a metric saw each epoch's training
    loss, and sees it again here.

    Returns:
        Two arrays of shape [points]; empty where the trial has not ended its first epoch. An epoch's last
        point and the next one's first stand at the same time: a metric may move the rate in between.
    """
    trained = trial.epochs_trained
    if trained == 0:
        return np.empty(0), np.empty(0)
    schedule = trial.spec.schedule
    if not schedule.metric_driven:
        times = np.linspace(0.0, trained, POINTS * trained + 1)
        return times, trial.spec.base_rate * schedule(times)
    if not trial.epochs:
        return np.empty(0), np.empty(0)
    state, within = schedule.initial(), np.linspace(0.0, 1.0, POINTS + 1)
    parts = []
    for epoch in trial.epochs:
        parts.append(schedule.at(epoch.epoch + within, state))
        state = schedule.observe(state, epoch.train_loss)
    times = np.concatenate([epoch.epoch + within for epoch in trial.epochs])
    return times, trial.spec.base_rate * np.concatenate(parts)

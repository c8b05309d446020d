"""What a trial will end at, from its curve so far and from its rate curve, which is known to the end.

Notation: n finished trials, E epochs of a whole run, F traits. Signals are shares, larger is better, as
``Metric.progress`` gives them: chance level and best value are a distance of 1 - chance apart. A *shortfall* is what a
value falls short of the best possible, on a log scale where there is a best one:

    shortfall(p) = log(1 - p + 0.001)   or, for a metric without a better bound, -p

Model: the final shortfall is linear in the traits of a trial at an epoch, with Gaussian noise; one model an epoch,
learned from the finished trials. Bayesian ridge in closed form (Bishop, Pattern Recognition and Machine Learning,
section 3.3 to 3.5): the prior's and the noise's precision are those of largest evidence. The error of a forecast holds the noise and
what the trials leave open about the coefficients, so that few trials make wide forecasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from study.core.metric import Metric
from study.core.records import TrialSpec

Floats = NDArray[np.float64]

#: Share of the way to the best possible value that is added before logarithms: nothing is perfect.
_FLOOR = 1e-3
#: Points within an epoch at which a schedule is read.
_POINTS = 8
#: Rounds of the evidence's fixed point; three digits stand after five.
_ROUNDS = 10
#: Epochs that a mean of the last or of the coming ones goes over: one alone is noisy.
_MEAN = 3


def shortfall(progress: Floats, *, bounded: bool) -> Floats:
    """Return how far signals fall short of the best possible; any shape."""
    return np.log(np.maximum(1.0 - progress, 0.0) + _FLOOR) if bounded else -progress


def progress_of(short: Floats, *, bounded: bool) -> Floats:
    """Return the signals that fall short by so much: the inverse of ``shortfall``."""
    return 1.0 + _FLOOR - np.exp(short) if bounded else -short


def is_bounded(metric: Metric) -> bool:
    """Return whether a metric has a best possible value."""
    return bool(np.isfinite(metric.high if metric.maximized else metric.low))


def rate_curves(spec: TrialSpec, train_losses: Sequence[float]) -> Floats:
    """Return a trial's mean rate in each epoch of its whole run, as it is known after each epoch, [E - 1, E].

    A schedule that follows the training loss is asked with the losses so far, an epoch each, and is taken to stay as it
    then is; all others are known from the start.
    """
    times = np.arange(spec.epochs)[:, None] + (np.arange(_POINTS) + 0.5) / _POINTS
    state = spec.schedule.initial()
    rates = spec.base_rate * np.broadcast_to(spec.schedule.at(times, state), times.shape).mean(axis=1)
    known = np.tile(rates, (spec.epochs - 1, 1))
    if spec.schedule.metric_driven:
        for epoch, loss in enumerate(train_losses[: spec.epochs - 1]):
            state = spec.schedule.observe(state, loss)
            coming = np.broadcast_to(spec.schedule.at(times[epoch + 1 :], state), times[epoch + 1 :].shape)
            known[epoch:, epoch + 1 :] = spec.base_rate * coming.mean(axis=1)
    return known


def traits(signal: Floats, rates: Floats, *, bounded: bool) -> Floats:
    """Return what a trial's end is forecast from, at each epoch.

    Args:
        signal: What it showed after each epoch, [E]; NaN where it has not come to. What is not finite counts as 0, and no trait
            depends on a later epoch's.
        rates: Its mean rate in each epoch, [E].
        bounded: Whether the metric has a best possible value.

    Returns:
        [E - 1, 7]: shortfall of the best signal so far and of the last three in the mean; logarithms of the last three rates of the run, the
        rate now, the sums of the rates to come and gone, and the largest one to come. After the last epoch nothing is to come.
    """
    short = shortfall(np.where(np.isfinite(signal), signal, 0.0), bounded=bounded)
    epochs = len(rates)
    least = max(1e-3 * float(rates.max()), 1e-12)
    coming = np.cumsum(rates[::-1])[::-1][1:]
    largest = np.maximum.accumulate(rates[::-1])[::-1][1:]
    known = np.stack(
        [np.full(epochs - 1, rates[-_MEAN:].mean()), rates[:-1], coming, np.cumsum(rates)[:-1], largest]
    )
    return np.column_stack(
        [np.minimum.accumulate(short)[:-1], _running_mean(short)[:-1], *np.log(known + least)]
    )


def trial_signal(reported: Mapping[int, float], metric: Metric, epochs: int) -> Floats:
    """Return the signal that a trial reported, [E]: shares, larger is better; NaN where it has not come to."""
    signal = np.full(epochs, np.nan)
    for epoch, value in reported.items():
        signal[epoch] = metric.progress(value)
    return signal


def trial_traits(spec: TrialSpec, train_losses: Sequence[float], signal: Floats, *, bounded: bool) -> Floats:
    """Return a trial's traits at each epoch, [E - 1, F], each with the rates that were known then.

    Args:
        spec: What it was to train.
        train_losses: Mean training loss of each epoch so far, which some schedules follow.
        signal: What it showed, [E]; NaN where it has not come to.
        bounded: Whether the metric has a best possible value.
    """
    known = rate_curves(spec, train_losses)
    if not spec.schedule.metric_driven:
        return traits(signal, known[0], bounded=bounded)
    return np.stack([traits(signal, rates, bounded=bounded)[epoch] for epoch, rates in enumerate(known)])


def _running_mean(values: Floats) -> Floats:
    """Return the mean of each value and the two before it, of as many as there are."""
    total = np.concatenate([np.zeros(_MEAN), np.cumsum(values)])
    means: Floats = (total[_MEAN:] - total[:-_MEAN]) / np.minimum(np.arange(len(values)) + 1, _MEAN)
    return means


@dataclass(frozen=True)
class Forecast:
    """What trials will end at: a normal distribution of the shortfall; arrays of one entry a trial.

    Attributes:
        mean: Its mean.
        error: Its standard deviation.
        bounded: Whether the metric has a best possible value.
    """

    mean: Floats
    error: Floats
    bounded: bool

    def signal(self, errors: float = 0.0) -> Floats:
        """Return the signal forecast, better by so many standard errors."""
        return progress_of(self.mean - errors * self.error, bounded=self.bounded)


class Forecaster:
    """Learns from finished trials what trials will end at.

    Args:
        bounded: Whether the metric has a best possible value.
    """

    def __init__(self, *, bounded: bool) -> None:
        self._bounded = bounded
        self._traits: list[Floats] = []
        self._final: list[float] = []
        self._fitted: dict[int, Ridge] = {}

    def __len__(self) -> int:
        """Return the number of trials learned from."""
        return len(self._final)

    def learn(self, traits: Floats, final: float) -> None:
        """Take a finished trial into account.

        Args:
            traits: Its traits at each epoch, [E - 1, F].
            final: The signal that it ended at.
        """
        self._traits.append(traits)
        self._final.append(final)
        self._fitted.clear()

    def forecast(self, epoch: int, traits: Floats) -> Forecast:
        """Return what trials will end at.

        Args:
            epoch: The epoch after which they stand, from 0.
            traits: Their traits after it, [trials, F].
        """
        if epoch not in self._fitted:
            known = np.array([each[epoch] for each in self._traits])
            self._fitted[epoch] = Ridge(known, shortfall(np.array(self._final), bounded=self._bounded))
        mean, error = self._fitted[epoch].predict(traits)
        return Forecast(mean, error, self._bounded)


class Ridge:
    """Bayesian ridge regression on standardised inputs.

    Notation: alpha and beta are the precisions of the coefficients' prior and of the noise; gamma is the number of coefficients
    that the data determine. Fixed point: ``alpha = gamma / |m|^2``, ``beta = (n - 1 - gamma) / |residuals|^2``; the one is the intercept.

    Args:
        inputs: [n, F].
        targets: [n].
    """

    def __init__(self, inputs: Floats, targets: Floats) -> None:
        self._centre, self._scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-9
        self._level = float(targets.mean())
        z, t = (inputs - self._centre) / self._scale, targets - self._level
        eigenvalues, self._axes = np.linalg.eigh(z.T @ z)
        self._eigenvalues = np.maximum(eigenvalues, 0.0)
        along, n = self._axes.T @ (z.T @ t), len(t)
        spread = float(t.var()) + 1e-12
        alpha, beta = 1 / spread, 3 / spread
        for _ in range(_ROUNDS):
            weights = beta * along / (alpha + beta * self._eigenvalues)
            gamma = float((beta * self._eigenvalues / (alpha + beta * self._eigenvalues)).sum())
            left = float(t @ t - 2 * weights @ along + self._eigenvalues @ weights**2)
            alpha = (gamma + 1e-3) / (float(weights @ weights) + 1e-6)
            beta = max(n - 1 - gamma, 0.5) / (max(left, 0.0) + 1e-9)
        self._weights = beta * along / (alpha + beta * self._eigenvalues)
        self._alpha, self._beta, self._n = alpha, beta, n

    def predict(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of what rows of inputs, [rows, F], will give, noise included."""
        z = (inputs - self._centre) / self._scale @ self._axes
        variance = (1 + 1 / self._n) / self._beta + (
            z**2 / (self._alpha + self._beta * self._eigenvalues)
        ).sum(axis=1)
        return z @ self._weights + self._level, np.sqrt(variance)

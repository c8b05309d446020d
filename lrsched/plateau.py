"""The one schedule that is driven by a metric, as a pure function (state, metric) -> state."""

from __future__ import annotations

import math
from collections.abc import Iterable

from lrsched.parameter import Search, is_number, parameter, plain
from lrsched.schedule import Array, Schedule, State


class Plateau(Schedule, name="plateau"):
    """Multiply by ``factor`` when the metric has not improved for more than ``patience`` epochs.

    The state is a plain dictionary: ``best`` metric so far, ``bad`` epochs since, ``cooldown`` epochs left,
    ``multiplier`` now. A metric that is not finite never counts as an improvement. A relative threshold is a share
    of the best metric's size, whatever its sign. torch takes the sign along (``signed_rel``), so that below zero a metric
    that has become worse counts as better.

    Formula::

        value = max(floor, factor ** reductions)

    Source: torch's ``ReduceLROnPlateau``.

    >>> plateau = Plateau(patience=1, factor=0.5)
    >>> state = plateau.initial()
    >>> for loss in (1.0, 1.0, 1.0):
    ...     state = plateau.observe(state, loss)
    >>> plateau.at(3, state)
    0.5
    """

    factor: float = parameter(
        "multiplier at each reduction", "ratio", below=True, default=0.1, search=Search(0.05, 0.9)
    )
    patience: int = parameter(
        "epochs without improvement that are tolerated",
        "count",
        default=10,
        search=Search(0.0, 0.27, integer=True, of_run=True),
    )
    threshold: float = parameter(
        "improvement that counts", "number", low=0.0, default=1e-4, search=Search(1e-4, 3e-2, log=True)
    )
    threshold_mode: str = parameter(
        "threshold relative to the best, absolute, or relative with torch's sign",
        "choice",
        default="rel",
        choices=("rel", "abs", "signed_rel"),
    )
    cooldown: int = parameter("epochs after a reduction that do not count", "count", default=0)
    floor: float = parameter("lowest multiplier", "ratio", default=0.0)
    mode: str = parameter(
        "whether the metric should fall or rise", "choice", default="min", choices=("min", "max")
    )
    eps: float = parameter("reduction that is too small to be made", "ratio", default=0.0)

    @property
    def metric_driven(self) -> bool:
        """True: the multiplier follows from the metrics."""
        return True

    def initial(self) -> State:
        """Return the state before any metric."""
        return {"best": None, "bad": 0, "cooldown": 0, "multiplier": 1.0}

    def observe(self, state: State, metric: float, t: float | None = None) -> State:  # noqa: ARG002  # every epoch is its own
        """Return the state after one more epoch's metric; ``state`` itself is left as it is."""
        metric = plain(metric)
        if not is_number(metric):
            raise TypeError(f"metric must be a number, got metric={metric!r}")
        metric = float(metric)
        better = self._improves(metric, state["best"])
        best = metric if better else state["best"]
        bad = 0 if better else state["bad"] + 1
        cooldown = state["cooldown"]
        if cooldown > 0:
            bad, cooldown = 0, cooldown - 1
        multiplier = state["multiplier"]
        if bad > self.patience:
            lower = max(self.floor, multiplier * self.factor)
            multiplier = lower if multiplier - lower > self.eps else multiplier
            bad, cooldown = 0, self.cooldown
        return {"best": best, "bad": bad, "cooldown": cooldown, "multiplier": multiplier}

    def _improves(self, metric: float, best: float | None) -> bool:
        """Whether the metric beats the best by more than the threshold."""
        if not math.isfinite(metric):
            return False
        if best is None:
            return True
        margin = -self.threshold if self.mode == "min" else self.threshold
        if self.threshold_mode == "abs":
            bar = best + margin
        else:
            bar = best * (1.0 - margin if best < 0 and self.threshold_mode == "rel" else 1.0 + margin)
        return metric < bar if self.mode == "min" else metric > bar

    def _at(self, t: Array, state: State) -> Array:
        multiplier: float = state["multiplier"]
        return multiplier + 0.0 * t


def follow(schedule: Schedule, metrics: Iterable[float]) -> list[float]:
    """Return the multiplier during each epoch, given the metric after each epoch.

    Args:
        schedule: Any schedule whose unit of time is the epoch.
        metrics: One number an epoch, in order; any iterable.
    """
    state, multipliers = schedule.initial(), []
    for epoch, metric in enumerate(metrics):
        multipliers.append(schedule.at(float(epoch), state))
        state = schedule.observe(state, metric, epoch + 1.0)
    return multipliers

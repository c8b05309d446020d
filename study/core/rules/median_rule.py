"""The median rule as a pure function, so that the pruner and its replay cannot come to differ.

A trial is stopped at an epoch when the best signal it has shown so far lies strictly below the median
of what the others showed at that very epoch. Strictly: equals are kept, and so is everyone who ties with
the median. The best of its own family may be left alone whatever the others did.

Two more things differ from Optuna's ``MedianPruner``. Running trials are compared as well, because trials
that train side by side would otherwise have nobody to be compared with. And a trial that was stopped
earlier still counts, below everyone else: if only the survivors counted, trials in lockstep would be halved
at every decision until one was left.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import median

from study.core.errors import InputError


@dataclass(frozen=True)
class PruningRule:
    """When a trial is judged: what every rule is told.

    Attributes:
        n_warmup_steps: Epochs that every trial may train before it can be stopped.
        interval_steps: Epochs between two decisions about one trial.
        n_startup_trials: Other trials needed before one is judged by them.
        epochs: Length of a whole trial; after its last epoch nothing is left to stop. ``None``: unknown.
        keep_best: Best trials of each family that are never stopped.
    """

    n_warmup_steps: int = 5
    interval_steps: int = 1
    n_startup_trials: int = 4
    epochs: int | None = None
    keep_best: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers out of range with an ``InputError``."""
        for name, least in (
            ("n_warmup_steps", 0),
            ("interval_steps", 1),
            ("n_startup_trials", 1),
            ("keep_best", 0),
        ):
            value = getattr(self, name)
            if value < least:
                raise InputError(f"pruning: {name} must be at least {least}, got {value}")

    def due(self, epoch: int) -> bool:
        """Return whether a trial is judged after this epoch (from 0)."""
        trained = epoch + 1
        if self.epochs is not None and trained >= self.epochs:
            return False
        return trained >= self.n_warmup_steps and (trained - self.n_warmup_steps) % self.interval_steps == 0


@dataclass(frozen=True)
class MedianRule(PruningRule):
    """When a trial loses against the median of the others.

    The ``n_startup_trials`` are those that have shown a signal at the epoch, and ``keep_best`` counts by what trials showed at
    it. A family whose trials all start slowly would else be gone before any has shown what it ends at.
    """

    def loses(self, best: float, others: Collection[float], family: Collection[float] = ()) -> bool:
        """Return whether a trial is stopped.

        Args:
            best: The best signal that it has shown so far; larger is better.
            others: Where every other trial that it is compared with stood at the same epoch, as ``standing`` tells.
            family: Where every other trial of its own family stood; needed if ``keep_best`` is not 0.
        """
        behind = len(others) >= self.n_startup_trials and best < median(others)
        return behind and sum(stood > best for stood in family) >= self.keep_best


def standing(value: float | None, *, ended: bool) -> float | None:
    """Return where a trial stood at an epoch, for another trial to be compared with.

    Args:
        value: The signal that it showed at that epoch; ``None`` if it showed none.
        ended: Whether it had been stopped before that epoch, by the pruner or because it diverged.

    Returns:
        Its signal; minus infinity if it was not finite or if the trial had been stopped; ``None`` if
        it has not come that far, so that nothing can be said.
    """
    if value is None:
        return -math.inf if ended else None
    return value if math.isfinite(value) else -math.inf


def best_so_far(shown: Mapping[int, float]) -> float:
    """Return the largest finite signal; minus infinity if there is none."""
    return max((v for v in shown.values() if math.isfinite(v)), default=-math.inf)

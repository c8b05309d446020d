"""What a search is asked for, and the settings that a study gets from it and from its problem."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from study.core.errors import InputError
from study.core.records import StudyConfig

if TYPE_CHECKING:
    from study.training.workload import Workload


@dataclass(frozen=True)
class SearchOptions:
    """What ``python -m study.search`` was asked for; a field is the option of its name."""

    trials: int
    problem: str | None
    epochs: int | None
    study: str
    schedules: tuple[str, ...]
    batch_size: int | None
    train_images: int | None
    optimizer: str | None
    weight_decay: float | None
    seed: int
    sampler: str
    pruner: str
    n_warmup_steps: int | None
    interval_steps: int
    n_startup_trials: int | None
    keep_best: int
    prune_on: str
    reprieve: float
    lanes: int | None
    workers: int
    precision: str
    device: str
    data_dir: str | None
    storage: str
    storage_timeout: float
    tracking_uri: str
    checkpoints: Path
    rerun: int | None

    def config(self, device: str, precision: str, workload: Workload) -> StudyConfig:
        """Return the study's settings on a device type, in one arithmetic: what was asked for, else what the problem says.

        Raises:
            InputError: Two options contradict each other.
        """
        known = {field.name for field in fields(StudyConfig)}
        chosen = {name: value for name, value in vars(self).items() if name in known and value is not None}
        own = {name: getattr(workload, name) for name in WORKLOAD}
        epochs = self.epochs or workload.epochs
        defaults = pruning_defaults(self.pruner, epochs)
        first = self.n_warmup_steps
        if first is not None and first > max(epochs, defaults["n_warmup_steps"]):
            raise InputError(
                f"`n_warmup_steps` {first} lies beyond `epochs` {epochs}: no trial could be stopped; `pruner` none says so"
            )
        named = {"name": self.study, "problem": workload.name, "device": device, "precision": precision}
        return StudyConfig(**{**own, **defaults, **chosen, **named})


#: Settings that a problem brings.
WORKLOAD = (
    "epochs",
    "batch_size",
    "train_images",
    "base_rate",
    "metric",
    "data",
    "source",
    "optimizer",
    "weight_decay",
)


def pruning_defaults(pruner: str, epochs: int) -> dict[str, int]:
    """Return the options of pruning that depend on others; ``docs/pruning.md`` says what they rest on.

    Args:
        pruner: ``median``, ``family-median``, ``predict`` or ``none``.
        epochs: Length of a whole trial. A warm-up takes up to 30 % of it, and earlier than at a quarter the medians stop
            slow starters that end high.
    """
    return {
        "n_warmup_steps": max(3, -(-epochs // (8 if pruner == "predict" else 4))),
        "n_startup_trials": {"family-median": 2, "predict": 8}.get(pruner, 6),
    }

"""What ``python -m study.explore`` is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExploreOptions:
    """The command's options, as its help tells them; ``None`` where the sweep's file or the question says it."""

    question: str
    seeds: int
    long_seeds: int
    values: tuple[float, ...] | None
    multiples: tuple[float, ...] | None
    finalists: int | None
    certificate: Path | None
    epochs: int | None
    train_images: int | None
    precision: str | None
    dry_run: bool
    results: Path
    figures: bool
    study: str | None
    problem: str | None
    storage: str
    tracking_uri: str
    checkpoints: Path
    lanes: int | None
    device: str
    data_dir: str | None

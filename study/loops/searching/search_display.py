"""What is told of a search while it runs: what it is about to do, and how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from study.core.records import StudyConfig

if TYPE_CHECKING:
    from study.loops.searching.search_loop import Tally


def what_runs(config: StudyConfig, trials: int, lanes: int) -> str:
    """Return what a search is about to do, in a line."""
    families = "1 family" if len(config.schedules) == 1 else f"{len(config.schedules)} families"
    length = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
    side_by_side = "1 lane" if lanes == 1 else f"{lanes} lanes"
    few = "" if config.whole else f", ONLY {config.train_images:,} TRAINING IMAGES"
    return (
        f"{config.problem}: {families}, {trials} trials x {length}, {side_by_side} on {config.device} "
        f"in {config.precision}{few}"
    )


def progress_facts(tally: Tally, config: StudyConfig) -> dict[str, str]:
    """Return what the progress display says beside its bar, the best so far first."""
    facts: dict[str, str] = {}
    if tally.best is not None:
        value, family, number = tally.best
        facts["best"] = f"{config.metric.value(value)} {family} #{number}"
    facts |= {name: str(n) for name, n in tally.outcomes.items() if n}
    if tally.elsewhere:
        facts["waiting for"] = f"{tally.elsewhere} trials of other processes"
    if not config.whole:
        facts["images"] = f"{config.train_images} only"
    return facts

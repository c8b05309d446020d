"""What a confirmation is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from study.core.errors import InputError

if TYPE_CHECKING:
    from study.core.metric import Metric
    from study.stats.leaderboard import Choice
    from study.stats.verdict import Plan

#: Looks unless others are planned: the first, then twice as many seeds each time, and the most seeds.
FIRST_LOOK, MAX_SEEDS = 5, 40


@dataclass(frozen=True)
class ConfirmOptions:
    """The command's options, as its help tells them; ``margin`` as ``Metric.margin`` takes it, ``budget`` in seconds."""

    study: str | None
    problem: str | None
    finalists: int
    per_family: int
    baseline: str
    heats: int | None
    looks: tuple[int, ...] | None
    max_seeds: int | None
    seeds: int | None
    train_images: int | None
    budget: float | None
    level: float
    margin: float | None
    rates: tuple[float, ...] | None
    rate_seeds: int
    out: Path
    check: Path | None
    storage: str
    tracking_uri: str
    checkpoints: Path
    precision: str
    device: str
    data_dir: str | None

    def __post_init__(self) -> None:
        """Refuse multiples of base rates without the rate itself."""
        if self.rates is not None and 1.0 not in self.rates:
            raise InputError(f"`rates` must hold 1, got {','.join(f'{r:g}' for r in self.rates)}")

    @property
    def planned(self) -> tuple[int, ...]:
        """Seeds at each look; refused where two options contradict each other."""
        if self.seeds is not None:
            if self.looks or self.max_seeds:
                raise InputError("`seeds` is a plan of one look: give `looks` and `max_seeds` without it")
            return (self.seeds,)
        if self.looks and self.max_seeds and self.max_seeds < self.looks[0]:
            raise InputError(
                f"`max_seeds` {self.max_seeds} comes before the first of `looks`, {self.looks[0]}"
            )
        most = self.max_seeds or (self.looks[-1] if self.looks else MAX_SEEDS)
        looks = self.looks or tuple(FIRST_LOOK * 2**k for k in range(most.bit_length()))
        return (*(look for look in looks if look < most), most)

    @property
    def choice(self) -> Choice:
        """How the finalists are chosen."""
        from study.stats.leaderboard import Choice, usual_heats

        heats = usual_heats(self.planned[-1]) if self.heats is None else self.heats
        return Choice(
            self.finalists, self.per_family, None if self.baseline == "none" else self.baseline, heats
        )

    def require_rates(self, metric: Metric) -> None:
        """Refuse multiples of base rates where nothing says what is much of this metric."""
        if self.rates is not None and not metric.scaled:
            raise InputError(
                f"`rates` needs a chance level other than 0, or bounds; {metric.name} has neither"
            )

    def plan(self, metric: Metric) -> Plan:
        """Return when the finalists are judged, and how strictly."""
        from study.stats.verdict import Plan

        return Plan(self.planned, self.level, metric.margin(self.margin))

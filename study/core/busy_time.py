"""How long a study trained: the time in which at least one of its trials did, pauses left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from study.core.records import TrialRecord


@dataclass(frozen=True)
class BusyTime:
    """Spans of time in which something trained, ascending, none touching the next.

    Attributes:
        spans: Start and end of each.
    """

    spans: tuple[tuple[datetime, datetime], ...]

    @classmethod
    def of(cls, trials: Iterable[TrialRecord]) -> BusyTime:
        """Join the times of trials that have ended, however many trained at once."""
        spans: list[tuple[datetime, datetime]] = []
        for start, end in sorted((t.started, t.ended) for t in trials if t.started and t.ended):
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(spans[-1][1], end))
            else:
                spans.append((start, end))
        return cls(tuple(spans))

    @property
    def seconds(self) -> float:
        """Seconds in all."""
        return sum((end - start).total_seconds() for start, end in self.spans)

    def until(self, moment: datetime) -> float:
        """Return the seconds up to a moment."""
        return sum((min(end, moment) - start).total_seconds() for start, end in self.spans if start < moment)


def duration(seconds: float) -> str:
    """Return a time in words, in two units at most: ``8 min 35 s``, ``1 h 52 min``."""
    whole = round(seconds)
    for large, small, unit in (("h", "min", 3600), ("min", "s", 60)):
        if whole >= unit:
            many, rest = divmod(round(whole / (unit / 60)), 60)
            return f"{many} {large} {rest} {small}" if rest else f"{many} {large}"
    return f"{whole} s"

"""What a verdict says: the figures it rests on as plain data, as JSON and in words.

``verdict.py`` makes one. A certificate holds one with its sentences, so their wording is part of the format.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Finalist:
    """What one finalist's runs gave. Accuracies are shares of 1.

    Attributes:
        name: Its name.
        mean: Mean over all runs; a diverged run counts as ``comparison.CHANCE``.
        median: Median over all runs, likewise.
        typical: Mean over the runs that are not bad; ``None`` where all are.
        sd: Standard deviation of those runs (ddof 1); ``None`` with fewer than two.
        low: Lower end of the Student interval of ``typical``, at the verdict's level.
        high: Its upper end.
        runs: Runs in all.
        bad_runs: Runs that diverged or ended far below the others (``comparison.bad_runs``).
        diverged: Of these, the runs that diverged.
        probability_best: How often it leads in a typical run when the seeds are drawn again.
    """

    name: str
    mean: float
    median: float
    typical: float | None
    sd: float | None
    low: float | None
    high: float | None
    runs: int
    bad_runs: int
    diverged: int
    probability_best: float


@dataclass(frozen=True)
class Difference:
    """The leader minus one other finalist, paired by seed.

    Attributes:
        name: The other finalist.
        lead: Lead of the leader in a typical run; ``None`` where the other had too few good runs.
        low: Lower end of the lead's interval at the level of its Holm step, so that it lies above the
            margin exactly when ``p_holm`` is below ``1 - level``.
        high: Its upper end.
        t: The lead above the margin in standard errors.
        freedom: Degrees of freedom of ``t``.
        p: Two-sided p-value of ``t``.
        p_holm: The same, corrected by Holm over all comparisons.
        mean_lead: Lead in the mean over all runs, bad ones included.
        told_apart: Behind the leader in a typical run beyond chance, or out.
        out: Failed in so many runs that it was not compared.
        equal: The whole interval lies within the margin on both sides: no difference that matters.
        excluded: Told apart, and bad runs do not speak for it (``comparison.compare``): it did not win.
    """

    name: str
    lead: float | None
    low: float | None
    high: float | None
    t: float | None
    freedom: float | None
    p: float | None
    p_holm: float | None
    mean_lead: float
    told_apart: bool
    out: bool
    equal: bool
    excluded: bool


@dataclass(frozen=True)
class Verdict:
    """Who won, or who is in the tie.

    Attributes:
        outcome: ``winner``; ``equal`` (a tie in which no difference that matters is left); ``tie``.
        winner: Name of the winner, ``None`` in a tie.
        leader: Name of the finalist that is best in a typical run, winner or not.
        contenders: The finalists that cannot be told from the best, the leader first.
        finalists: Each finalist's own figures, in the order given.
        differences: The leader against each other, in that order.
        seeds: Seeds shared by all finalists.
        level: Confidence level.
        margin: Lead that does not matter, in accuracy.
        more_seeds: Further seeds that would probably settle a tie; ``None`` where there is none to
            settle, or where seeds would not do it.
    """

    outcome: Literal["winner", "equal", "tie"]
    winner: str | None
    leader: str
    contenders: tuple[str, ...]
    finalists: tuple[Finalist, ...]
    differences: tuple[Difference, ...]
    seeds: int
    level: float
    margin: float
    more_seeds: int | None

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict in words for terminal and report; the first says who won."""
        return (_headline(self), *_about_bad_runs(self), *_what_would_settle(self))

    def to_json(self) -> dict[str, Any]:
        """Return plain data, the sentences with it; an infinite ``t`` as text, for JSON has no such number."""
        data: dict[str, Any] = {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }
        for row in data["differences"]:
            if row["t"] is not None and math.isinf(row["t"]):
                row["t"] = str(row["t"])
        return {**data, "sentences": list(self.sentences)}


def _points(share: float) -> str:
    return f"{100 * share:.2f} points"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _headline(v: Verdict) -> str:
    """Say who won, ahead of whom and how surely; or who is in the tie."""
    basis = f"{v.seeds} seeds shared by {len(v.finalists)} finalists"
    margin = f" by more than {_points(v.margin)}" if v.margin else ""
    if v.outcome == "winner":
        compared = [d for d in v.differences if d.lead is not None]
        if not compared:
            return f"{v.leader} wins: every other finalist failed in most of its runs ({basis})."
        next_best = min(compared, key=lambda d: d.lead or 0.0)
        return (
            f"{v.leader} wins: ahead of all others{margin} in a typical run, of {next_best.name}, the next, by "
            f"{_points(next_best.lead or 0.0)} ({100 * (next_best.low or 0.0):.2f} to "
            f"{100 * (next_best.high or 0.0):.2f} at {100 * v.level:g} % over all comparisons, "
            f"Holm's p = {next_best.p_holm:.2g}; {basis})."
        )
    if v.outcome == "equal":
        return f"No difference that matters: {_list(v.contenders)} are within {_points(v.margin)} ({basis})."
    if len(_kept_by_failures(v)) == len(v.contenders) - 1:
        return f"Tie: {v.leader} is best in a typical run, but its bad runs keep {_list(v.contenders[1:])} in ({basis})."
    return f"Tie: {_list(v.contenders)} cannot be told apart as the best{margin} ({basis})."


def _about_bad_runs(v: Verdict) -> tuple[str, ...]:
    """Name the contenders that fail now and then, and the rivals that bad runs keep in the tie."""
    said = [
        f"{f.name} failed in {f.bad_runs} of {f.runs} runs"
        + (f" ({f.diverged} diverged)" if f.diverged else "")
        + f": its mean is {100 * f.mean:.2f} %, a typical run gives {100 * (f.typical or 0.0):.2f} %."
        for f in v.finalists
        if f.bad_runs and f.name in v.contenders
    ]
    kept = _kept_by_failures(v)
    if kept:
        said.append(
            f"{v.leader} is ahead of {_list(kept)} in a typical run, but counting bad runs it fails more "
            "often or has the lower mean: that is no win."
        )
    return tuple(said)


def _kept_by_failures(v: Verdict) -> list[str]:
    """Return the rivals that are behind in a typical run and stay in only for the leader's bad runs."""
    return [d.name for d in v.differences if d.told_apart and not d.excluded]


def _what_would_settle(v: Verdict) -> tuple[str, ...]:
    """Say what a tie needs to be settled."""
    if v.outcome != "tie":
        return ()
    if v.more_seeds is not None:
        return (f"About {v.more_seeds} more seeds would probably settle it, if the leads stay as they are.",)
    if _kept_by_failures(v):
        return ("More seeds may not settle it: first find out why runs fail.",)
    unseen = [d.name for d in v.differences if d.lead is None and not d.out]
    if unseen:
        return (f"Too few seeds ran well to compare {v.leader} with {_list(unseen)}.",)
    return ("More seeds would probably not settle it: the finalists are too close.",)

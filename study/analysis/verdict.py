"""Who won, or who is in the tie: the verdict on finalists that were trained with the same fresh seeds.

``verdict(table, names)`` is the door. The arithmetic is in ``comparison.py``; the argument for it, its
rate of false winners and its power, by simulation, are in ``docs/verdict.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from study.analysis.comparison import Comparison, Floats, compare, counted, share_of_best
from study.records.errors import InputError

#: Bootstrap samples, and the seed they are drawn with: the same table gives the same figures.
DRAWS = 2000
BOOTSTRAP_SEED = 20_000
#: Chance of a decision that ``more_seeds`` aims for, and the total beyond which it gives up.
SETTLED = 0.8
SEEDS_AT_MOST = 500


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

    @property
    def bad_share(self) -> float:
        """Share of its runs that were bad."""
        return self.bad_runs / self.runs


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


def verdict(table: ArrayLike, names: Sequence[str], *, level: float = 0.95, margin: float = 0.0) -> Verdict:
    """Name the winner among finalists that were trained with the same seeds, or the tie.

    Args:
        table: Accuracies in [0, 1], one row a seed, one column a finalist; NaN for a diverged run.
        names: The finalists' names, one a column.
        level: Confidence level: a false winner is named in at most ``1 - level`` of all confirmations.
        margin: Lead in accuracy that does not matter (0.002 is 0.2 points). A winner must be ahead by
            more; finalists within it on both sides are equal.

    Raises:
        InputError: A table that no verdict can rest on; the message says why.
    """
    level, margin = float(level), float(margin)
    y = _checked(table, names, level, margin)
    result = compare(y[None], level=level, margin=margin)
    if result.out.all():
        raise InputError("every finalist failed in most of its runs: there is nothing to choose from")
    leader = int(result.leader[0])
    others = [f for f in range(len(names)) if f != leader]
    differences = tuple(_difference(result, f, names[f], level, margin) for f in others)
    remaining = tuple(d for d in differences if not d.excluded)
    outcome: Literal["winner", "equal", "tie"] = "tie"
    if not remaining:
        outcome = "winner"
    elif all(d.equal for d in remaining):
        outcome = "equal"
    return Verdict(
        outcome=outcome,
        winner=None if remaining else names[leader],
        leader=names[leader],
        contenders=(names[leader], *(d.name for d in remaining)),
        finalists=_finalists(y, result, names, level),
        differences=differences,
        seeds=len(y),
        level=level,
        margin=margin,
        more_seeds=_more_seeds(remaining, len(y), level) if outcome == "tie" else None,
    )


def _checked(table: ArrayLike, names: Sequence[str], level: float, margin: float) -> Floats:
    """Return the table as an array of shape [seeds, finalists], or say what is wrong with it."""
    y = np.asarray(table, dtype=np.float64)
    if y.ndim != 2 or y.shape[1] != len(names):
        raise InputError(
            f"a verdict needs a table of seeds x finalists: got shape {y.shape} for {len(names)} names"
        )
    if len(set(names)) < len(names):
        raise InputError(f"finalists need different names, got {', '.join(names)}")
    if len(names) < 2:
        raise InputError(f"a verdict compares at least 2 finalists, got {len(names)}: confirm more of them")
    if len(y) < 2:
        raise InputError(f"a verdict needs at least 2 seeds, got {len(y)}: one run each cannot show chance")
    wrong = y[~np.isnan(y) & ~((y >= 0) & (y <= 1))]
    if wrong.size:
        raise InputError(f"accuracies must be in [0, 1] or NaN for a diverged run, got {wrong[0]:g}")
    if not 0.5 <= level < 1:
        raise InputError(f"level must be in [0.5, 1), got {level:g}")
    if not 0 <= margin < 1:
        raise InputError(f"margin must be in [0, 1) of accuracy, got {margin:g} (0.2 points are 0.002)")
    if np.all(y == y[0]) and np.ptp(y[0]) > 0:
        raise InputError("every seed gave the same accuracies: the runs did not use their seeds")
    return y


def _number(value: Any) -> float | None:
    """Return a plain float, ``None`` for NaN."""
    return None if np.isnan(value) else float(value)


def _finalists(y: Floats, result: Comparison, names: Sequence[str], level: float) -> tuple[Finalist, ...]:
    """Return each finalist's own figures."""
    best = share_of_best(y, draws=DRAWS, seed=BOOTSTRAP_SEED)
    rows = []
    for f, name in enumerate(names):
        runs, bad = counted(y[:, f]), result.bad[0, :, f]
        good = runs[~bad]
        typical = float(good.mean()) if good.size else math.nan
        sd = float(good.std(ddof=1)) if good.size > 1 else math.nan
        half = stats.t.ppf((1 + level) / 2, max(good.size - 1, 1)) * sd / math.sqrt(max(good.size, 1))
        row = Finalist(
            name=name,
            mean=float(runs.mean()),
            median=float(np.median(runs)),
            typical=_number(typical),
            sd=_number(sd),
            low=_number(typical - half),
            high=_number(typical + half),
            runs=len(y),
            bad_runs=int(bad.sum()),
            diverged=int(np.isnan(y[:, f]).sum()),
            probability_best=float(best[f]),
        )
        rows.append(row)
    return tuple(rows)


def _difference(result: Comparison, f: int, name: str, level: float, margin: float) -> Difference:
    """Return the leader against finalist ``f``."""
    mean_lead = float(result.mean[0, result.leader[0]] - result.mean[0, f])
    excluded = bool(result.excluded[0, f])
    if not result.comparable[0, f]:
        out = bool(result.out[0, f])
        nothing = dict.fromkeys(("lead", "low", "high", "t", "freedom", "p", "p_holm"))
        return Difference(
            name=name, **nothing, mean_lead=mean_lead, told_apart=out, out=out, equal=False, excluded=excluded
        )
    lead, freedom = float(result.difference[0, f]), float(result.freedom[0, f])
    half = float(stats.t.isf(result.step_level[0, f] / 2, freedom) * result.error[0, f])
    return Difference(
        name=name,
        lead=lead,
        low=lead - half,
        high=lead + half,
        t=float(result.statistic[0, f]),
        freedom=freedom,
        p=float(result.p[0, f]),
        p_holm=float(result.p_holm[0, f]),
        mean_lead=mean_lead,
        told_apart=bool(result.p_holm[0, f] < 1 - level),
        out=False,
        equal=-margin < lead - half and lead + half < margin,
        excluded=excluded,
    )


def _more_seeds(remaining: Sequence[Difference], seeds: int, level: float) -> int | None:
    """Return how many more seeds would tell the leader from all who remain, with chance ``SETTLED``.

    Lead and spread staying as they are, t grows with the square root of the seeds:
    ``n ((z(1 - alpha/2) + z(SETTLED)) / t)^2`` in all for each. ``None`` where the leader is not ahead,
    where it would take over ``SEEDS_AT_MOST``, or where bad runs keep someone in, not chance.
    """
    wanted = float(stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(SETTLED))
    needed = seeds + 1
    for d in remaining:
        if d.told_apart or d.t is None or d.t <= 0 or seeds * (wanted / d.t) ** 2 > SEEDS_AT_MOST:
            return None
        needed = max(needed, math.ceil(seeds * (wanted / d.t) ** 2))
    return needed - seeds


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
            f"{_points(next_best.lead or 0.0)} ({100 * v.level:g} % interval {100 * (next_best.low or 0.0):.2f} to "
            f"{100 * (next_best.high or 0.0):.2f}, Holm's p = {next_best.p_holm:.2g}; {basis})."
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

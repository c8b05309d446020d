"""What a verdict says: the figures it rests on as plain data and as JSON. Its words are in ``verdict_words.py``.

``verdict.py`` makes one.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from study.core.metric import ACCURACY, Metric
from study.stats.sequential import Plan

#: ``winner``: all others are excluded. ``equal``: no difference that matters is left among those who remain.
#: ``undecided``: neither, yet or at the plan's end.
Ending = Literal["winner", "equal", "undecided"]


@dataclass(frozen=True)
class Finalist:
    """What one finalist's runs gave, in the metric's own unit: accuracies are shares of 1.

    Attributes:
        name: Its name.
        mean: Mean over all its runs; a diverged run counts as chance (``comparison.counted``).
        median: Median over all its runs, likewise.
        typical: Mean over the runs that are not bad; ``None`` where all are.
        sd: Standard deviation of those runs (ddof 1); ``None`` with fewer than two.
        low: Lower end of the Student interval of ``typical``, at the plan's level for one finalist and one look.
        high: Its upper end.
        runs: Runs in all: it has none after the look that dropped it.
        bad_runs: Runs that diverged or ended far below the others (``comparison.bad_runs``).
        diverged: Of these, the runs that diverged.
        dropped: Seeds at the look that excluded it; ``None`` where it remains.
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
    dropped: int | None


@dataclass(frozen=True)
class OverExamples:
    """The lead over seeds and test examples, and what it takes to compute it again (``images.ExampleSums``).

    Attributes:
        seeds: Seeds with which both ran well.
        by_example: Sum over the test examples of the squared sum over seeds of (leader's - rival's) gain.
        disputed: Sum of the squared differences: for accuracy, how often exactly one of the two was right.
        low: Lower end of the interval of the lead over seeds and examples, at the level of ``Difference.low``.
        high: Its upper end.
    """

    seeds: int
    by_example: float
    disputed: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """The leader minus one other finalist, as gains (larger is better), paired by seed, at one look.

    Attributes:
        name: The other finalist.
        lead: Lead of the leader in a typical run; ``None`` where the other had too few good runs.
        low: Lower end of the lead's interval at the level ``1 - needed``, so that it lies above zero exactly
            when ``p`` is below ``needed``: over all looks and finalists it holds at the plan's level.
        high: Its upper end.
        t: The lead in standard errors.
        freedom: Degrees of freedom of ``t``.
        fails_p: Two-sided p-value of failing more often than the leader, of a finalist that fails too often to
            lead; ``None`` of any other.
        p: Two-sided p-value of ``t``; where there is ``fails_p``, twice the smaller of the two.
        needed: What ``p`` had to be below, at this look and in this step of Holm's procedure.
        mean_lead: Lead in the mean over all runs, bad ones included.
        ahead: Seeds on which the leader was ahead, of those with which both ran well.
        shared: Those seeds.
        told_apart: Beyond chance behind the leader in a typical run or failing more often; or out.
        out: Failed in so many runs that it was not compared.
        equal: The whole interval lies within the margin on both sides, and it does not fail too often to lead.
        excluded: Told apart, and bad runs do not speak for it (``comparison.compare``): it is dropped.
        examples: The lead over seeds and test examples; ``None`` where scores of single examples are not known.
    """

    name: str
    lead: float | None
    low: float | None
    high: float | None
    t: float | None
    freedom: float | None
    fails_p: float | None
    p: float | None
    needed: float | None
    mean_lead: float
    ahead: int
    shared: int
    told_apart: bool
    out: bool
    equal: bool
    excluded: bool
    examples: OverExamples | None

    @property
    def by_failing(self) -> bool:
        """Whether it is told apart by how often it fails alone: a typical run of it may be the better one."""
        return self.told_apart and not self.out and (self.low is None or self.low <= 0)


@dataclass(frozen=True)
class LookRecord:
    """One look of a plan.

    Attributes:
        seeds: Seeds of each finalist that was still there.
        leader: The best in a typical run of those that do not fail too often.
        differences: The leader against each other of them.
        ending: What this look ended with; ``undecided`` goes on to the next look, if there is one.
    """

    seeds: int
    leader: str
    differences: tuple[Difference, ...]
    ending: Ending

    @property
    def dropped(self) -> tuple[str, ...]:
        """Who was excluded at this look."""
        return tuple(d.name for d in self.differences if d.excluded)


@dataclass(frozen=True)
class Verdict:
    """Who won, that no difference matters, or who remains.

    Attributes:
        plan: When it was judged, and how strictly.
        looks: The looks taken, in order; one at least.
        finalists: Each finalist's own figures, in the order given.
        examples: Test examples that scores are known of; ``None`` where they are not.
        settled_at: Seeds in all that would probably name a winner, where it is undecided and seeds would do it.
        metric: What the finalists are measured by.
        noun: What the test examples are called: ``images``.
    """

    plan: Plan
    looks: tuple[LookRecord, ...]
    finalists: tuple[Finalist, ...]
    examples: int | None
    settled_at: int | None
    metric: Metric = ACCURACY
    noun: str = "images"

    @property
    def outcome(self) -> Ending:
        """How the last look ended."""
        return self.looks[-1].ending

    @property
    def final(self) -> bool:
        """Whether nothing more is to be trained: settled, or the plan is at its end."""
        return self.outcome != "undecided" or self.seeds == self.plan.seeds

    @property
    def leader(self) -> str:
        """Who leads at the last look, winner or not."""
        return self.looks[-1].leader

    @property
    def winner(self) -> str | None:
        """The winner, if there is one."""
        return self.leader if self.outcome == "winner" else None

    @property
    def seeds(self) -> int:
        """Seeds of the last look."""
        return self.looks[-1].seeds

    @property
    def contenders(self) -> tuple[str, ...]:
        """Who remains, the leader first."""
        return (self.leader, *(d.name for d in self.looks[-1].differences if not d.excluded))

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Each finalist but the leader against the leader of the last look that it stood in, in their order."""
        last = {d.name: d for look in self.looks for d in look.differences}
        return tuple(last[f.name] for f in self.finalists if f.name != self.leader)

    @property
    def ranked(self) -> tuple[Finalist, ...]:
        """The leader, then the others by typical value, those that only failed last."""
        return tuple(
            sorted(
                self.finalists,
                key=lambda f: (f.name != self.leader, f.typical is None, -self.metric.gain(f.typical or 0.0)),
            )
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data with the words; an infinite ``t`` as text, for JSON has no such number.

        Left out are metric and noun, which stand beside it in a certificate.
        """
        from study.stats.verdict_words import sentences

        data: dict[str, Any] = _plain(asdict(self))
        del data["metric"], data["noun"]
        for look in data["looks"]:
            for row in look["differences"]:
                if row["t"] is not None and math.isinf(row["t"]):
                    row["t"] = str(row["t"])
        data["plan"] = self.plan.to_json()
        return {
            "outcome": self.outcome,
            "winner": self.winner,
            "leader": self.leader,
            "contenders": list(self.contenders),
            "seeds": self.seeds,
            **data,
            "sentences": list(sentences(self)),
        }


def _plain(value: Any) -> Any:
    """Return data with its tuples as lists, as JSON reads it back."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value

"""The verdict as the page shows it: a headline, a table of finalists, the leads seed by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from study.core.metric import Metric
from study.core.records import StudyRecord
from study.page.plots import other_rates, paired_leads
from study.page.reproduce import confirm_command
from study.page.style import Drawing, Floats
from study.page.text import VerdictText
from study.stats import certificate as certificates
from study.stats.base_rates import BaseRates
from study.stats.verdict_record import Difference, Finalist, Verdict
from study.stats.verdict_words import sentences
from study.terminal.cells import MISSING, minus

_LEGEND = (
    "The {metric} on the test set after training on {trained:,} {noun} with the same fresh seeds for every finalist. "
    "Typical: the mean without bad runs, those that diverged or ended far worse than the others; mean: over all runs. "
    "Behind by: how much better the leader is{unit}, paired by seed. The interval over seeds decides; it holds at "
    "{level:g} % over all looks and finalists together. {singly} Fewer seeds than the leader's: excluded at that look."
)


def open_verdict(record: StudyRecord) -> VerdictText:
    """Return what is said of a study that was not confirmed."""
    command = confirm_command(record)
    if not command:
        return VerdictText(
            "open",
            "No verdict: search scores name no winner.",
            ("The best of many noisy trials owes part of its score to luck, and the problem has no test data to judge by.",),
        )  # fmt: skip
    return VerdictText(
        "open",
        "No verdict yet: search scores name no winner.",
        (
            "The best of many noisy trials owes part of its score to luck. Finalists are trained again on fresh seeds:",
        ),
        command,
    )


@dataclass(frozen=True)
class Confirmation:
    """What a certificate says.

    Attributes:
        verdict: The verdict, computed from the certificate's figures.
        scores: Test values by finalist's name, one a seed, NaN for a diverged run and where there is none.
        finalists: What the certificate says of each, by name.
        trained: Examples that the finalists were trained on.
        whole: Examples that they could have been trained on.
        rates: How the finalists fare at multiples of their base rates, where that was tried.
        study: The settings that they were trained under.
    """

    verdict: Verdict
    scores: Mapping[str, Floats]
    finalists: Mapping[str, Mapping[str, Any]]
    trained: int
    whole: int
    rates: BaseRates | None = None
    study: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, certificate: Mapping[str, Any]) -> Confirmation:
        """Return what a certificate that holds says (see ``certificate.check``)."""
        certificate = certificates.today(certificate)
        table = certificates.values(certificate)
        finalists = certificate["finalists"]
        names = [finalist["name"] for finalist in finalists]
        rates = certificate.get("rates")
        return cls(
            certificates.judged(certificate),
            {name: table[:, i] for i, name in enumerate(names)},
            dict(zip(names, finalists, strict=True)),
            certificate["examples"]["train"],
            certificate["examples"]["whole"],
            rates
            and BaseRates.from_json(
                rates, certificates.metric_of(certificate), certificate["examples"]["called"]
            ),
            certificate["study"],
        )

    @property
    def heats(self) -> int:
        """Seeds that its finalists had run with before; 0 where the search's scores chose them."""
        return max((len(finalist.get("heats", ())) for finalist in self.finalists.values()), default=0)

    @property
    def leader(self) -> Mapping[str, Any] | None:
        """What the leader, winner or not, was asked to train, if the certificate says it."""
        spec: Mapping[str, Any] | None = self.finalists[self.verdict.leader].get("asked")
        return spec

    def by_family(self) -> dict[str, float]:
        """Return the best confirmed mean of each family, all runs counted."""
        best: dict[str, float] = {}
        metric = self.verdict.metric
        for finalist in self.verdict.finalists:
            family = self.finalists[finalist.name].get("family")
            if family is not None:
                best[family] = metric.best([best.get(family, math.nan), finalist.mean])
        return best

    def text(self) -> VerdictText:
        """Return the verdict in words and as a table, the leader first, then by typical accuracy."""
        behind = {difference.name: difference for difference in self.verdict.differences}
        headline, *said = sentences(self.verdict)
        metric, noun = self.verdict.metric, self.verdict.noun
        if self.trained < self.whole:
            said.insert(
                0,
                f"A quick look: trained on {self.trained:,} of {self.whole:,} {noun}, no verdict on the whole.",
            )
        if self.rates is not None:
            said += self.rates.sentences
        if self.heats:
            said.append(
                f"The finalists came first in heats: {self.heats} seeds each for thrice as many candidates, on the validation {noun}."
            )
        return VerdictText(
            "winner" if self.verdict.winner is not None else "tie",
            headline,
            tuple(said),
            columns=(
                "finalist", "typical", "mean", "behind by", "over seeds", f"over seeds and {noun}", "leader ahead on",
                "bad runs", "seeds",
            ),
            rows=tuple(_row(f, behind.get(f.name), metric) for f in self.verdict.ranked),
            legend=_LEGEND.format(
                metric=metric.name,
                trained=self.trained,
                noun=noun,
                unit=metric.unit and f" in{metric.unit}",
                level=100 * self.verdict.plan.level,
                singly=f"Over seeds and {noun}: where the lead may lie on other {noun} of this kind."
                if self.verdict.examples is not None
                else f"Over seeds and {noun}: not known, since the metric is one number for all.",
            ),
        )  # fmt: skip

    def drawings(self) -> tuple[Drawing, ...]:
        """Return the leads seed by seed and, where it was tried, what other base rates cost."""
        leads = paired_leads.paired_leads(self.verdict, self.scores)
        metric = self.verdict.metric
        figure = paired_leads.paired_leads_figure(leads, metric.units * self.verdict.plan.margin, metric)
        title = "How sure: lead on each seed, with the interval that decides"
        drawn = [Drawing("confirmed", figure, paired_leads.description(self.verdict, leads), title)]
        if self.rates is not None:
            said = other_rates.description(self.rates)
            figure = other_rates.other_rates_figure(self.rates)
            drawn.append(Drawing("base-rates", figure, said, "What another base rate costs"))
        return tuple(drawn)


def _row(finalist: Finalist, behind: Difference | None, metric: Metric) -> tuple[str, ...]:
    compared = ("", "", "", "")
    if behind is not None and behind.lead is not None:
        both = behind.examples
        compared = (
            minus(metric.number(behind.lead)),
            _interval(behind.low, behind.high, metric),
            MISSING if both is None else _interval(both.low, both.high, metric),
            f"{behind.ahead} of {behind.shared}",
        )
    return (
        finalist.name,
        MISSING if finalist.typical is None else minus(metric.value(finalist.typical)),
        minus(metric.value(finalist.mean)),
        *compared,
        f"{finalist.bad_runs} of {finalist.runs}",
        str(finalist.runs),
    )


def _interval(low: float | None, high: float | None, metric: Metric) -> str:
    if low is None or high is None:
        return MISSING
    return f"{minus(metric.number(low))} to {minus(metric.number(high))}"

"""The verdict as the page shows it: a headline, a table of finalists, the leads seed by seed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from study.core.records import ALL_IMAGES
from study.page.plots import other_rates, paired_leads
from study.page.style import Drawing, Floats
from study.page.text import VerdictText
from study.stats import certificate as certificates
from study.stats.base_rates import BaseRates
from study.stats.verdict_record import Difference, Finalist, Verdict
from study.stats.verdict_words import sentences
from study.terminal.cells import MISSING, accuracy, cell

_COLUMNS = (
    "finalist",
    "typical",
    "mean",
    "behind by",
    "over seeds",
    "over seeds and images",
    "leader ahead on",
    "bad runs",
    "seeds",
)
_LEGEND = (
    "Accuracies on the test set after training on {images:,} images with the same fresh seeds for every finalist. Typical: "
    "the mean without bad runs, those that diverged or ended far below the others; mean: over all runs. Behind by: the "
    "leader minus this one in points, paired by seed. The interval over seeds decides; it holds at {level:g} % over all "
    "looks and finalists together. Over seeds and images: where the lead may lie on other images of this kind. Fewer seeds "
    "than the leader's: excluded at that look."
)


def open_verdict(study: str) -> VerdictText:
    """Return what is said of a study that was not confirmed."""
    return VerdictText(
        "open",
        "No verdict yet: search scores name no winner.",
        (
            "The best of many noisy trials owes part of its score to luck. Finalists are trained again on fresh seeds:",
        ),
        f"python -m study.confirm --study {shlex.quote(study)}",
    )


@dataclass(frozen=True)
class Confirmation:
    """What a certificate says.

    Attributes:
        verdict: The verdict, computed from the certificate's figures.
        scores: Test accuracies by finalist's name, one a seed, NaN for a diverged run and where there is none.
        finalists: What the certificate says of each, by name.
        images: Images that the finalists were trained on.
        rates: How the finalists fare at multiples of their base rates, where that was tried.
        study: The settings that they were trained under.
    """

    verdict: Verdict
    scores: Mapping[str, Floats]
    finalists: Mapping[str, Mapping[str, Any]]
    images: int
    rates: BaseRates | None = None
    study: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, certificate: Mapping[str, Any]) -> Confirmation:
        """Return what a certificate that holds says (see ``certificate.check``)."""
        table = certificates.accuracies(certificate)
        finalists = certificate["finalists"]
        names = [finalist["name"] for finalist in finalists]
        rates = certificate.get("rates")
        return cls(
            certificates.judged(certificate),
            {name: table[:, i] for i, name in enumerate(names)},
            dict(zip(names, finalists, strict=True)),
            certificate["study"].get("train_images", ALL_IMAGES),
            None if rates is None else BaseRates.from_json(rates),
            certificate["study"],
        )

    @property
    def leader(self) -> Mapping[str, Any] | None:
        """What the leader, winner or not, was asked to train, if the certificate says it."""
        spec: Mapping[str, Any] | None = self.finalists[self.verdict.leader].get("asked")
        return spec

    def by_family(self) -> dict[str, float]:
        """Return the best confirmed mean of each family, all runs counted."""
        best: dict[str, float] = {}
        for finalist in self.verdict.finalists:
            family = self.finalists[finalist.name].get("family")
            if family is not None:
                best[family] = max(best.get(family, 0.0), finalist.mean)
        return best

    def text(self) -> VerdictText:
        """Return the verdict in words and as a table, the leader first, then by typical accuracy."""
        behind = {difference.name: difference for difference in self.verdict.differences}
        headline, *said = sentences(self.verdict)
        if self.images < ALL_IMAGES:
            said.insert(
                0,
                f"A quick look: trained on {self.images:,} of {ALL_IMAGES:,} images, no verdict on the whole.",
            )
        if self.rates is not None:
            said += self.rates.sentences
        return VerdictText(
            "winner" if self.verdict.winner is not None else "tie",
            headline,
            tuple(said),
            columns=_COLUMNS,
            rows=tuple(_row(finalist, behind.get(finalist.name)) for finalist in self._ordered()),
            legend=_LEGEND.format(images=self.images, level=100 * self.verdict.plan.level),
        )

    def drawings(self) -> tuple[Drawing, ...]:
        """Return the leads seed by seed and, where it was tried, what other base rates cost."""
        leads = paired_leads.paired_leads(self.verdict, self.scores)
        figure = paired_leads.paired_leads_figure(leads, 100 * self.verdict.plan.margin)
        title = "How sure: lead on each seed, with the interval that decides"
        drawn = [Drawing("confirmed", figure, paired_leads.description(self.verdict, leads), title)]
        if self.rates is not None:
            said = other_rates.description(self.rates)
            figure = other_rates.other_rates_figure(self.rates)
            drawn.append(Drawing("base-rates", figure, said, "What another base rate costs"))
        return tuple(drawn)

    def _ordered(self) -> tuple[Finalist, ...]:
        """Return the leader, then the others by typical accuracy, those that only failed last."""
        leader = self.verdict.leader
        return tuple(
            sorted(
                self.verdict.finalists,
                key=lambda f: (f.name != leader, f.typical is None, -(f.typical or 0.0)),
            )
        )


def _row(finalist: Finalist, behind: Difference | None) -> tuple[str, ...]:
    compared = ("", "", "", "")
    if behind is not None and behind.lead is not None:
        both = behind.images
        compared = (
            _points(behind.lead),
            _interval(behind.low, behind.high),
            MISSING if both is None else _interval(both.low, both.high),
            f"{behind.ahead} of {behind.shared}",
        )
    return (
        finalist.name,
        accuracy(finalist.typical),
        accuracy(finalist.mean),
        *compared,
        f"{finalist.bad_runs} of {finalist.runs}",
        str(finalist.runs),
    )


def _points(value: float) -> str:
    return cell(100 * value, ".2f")


def _interval(low: float | None, high: float | None) -> str:
    return MISSING if low is None or high is None else f"{_points(low)} to {_points(high)}"

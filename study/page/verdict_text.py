"""The verdict as the page shows it: a headline, a table of finalists, a figure of their seeds."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from study.core.records import ALL_IMAGES
from study.page.plots.seeds_figure import seeds_figure
from study.page.style import Drawing, Floats
from study.page.text import VerdictText
from study.stats.verdict import verdict
from study.stats.verdict_record import Difference, Finalist, Verdict
from study.terminal.cells import percent

_COLUMNS = (
    "finalist",
    "mean",
    "median",
    "typical",
    "interval",
    "behind by",
    "interval",
    "p (Holm)",
    "bad runs",
    "best in",
)
_LEGEND = (
    "Accuracies on the test set, opened once, after training on {images:,} images with the same fresh seeds for every "
    "finalist. Mean and median: over all runs. Typical: the mean without bad runs, those that diverged or ended far "
    "below the others; with its interval. Behind by: the leader minus this one, paired by seed, with the interval of "
    "its Holm step. Best in: how often it leads when the seeds are drawn again. In the figure, dots are seeds, "
    "diamonds are typical means with their intervals, and triangles at the left are runs that ended below the picture."
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
        scores: Test accuracies by finalist's name, one a seed, NaN for a diverged run.
        finalists: What the certificate says of each, by name.
        images: Images that the finalists were trained on.
    """

    verdict: Verdict
    scores: Mapping[str, Floats]
    finalists: Mapping[str, Mapping[str, Any]]
    images: int

    @classmethod
    def read(cls, certificate: Mapping[str, Any]) -> Confirmation:
        """Return what a certificate that holds says (see ``certificate.check``)."""
        table = np.array(
            [[np.nan if a is None else a for a in row] for row in certificate["accuracies"]], dtype=np.float64
        )
        finalists = certificate["finalists"]
        names = [finalist["name"] for finalist in finalists]
        return cls(
            verdict(table, names, level=certificate["level"], margin=certificate["margin"]),
            {name: table[:, i] for i, name in enumerate(names)},
            dict(zip(names, finalists, strict=True)),
            certificate["study"].get("train_images", ALL_IMAGES),
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
        headline, *sentences = self.verdict.sentences
        if self.images < ALL_IMAGES:
            sentences.insert(
                0,
                f"A quick look: trained on {self.images:,} of {ALL_IMAGES:,} images, no verdict on the whole.",
            )
        return VerdictText(
            "winner" if self.verdict.winner is not None else "tie",
            headline,
            tuple(sentences),
            columns=_COLUMNS,
            rows=tuple(_row(finalist, behind.get(finalist.name)) for finalist in self._ordered()),
            legend=_LEGEND.format(images=self.images),
        )

    def drawings(self) -> tuple[Drawing, ...]:
        """Return the figure of each finalist's accuracy on each seed."""
        finalists = self._ordered()
        typical = {
            f.name: (f.typical, f.low, f.high)
            for f in finalists
            if f.typical is not None and f.low is not None and f.high is not None
        }
        figure = seeds_figure({f.name: self.scores[f.name] for f in finalists}, typical)
        what = f"Test accuracy of {len(finalists)} finalists on {self.verdict.seeds} seeds"
        return (Drawing("confirmed", figure, what),)

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
    return (
        finalist.name,
        _accuracy(finalist.mean),
        _accuracy(finalist.median),
        _accuracy(finalist.typical),
        _interval(finalist.low, finalist.high),
        *(
            ("", "", "")
            if behind is None
            else (_accuracy(behind.lead), _interval(behind.low, behind.high), _p(behind.p_holm))
        ),
        f"{finalist.bad_runs} of {finalist.runs}",
        percent(finalist.probability_best),
    )


def _accuracy(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}".replace("-", "−")


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{_accuracy(low)} to {_accuracy(high)}"


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"

"""Finalists trained on fresh seeds until it is settled; the test set is opened at the looks of a plan.

One pass a seed: every finalist starts from the same initial weights and sees the same minibatches, so the seeds
pair the finalists. A finalist that a look excludes is not trained further: the passes after it are narrower.

Checkpoints, the scores on test examples, the plan and the data's checksums lie in a folder named after what is confirmed: other
finalists, another study or other settings never mix with them. Everything that decides is computed from these
files, so that a process that was cut off anywhere leaves the next one the same way to the same end.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from study.core.errors import InputError
from study.core.files import write_text
from study.core.records import EpochMetrics, StudyConfig
from study.loops.passes import FORM, Pass, schedule_rates
from study.loops.recording import Limit, Within, is_recorded, train_recorded, unseen
from study.loops.score_files import read_scores, write_scores
from study.stats.comparison import Bools
from study.stats.example_sums import ExampleSums
from study.stats.leaderboard import Finalist
from study.stats.sequential import Plan
from study.stats.verdict import Singly, Verdict, verdict
from study.store.tracking.mlflow_tracking import Tracker
from study.training.evaluation import Each, Examination, Scores
from study.training.side_by_side import SideBySide

#: Added to a confirmation's seeds, so that none of them is one of a search, nor one of those whose runs (of version 3,
#: from 1,000,000 on) had been seen when the rules of version 4 were made.
FRESH = 5_000_000


@dataclass(frozen=True)
class Confirmation:
    """What is confirmed. Seeds count from 1.

    Attributes:
        config: The study's settings.
        finalists: Who is confirmed.
        plan: When they are judged, and how strictly.
        folder: Where the files of all confirmations lie.
    """

    config: StudyConfig
    finalists: tuple[Finalist, ...]
    plan: Plan
    folder: Path

    @property
    def names(self) -> tuple[str, ...]:
        """The finalists' names."""
        return tuple(f.name for f in self.finalists)

    @property
    def epochs_at_most(self) -> int:
        """Epochs of runs if nobody is dropped and nothing is settled before the plan's end."""
        return self.config.epochs * len(self.finalists) * self.plan.seeds

    @cached_property
    def place(self) -> Path:
        """The folder of this confirmation alone."""
        about = [FORM, FRESH, self.config.to_json(), [[f.name, f.spec.to_json()] for f in self.finalists]]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        return self.folder / digest[:12]

    def pass_of(self, seed: int, names: Sequence[str]) -> Pass:
        """Return the pass of a seed, for the finalists that are still there."""
        there = [f for f in self.finalists if f.name in names]
        runs = [f.run(FRESH + seed, len(there)) for f in there]
        return Pass(runs, schedule_rates, self.place / f"seed-{seed:04}.pt")

    def lanes(self, examination: Examination, seed: int) -> SideBySide:
        """Return empty lanes with a seed's data order."""
        return examination.lanes(
            batch_size=self.config.batch_size,
            order_seed=FRESH + seed,
            bfloat16=self.config.precision == "bfloat16",
        )

    def keep_test(self, digests: Mapping[str, str]) -> None:
        """Fix the data, the test data among them, when that is opened for the first time.

        Raises:
            InputError: It was other data before.
        """
        file = self.place / "data.json"
        if not file.exists():
            write_text(file, json.dumps(dict(digests)))
            return
        before = json.loads(file.read_text("utf-8"))
        changed = [part for part in digests if digests[part] != before.get(part)]
        if changed:
            raise InputError(
                f"study {self.config.name!r}: the problem's {' and '.join(changed)} data has changed since these runs "
                "were first judged; give the same data"
            )

    def keep_plan(self) -> None:
        """Fix the plan, before the test set is opened for the first time.

        Raises:
            InputError: These runs were judged by another plan before.
        """
        file = self.place / "plan.json"
        if not file.exists():
            self.place.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(self.plan.to_json()))
            return
        before = Plan.from_json(json.loads(file.read_text("utf-8")))
        if before != self.plan:
            raise InputError(
                f"these runs were judged by {self._described(before)}; judging them again by {self._described(self.plan)} would "
                "add to the chance of a false winner: keep the plan, or confirm other finalists"
            )

    def check_plan(self) -> None:
        """Refuse a plan that differs from the one these runs were judged by, if they were.

        Raises:
            InputError: It differs.
        """
        if (self.place / "plan.json").exists():
            self.keep_plan()

    def _described(self, plan: Plan) -> str:
        looks = ",".join(map(str, plan.looks))
        return f"looks {looks}, level {plan.level:g}, margin {self.config.metric.written(plan.margin)}"


@dataclass(frozen=True)
class Standing:
    """Where a confirmation stands, for whoever watches it.

    Attributes:
        seed: The seed in training.
        done: Epochs of runs trained so far, by all processes.
        total: Epochs of runs there will be at most, if nobody more is dropped.
        last: Training metrics of the last epoch, by finalist in training.
        judged: The verdict of the last look, if there was one.
    """

    seed: int
    done: int
    total: int
    last: Mapping[str, EpochMetrics]
    judged: Verdict | None


def confirm(
    confirmation: Confirmation,
    examination: Examination,
    tracker: Tracker,
    show: Callable[[Standing], None],
    limit: Limit,
    within: Within = unseen,
) -> tuple[Verdict | None, NDArray[np.float64]]:
    """Train and judge until it is settled, the plan is at its end, or the time is up.

    Args:
        confirmation: What is confirmed.
        examination: What is trained on and judged by; the test data is opened at looks only.
        tracker: Opened on the confirmation's parent run.
        show: Called after every epoch, and after every look.
        limit: Time that training may take; a seed that would end beyond it is not begun.
        within: Called after every step.

    Returns:
        The verdict of the last look, ``None`` before the first one; and the test values, seeds x finalists.

    Raises:
        InputError: These runs were judged by another plan, or on other data, before.
    """
    confirmation.check_plan()
    runs = _Runs(confirmation, examination)
    judged: Verdict | None = None
    for seeds in confirmation.plan.looks:
        names = confirmation.names if judged is None else judged.contenders
        for seed in range(1 if judged is None else judged.seeds + 1, seeds + 1):
            one = confirmation.pass_of(seed, names)
            if not is_recorded(one):
                if not limit.allows_another():
                    return judged, runs.table
                with limit.another():
                    _train(confirmation, one, seed, judged, examination, tracker, show, within)
        confirmation.keep_plan()
        confirmation.keep_test(examination.digests())
        for seed in range(1 if judged is None else judged.seeds + 1, seeds + 1):
            runs.score(seed, names)
        judged = runs.judge()
        show(_standing(confirmation, judged.seeds, judged, 0, {}))
        if judged.final:
            break
    return judged, runs.table


def _train(
    confirmation: Confirmation,
    one: Pass,
    seed: int,
    judged: Verdict | None,
    examination: Examination,
    tracker: Tracker,
    show: Callable[[Standing], None],
    within: Within,
) -> None:
    """Train and record the pass of a seed."""
    there = [f for f in confirmation.finalists if judged is None or f.name in judged.contenders]

    def label(lane: int) -> tuple[str, dict[str, str]]:
        finalist = there[lane]
        tags = {"finalist": finalist.name, "trial": str(finalist.spec.number), "confirm_seed": str(seed)}
        return f"confirm {finalist.name} seed {seed}", {**tags, "lanes": str(len(there))}

    def after_epoch(row: Sequence[EpochMetrics]) -> None:
        last = {f.name: epoch for f, epoch in zip(there, row, strict=True)}
        show(_standing(confirmation, seed - 1, judged, (row[0].epoch + 1) * len(row), last))

    train_recorded(one, confirmation.lanes(examination, seed), tracker, label, after_epoch, within)


def _standing(
    confirmation: Confirmation,
    whole: int,
    judged: Verdict | None,
    more: int,
    last: Mapping[str, EpochMetrics],
) -> Standing:
    """Return where it stands with ``whole`` seeds trained and ``more`` epochs of runs of the next one."""
    epochs = confirmation.config.epochs
    before, width, runs = 0, len(confirmation.finalists), 0
    for look in () if judged is None else judged.looks:
        runs += (look.seeds - before) * width
        before, width = look.seeds, width - len(look.dropped)
    left = 0 if judged is not None and judged.final else confirmation.plan.seeds - before
    done = (runs + (whole - before) * width) * epochs + more
    return Standing(whole + bool(last), done, (runs + left * width) * epochs, last, judged)


class _Runs:
    """The runs that were scored on the test data, and the verdict on them."""

    def __init__(self, confirmation: Confirmation, examination: Examination) -> None:
        self._confirmation, self._examination = confirmation, examination
        self._scores: list[dict[str, Scores]] = []  # one a seed

    @property
    def table(self) -> NDArray[np.float64]:
        """Test values ``[seeds, finalists]``; NaN for a diverged run and where there is none."""
        names = self._confirmation.names
        rows = [[row[name].value if name in row else math.nan for name in names] for row in self._scores]
        return np.array(rows, dtype=np.float64).reshape(-1, len(names))

    def score(self, seed: int, names: Sequence[str]) -> None:
        """Take in the scores of the next seed, measured now if no earlier process has."""
        file = self._confirmation.place / f"seed-{seed:04}.scores.npz"
        there = [name for name in self._confirmation.names if name in names]
        found = read_scores(file, there)
        if found is None:
            found = self._measure(seed, there)
            write_scores(file, found)
        self._scores.append(found)

    def judge(self) -> Verdict:
        """Return the verdict on the seeds taken in so far."""
        names, config = self._confirmation.names, self._confirmation.config
        known = [s.each for row in self._scores for s in row.values() if s.each is not None]

        def each(finalist: int, shared: Bools) -> list[Each]:
            rows = (self._scores[seed][names[finalist]].each for seed in np.flatnonzero(shared))
            return [row for row in rows if row is not None]

        def sums(_look: int, leader: int, rival: int, shared: Bools) -> ExampleSums:
            better, worse = (leader, rival) if config.metric.maximized else (rival, leader)
            return ExampleSums.of(each(better, shared), each(worse, shared))

        singly = Singly(len(known[0]), sums) if known else None
        return verdict(
            self.table, names, self._confirmation.plan, singly, metric=config.metric, noun=config.noun
        )

    def _measure(self, seed: int, names: Sequence[str]) -> dict[str, Scores]:
        lanes = self._confirmation.lanes(self._examination, seed)
        self._confirmation.pass_of(seed, names).load(lanes)
        found = self._examination.score(lanes)
        return {name: found[lane] for lane, name in enumerate(names)}

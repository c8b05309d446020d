"""Finalists trained on fresh seeds until it is settled; the test set is opened at the looks of a plan.

One pass a seed: every finalist starts from the same initial weights and sees the same minibatches, so the seeds
pair the finalists. A finalist that a look excludes is not trained further: the passes after it are narrower.

Checkpoints, the scores of each test example and the plan lie in a folder named after what is confirmed: other
finalists, another study or other settings never mix with them. Everything that decides is computed from these
files, so that a process that was cut off anywhere leaves the next one the same way to the same end.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from study.core.errors import InputError
from study.core.families import SCHEDULE_FREE
from study.core.files import whole_file, write_text
from study.core.records import EpochMetrics, StudyConfig
from study.loops.passes import FORM, Pass, schedule_rates
from study.loops.recording import is_recorded, train_recorded
from study.outside.memory import require_room
from study.problems.fashion_mnist import Split
from study.stats.comparison import Bools
from study.stats.images import ImageSums
from study.stats.leaderboard import Finalist
from study.stats.sequential import Plan
from study.stats.verdict import Verdict, verdict
from study.store.mlflow_tracking import Tracker
from study.training.evaluation import Scores, score_examples
from study.training.lenet import lenet_memory
from study.training.side_by_side import SideBySide
from study.training.workload import fashion_mnist_lanes

#: Added to a confirmation's seeds, so that none of them is one that the search used.
FRESH = 1_000_000


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
        about = [FORM, self.config.to_json(), [[f.name, f.spec.to_json()] for f in self.finalists]]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        return self.folder / digest[:12]

    def pass_of(self, seed: int, names: Sequence[str]) -> Pass:
        """Return the pass of a seed, for the finalists that are still there."""
        there = [f for f in self.finalists if f.name in names]
        runs = [f.run(FRESH + seed, len(there)) for f in there]
        return Pass(runs, schedule_rates, self.place / f"seed-{seed:04}.pt")

    def lanes(self, split: Split, seed: int) -> SideBySide:
        """Return empty lanes with a seed's data order."""
        return fashion_mnist_lanes(
            split,
            schedule_free=any(f.spec.family == SCHEDULE_FREE for f in self.finalists),
            batch_size=self.config.batch_size,
            order_seed=FRESH + seed,
            bfloat16=self.config.precision == "bfloat16",
        )

    def require_room(self, multiples: int) -> None:
        """Refuse more runs side by side than there is memory for.

        Args:
            multiples: Multiples of the base rate that each finalist is trained at, 1 for its own alone.

        Raises:
            InputError: They do not fit.
        """
        taken = lenet_memory(self.config.batch_size, bfloat16=self.config.precision == "bfloat16")
        require_room(len(self.finalists) * multiples, taken, self.config.device, "the runs side by side,")

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
                f"these runs were judged by {_described(before)}; judging them again by {_described(self.plan)} would "
                "add to the chance of a false winner: keep the plan, or confirm other finalists"
            )

    def check_plan(self) -> None:
        """Refuse a plan that differs from the one these runs were judged by, if they were.

        Raises:
            InputError: It differs.
        """
        if (self.place / "plan.json").exists():
            self.keep_plan()


def _described(plan: Plan) -> str:
    looks = ",".join(map(str, plan.looks))
    return f"looks {looks}, level {plan.level:g}, margin {100 * plan.margin:g} points"


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


@dataclass
class Limit:
    """Time that training may take.

    Attributes:
        seconds: The limit; ``None`` for none.
        clock: Seconds that only grow.
    """

    seconds: float | None = None
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)
    _longest: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Start the clock."""
        self._started = self.clock()

    def allows_another(self) -> bool:
        """Whether a seed that takes as long as the longest so far would end in time."""
        gone = self.clock() - self._started
        return self.seconds is None or gone + self._longest <= self.seconds

    def took(self, seconds: float) -> None:
        """Take in how long a seed took."""
        self._longest = max(self._longest, seconds)


def confirm(
    confirmation: Confirmation,
    split: Split,
    final: Callable[[], Split],
    tracker: Tracker,
    show: Callable[[Standing], None],
    limit: Limit,
) -> tuple[Verdict | None, NDArray[np.float64]]:
    """Train and judge until it is settled, the plan is at its end, or the time is up.

    Args:
        confirmation: What is confirmed.
        split: All training images, nothing to measure on.
        final: Opens the test set; called at looks only.
        tracker: Opened on the confirmation's parent run.
        show: Called after every epoch, and after every look.
        limit: Time that training may take; a seed that would end beyond it is not begun.

    Returns:
        The verdict of the last look, ``None`` before the first one; and the test accuracies, seeds x finalists.

    Raises:
        InputError: These runs were judged by another plan before.
    """
    confirmation.check_plan()
    runs = _Runs(confirmation)
    judged: Verdict | None = None
    for seeds in confirmation.plan.looks:
        names = confirmation.names if judged is None else judged.contenders
        for seed in range(1 if judged is None else judged.seeds + 1, seeds + 1):
            one = confirmation.pass_of(seed, names)
            if not is_recorded(one):
                if not limit.allows_another():
                    return judged, runs.table
                started = limit.clock()
                _train(confirmation, one, seed, judged, split, tracker, show)
                limit.took(limit.clock() - started)
        confirmation.keep_plan()
        for seed in range(1 if judged is None else judged.seeds + 1, seeds + 1):
            runs.score(seed, names, final)
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
    split: Split,
    tracker: Tracker,
    show: Callable[[Standing], None],
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

    train_recorded(one, confirmation.lanes(split, seed), tracker, label, after_epoch)


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
    """The runs that were scored on the test set, and the verdict on them."""

    def __init__(self, confirmation: Confirmation) -> None:
        self._confirmation = confirmation
        self._scores: list[dict[str, Scores]] = []  # one a seed

    @property
    def table(self) -> NDArray[np.float64]:
        """Test accuracies ``[seeds, finalists]``; NaN for a diverged run and where there is none."""
        names = self._confirmation.names
        rows = [[row[name].accuracy if name in row else math.nan for name in names] for row in self._scores]
        return np.array(rows, dtype=np.float64).reshape(-1, len(names))

    def score(self, seed: int, names: Sequence[str], final: Callable[[], Split]) -> None:
        """Take in the scores of the next seed, measured now if no earlier process has."""
        file = self._confirmation.place / f"seed-{seed:04}.scores.npz"
        there = [name for name in self._confirmation.names if name in names]
        found = _read_scores(file, there)
        if found is None:
            found = self._measure(seed, there, final())
            _write_scores(file, found)
        self._scores.append(found)

    def judge(self) -> Verdict:
        """Return the verdict on the seeds taken in so far."""
        names = self._confirmation.names

        def sums(_look: int, leader: int, rival: int, shared: Bools) -> ImageSums:
            rows = [self._scores[seed] for seed in np.flatnonzero(shared)]
            return ImageSums.of(
                [row[names[leader]].right for row in rows], [row[names[rival]].right for row in rows]
            )

        return verdict(self.table, names, self._confirmation.plan, sums)

    def _measure(self, seed: int, names: Sequence[str], final: Split) -> dict[str, Scores]:
        if final.evaluation is None:
            raise ValueError("the final split has no test images")
        lanes = self._confirmation.lanes(final, seed)
        self._confirmation.pass_of(seed, names).load(lanes)
        found = score_examples(lanes, final.evaluation)
        return {name: found[lane] for lane, name in enumerate(names)}


def _write_scores(file: Path, scores: Mapping[str, Scores]) -> None:
    """Keep the scores of a seed: a bit an example."""
    right = np.stack([score.right for score in scores.values()])
    losses = np.array([score.loss for score in scores.values()])
    with whole_file(file) as part, part.open("wb") as out:
        np.savez(out, names=np.array(list(scores)), examples=right.shape[1], losses=losses,
                 right=np.packbits(right, axis=1))  # fmt: skip


def _read_scores(file: Path, names: Sequence[str]) -> dict[str, Scores] | None:
    """Return the scores that an earlier process kept, if it did.

    Raises:
        InputError: The file cannot be read, or is of other runs.
    """
    if not file.exists():
        return None
    try:
        with np.load(file) as kept:
            bits = kept["right"]
            right = np.unpackbits(bits, axis=1, count=min(int(kept["examples"]), 8 * bits.shape[1])).astype(
                bool
            )
            found = {str(n): Scores(float(loss), row)
                     for n, loss, row in zip(kept["names"], kept["losses"], right, strict=True)}  # fmt: skip
    except Exception as error:  # numpy and zipfile raise what they like on a damaged file
        raise InputError(f"{file}: damaged, or no scores of ours; remove it") from error
    if list(found) != list(names):
        raise InputError(f"{file}: is of other runs; remove it, or use another folder")
    return found

"""What a study costs as it grows to 10,000 trials: all but the training, which is played from recorded curves.

    python benchmarks/growth.py [--sizes 100,1000,10000] [--window 48] [--lanes 8] [--pruner median]

The search's own loop runs with its sampler, its pruner, Optuna's and MLflow's SQLite files; in place of networks,
lanes give out curves that a real search recorded (``data/curves.npz``: 66 trials of 30 epochs, train and validation
loss and accuracy). To reach a size, the trials there are copied, row by row, in both databases, and the last
``--window`` trials are then searched by a new process: it opens the study, continues and closes it. The study is then
audited and reported by the commands that a user types.

Printed for each size, in processor time, so that a busy machine does not decide: milliseconds a trial in Optuna (ask: sampling included; report; prune; tell) and in MLflow,
seconds of opening, closing, audit and report, their peak memory, and the page's size. Exits with 1 if the page of the
largest study is 10 MB or more, or if anything grows faster than n log n.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.core.records import EpochMetrics, StudyConfig, TrialSpec
from study.tuning.classic import CLASSIC as FAMILIES

ROOT = Path(__file__).resolve().parent.parent
CURVES = ROOT / "benchmarks" / "data" / "curves.npz"
EPOCHS, STEPS = 30, 196
STORAGE, TRACKING = "sqlite:///optuna.db", "sqlite:///mlflow.db"
PAGE_MB = 10.0
#: Calls a trial that are timed, and the commands that are timed as a whole.
CALLS = ("ask", "report", "prune", "tell", "mlflow")
WHOLE = ("opening", "closing", "audit", "page")

#: Runs a program and says its seconds of processor time and its largest memory in kilobytes.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


class RecordedLanes:
    """Lanes that train nothing: each gives out a recorded curve, chosen by the seed of its weights."""

    def __init__(self, clock: int) -> None:
        self.clock, self.steps = clock, STEPS
        self._curves: NDArray[np.float32] = np.load(CURVES)["curves"]
        self._lanes: dict[int, tuple[int, int]] = {}  # curve and epochs given, by key

    @property
    def keys(self) -> list[int]:
        """Numbers of the trials that train."""
        return list(self._lanes)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the recorded curves have no weights."""
        return {}

    def add(self, key: int, seed: int, asked: TrialSpec | None = None) -> None:
        """Start a trial."""
        del asked
        self._lanes[key] = seed % len(self._curves), 0

    def drop(self, key: int) -> None:
        """End a trial."""
        del self._lanes[key]

    def train_epoch(self, rates: Mapping[int, NDArray[np.float64]]) -> dict[int, EpochMetrics]:
        """Return what the next epoch of each trial gave when it was recorded."""
        given = {}
        for key, (curve, epoch) in self._lanes.items():
            train_loss, train_accuracy, val_loss, val_accuracy = self._curves[curve, epoch].tolist()
            given[key] = EpochMetrics(
                epoch, float(rates[key][-1]), train_loss, train_accuracy, val_loss, val_accuracy, None, 0.0
            )
            self._lanes[key] = curve, epoch + 1
        self.clock += 1
        return given


def settings(pruner: str) -> StudyConfig:
    """Return the settings of the study: the search's own."""
    from study.loops.searching.search_options import pruning_defaults

    told = pruning_defaults(pruner, EPOCHS)
    return StudyConfig(
        name="growth", epochs=EPOCHS, batch_size=256, schedules=FAMILIES, sampler="stratified", pruner=pruner,
        n_warmup_steps=told["n_warmup_steps"], interval_steps=1, n_startup_trials=told["n_startup_trials"],
        prune_on="val", reprieve=0.1, seed=0, train_images=50_000, device="cpu", keep_best=1,
    )  # fmt: skip


# The window: a process of its own, which continues the study.


class Stopwatch:
    """Seconds spent under each name, by default of the processor; what is timed within another is taken off it."""

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner: list[float] = []

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Count the time of a block."""
        began = self.clock()
        self._inner.append(0.0)
        try:
            yield
        finally:
            taken = self.clock() - began
            self.seconds[name] += taken - self._inner.pop()
            if self._inner:
                self._inner[-1] += taken

    def wrap(self, owner: Any, function: str, name: str) -> None:
        """Count every call of a module's or an object's function."""
        real: Callable[..., Any] = getattr(owner, function)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.running(name):
                return real(*args, **kwargs)

        setattr(owner, function, timed)


def search_window(pruner: str, total: int, lanes: int) -> dict[str, float]:
    """Open the study, search until it has ``total`` trials, close it; return seconds by name."""
    from study.loops.searching import search_loop
    from study.loops.searching.search_checkpoint import free_slot
    from study.page.closing import close_study
    from study.store import lifecycle
    from study.store import optuna_storage as store
    from study.store.tracking.mlflow_tracking import Tracker
    from study.tuning.pruner import make_pruner
    from study.tuning.sampler import make_sampler
    from study.tuning.space import Space

    watch = Stopwatch()
    config, space = settings(pruner), Space(FAMILIES, EPOCHS)
    with watch.running("opening"):
        study = store.open_study(STORAGE, config)
        study.sampler, study.pruner = make_sampler(config, space), make_pruner(config)
        lifecycle.recover(study)
        tracker = Tracker.open(
            TRACKING, config, attributes={}, key=study.user_attrs["key"], resume_run_id=study.user_attrs.get("mlflow_run_id"),
            running=lambda: lifecycle.running(study),
        )  # fmt: skip
        study.set_user_attr("mlflow_run_id", tracker.run_id)
        known = store.record(study)
    places = ExitStack()
    slot = places.enter_context(free_slot(Path("checkpoints")))
    loop = search_loop.SearchLoop(
        study, config, space, tracker, RecordedLanes(search_loop.next_clock(known)),  # type: ignore[arg-type]  # stands in for lanes
        slot, width=lanes, total=total, show=lambda _: None,
    )  # fmt: skip
    for function, name in (("ask", "ask"), ("begin", "ask"), ("report", "report"), ("finish", "tell")):
        watch.wrap(lifecycle, function, name)
    watch.wrap(space, "suggest", "ask")
    watch.wrap(search_loop, "decide", "prune")
    for function in ("start", "epoch", "end"):
        watch.wrap(tracker, function, "mlflow")
    loop.run()
    places.close()
    with watch.running("closing"):
        close_study(store.record(study), tracker, "finished")
    store.close(study)
    return dict(watch.seconds)


# The whole: fill, continue, audit, report.


def run(folder: Path, *command: str) -> tuple[float, float, str]:
    """Run a command in the study's folder; return its processor seconds, its memory in MB, what it printed."""
    # The measuring program is a process of its own: Linux counts into a child what its parent held.
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, sys.executable, *command],
        cwd=folder, check=True, text=True, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    *said, last = done.stdout.strip().splitlines()
    seconds, kilobytes = map(float, last.split())
    return seconds, kilobytes / 1000, "\n".join(said)


def measure(folder: Path, size: int, options: argparse.Namespace) -> dict[str, float]:
    """Continue the study to ``size`` trials, audit and report it; return all figures by name."""
    before = trials_in(folder)
    window = ("--window-of", str(size), "--lanes", str(options.lanes), "--pruner", options.pruner)
    _, search_mb, said = run(folder, __file__, *window)
    seconds: dict[str, float] = json.loads(said)
    row = {name: 1000 * seconds[name] / (size - before) for name in CALLS}
    row |= {"opening": seconds["opening"], "closing": seconds["closing"], "search MB": search_mb}
    row["audit"], row["audit MB"], _ = run(folder, "-m", "study.audit")
    row["page"], row["page MB"], _ = run(folder, "-m", "study.report")
    row["page size"] = (folder / "report.html").stat().st_size / 1e6
    return row


def trials_in(folder: Path) -> int:
    """Return the number of trials so far."""
    if not (folder / "optuna.db").exists():
        return 0
    with sqlite3.connect(folder / "optuna.db") as database:
        (count,) = database.execute("SELECT count(*) FROM trials").fetchone()
    return int(count)


def fill(folder: Path, size: int) -> None:
    """Copy the trials there are, as rows of both databases, until there are ``size``."""
    have = trials_in(folder)
    with sqlite3.connect(folder / "optuna.db") as optuna:
        pairs = [(n % have + 1, n + 1) for n in range(have, size)]  # ids count from 1, numbers from 0
        copies(optuna, pairs)
        copy(optuna, "trials", "trial_id", {"number": "new - 1"})
        for table in ("params", "values", "intermediate_values"):
            copy(optuna, f"trial_{table}", "trial_id")
        number = (
            """CASE "key" WHEN 'asked' THEN json_set(value_json, '$.number', new - 1) ELSE value_json END"""
        )
        copy(optuna, "trial_user_attributes", "trial_id", {"value_json": number})
        copy(optuna, "trial_system_attributes", "trial_id", {"value_json": number})
    with sqlite3.connect(folder / "mlflow.db") as mlflow:
        query = "SELECT value, run_uuid FROM tags WHERE key = 'trial'"
        runs = {int(number): run for number, run in mlflow.execute(query)}
        copies(mlflow, [(runs[old - 1], f"{new - 1:032x}") for old, new in pairs])
        for table in ("runs", "metrics", "latest_metrics", "params"):
            copy(mlflow, table, "run_uuid")
        mlflow.create_function("number", 1, lambda run: str(int(run, 16)))
        trial = "CASE t.key WHEN 'trial' THEN number(new) ELSE value END"
        copy(mlflow, "tags", "run_uuid", {"value": trial})
        copy(mlflow, "inputs", "destination_id", {"input_uuid": "lower(hex(randomblob(16)))"})


def copies(database: sqlite3.Connection, pairs: Sequence[tuple[Any, Any]]) -> None:
    """Say which key each copy is a copy of."""
    database.execute("CREATE TEMP TABLE pair (old, new)")
    database.executemany("INSERT INTO pair VALUES (?, ?)", pairs)
    database.execute("CREATE INDEX temp.olds ON pair (old)")


def copy(database: sqlite3.Connection, table: str, key: str, change: Mapping[str, str] | None = None) -> None:
    """Copy a table's rows from the old keys to the new ones.

    Args:
        database: Where ``copies`` was told the keys.
        table: Table to copy within.
        key: Column that holds the old key and gets the new one.
        change: Expressions for columns that are not copied as they are; row ids are given anew.
    """
    columns = [
        (name, kind, primary)
        for _, name, kind, _, _, primary in database.execute(f"PRAGMA table_info({table})")
    ]
    given = {name: f't."{name}"' for name, kind, primary in columns if not (primary and kind == "INTEGER")}
    given |= {key: "new", **(change or {})}
    into, what = (", ".join(part) for part in (map('"{}"'.format, given), given.values()))
    query = f'INSERT INTO {table} ({into}) SELECT {what} FROM {table} t JOIN pair ON t."{key}" = old'  # noqa: S608 - our own names
    database.execute(query)


def table(rows: Mapping[int, Mapping[str, float]]) -> str:
    """Return all figures as a Markdown table, a column a size."""
    units = {**dict.fromkeys(CALLS, "ms a trial"), **dict.fromkeys(WHOLE, "s")}
    names = list(next(iter(rows.values())))
    lines = ["| | " + " | ".join(f"{size:,} trials" for size in rows) + " |", "|---|" + "---:|" * len(rows)]
    for name in names:
        cells = " | ".join(f"{row[name]:.1f}" for row in rows.values())
        lines.append(f"| {name}, {units.get(name, 'MB')} | {cells} |".replace(" MB, MB", ", peak MB"))
    return "\n".join(lines)


def too_fast(rows: Mapping[int, Mapping[str, float]]) -> list[str]:
    """Return what grew faster than n log n between two sizes: of the calls the cost of one, of the rest the whole."""
    found = []
    for small, large in itertools.pairwise(rows):
        allowed = large * math.log(large) / (small * math.log(small))
        found += [
            f"{name} from {small:,} to {large:,} trials"
            for name in (*CALLS, *WHOLE)
            if rows[large][name] > allowed * rows[small][name]
        ]
    return found


def main() -> int:
    """Print the table; return 1 if something grows too fast or the page is too large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default="100,1000,10000", help="trials, ascending")
    parser.add_argument("--window", type=int, default=48, help="trials searched at each size")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--pruner", default="median")
    parser.add_argument("--folder", type=Path, default=None, help="keep the study here")
    parser.add_argument("--window-of", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.window_of is not None:
        print(json.dumps(search_window(options.pruner, options.window_of, options.lanes)))
        return 0
    rows: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        for size in map(int, options.sizes.split(",")):
            if rows:
                fill(folder, size - options.window)
            rows[size] = measure(folder, size, options)
            print(f"{size:,} trials: measured", file=sys.stderr)
    print(table(rows))
    fast = too_fast(rows)
    page = rows[max(rows)]["page size"]
    print(f"\nfaster than n log n: {', '.join(fast) or 'nothing'}; page {page:.1f} MB (bar {PAGE_MB:.0f})")
    return int(bool(fast) or page >= PAGE_MB)


if __name__ == "__main__":
    sys.exit(main())

"""What Optuna, MLflow and the display take of a study: shares of a search's seconds by the clock.

    python benchmarks/overhead.py [--repetitions 3] [--trials 24] [--epochs 5]

The search is the command itself with real training, in a process of its own whose functions are timed. Counted from the
first epoch to the closing table: training (with measuring on the validation images), Optuna (asking, sampling, reporting,
pruning, ending), MLflow, display; the rest is what nothing of these took. Printed: median seconds and share of each.
The bar: Optuna, MLflow and display take at most 3 % together.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BAR = 0.03
BESIDE = ("Optuna", "MLflow", "display")


def search(trials: int, epochs: int) -> None:
    """Run the search in this process, its functions timed; print the seconds by name as JSON."""
    from benchmarks.growth import Stopwatch
    from study.loops.searching import search_loop
    from study.search import main as command
    from study.store import lifecycle
    from study.store.tracking.mlflow_tracking import Tracker
    from study.terminal.progress import Progress
    from study.training.lanes import Lanes
    from study.tuning.space import Space

    watch = Stopwatch(time.perf_counter)
    for function in ("ask", "begin", "report", "finish"):
        watch.wrap(lifecycle, function, "Optuna")
    watch.wrap(Space, "suggest", "Optuna")
    watch.wrap(search_loop, "decide", "Optuna")
    for function in ("start", "epoch", "end"):
        watch.wrap(Tracker, function, "MLflow")
    for function in ("update", "within"):
        watch.wrap(Progress, function, "display")
    watch.wrap(Lanes, "train_epoch", "training")
    watch.wrap(search_loop.SearchLoop, "run", "rest")
    command(["--trials", str(trials), "--epochs", str(epochs)], standalone_mode=False)
    print(json.dumps(watch.seconds))


def once(trials: int, epochs: int) -> dict[str, float]:
    """Return the seconds by name of a search in a process and a folder of its own."""
    words = [sys.executable, __file__, "--trials", str(trials), "--epochs", str(epochs), "--search"]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            words, cwd=folder, env=environment, check=True, text=True, stdout=subprocess.PIPE
        )
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def main() -> int:
    """Print the shares; return 0 if the bar is reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--search", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.search:
        search(options.trials, options.epochs)
        return 0
    runs = [once(options.trials, options.epochs) for _ in range(options.repetitions)]
    shares = [{name: seconds / sum(run.values()) for name, seconds in run.items()} for run in runs]
    for name in runs[0]:
        seconds = statistics.median(run[name] for run in runs)
        each = sorted(share[name] for share in shares)
        print(f"{name:9} {seconds:7.2f} s  {statistics.median(each):6.1%}  ({each[0]:.1%} to {each[-1]:.1%})")
    beside = sorted(sum(share[name] for name in BESIDE) for share in shares)
    print(
        f"Optuna, MLflow and display: {statistics.median(beside):.1%} ({beside[0]:.1%} to {beside[-1]:.1%}), n = {len(runs)}"
    )
    return int(statistics.median(beside) > BAR)


if __name__ == "__main__":
    sys.exit(main())

"""A whole study against the script that people write first: seconds an epoch, in one run.

    python benchmarks/whole_study.py [--repetitions 3]

Ours is the command as a user gives it (12 trials of 3 epochs, start-up, Optuna, MLflow and display included), in
float32 and in bfloat16; the other is ``benchmarks/plain_study.py`` (6 trials of 3 epochs, likewise). Repetitions are
interleaved. Printed: median and range of the seconds an epoch, and how many times the plain script takes. The
bars: ours is at least 5 times faster in float32 and 7 times in bfloat16.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from study.core.records import SEARCH_IMAGES

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.throughput import describe, lay_out  # noqa: E402 - found where this file lies

BARS = {"float32": 5.0, "bfloat16": 7.0}
EPOCHS = 3
OURS, PLAIN = 12, 6


def main() -> int:
    """Measure all three, interleaved; print the table; return 0 if the bars are reached."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    describe(SEARCH_IMAGES, options.repetitions)
    seconds: dict[str, list[float]] = {"plain script": [], **{precision: [] for precision in BARS}}
    with tempfile.TemporaryDirectory(prefix="whole-study-") as root:
        lay_out(Path(root))
        for _ in range(options.repetitions):
            for way, known in seconds.items():
                known.append(timed(way, root))
                print(f"  {way}: {known[-1]:.2f} s an epoch", flush=True)
    plain = statistics.median(seconds["plain script"])
    print(f"\n{'way':14} {'median':>7} {'range':>14} {'plain / this':>13}")
    for way, known in seconds.items():
        median = statistics.median(known)
        print(f"{way:14} {median:7.2f} {min(known):6.2f} to {max(known):4.2f} {plain / median:13.1f}")
    return int(any(plain / statistics.median(seconds[p]) < bar for p, bar in BARS.items()))


def timed(way: str, root: str) -> float:
    """Run a study in a folder of its own; return its seconds an epoch, the clock's."""
    if way == "plain script":
        words = [str(ROOT / "benchmarks" / "plain_study.py"), root, "--trials", str(PLAIN)]
    else:
        words = ["-m", "study.search", "--trials", str(OURS), "--precision", way, "--pruner", "none"]
    trials = PLAIN if way == "plain script" else OURS
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *words, "--epochs", str(EPOCHS)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        taken = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return taken / (trials * EPOCHS)


if __name__ == "__main__":
    sys.exit(main())

"""Seconds from the command to its first epoch: ``python benchmarks/startup.py 5``.

A search of 12 trials of 3 epochs is started anew, in an empty folder, as often as asked, and stopped when it shows that
nothing is trained yet: all is imported, read and made then, and the first minibatch follows. Wall-clock seconds depend on
the machine's other work, the process's own processor seconds hardly. Linux alone, for ``/proc``.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "study.search", "--trials", "12", "--epochs", "3"]


def once() -> tuple[float, float]:
    """Return wall-clock and processor seconds until the first epoch."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            COMMAND, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            for line in process.stdout or ():
                if " 0/36 epochs" in line:
                    break
            else:
                sys.exit("the search ended before its first epoch")
            wall = time.perf_counter() - started
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks = int(fields[11]) + int(fields[12])  # of user and system, proc(5)
            process.send_signal(signal.SIGTERM)
            process.communicate()
    return wall, ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print each run and the medians."""
    runs = [once() for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5)]
    for wall, own in runs:
        print(f"{wall:6.2f} s by the clock, {own:5.2f} s of processor")
    walls, owns = zip(*runs, strict=True)
    print(f"median of {len(runs)}: {statistics.median(walls):.2f} s by the clock, "
          f"{statistics.median(owns):.2f} s of processor; load now {os.getloadavg()[0]:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()

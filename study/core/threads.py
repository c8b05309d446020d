"""Settings of a process that must stand in its environment before PyTorch is imported.

PyTorch's wheels bring an OpenMP runtime that reads the environment once, when it is loaded: GNU's on Linux, LLVM's
elsewhere. By default its threads wait at the end of each parallel loop by spinning, 300,000 rounds with GNU's. While
a neighbour holds one core, the threads on the others then burn the time that the last one needs to catch up; beside
``mlflow ui`` a training step took 3 to 12 times as long. Ten thousand rounds are enough for most gaps of a quiet
machine. ``docs/performance.md`` has the figures.
"""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

#: Rounds that a thread waits before it sleeps, GNU's runtime: half a millisecond or so.
SPIN_ROUNDS = "10000"
#: The same for LLVM's runtime, in milliseconds, instead of 200. Unmeasured.
BLOCK_TIME = "1"
#: What a user says about waiting in any of these stands.
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


def prepare_environment(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set how PyTorch's threads wait, how many there are, and large memory pages; what the user set stays.

    Without effect on a process that has imported PyTorch already.

    Args:
        environment: Changed in place.
    """
    if not any(name in environment for name in WAITING):
        environment["GOMP_SPINCOUNT"] = SPIN_ROUNDS
        environment["KMP_BLOCKTIME"] = BLOCK_TIME
    threads = environment.setdefault("OMP_NUM_THREADS", str(processors()))
    if threads.isdecimal():  # one pool of threads serves both; it is rebuilt where their numbers differ
        environment.setdefault("NUMBA_NUM_THREADS", threads)
    environment.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # PyTorch's own: pages of 2 MiB, where Linux has them


def processors() -> int:
    """Return how many processors this process may use at once: its affinity, and its container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.ceil(min(count, quota(Path("/sys/fs/cgroup")))))


def quota(root: Path) -> float:
    """Return the processors' worth of time that Linux's control group under ``root`` allows; infinite if any.

    A container sees its own group as the root. Version 2 keeps microseconds and their period, or ``max``, in one
    file, version 1 in two, with -1 for no limit.
    """
    try:
        allowed, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            allowed, period = ((root / "cpu" / f"cpu.cfs_{n}_us").read_text() for n in ("quota", "period"))
        except OSError:
            return math.inf
    return int(allowed) / int(period) if allowed.strip().isdecimal() else math.inf

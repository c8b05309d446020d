"""Who trains a trial: enough of a process's identity to know later that it is dead.

A process number alone is not enough: it is given out again, and means nothing on another machine or
in another container. So its start time and its kernel (boot and process namespace) go with it.
"""

from __future__ import annotations

import os
import platform
import subprocess
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process, as it is recorded with what it works on.

    Attributes:
        host: Name of the machine.
        kernel: Tells boots, containers and machines of one name apart.
        pid: Its number there.
        started: When it started, in whatever form the system gives it; empty where it gives none.
    """

    host: str
    kernel: str
    pid: int
    started: str

    def is_alive(self) -> bool | None:
        """Return whether this process still runs; ``None`` where that cannot be seen from here."""
        if self.kernel != current().kernel or os.name != "posix":  # os.kill(pid, 0) would end it there
            return None
        return _exists(self.pid) and _started(self.pid) == self.started


def current() -> Process:
    """Return the process that calls."""
    return _describe(os.getpid())  # not cached by itself: a fork has another number


@cache
def _describe(pid: int) -> Process:
    return Process(platform.node(), _kernel(), pid, _started(pid))


def _kernel() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return f"{uuid.getnode():x}"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's: alive
        return True
    return True


def _started(pid: int) -> str:
    """Return a process's start time; ``ended`` for one that only waits to be collected."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return _started_by_ps(pid)
    return "ended" if fields[0] in {"Z", "X"} else fields[19]


def _started_by_ps(pid: int) -> str:
    if os.name != "posix":
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - the argument is a number
            ["ps", "-o", "lstart=", "-p", str(pid)],  # noqa: S607 - ps is where the system has it
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip()

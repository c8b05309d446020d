"""How much memory this process may still take, and whether the lanes asked for fit into it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from study.core.errors import InputError

MB = 1_000_000
#: Variable that tells a worker how many there are.
SHARED = "LRSTUDY_WORKERS"
#: Address space that PyTorch, Numba and MLflow take before anything is trained: measured 4.0 GB with 2 threads.
ADDRESSES = 4_500 * MB


def available(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process may still take; ``None`` where the system does not say.

    The least of what the machine has free, of what its control group allows, and of ``ulimit -v``; of that its share,
    where it is one of several workers (``SHARED``).
    """
    least = min(_limits(root), default=None)
    return None if least is None else least // int(os.environ.get(SHARED, "1"))


def _limits(root: Path) -> Iterator[int]:
    free = _fields(root / "proc/meminfo").get("MemAvailable")
    if free is not None:
        yield free * 1024
    for limit, used in (("memory.max", "memory.current"),
                        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):  # fmt: skip
        allowed, taken = (_number(root / "sys/fs/cgroup" / name) for name in (limit, used))
        if allowed is not None and taken is not None:
            # What the group's files hold in memory is given back when it is needed.
            cached = _fields(root / "sys/fs/cgroup" / limit, sibling="memory.stat").get("inactive_file", 0)
            yield max(0, allowed - taken + cached)
    most = address_limit()
    size = _fields(root / "proc/self/status").get("VmSize")
    if most is not None and size is not None:
        yield max(0, most - size * 1024)


def address_limit() -> int | None:
    """Return the bytes of address space that this process may have (``ulimit -v``); ``None`` for no limit."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def require_address_space() -> None:
    """Refuse a limit under which PyTorch cannot be imported: it ends with a segmentation fault, or worse.

    Raises:
        InputError: The limit is lower.
    """
    limit = address_limit()
    if limit is not None and limit < ADDRESSES:
        raise InputError(
            f"this process may take {limit // MB:,} MB of addresses (ulimit -v), and needs {ADDRESSES // MB:,} MB "
            "before anything is trained: raise the limit"
        )


def require_room(lanes: int, bytes_a_lane: int, device: str, named: str = "`lanes`") -> None:
    """Refuse more lanes than fit into memory, before anything is made.

    Args:
        lanes: Networks trained side by side.
        bytes_a_lane: What each takes, measured.
        device: Type of the device; nothing is refused of a GPU's memory, which PyTorch itself tells the end of.
        named: What the error calls them, such as the argument that says how many.

    Raises:
        InputError: They do not fit; says how many would.
    """
    need, free = lanes * bytes_a_lane, available() if device == "cpu" else None
    if free is None or need <= free:
        return
    fit = free // max(1, bytes_a_lane)
    advice = f"{fit:,} fit" if fit else "not one fits: free some memory"
    raise InputError(
        f"{named} {lanes:,} take about {need / MB:,.0f} MB, {bytes_a_lane / MB:,.0f} MB each, and {free / MB:,.0f} MB "
        f"are free; {advice}"
    )


def _fields(path: Path, sibling: str | None = None) -> dict[str, int]:
    """Return the numbers of a file of lines such as ``MemAvailable: 12 kB``; none where it cannot be read."""
    try:
        text = (path if sibling is None else path.with_name(sibling)).read_text("ascii", "replace")
    except OSError:
        return {}
    rows = (line.replace(":", " ").split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}


def _number(path: Path) -> int | None:
    try:
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    # Version 1 says "no limit" with a number beyond any machine.
    return int(text) if text.isdecimal() and int(text) < 2**60 else None

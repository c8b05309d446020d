"""What the study does on a CUDA card, in one table and about five minutes.

    benchmarks/gpu.sh [--dry-run] [--only equality,replay]

Rows (``gpu_rows.py`` measures them):

equality  lanes on the card against lanes on the CPU, in float64: the same weights to 1e-9; float32 is float32, not TF32
replay    steps replayed from a CUDA graph against steps launched one by one: the same bits; the same again when repeated
waits     how often the host waits for the card within an epoch's steps, by the profiler: never
ways      milliseconds a step: launched one by one, replayed, compiled, compiled and replayed; float32 and bfloat16
conv2     the second convolution, grouped against unfold and batched products
settings  TF32 and cuDNN's settings both ways
lanes     32 to 512 lanes: milliseconds a step, seconds a trial-epoch, peak memory
textbook  100 trials side by side against one trial by the textbook's loop, both of 30 epochs; the goal: no longer
search    ``python -m study.search``, 100 trials of 30 epochs, everything included

Each row has a process and a time limit of its own, so that one that fails, hangs or breaks the card's context is
reported in a line and the next one goes on. Exit code: 0 if no row failed and every bar was reached, else 1; 2 without a card.

``--dry-run`` needs no card: the same code runs on the CPU at sizes that make its figures meaningless.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from study.core.threads import prepare_environment

#: Seconds that a row may take; most take far less.
LIMITS = {
    "equality": 30, "replay": 30, "waits": 30, "ways": 75, "conv2": 25,
    "settings": 40, "lanes": 60, "textbook": 60, "search": 150,
}  # fmt: skip
#: A dry run may take so many times as long: a laptop that has other work.
PATIENCE = 6


def main() -> int:
    """Measure every row in a process of its own; return the exit code."""
    options = parse()
    prepare_environment()
    if options.row is not None:
        from benchmarks.gpu_rows import ROWS
        from benchmarks.gpu_work import CARD, DRY

        return 0 if ROWS[options.row](DRY if options.dry_run else CARD) else 1
    import torch

    if not options.dry_run and not torch.cuda.is_available():
        print(f"error: PyTorch {torch.__version__} finds no CUDA card here; --dry-run runs the code without one",
              file=sys.stderr)  # fmt: skip
        return 2
    describe(dry=options.dry_run)
    started, failed = time.monotonic(), []
    for row in options.only:
        print(f"\n{row}", flush=True)
        if not measured(row, dry=options.dry_run):
            failed.append(row)
    print(
        f"\n{time.monotonic() - started:.0f} s in all; "
        + (f"failed or missed: {', '.join(failed)}" if failed else "all reached")
    )
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="gpu.sh", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--dry-run", action="store_true", help="on the CPU, at tiny sizes: figures mean nothing"
    )
    parser.add_argument("--only", type=rows, default=list(LIMITS), metavar="ROWS", help=",".join(LIMITS))
    parser.add_argument("--row", choices=LIMITS, help=argparse.SUPPRESS)
    return parser.parse_args()


def rows(text: str) -> list[str]:
    """Read ``equality,replay``."""
    names = text.split(",")
    unknown = [name for name in names if name not in LIMITS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no row is called {unknown[0]!r}; there are {', '.join(LIMITS)}")
    return names


def describe(*, dry: bool) -> None:
    """Print on what the figures were taken."""
    import torch

    from benchmarks.throughput import processor

    print(
        f"{processor()}, {os.cpu_count()} processors, Python {sys.version.split()[0]}, torch {torch.__version__}"
    )
    if dry:
        print("DRY RUN on the CPU at tiny sizes: the figures mean nothing")
        return
    card = torch.cuda.get_device_properties(0)
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # torch has no type for it
    print(f"{card.name}, {card.total_memory / 2**30:.0f} GiB, capability {card.major}.{card.minor}, CUDA "
          f"{torch.version.cuda}, cuDNN {cudnn}")  # fmt: skip


def measured(row: str, *, dry: bool) -> bool:
    """Measure a row and print it, or one line that says why not; return whether it succeeded."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--row", row, *(["--dry-run"] if dry else [])]
    limit = LIMITS[row] * (PATIENCE if dry else 1)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as late:
        print(text_of(late.stdout), end="")
        print(f"  FAILED: not done after {limit} s")
        return False
    print(done.stdout, end="")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        if "MISSED" not in done.stdout:
            print(f"  FAILED: {last[0]}")
    for line in done.stderr.splitlines():
        if "no CUDA graph" in line:
            print(f"  {line.strip()}")
    return done.returncode == 0


def text_of(printed: bytes | str | None) -> str:
    """Return what a process had printed when it was ended, as text."""
    return printed.decode() if isinstance(printed, bytes) else printed or ""


if __name__ == "__main__":
    sys.exit(main())

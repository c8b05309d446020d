"""Record a small search as a person sees it, and draw its last screen: ``python tools/terminal.py docs/terminal.svg``.

The real command runs in a terminal of 80 columns that this script makes (Linux and macOS), in a folder that is
removed afterwards. What is drawn is what it wrote: nothing is typed in by hand. It takes a minute on two cores.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import struct
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

COMMAND = "python -m study.search --trials 12 --epochs 3"
COLUMNS, LINES = 80, 50
#: Sequences that steer: erase the line, go up a line, anything else but colours.
STEERING = re.compile(r"(\x1b\[2K|\x1b\[\d*A|\x1b\[\?\d+[hl]|\r|\n)")


def recorded(command: str, folder: Path) -> str:
    """Return all that a command writes to a terminal; its exit code must be 0."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        program = [sys.executable, *shlex.split(command)[1:]]
        size = {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
        os.execve(program[0], program, {**os.environ, **size})  # noqa: S606 - ourselves, with words of our own
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    said = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not part:
            break
        said += part
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(said.decode())
    return said.decode()


def left_standing(said: str) -> list[str]:
    """Return the lines that stand at the end, with their colours: what was written over is gone."""
    lines, row = [""], 0
    for part in STEERING.split(said):
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.startswith("\x1b[") and part.endswith("A"):
            row = max(0, row - int(part[2:-1] or 1))
        elif part and part != "\r" and not part.startswith("\x1b[?"):
            lines[row] += part
    return lines


def main() -> None:
    """Run the command and write the picture."""
    out = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        lines = left_standing(recorded(COMMAND, Path(folder)))
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text(f"$ {COMMAND}", "bold"))
        for line in lines:
            console.print(Text.from_ansi(line), overflow="fold")
        out.write_text(console.export_svg(title="a small search", clear=False), "utf-8")
    print(f"wrote {out}")


if __name__ == "__main__":
    main()

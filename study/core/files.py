"""Files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from study.core.errors import InputError


@contextmanager
def whole_file(path: Path, named: str = "") -> Iterator[Path]:
    """Yield a path to write to, in the folder of ``path`` and with its suffix; at the end it takes its place.

    Whatever ends the block early, Ctrl-C too, leaves ``path`` as it was. File and folder have reached the
    disk when this returns, so that a power cut leaves the old content or the new one.

    Args:
        path: The file.
        named: What the error calls it, such as the argument that named it.

    Raises:
        InputError: It cannot be written.
    """
    part = path.with_name(f".part-{path.name}")
    try:
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{named} {str(path)!r} cannot be written: {reason}".lstrip()) from None
    finally:
        # Gone if all went well; where no file can be, none can be removed either.
        with suppress(OSError):
            part.unlink()


def write_text(path: Path, text: str, named: str = "") -> None:
    """Write a text file in UTF-8, whole or not at all; see ``whole_file``."""
    with whole_file(path, named) as part:
        part.write_text(text, encoding="utf-8")


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # folders cannot be opened there
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

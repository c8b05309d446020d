"""Files written whole or not at all, and on the disk before anything relies on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from study.core.errors import InputError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a path to write to, beside ``path``; when the block ends it takes its place.

    The content is forced to the disk before the name is, and the folder after it, so that neither a kill nor
    a power cut leaves half a file. Whatever ends the block early leaves ``path`` as it was.

    Raises:
        OSError: It cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        _force(part)
        part.replace(path)
        _force(path.parent)
    finally:
        # Gone if all went well; where no file can be, none can be removed either.
        with suppress(OSError):
            part.unlink()


@contextmanager
def whole_file(path: Path, option: str) -> Iterator[Path]:
    """As ``atomic``, for a file that a user asked for.

    Args:
        path: The file.
        option: The option that named it, for the error.

    Raises:
        InputError: It cannot be written.
    """
    try:
        with atomic(path) as part:
            yield part
    except OSError as error:
        raise InputError(f"{option} {str(path)!r} cannot be written: {error.strerror or error}") from None


def _force(path: Path) -> None:
    """Wait until a file, or a folder's names, are on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

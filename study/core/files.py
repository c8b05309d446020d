"""Files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from study.core.errors import InputError


def part_of(path: Path) -> Path:
    """Return what a file is written into before it takes its place; a process that is killed meanwhile leaves it."""
    return path.with_name(f".part-{path.name}")


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
    part = part_of(path)
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


def require_writable(path: Path, named: str = "") -> None:
    """Refuse a file that ``whole_file`` could not write, before the work whose result it is to hold.

    Args:
        path: The file; nothing is left of the attempt.
        named: As in ``whole_file``.

    Raises:
        InputError: Its folder is missing or not writable, its name too long, or it is a folder, a device or a
            database.
    """
    try:
        if not path.name or (path.exists() and not path.is_file()):
            raise InputError(f"{named} {str(path)!r} is no file: name one".lstrip())
        if path.is_symlink() and not path.exists():
            raise InputError(f"{named} {str(path)!r} is a link to nothing: remove it".lstrip())
        if not path.absolute().parent.is_dir():
            raise InputError(f"{named} {str(path)!r}: there is no folder {str(path.parent)!r}".lstrip())
        if path.exists() and _is_database(path):
            raise InputError(f"{named} {str(path)!r} is a database: name another file".lstrip())
        part = part_of(path)
        part.touch()
        part.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{named} {str(path)!r} cannot be written: {reason}".lstrip()) from None


def require_folder(path: Path, named: str = "") -> None:
    """Refuse a folder that files could not be put into; where there is none, that could not be made.

    Args:
        path: The folder; nothing is left of the attempt.
        named: As in ``whole_file``.

    Raises:
        InputError: It, or the nearest folder above it that there is, cannot be written to.
    """
    try:
        above = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
        if not above.is_dir():
            raise InputError(f"{named} {str(path)!r}: {str(above)!r} is no folder: name another".lstrip())
        part = above / f".part-{path.name}"
        part.touch()
        part.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{named} {str(path)!r} cannot be written to: {reason}".lstrip()) from None


def write_text(path: Path, text: str, named: str = "") -> None:
    """Write a text file in UTF-8, whole or not at all; see ``whole_file``."""
    with whole_file(path, named) as part:
        part.write_text(text, encoding="utf-8")


def _is_database(path: Path) -> bool:
    """Return whether a file is one of SQLite's: a result in its place would be the end of all studies in it."""
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # folders cannot be opened there
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

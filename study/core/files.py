"""Files that a user asked for, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from study.core.errors import InputError


@contextmanager
def whole_file(path: Path, option: str) -> Iterator[Path]:
    """Yield a path to write to, beside ``path``; when the block ends it takes its place.

    Whatever ends the block early, Ctrl-C too, leaves ``path`` as it was.

    Args:
        path: The file.
        option: The option that named it, for the error.

    Raises:
        InputError: It cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise InputError(f"{option} {str(path)!r} cannot be written: {error.strerror or error}") from None
    finally:
        # Gone if all went well; where no file can be, none can be removed either.
        with suppress(OSError):
            part.unlink()

"""A machine that runs out of disk, memory, threads or files: said in one line, whichever library met it.

PyTorch, SQLAlchemy, MLflow and SQLite each raise an error of their own, the system's somewhere behind it.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from study.outside.printable import short

#: Exit code of a command that the machine could not carry through.
EXIT_CODE = 3

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
#: What libraries say, in lower case, where no number is left of it.
_WORDS = {
    "database or disk is full": "space",
    "no space left on device": "space",
    "disk quota exceeded": "space",
    "disk i/o error": "disk",
    "file too large": "file",
    "can't allocate memory": "memory",
    "cannot allocate memory": "memory",
    "not enough memory": "memory",
    "out of memory": "memory",
    "std::bad_alloc": "memory",
    "failed to map segment": "memory",
    "can't start new thread": "threads",
    "resource temporarily unavailable": "threads",
    "too many open files": "files",
}
_SAID = {
    "space": "no space is left on the disk{where}: free 100 MB or more",
    "disk": "the disk does not take what is written{where}: it is full, faulty, or a file may not grow "
    "further (ulimit -f)",
    "file": "a file may not grow further{where}: raise the limit (ulimit -f)",
    "memory": "not enough memory: fewer --lanes, or a higher limit (ulimit -v)",
    "threads": "no thread or process more can be started: raise the limit (ulimit -u), or set OMP_NUM_THREADS=1",
    "files": "too many files are open: raise the limit (ulimit -n)",
}


class Shortage(Exception):  # noqa: N818 - it is the machine's, no mistake of anybody's
    """The machine ran out of something: one line that says of what, and what helps."""


@contextmanager
def shortages() -> Iterator[None]:
    """Turn what a machine that runs out raises within the block into ``Shortage``; other errors pass.

    Raises:
        Shortage: It ran out.
    """
    try:
        yield
    except Exception as error:
        said = shortage(error)
        if said is None:
            raise
        raise Shortage(said) from error


def shortage(error: BaseException) -> str | None:
    """Return what a machine ran out of, from an error and those behind it; ``None`` for another error."""
    for each in _chain(error):
        kind = _kind(each)
        if kind is not None:
            name = getattr(each, "filename", None)
            return _SAID[kind].format(where=f" of {short(name)!r}" if isinstance(name, str) else "")
    return None


def _kind(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, OSError) and error.errno is not None:
        kinds = {errno.EFBIG: "file", errno.ENOMEM: "memory", errno.EMFILE: "files", errno.ENFILE: "files"}
        return "space" if error.errno in _NO_SPACE else kinds.get(error.errno)
    # What other people's code says may hold any words; these classes are the machine's.
    if isinstance(error, (sqlite3.Error, RuntimeError, ImportError)) or _is_of_a_store(error):
        said = str(error).lower()
        return next((kind for words, kind in _WORDS.items() if words in said), None)
    return None


def _is_of_a_store(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in {"sqlalchemy", "mlflow", "psycopg", "optuna"}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it, each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__, getattr(each, "orig", None)]

"""What a machine runs out of is said in one line, wherever a library has hidden it; other errors are not touched."""

from __future__ import annotations

import errno
import sqlite3

import pytest
import sqlalchemy.exc

from study.outside.shortage import Shortage, shortages


def behind(error: BaseException) -> RuntimeError:
    """An error that another one led to."""
    outer = RuntimeError("MLflow could not")
    outer.__cause__ = sqlalchemy.exc.OperationalError("INSERT", {}, error)
    return outer


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left", "runs/a.pt"),
            "no space is left on the disk of 'runs/a.pt': free",
        ),
        (OSError(errno.EFBIG, "File too large"), r"may not grow further: raise the limit \(ulimit -f\)"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (MemoryError(), "fewer --lanes"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
            "fewer --lanes",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "fewer --lanes"),
        (RuntimeError("can't start new thread"), "OMP_NUM_THREADS=1"),
        (sqlite3.OperationalError("database or disk is full"), "no space is left"),
        (behind(sqlite3.OperationalError("database or disk is full")), "no space is left"),
        (behind(sqlite3.OperationalError("disk I/O error")), "full, faulty"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "ulimit -v"),
    ],
)
def test_a_shortage_is_said(error: Exception, said: str) -> None:
    with pytest.raises(Shortage, match=said), shortages():
        raise error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("out of memory"),  # a user's word, not the machine's
        RuntimeError("shape mismatch"),
        FileNotFoundError(errno.ENOENT, "No such file", "x"),
        sqlite3.OperationalError("no such table: trials"),
    ],
)
def test_another_error_is_let_through_with_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)) as same, shortages():
        raise error
    assert same.value is error

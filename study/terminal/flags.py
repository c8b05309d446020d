"""Errors of the library speak of values; a command says which flag gave them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from study.core.errors import InputError


@contextmanager
def flag(name: str) -> Iterator[None]:
    """Put a flag's name before the message of an ``InputError`` raised in the block."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{name}: {error}") from None

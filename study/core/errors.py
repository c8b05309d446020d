"""The one error that a user's input can cause."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Something the user gave cannot be used: one line that names the value, the rule and the fix.

    An argument is named in backticks: ```storage` 'sqlite:///runs' is a folder``. Commands put the
    argument's flag in its place, print ``error: --storage 'sqlite:///runs' is a folder`` and exit with
    code 2, without a traceback.
    """


@contextmanager
def given_by(option: str) -> Iterator[None]:
    """Put the option that gave a value before an error of the block: the library knows values, not flags."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{option} {error}") from error

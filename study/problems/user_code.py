"""Calls into a user's own code: whatever it raises becomes one line that says what was called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from study.core.errors import InputError


@contextmanager
def user_code(what: str) -> Iterator[None]:
    """Run a user's code; turn what it raises, and an attempt to leave the process, into an ``InputError``.

    Args:
        what: What is called, for the error: ``problem 'mine': model()``.

    Raises:
        InputError: It raised something.
    """
    try:
        yield
    except InputError:
        raise
    except SystemExit as leaving:
        raise InputError(f"{what} tried to leave the process: sys.exit({leaving.code!r})") from leaving
    except Exception as error:
        raise InputError(f"{what} raised {said(error)}") from error


def said(error: BaseException) -> str:
    """Return an error in one line: its type and at most 200 characters of its words."""
    words = " ".join(str(error).split())
    kind = type(error).__name__
    return f"{kind}: {words[:200]}{'...' if len(words) > 200 else ''}" if words else kind


def named(value: object) -> str:
    """Return a short name of a value: itself where that is short, else its type."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"a {type(value).__name__}"

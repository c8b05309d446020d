"""A study's name: what it may be, and the folder that belongs to it."""

from __future__ import annotations

import hashlib

from study.core.errors import InputError
from study.outside.printable import short

#: Characters. Databases hold 512 of Optuna's name and 250 of an MLflow run's, which says more than the name.
LONGEST_NAME = 200


def check_study_name(name: str) -> str:
    """Return the name of a new study.

    Raises:
        InputError: It is empty or too long, or holds what steers a terminal, or could be a path.
    """
    if not 1 <= len(name) <= LONGEST_NAME:
        raise InputError(
            f"`study` must have 1 to {LONGEST_NAME} characters, got {len(name):,}: {short(name)!r}"
        )
    if not name.isprintable() or name != name.strip():
        raise InputError(
            f"`study` must be printable text without spaces at its ends, got {short(ascii(name))}"
        )
    if name in {".", ".."} or set("/\\") & set(name):
        raise InputError(f"`study` {short(name)!r} could be a path: leave out / and \\, and name no . or ..")
    return name


def folder_of(name: str) -> str:
    """Return the name of a study's folder: its own, where that can be no path, else one made of it.

    A database may come from somewhere else, with a name that this version would not give.
    """
    try:
        check_study_name(name)
        if len(name.encode()) <= LONGEST_NAME:
            return name
    except InputError:
        pass
    return f"study-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"

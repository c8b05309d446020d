"""JSON of others, with limits: nothing in it is larger, deeper or stranger than what this program writes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from study.core.errors import InputError
from study.outside.printable import short

#: Largest file in bytes. A certificate of ten finalists and a thousand seeds has 2 MB.
LARGEST = 50_000_000
#: Levels of objects and lists within each other. A certificate has eight; schedules nest further.
DEEPEST = 40
#: Whole numbers beyond it are none of ours: it holds every seed.
LARGEST_WHOLE = 2**63


def read_json(path: Path, what: str) -> Any:
    """Read a file of JSON that somebody else may have written.

    Args:
        path: The file.
        what: What it should be, for errors: ``certificate``.

    Raises:
        InputError: It cannot be read, is not JSON in UTF-8, or holds what no file of ours does.
    """
    shown = short(path, 100)
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"cannot read the {what} {shown}: it is no file")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read the {what} {shown}: {reason}") from error
    if len(content) > LARGEST:
        raise InputError(f"{shown} is no {what}: it has more than {LARGEST:,} bytes")
    try:
        data = json.loads(
            content.decode("utf-8"), parse_int=_whole, parse_float=_real, parse_constant=_constant
        )
        require_plain(data)
    except RecursionError:
        raise InputError(f"{shown} is no {what}: it is nested deeper than {DEEPEST} levels") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are such
        raise InputError(f"{shown} is no {what}: not JSON ({short(error, 120)})") from error
    return data


def require_plain(data: Any, depth: int = 0) -> None:
    """Refuse data that is nested too deeply, or whose text cannot be shown.

    Raises:
        ValueError: It is.
    """
    if depth > DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST} levels")
    if isinstance(data, str):
        if not all(c.isprintable() or c in "\n\t" for c in data):
            raise ValueError(f"text that cannot be shown: {short(ascii(data))}")
    elif isinstance(data, dict):
        for name, value in data.items():
            require_plain(name, depth)
            require_plain(value, depth + 1)
    elif isinstance(data, list):
        for value in data:
            require_plain(value, depth + 1)


def _whole(text: str) -> int:
    if len(text) > 20 or abs(number := int(text)) > LARGEST_WHOLE:
        raise ValueError(f"the whole number {short(text, 30)} of {len(text):,} characters is too large")
    return number


def _real(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {short(text, 30)} is too large")
    return number


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON's")

"""A schedule from a line of text: ``Warmup(Cosine(20), 5)`` as in Python, or JSON. Nothing is evaluated."""

from __future__ import annotations

import ast
import json
from typing import Any

from lrsched.names import nearest
from lrsched.schedule import REGISTRY, Schedule, from_json

#: Longer texts are no line that somebody typed.
_LONGEST = 10_000


def read(text: str) -> Schedule:
    """Return the schedule that a text names: as Python writes it, or as ``Schedule.to_json`` does.

    Python's form may hold schedules, by class or by registered name, numbers, words in quotes, tuples and lists, and
    nothing else: it is parsed, never run. A schedule's ``repr`` is read back equal.

    Raises:
        TypeError: A field is of the wrong kind, missing, or unknown.
        ValueError: The text is neither form, names no schedule, or a value lies outside its domain.

    >>> read("Warmup(Cosine(20), 5)")(2.5)
    0.4809698831278217
    >>> read('{"schedule": "cosine", "T_max": 20}')(10)
    0.5
    """
    if len(text) > _LONGEST:
        raise ValueError(f"a schedule in one line has at most {_LONGEST:,} characters, got {len(text):,}")
    try:
        if text.lstrip().startswith("{"):
            return from_json(json.loads(text))
        schedule = _meant(ast.parse(text.strip(), mode="eval").body)
    except json.JSONDecodeError as error:
        raise ValueError(f"this is no JSON: {error}") from None
    except SyntaxError as error:
        raise ValueError(
            f"this is no schedule: {error.msg} at character {error.offset} of {text!r}"
        ) from None
    except (RecursionError, MemoryError):
        raise ValueError("schedules are nested too deeply to be read") from None
    if not isinstance(schedule, Schedule):
        raise ValueError(f"a schedule is expected, such as Cosine(20), got {text!r}")  # noqa: TRY004  # the text is of the right type
    return schedule


def _meant(node: ast.expr) -> Any:
    """Return what a piece of Python stands for, if it is one of the few that are allowed."""
    match node:
        case ast.Constant(value) if value is not ... and not isinstance(value, (bytes, complex)):
            return value
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)):
            return -value
        case ast.Tuple(items) | ast.List(items):
            return tuple(_meant(item) for item in items)
        case ast.Call(ast.Name(name), values, named) if all(k.arg is not None for k in named):
            classes = {cls.__name__: cls for cls in REGISTRY.values()}
            known = REGISTRY | classes
            if name not in known:
                raise ValueError(f"unknown schedule {name!r}{nearest(name, sorted(classes))}")
            fields: dict[str, Any] = {str(k.arg): _meant(k.value) for k in named}
            return known[name](*(_meant(value) for value in values), **fields)
    raise ValueError(
        f"{ast.unparse(node)!r} is no number, word in quotes, list or schedule; nothing is evaluated"
    )

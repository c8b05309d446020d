"""Names that somebody wrote: a field's own for another that it goes by, and for a wrong one what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lrsched.parameter import Parameter


def own_names(
    owner: str, fields: Sequence[Parameter], named: Mapping[str, Any], others: Iterable[Parameter]
) -> dict[str, Any]:
    """Return fields under their own names; a field may go by another name that it has in the field (``also``).

    Args:
        owner: Name of the schedule, for messages.
        fields: The schedule's fields.
        named: Values by the names that they were given under.
        others: The fields of all schedules, to tell what a wrong name means elsewhere; read only if one is wrong.

    Raises:
        TypeError: There is no such field, or one is given twice.
    """
    own = {name: p.name for p in fields for name in (p.name, *p.also)}
    values: dict[str, Any] = {}
    for name, value in named.items():
        if name not in own:
            raise TypeError(f"{owner} has no field {name!r}{_meant(fields, name, others)}")
        if own[name] in values:
            raise TypeError(f"{owner} got its field {own[name]!r} twice, once as {name!r}")
        values[own[name]] = value
    return values


def _meant(fields: Sequence[Parameter], name: str, others: Iterable[Parameter]) -> str:
    """Return the end of a message that names the field which a wrong name probably means.

    That is the one that means what other schedules call so; else the one that is spelt most like it; else the only
    one of its unit.
    """
    names = [p.name for p in fields]
    elsewhere = [p for p in others if p.name == name]
    for same in (
        [p.name for p in fields if p.meaning in {q.meaning for q in elsewhere}],
        difflib.get_close_matches(name, names, n=1, cutoff=0.6),
        [p.name for p in fields if p.unit in {q.unit for q in elsewhere}],
    ):
        if len(same) == 1:
            return f": did you mean {same[0]!r}?"
    return nearest(name, names)


def nearest(name: Any, known: Sequence[str]) -> str:
    """Return the end of a message that names the nearest known name, or all of them."""
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f": did you mean {close[0]!r}?" if close else f"; known: {', '.join(known) or 'none'}"

"""A schedule tuned for one length of run, made for another."""

from __future__ import annotations

from typing import Any

from lrsched import Parameter, Schedule


def rescaled(schedule: Schedule, factor: float) -> Schedule:
    """Return the schedule with its time stretched: ``rescaled(s, k)(k * t)`` is ``s(t)``.

    Times are multiplied by ``factor``, a factor per unit of time is taken to the power ``1 / factor``, and epochs that are
    counted (a plateau's patience) are rounded to whole ones. Where a schedule moves once an epoch (a plateau, a factor), it
    still does, so that there the law holds only roughly.

    Args:
        schedule: Any schedule without a user's function.
        factor: Length of the new run over that of the old.
    """
    fields = {p.name: _field(p, getattr(schedule, p.name), factor) for p in schedule.parameters()}
    return type(schedule)(**fields)


def _field(parameter: Parameter, value: Any, factor: float) -> Any:
    if isinstance(value, tuple):
        return tuple(_field(parameter, one, factor) for one in value)
    if isinstance(value, Schedule):
        return rescaled(value, factor)
    search = parameter.search
    if parameter.unit == "time" and value is not None:
        return value * factor
    if search is not None and search.over_run:
        return value ** (1 / factor)
    counted = parameter.unit == "count" and search is not None and search.of_run
    return round(value * factor) if counted else value

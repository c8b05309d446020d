"""Going on with another schedule than the one that was saved: what is kept, what changes, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lrsched.schedule import from_json


def metric_states(saved: Mapping[str, Any], now: Mapping[str, Any], *, driven: bool) -> tuple[Any, str]:
    """Return what was seen of a metric, if it is to be taken over, and words that say so.

    Args:
        saved: A state of ``Scheduler``.
        now: What the scheduler is set to do.
        driven: Whether its schedule is driven by a metric.

    Raises:
        ValueError: The schedules are not composed in the same way, so the one's state means nothing to the other.
    """
    if not driven:
        return None, ""
    if _composition(saved["schedule"]) != _composition(now["schedule"]):
        raise ValueError(
            f"what was seen of a metric is of {said(saved['schedule'])}, which is composed otherwise than "
            f"{said(now['schedule'])}: say first_step={saved['step']} to go on without it"
        )
    return saved["state"], " and what was seen of the metric"


def changes(saved: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return in words what is set otherwise than it was."""
    changed = [
        f"{key} from {said(saved[key])} to {said(value)}" for key, value in now.items() if saved[key] != value
    ]
    return ", ".join(changed) or "nothing"


def said(value: Any) -> str:
    """Return a setting in words: a schedule as Python has it, or a number."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(said, value))}]"
    if not isinstance(value, Mapping):
        return str(value)
    try:
        return repr(from_json(value))
    except ValueError:  # a class of the user's own that is not there any more
        return str(dict(value))


def _composition(value: Any) -> Any:
    """Return the names of a schedule and of its parts, from its JSON, without any number."""
    if isinstance(value, (list, tuple)):
        return [_composition(item) for item in value]
    if not isinstance(value, Mapping):
        return None
    return {key: item if key == "schedule" else _composition(item) for key, item in value.items()}

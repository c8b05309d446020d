"""The certificate: how a confirmation ended, with everything that is needed to check it, as one JSON file."""

from study.stats.certificate.contents import (
    Conditions,
    Examples,
    build,
    check,
    judged,
    metric_of,
    read,
    to_text,
    values,
)
from study.stats.certificate.former import today

__all__ = [
    "Conditions",
    "Examples",
    "build",
    "check",
    "judged",
    "metric_of",
    "read",
    "to_text",
    "today",
    "values",
]

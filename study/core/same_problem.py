"""Is a problem still the one that a study was made with? Every command that goes on with a study asks this."""

from __future__ import annotations

from collections.abc import Mapping

from study.core.records import StudyConfig


def changed_problem(kept: StudyConfig, problem: str, source: str, data: Mapping[str, str]) -> str | None:
    """Say in what a problem of today differs from that of a study; ``None``: in nothing.

    Args:
        kept: The study's settings.
        problem: Name of the problem of today.
        source: SHA-256 of its file; empty for the default problem.
        data: SHA-256 of its data, by file or part.
    """
    if problem != kept.problem:
        return f"it studies the problem {kept.problem!r}, not {problem!r}; give that one"
    if source != kept.source:
        then, now = (f"{each[:12]}..." if each else "none" for each in (kept.source, source))
        return f"the file of its problem has changed since (SHA-256 {then}, now {now}); undo the change"
    parts = [part for part in data if data[part] != kept.data.get(part)]
    if parts and source:
        return f"the problem's {' and '.join(parts)} data has changed since; give the same data"
    return "its data files had other checksums; give the same `data_dir`" if parts else None

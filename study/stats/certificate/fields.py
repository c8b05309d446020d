"""The fields of a certificate, by version: is this one, whatever it says?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from study.stats.sequential import RULES

FORMAT = "learning-rate schedule certificate"
VERSION = RULES
#: What every certificate holds, with its JSON type.
COMMON: dict[str, type | tuple[type, ...]] = {
    "format": str,
    "version": int,
    "created": str,
    "study": dict,
    "versions": dict,
    "data": dict,
    "revision": (str, type(None)),
    "finalists": list,
    "seeds": list,
    "verdict": dict,
}
#: What certificates of each version hold besides.
FIELDS: dict[int, dict[str, type | tuple[type, ...]]] = {
    1: {"accuracies": list, "level": (int, float), "margin": (int, float)},
    2: {"accuracies": dict, "plan": dict, "test_images": (int, type(None))},
    3: {"values": dict, "plan": dict, "metric": dict, "examples": dict},
}
FIELDS[4] = FIELDS[3]


def misfits(data: Any) -> list[str]:
    """Return what keeps ``data`` from being a certificate: fields missing, of a wrong type or size."""
    if not isinstance(data, dict):
        return [f"a JSON object is needed, got {type(data).__name__}"]
    if "format" in data and (data["format"] != FORMAT or data.get("version") not in FIELDS):
        known = f"{', '.join(map(str, FIELDS))}"
        return [f"format {data['format']!r} {data.get('version')}: this program reads {FORMAT!r} {known}"]
    fields = COMMON | FIELDS.get(data.get("version", VERSION), {})
    missing = [f"the field {name!r} is missing" for name in fields if name not in data]
    return missing or _wrong_types(data, fields) or _wrong_shapes(data)


def _wrong_types(data: Mapping[str, Any], fields: Mapping[str, type | tuple[type, ...]]) -> list[str]:
    return [
        f"the field {name!r} has the wrong type {type(data[name]).__name__}"
        for name, kind in fields.items()
        if not isinstance(data[name], kind) or isinstance(data[name], bool)
    ]


def _wrong_shapes(data: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the table of a certificate that has all its fields."""
    seeds, finalists = data["seeds"], data["finalists"]
    runs = data["accuracies" if "accuracies" in FIELDS[data["version"]] else "values"]
    if not all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in finalists):
        return ["each finalist needs a name"]
    if len(seeds) != len(set(map(str, seeds))):
        return [f"seeds must be different, got {seeds}"]
    names = [f["name"] for f in finalists]
    wrong = _wrong_rows(runs, seeds, names) if data["version"] == 1 else _wrong_runs(data, runs, names)
    if wrong:
        return wrong
    columns = runs if data["version"] == 1 else runs.values()
    if not all(_is_value(a) for column in columns for a in column):
        return ["each value must be a number, or null for a diverged run"]
    return []


def _wrong_rows(rows: Sequence[Any], seeds: Sequence[Any], names: Sequence[str]) -> list[str]:
    """Return what is wrong with the rows of version 1."""
    if len(rows) != len(seeds) or not all(isinstance(r, list) and len(r) == len(names) for r in rows):
        return [f"accuracies need {len(seeds)} rows, one a seed, of {len(names)} numbers, one a finalist"]
    return []


def _wrong_runs(data: Mapping[str, Any], runs: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return what is wrong with the runs, looks and numbers of examples of later versions."""
    looks, counts = data["verdict"].get("looks"), data.get("examples")
    if sorted(runs) != sorted(names) or not all(isinstance(r, list) for r in runs.values()):
        return [f"one list of runs for each of {', '.join(names)} is needed"]
    if counts is not None and not (
        isinstance(counts.get("called"), str) and all(_is_count(counts.get(k)) for k in ("train", "whole"))
        and (counts.get("test", 0) is None or _is_count(counts.get("test")))
    ):  # fmt: skip
        return ["examples needs what they are called, and the numbers train, whole and test"]
    longest = max(map(len, runs.values()), default=0)
    if longest != len(data["seeds"]):
        return [f"{len(data['seeds'])} seeds need as many runs of who remains, got {longest}"]
    both = "images" if data["version"] == 2 else "examples"
    rows = [row for look in looks for row in look["differences"]] if _is_looks(looks) else [None]
    if not all(isinstance(row, dict) and isinstance(row.get(both), (dict, type(None))) for row in rows):
        return ["the verdict needs its looks, each with its differences"]
    return []


def _is_looks(looks: Any) -> bool:
    return isinstance(looks, list) and all(
        isinstance(look, dict) and isinstance(look.get("differences"), list) for look in looks
    )


def _is_value(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0

"""The certificate: who won, with everything that is needed to check it, as one JSON file.

It holds what was compared (finalists, seeds, accuracies), under what conditions (settings, versions,
data checksums, git revision) and the verdict. ``check`` computes the verdict again from the accuracies
in the file: a certificate cannot say more than its own figures do.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from study.core.errors import InputError
from study.stats.verdict import verdict
from study.stats.verdict_record import Verdict

FORMAT = "learning-rate schedule certificate"
VERSION = 1
#: Figures computed on another machine may differ by rounding, not by more.
TOLERANCE = 1e-9

#: What a certificate must hold, with its JSON type.
FIELDS: dict[str, type | tuple[type, ...]] = {
    "format": str,
    "version": int,
    "created": str,
    "study": dict,
    "versions": dict,
    "data": dict,
    "revision": (str, type(None)),
    "finalists": list,
    "seeds": list,
    "accuracies": list,
    "level": (int, float),
    "margin": (int, float),
    "verdict": dict,
}


@dataclass(frozen=True)
class Conditions:
    """Under what conditions the finalists were trained.

    Attributes:
        study: Settings of the study, ``Settings.to_json()``, with what the confirmation changed.
        versions: Version by program, for example ``{"torch": "2.14.1"}``.
        data: Checksum by data file.
        revision: Git revision of this project's code; ``None`` outside a checkout.
    """

    study: Mapping[str, Any]
    versions: Mapping[str, str]
    data: Mapping[str, str]
    revision: str | None


def build(
    conditions: Conditions,
    finalists: Sequence[Mapping[str, Any]],
    seeds: Sequence[int],
    table: ArrayLike,
    result: Verdict,
    *,
    created: datetime | None = None,
) -> dict[str, Any]:
    """Return a certificate as plain data.

    Args:
        conditions: What held for every run.
        finalists: One mapping a finalist: ``name`` at least, as the verdict has it; also what it takes to
            train it again (``Asked.to_json()``) and its search score.
        seeds: The seeds, one a row of ``table``.
        table: Accuracies, seeds x finalists; NaN, written as null, for a diverged run.
        result: The verdict on ``table``.
        created: When; now by default.

    Raises:
        InputError: The parts do not fit together.
    """
    y = np.asarray(table, dtype=np.float64)
    certificate = {
        "format": FORMAT,
        "version": VERSION,
        "created": (created or datetime.now(UTC)).isoformat(timespec="seconds"),
        "study": dict(conditions.study),
        "versions": dict(conditions.versions),
        "data": dict(conditions.data),
        "revision": conditions.revision,
        "finalists": [dict(f) for f in finalists],
        "seeds": [int(s) for s in seeds],
        "accuracies": [[None if math.isnan(a) else float(a) for a in row] for row in y],
        "level": result.level,
        "margin": result.margin,
        "verdict": result.to_json(),
    }
    problems = check(certificate)
    if problems:
        raise InputError(f"these parts make no certificate: {problems[0]}")
    return certificate


def write(certificate: Mapping[str, Any], path: Path) -> None:
    """Write a certificate: whole or not at all, so that a kill leaves no half of one."""
    text = json.dumps(certificate, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Read a certificate; ``check`` says whether it holds.

    Raises:
        InputError: No such file, or not a certificate that this version reads.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the certificate {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is no certificate: not JSON ({error})") from error
    problems = misfits(data)
    if problems:
        raise InputError(f"{path} is no certificate: {problems[0]}")
    certificate: dict[str, Any] = data
    return certificate


def misfits(data: Any) -> list[str]:
    """Return what keeps ``data`` from being a certificate: fields missing, of a wrong type or size."""
    if not isinstance(data, dict):
        return [f"a JSON object is needed, got {type(data).__name__}"]
    return [f"the field {name!r} is missing" for name in FIELDS if name not in data] or _wrong(data)


def _wrong(data: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the fields of a certificate that has them all."""
    wrong_type = [
        f"the field {name!r} has the wrong type {type(data[name]).__name__}"
        for name, kind in FIELDS.items()
        if not isinstance(data[name], kind) or isinstance(data[name], bool)
    ]
    if wrong_type:
        return wrong_type
    rows, seeds, finalists = data["accuracies"], data["seeds"], data["finalists"]
    rules = {
        f"format {data['format']!r} {data['version']}: this program reads {FORMAT!r} {VERSION}": (
            data["format"] == FORMAT and data["version"] == VERSION
        ),
        "each finalist needs a name": (
            all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in finalists)
        ),
        f"{len(rows)} rows of accuracies need as many different seeds, got {seeds}": (
            len(rows) == len(seeds) == len(set(map(str, seeds)))
        ),
        f"each row of accuracies needs {len(finalists)} numbers (null: diverged), one a finalist": (
            all(isinstance(row, list) and len(row) == len(finalists) for row in rows)
            and all(_accuracy(a) for row in rows for a in row)
        ),
    }
    return [rule for rule, holds in rules.items() if not holds]


def _accuracy(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def check(data: Any) -> list[str]:
    """Compute the verdict again from a certificate's own figures; return what disagrees.

    Returns:
        One line for each thing wrong, with where it stands and both values; empty: the verdict holds.
    """
    problems = misfits(data)
    if problems:
        return problems
    table = np.array([[math.nan if a is None else a for a in row] for row in data["accuracies"]])
    names = [f["name"] for f in data["finalists"]]
    try:
        again = verdict(table, names, level=data["level"], margin=data["margin"])
    except InputError as error:
        return [f"its figures allow no verdict: {error}"]
    return differences(data["verdict"], again.to_json(), "verdict")


def differences(written: Any, computed: Any, place: str) -> list[str]:
    """Return where two JSON values differ by more than rounding, one line each."""
    if isinstance(written, dict) and isinstance(computed, dict):
        keys = [*computed, *(k for k in written if k not in computed)]
        return [line for k in keys for line in differences(written.get(k), computed.get(k), f"{place}.{k}")]
    if isinstance(written, list) and isinstance(computed, list) and len(written) == len(computed):
        pairs = enumerate(zip(written, computed, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{place}[{i}]")]
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (written, computed))
    if numbers and math.isclose(written, computed, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        return []
    same = written == computed and isinstance(written, bool) == isinstance(computed, bool)
    return [] if same else [f"{place}: the certificate says {written!r}, its figures give {computed!r}"]

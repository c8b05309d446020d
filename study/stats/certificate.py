"""The certificate: how a confirmation ended, with everything that is needed to check it, as one JSON file.

It holds what was compared (finalists, seeds, accuracies), under what conditions (settings, versions, data
checksums, git revision), the plan, every look with what the scores of single images add up to, and the verdict.
``check`` computes all looks and the verdict again: a certificate cannot say more than its own figures do.

Version 1 held one look at a table that every finalist had finished, without plan and images. It is read and
checked by the rules of its time.
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
from study.outside.json_text import read_json
from study.stats.comparison import Bools, Floats
from study.stats.images import ImageSums
from study.stats.sequential import Plan
from study.stats.verdict import Sums, verdict
from study.stats.verdict_record import Verdict

FORMAT = "learning-rate schedule certificate"
VERSION = 2
#: Figures computed on another machine may differ by rounding, not by more.
TOLERANCE = 1e-9

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
}


@dataclass(frozen=True)
class Conditions:
    """Under what conditions the finalists were trained.

    Attributes:
        study: Settings of the study, ``StudyConfig.to_json()``, with what the confirmation changed.
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
    table: ArrayLike,
    result: Verdict,
    *,
    rates: Mapping[str, Any] | None = None,
    created: datetime | None = None,
) -> dict[str, Any]:
    """Return a certificate as plain data.

    Args:
        conditions: What held for every run.
        finalists: One mapping a finalist: ``name`` at least, as the verdict has it; also what it takes to
            train it again (``TrialSpec.to_json()``) and its search score.
        table: Accuracies, seeds x finalists, from seed 1 on; NaN, written as null, for a diverged run.
            Rows beyond the last look, and runs beyond the look that dropped a finalist, are left out.
        result: The verdict on ``table``.
        rates: How the finalists fare at multiples of their rates, ``base_rates.BaseRates.to_json()``.
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
        "seeds": list(range(1, result.seeds + 1)),
        "accuracies": {
            f.name: [None if math.isnan(a) else float(a) for a in y[: f.runs, column]]
            for column, f in enumerate(result.finalists)
        },
        "plan": result.plan.to_json(),
        "test_images": result.examples,
        "verdict": result.to_json(),
        **({} if rates is None else {"rates": dict(rates)}),
    }
    problems = check(certificate)
    if problems:
        raise InputError(f"these parts make no certificate: {problems[0]}")
    return certificate


def to_text(certificate: Mapping[str, Any]) -> str:
    """Return a certificate as the text of its file."""
    return json.dumps(certificate, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read(path: Path) -> dict[str, Any]:
    """Read a certificate; ``check`` says whether it holds.

    Raises:
        InputError: No such file, or not a certificate that this version reads.
    """
    from study.outside.certificate_schema import fault  # a tenth of a second

    data = read_json(path, "certificate")
    wrong = fault(data, FIELDS)
    problems = [wrong] if wrong else misfits(data)
    if problems:
        raise InputError(f"{path} is no certificate: {problems[0]}")
    certificate: dict[str, Any] = data
    return certificate


def accuracies(certificate: Mapping[str, Any]) -> Floats:
    """Return the table of a certificate without misfits, seeds x finalists; NaN where there is no accuracy."""
    if certificate["version"] == 1:
        rows = certificate["accuracies"]
        return np.array([[math.nan if a is None else a for a in row] for row in rows], dtype=np.float64)
    table = np.full((len(certificate["seeds"]), len(certificate["finalists"])), math.nan)
    for column, finalist in enumerate(certificate["finalists"]):
        runs = certificate["accuracies"][finalist["name"]]
        table[: len(runs), column] = [math.nan if a is None else a for a in runs]
    return table


def judged(certificate: Mapping[str, Any]) -> Verdict:
    """Compute the verdict of a certificate without misfits from its own figures.

    Raises:
        InputError: They allow none.
    """
    table, names = accuracies(certificate), [f["name"] for f in certificate["finalists"]]
    if certificate["version"] == 1:
        plan = Plan((len(table),), certificate["level"], certificate["margin"], former=True)
        return verdict(table, names, plan)
    sums = None if certificate["test_images"] is None else _recorded(certificate, table, names)
    return verdict(table, names, Plan.from_json(certificate["plan"]), sums)


def _recorded(certificate: Mapping[str, Any], table: Floats, names: Sequence[str]) -> Sums:
    """Return the sums over images that a certificate recorded, joined with what its accuracies say."""
    images = certificate["test_images"]

    def sums(look: int, leader: int, rival: int, shared: Bools) -> ImageSums:
        looks = certificate["verdict"]["looks"]
        rows = looks[look]["differences"] if look < len(looks) else []
        found: Any = next((row["images"] for row in rows if row["name"] == names[rival]), None) or {}
        lead = np.rint((table[: len(shared), leader] - table[: len(shared), rival])[shared] * images)
        return ImageSums(
            images,
            int(shared.sum()),
            float(lead.sum()),
            float((lead**2).sum()),
            float(found.get("by_image", math.nan)),
            float(found.get("disputed", math.nan)),
        )

    return sums


def check(data: Any) -> list[str]:
    """Compute every look and the verdict again from a certificate's own figures; return what disagrees.

    Returns:
        One line for each thing wrong, with where it stands and both values; empty: the verdict holds.
    """
    problems = misfits(data)
    if problems:
        return problems
    try:
        again = judged(data)
    except InputError as error:
        return [f"its figures allow no verdict: {error}"]
    if data["version"] == 1:
        return differences(
            _first_version(data["verdict"]), _first_version(_as_first_version(again)), "verdict"
        )
    read = {f.name: f.runs for f in again.finalists}
    unread = [
        f"accuracies.{name}: {len(runs)} runs, but its looks judge {read[name]}"
        for name, runs in data["accuracies"].items()
        if len(runs) != read[name]
    ]
    return unread or differences(data["verdict"], again.to_json(), "verdict")


def _as_first_version(again: Verdict) -> dict[str, Any]:
    """Return a verdict with the names that certificates of version 1 give its figures."""
    data = again.to_json()
    outcome = "tie" if again.outcome == "undecided" else again.outcome
    return {**data, "differences": data["looks"][0]["differences"], "outcome": outcome}


def _first_version(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is checked of a verdict of version 1: all but its words, its bootstrap and its hint."""
    left_out = {"probability_best", "p_holm", "needed", "ahead", "shared", "images", "dropped"}
    kept = ("outcome", "winner", "leader", "contenders", "seeds", "finalists", "differences")
    rows = {k: [{n: v for n, v in row.items() if n not in left_out} for row in written[k]] for k in kept[-2:]}
    return {**{k: written.get(k) for k in kept}, **rows}


def misfits(data: Any) -> list[str]:
    """Return what keeps ``data`` from being a certificate: fields missing, of a wrong type or size."""
    if not isinstance(data, dict):
        return [f"a JSON object is needed, got {type(data).__name__}"]
    if "format" in data and (data["format"] != FORMAT or data.get("version") not in FIELDS):
        known = " and ".join(map(str, FIELDS))
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
    seeds, finalists, runs = data["seeds"], data["finalists"], data["accuracies"]
    if not all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in finalists):
        return ["each finalist needs a name"]
    if len(seeds) != len(set(map(str, seeds))):
        return [f"seeds must be different, got {seeds}"]
    names = [f["name"] for f in finalists]
    wrong = _wrong_rows(runs, seeds, names) if data["version"] == 1 else _wrong_runs(data, names)
    if wrong:
        return wrong
    columns = runs if data["version"] == 1 else runs.values()
    if not all(_is_accuracy(a) for column in columns for a in column):
        return ["each accuracy must be a number, or null for a diverged run"]
    return []


def _wrong_rows(rows: Sequence[Any], seeds: Sequence[Any], names: Sequence[str]) -> list[str]:
    """Return what is wrong with the rows of version 1."""
    if len(rows) != len(seeds) or not all(isinstance(r, list) and len(r) == len(names) for r in rows):
        return [f"accuracies need {len(seeds)} rows, one a seed, of {len(names)} numbers, one a finalist"]
    return []


def _wrong_runs(data: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return what is wrong with the runs and looks of version 2."""
    runs, looks = data["accuracies"], data["verdict"].get("looks")
    if sorted(runs) != sorted(names) or not all(isinstance(r, list) for r in runs.values()):
        return [f"accuracies need one list of runs for each of {', '.join(names)}"]
    longest = max(map(len, runs.values()), default=0)
    if longest != len(data["seeds"]):
        return [f"{len(data['seeds'])} seeds need as many runs of who remains, got {longest}"]
    rows = [row for look in looks for row in look["differences"]] if _is_looks(looks) else [None]
    if not all(isinstance(row, dict) and isinstance(row.get("images"), (dict, type(None))) for row in rows):
        return ["the verdict needs its looks, each with its differences"]
    return []


def _is_looks(looks: Any) -> bool:
    return isinstance(looks, list) and all(
        isinstance(look, dict) and isinstance(look.get("differences"), list) for look in looks
    )


def _is_accuracy(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


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

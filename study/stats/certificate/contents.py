"""What a certificate holds, and whether its verdict follows from that.

It holds what was compared (finalists, seeds, test values), by which metric, under what conditions (settings, versions,
data checksums, git revision), the plan, every look with what the gains on single examples add up to, and the verdict.
``check`` computes all looks and the verdict again: a certificate cannot say more than its own figures do.

Earlier versions are read as this one (``today``) and checked by the rules of their time. Version 1 held one look at a
table that every finalist had finished, without plan and images; version 2 knew no metric but accuracy on images; in
version 3 who fails too often could lead.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from study.core.errors import InputError
from study.core.metric import Metric
from study.core.records import ALL_IMAGES
from study.outside.json_text import read_json
from study.stats.certificate.fields import FIELDS, FORMAT, VERSION, misfits
from study.stats.certificate.former import as_first_version, first_version, today
from study.stats.comparison import Bools, Floats
from study.stats.example_sums import ExampleSums
from study.stats.sequential import Plan
from study.stats.verdict import Singly, Sums, verdict
from study.stats.verdict_record import Verdict

#: Figures computed on another machine may differ by rounding, not by more.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Examples:
    """How many examples there were.

    Attributes:
        train: Examples that were trained on.
        whole: Examples that could have been.
    """

    train: int = ALL_IMAGES
    whole: int = ALL_IMAGES


@dataclass(frozen=True)
class Conditions:
    """Under what conditions the finalists were trained.

    Attributes:
        study: Settings of the study, ``StudyConfig.to_json()``, with what the confirmation changed.
        versions: Version by program, for example ``{"torch": "2.14.1"}``.
        data: Checksum by data file.
        revision: Git revision of this project's code; ``None`` outside a checkout.
        examples: How many examples were trained on.
    """

    study: Mapping[str, Any]
    versions: Mapping[str, str]
    data: Mapping[str, str]
    revision: str | None
    examples: Examples = Examples()


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
        table: Test values, seeds x finalists, from seed 1 on; NaN, written as null, for a diverged run.
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
        "metric": result.metric.to_json(),
        "values": {
            f.name: [None if math.isnan(a) else float(a) for a in y[: f.runs, column]]
            for column, f in enumerate(result.finalists)
        },
        "plan": result.plan.to_json(),
        # "test": examples whose own values are known, null where the metric is one number for all.
        "examples": {"called": result.noun, **asdict(conditions.examples), "test": result.examples},
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


def values(certificate: Mapping[str, Any]) -> Floats:
    """Return the table of a certificate of today, seeds x finalists; NaN where there is no value."""
    table = np.full((len(certificate["seeds"]), len(certificate["finalists"])), math.nan)
    for column, finalist in enumerate(certificate["finalists"]):
        runs = certificate["values"][finalist["name"]]
        table[: len(runs), column] = [math.nan if a is None else a for a in runs]
    return table


def judged(certificate: Mapping[str, Any]) -> Verdict:
    """Compute the verdict of a certificate of today from its own figures.

    Raises:
        InputError: They allow none.
    """
    table, names = values(certificate), [f["name"] for f in certificate["finalists"]]
    # The rules of versions 2 and 3 are the same.
    plan = replace(Plan.from_json(certificate["plan"]), rules=certificate["version"])
    metric = metric_of(certificate)
    noun, tested = certificate["examples"]["called"], certificate["examples"]["test"]
    singly = None if tested is None else Singly(tested, _recorded(certificate, table, names, metric))
    return verdict(table, names, plan, singly, metric=metric, noun=noun)


def metric_of(certificate: Mapping[str, Any]) -> Metric:
    """Return what a certificate of today measures by.

    Raises:
        InputError: It is no metric.
    """
    try:
        return Metric.from_json(certificate["metric"])
    except (TypeError, ValueError) as error:
        raise InputError(f"its metric is none: {error}") from None


def _recorded(certificate: Mapping[str, Any], table: Floats, names: Sequence[str], metric: Metric) -> Sums:
    """Return the sums over examples that a certificate recorded, joined with what its values say."""
    count = certificate["examples"]["test"]

    def sums(look: int, leader: int, rival: int, shared: Bools) -> ExampleSums:
        looks = certificate["verdict"]["looks"]
        rows = looks[look]["differences"] if look < len(looks) else []
        found: Any = next((row["examples"] for row in rows if row["name"] == names[rival]), None) or {}
        ahead = (table[: len(shared), leader] - table[: len(shared), rival])[shared]
        lead = metric.gain(1.0) * ahead * count
        return ExampleSums(
            count,
            int(shared.sum()),
            float(lead.sum()),
            float((lead**2).sum()),
            float(found.get("by_example", math.nan)),
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
    data = today(data)
    try:
        again = judged(data)
    except InputError as error:
        return [f"its figures allow no verdict: {error}"]
    if data["version"] == 1:
        return differences(first_version(data["verdict"]), first_version(as_first_version(again)), "verdict")
    read = {f.name: f.runs for f in again.finalists}
    unread = [
        f"values.{name}: {len(runs)} runs, but its looks judge {read[name]}"
        for name, runs in data["values"].items()
        if len(runs) != read[name]
    ]
    return unread or differences(data["verdict"], again.to_json(), "verdict")


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

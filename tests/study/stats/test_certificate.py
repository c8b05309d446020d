"""A certificate holds what is needed to check it, and says no more than its figures do."""

from __future__ import annotations

import copy
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.core.errors import InputError
from study.stats.certificate import Conditions, build, check, read, write
from study.stats.verdict import verdict

NAMES = ["cosine", "linear", 'quote " <script> é']
SEEDS = [101, 102, 103, 104, 105, 106]
CONDITIONS = Conditions(
    study={"name": "demo", "epochs": 30},
    versions={"torch": "2.14.1"},
    data={"train-images-idx3-ubyte.gz": "8d4fb7e6"},
    revision="243ed1d",
)


def table() -> np.ndarray[Any, np.dtype[np.float64]]:
    rng = np.random.default_rng(3)
    values: np.ndarray[Any, np.dtype[np.float64]]
    values = 0.9 + 0.002 * rng.normal(size=(6, 3)) + np.array([0.01, 0.0, 0.0])
    values[2, 1] = math.nan
    return values


def certificate() -> dict[str, Any]:
    finalists = [{"name": name, "base_rate": 0.3} for name in NAMES]
    when = datetime(2026, 11, 21, 12, tzinfo=UTC)
    return build(CONDITIONS, finalists, SEEDS, table(), verdict(table(), NAMES, margin=0.001), created=when)


def test_what_is_written_is_read_and_holds(tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    write(certificate(), path)
    again = read(path)
    assert again == certificate()
    assert check(again) == []
    assert [p.name for p in tmp_path.iterdir()] == ["certificate.json"]


def test_holds_conditions_figures_and_verdict() -> None:
    data = certificate()
    assert data["study"] == {"name": "demo", "epochs": 30}
    assert (data["versions"], data["revision"]) == ({"torch": "2.14.1"}, "243ed1d")
    assert (data["seeds"], data["created"]) == (SEEDS, "2026-11-21T12:00:00+00:00")
    assert data["accuracies"][2][1] is None
    assert data["accuracies"][0][0] == table()[0, 0]
    assert (data["verdict"]["winner"], data["margin"]) == ("cosine", 0.001)


def test_is_strict_json() -> None:
    json.loads(json.dumps(certificate(), allow_nan=False))


def test_rounding_is_no_difference() -> None:
    data = certificate()
    data["verdict"]["finalists"][0]["mean"] *= 1 + 1e-13
    assert check(data) == []


def change_accuracy(data: dict[str, Any]) -> None:
    data["accuracies"][0][0] -= 0.001


def name_another_winner(data: dict[str, Any]) -> None:
    data["verdict"]["winner"] = "linear"


def say_more(data: dict[str, Any]) -> None:
    data["verdict"]["sentences"].append("linear would have won with more seeds.")


def lower_margin(data: dict[str, Any]) -> None:
    data["margin"] = 0.0


def add_figure(data: dict[str, Any]) -> None:
    data["verdict"]["significance"] = "high"


def swap_names(data: dict[str, Any]) -> None:
    data["finalists"][:2] = data["finalists"][1::-1]


@pytest.mark.parametrize(
    ("tamper", "place"),
    [
        (change_accuracy, "verdict.finalists[0].mean"),
        (name_another_winner, "verdict.winner: the certificate says 'linear', its figures give 'cosine'"),
        (say_more, "verdict.sentences"),
        (lower_margin, "verdict.margin"),
        (add_figure, "verdict.significance"),
        (swap_names, "verdict.winner"),
    ],
)
def test_a_change_is_found_and_named(tamper: Any, place: str) -> None:
    data = certificate()
    tamper(data)
    assert any(line.startswith(place) for line in check(data))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 2, "this program reads"),
        ("format", "recipe", "format 'recipe' 1"),
        ("seeds", [1, 1, 2, 3, 4, 5], "as many different seeds"),
        ("seeds", [1, 2], "as many different seeds"),
        ("accuracies", [[0.9, 0.8]] * 6, "needs 3 numbers"),
        ("accuracies", [[0.9, 0.8, "0.7"]] * 6, "needs 3 numbers"),
        ("accuracies", [[0.9, 0.8, 0.7]] * 6, "did not use their seeds"),
        ("finalists", [{}, {}, {}], "needs a name"),
        ("verdict", [], "'verdict' has the wrong type list"),
        ("level", True, "'level' has the wrong type bool"),
        ("level", 95, "level must be in"),
    ],
)
def test_a_broken_field_is_named(key: str, value: Any, message: str) -> None:
    (problem,) = check({**certificate(), key: value})
    assert message in problem


def test_a_missing_field_is_named() -> None:
    data = certificate()
    del data["seeds"]
    assert check(data) == ["the field 'seeds' is missing"]
    assert check([data]) == ["a JSON object is needed, got list"]


def test_parts_that_do_not_fit_make_no_certificate() -> None:
    result = verdict(table(), NAMES)
    finalists = [{"name": name} for name in NAMES]
    with pytest.raises(InputError, match="as many different seeds"):
        build(CONDITIONS, finalists, SEEDS[:5], table(), result)
    other = table() + 0.001
    with pytest.raises(InputError, match=r"verdict\.finalists"):
        build(CONDITIONS, finalists, SEEDS, other, result)


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    with pytest.raises(InputError, match="cannot read the certificate"):
        read(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="not JSON"):
        read(path)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="the field 'format' is missing"):
        read(path)


def test_building_changes_nothing_of_the_callers() -> None:
    finalists = [{"name": name} for name in NAMES]
    before = copy.deepcopy(finalists)
    data = build(CONDITIONS, finalists, SEEDS, table(), verdict(table(), NAMES))
    data["finalists"][0]["name"] = "other"
    assert finalists == before

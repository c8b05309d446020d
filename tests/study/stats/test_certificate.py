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
from study.stats.base_rates import BaseRates
from study.stats.certificate import Conditions, build, check, judged, read, to_text, today, values
from study.stats.certificate.fields import VERSION
from study.stats.comparison import Bools
from study.stats.example_sums import ExampleSums
from study.stats.verdict import Plan, Singly, Verdict, verdict

NAMES = ["cosine", "linear", 'quote " <script> é']
PLAN = Plan((4, 8, 16), margin=0.002)
EXAMPLES = 500
CONDITIONS = Conditions(
    study={"name": "demo", "epochs": 30},
    versions={"torch": "2.14.1"},
    data={"train-images-idx3-ubyte.gz": "8d4fb7e6"},
    revision="243ed1d",
)
REAL = Path(__file__).parents[2] / "fixtures" / "before" / "certificate.json"
THIRD = sorted((Path(__file__).parent / "version_3").glob("*.json"))
SECOND = sorted((Path(__file__).parent / "version_2").glob("*.json"))
FORMER = [*sorted((Path(__file__).parent / "version_1").glob("*.json")), REAL]


def scores() -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Who was right on which example, ``[seeds, finalists, examples]``; the last finalist is far behind."""
    rng = np.random.default_rng(3)
    return rng.random((16, 3, EXAMPLES)) < np.array([0.8, 0.785, 0.5])[:, None] + rng.normal(
        0, 0.2, (3, EXAMPLES)
    )


def result() -> tuple[np.ndarray[Any, np.dtype[np.float64]], Verdict]:
    right = scores()
    table = right.mean(2)
    table[2, 1] = math.nan

    def sums(_look: int, leader: int, rival: int, shared: Bools) -> ExampleSums:
        rows = right[: len(shared)][shared]
        return ExampleSums.of(rows[:, leader], rows[:, rival])

    return table, verdict(table, NAMES, PLAN, Singly(EXAMPLES, sums))


def certificate(rates: dict[str, Any] | None = None) -> dict[str, Any]:
    table, found = result()
    finalists = [{"name": name, "base_rate": 0.3} for name in NAMES]
    when = datetime(2026, 11, 21, 12, tzinfo=UTC)
    return build(CONDITIONS, finalists, table, found, rates=rates, created=when)


def test_what_is_written_is_read_and_holds(tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    path.write_text(to_text(certificate()), "utf-8")
    again = read(path)
    assert again == certificate()
    assert check(again) == []
    assert judged(again) == result()[1]


def test_holds_conditions_plan_looks_and_who_was_dropped_when() -> None:
    data, (table, found) = certificate(), result()
    assert data["study"] == {"name": "demo", "epochs": 30}
    assert (data["versions"], data["revision"]) == ({"torch": "2.14.1"}, "243ed1d")
    assert (data["plan"], data["examples"]["test"]) == (PLAN.to_json(), EXAMPLES)
    assert data["seeds"] == list(range(1, found.seeds + 1))
    assert [look["seeds"] for look in data["verdict"]["looks"]] == [4, 8, 16]
    third = found.finalists[2]
    assert third.dropped is not None
    assert data["values"][NAMES[2]] == table[: third.dropped, 2].tolist()
    assert data["values"][NAMES[1]][2] is None
    assert np.isnan(values(data)[third.dropped :, 2]).all()
    assert data["verdict"]["finalists"][2]["dropped"] == third.dropped


def test_is_strict_json() -> None:
    json.loads(json.dumps(certificate(), allow_nan=False))


def test_rounding_is_no_difference() -> None:
    data = certificate()
    data["verdict"]["finalists"][0]["mean"] *= 1 + 1e-13
    assert check(data) == []


def change_accuracy(data: dict[str, Any]) -> None:
    data["values"]["cosine"][0] -= 0.002


def name_another_winner(data: dict[str, Any]) -> None:
    data["verdict"]["winner"] = "linear"


def say_more(data: dict[str, Any]) -> None:
    data["verdict"]["sentences"].append("linear would have won with more seeds.")


def lower_margin(data: dict[str, Any]) -> None:
    data["plan"]["margin"] = 0.0


def plan_fewer_looks(data: dict[str, Any]) -> None:
    data["plan"]["looks"] = [16]


def forget_a_look(data: dict[str, Any]) -> None:
    del data["verdict"]["looks"][0]


def drop_later(data: dict[str, Any]) -> None:
    data["verdict"]["looks"][0]["differences"][-1]["excluded"] = False
    data["verdict"]["looks"][1]["differences"][-1]["excluded"] = False


def tell_fewer_disputes(data: dict[str, Any]) -> None:
    data["verdict"]["looks"][2]["differences"][0]["examples"]["by_example"] *= 0.5


def add_a_run(data: dict[str, Any]) -> None:
    data["values"][NAMES[2]].append(0.9)


def add_figure(data: dict[str, Any]) -> None:
    data["verdict"]["significance"] = "high"


def swap_names(data: dict[str, Any]) -> None:
    data["finalists"][:2] = data["finalists"][1::-1]


@pytest.mark.parametrize(
    ("tamper", "place"),
    [
        (change_accuracy, "verdict.looks[0].differences[0]"),
        (name_another_winner, "verdict.winner: the certificate says 'linear', its figures give"),
        (say_more, "verdict.sentences"),
        (lower_margin, "verdict.plan.margin"),
        (plan_fewer_looks, 'values.quote " <script> é: '),
        (forget_a_look, "verdict.looks"),
        (drop_later, "verdict.looks["),
        (tell_fewer_disputes, "verdict.looks[2].differences[0].examples"),
        (add_a_run, 'values.quote " <script> é: '),
        (add_figure, "verdict.significance"),
        (swap_names, "verdict."),
    ],
)
def test_a_change_is_found_and_named(tamper: Any, place: str) -> None:
    data = certificate()
    tamper(data)
    assert any(line.startswith(place) for line in check(data))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 5, "this program reads"),
        ("format", "recipe", "format 'recipe' 4"),
        ("seeds", [1] * 16, "seeds must be different"),
        ("seeds", [1, 2], "2 seeds need as many runs"),
        ("values", {"cosine": [0.9]}, "one list of runs for each of"),
        ("values", [[0.9, 0.8, 0.7]], "'values' has the wrong type list"),
        ("values", dict.fromkeys(NAMES, ["0.7"] * 16), "must be a number, or null"),
        ("finalists", [{}, {}, {}], "needs a name"),
        ("verdict", [], "'verdict' has the wrong type list"),
        ("verdict", {}, "needs its looks"),
        ("plan", {"looks": [1], "level": 0.95, "margin": 0.0}, "looks must be rising"),
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
    table, found = result()
    with pytest.raises(InputError, match=r"these parts make no certificate: verdict\."):
        build(CONDITIONS, [{"name": name} for name in NAMES], table + 0.002, found)


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
    data = build(CONDITIONS, finalists, *result())
    data["finalists"][0]["name"] = "other"
    assert finalists == before


@pytest.mark.parametrize("path", FORMER, ids=lambda path: path.stem)
def test_a_certificate_of_version_1_is_read_and_judged_by_its_own_rules(path: Path) -> None:
    """They were written by that version: one by a confirmation, the others over made-up tables."""
    data = read(path)
    assert check(data) == []
    again = judged(today(data))
    assert {"tie": "undecided"}.get(data["verdict"]["outcome"], data["verdict"]["outcome"]) == again.outcome
    assert data["verdict"]["winner"] == again.winner
    assert data["verdict"]["contenders"] == list(again.contenders)


def test_a_change_in_a_certificate_of_version_1_is_found() -> None:
    (path,) = (p for p in FORMER if p.stem == "winner")
    data = read(path)
    data["accuracies"][0][0] -= 0.01
    assert any(line.startswith("verdict.finalists[0].mean") for line in check(data))
    assert len(FORMER) == 5


@pytest.mark.parametrize("path", SECOND, ids=lambda path: path.stem)
def test_a_certificate_of_version_2_is_checked_whole(path: Path) -> None:
    """They were written by that version over made-up scores: figures, intervals over images and words are what they were."""
    data = read(path)
    assert check(data) == []
    again = judged(today(data))
    assert again.outcome == data["verdict"]["outcome"]
    said, figure, interval = (read(path) for _ in range(3))
    said["verdict"]["sentences"].append("And how.")
    figure["accuracies"][data["verdict"]["leader"]][0] = 0.5
    interval["verdict"]["looks"][0]["differences"][0]["images"]["high"] = 0.9
    assert all(check(changed) for changed in (said, figure, interval))


@pytest.mark.parametrize("path", THIRD, ids=lambda path: path.stem)
def test_a_certificate_of_version_3_is_judged_by_the_rules_of_its_time(path: Path) -> None:
    """Its leader fails in a fifth of its runs; by the rules of today it could not lead."""
    data = read(path)
    assert check(data) == []
    assert data["verdict"]["sentences"][0] == "Undecided: polynomial #95 leads, but fails too often."
    assert check({**data, "version": VERSION}) != []


def test_base_rates_of_version_2_are_read() -> None:
    data = today(read(next(path for path in SECOND if path.stem == "winner")))
    rates = BaseRates.from_json(data["rates"])
    assert list(rates.sentences) == data["rates"]["sentences"]

"""Whose schedules a sweep varies: the best of the search, or those that its confirmation ranks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import lrsched
from study.core.errors import InputError
from study.core.records import StudyConfig, StudyRecord, TrialRecord, TrialSpec
from study.questions.grids import QUESTIONS
from study.questions.opening import confirmed_trials
from study.stats import certificate
from study.stats.certificate import Conditions
from study.stats.verdict import Plan, verdict

#: Families with their search scores; the confirmation finds the other order.
SCORES = {"cosine": 0.91, "polynomial": 0.908, "one_cycle": 0.905, "constant": 0.89, "linear": 0.88}


@pytest.fixture
def record(config: StudyConfig) -> StudyRecord:
    trials = []
    for number, (family, score) in enumerate(SCORES.items()):
        schedule = lrsched.schedule_class(family).example()
        spec = TrialSpec(number, family, schedule, 0.1, {"base_rate": 0.1}, 30, 7, 5, 8)
        trials.append(TrialRecord(spec, (), "finished", score, {}, None, None, None))
    return StudyRecord(config, tuple(trials))


@pytest.fixture
def path(record: StudyRecord, tmp_path: Path) -> Path:
    """A certificate of four finalists: one_cycle first, then polynomial, cosine and the constant rate."""
    specs = [t.spec for t in record.trials[:4]]
    names = [spec.name for spec in specs]
    table = np.array([0.90, 0.905, 0.91, 0.88]) + np.random.default_rng(0).normal(0, 1e-4, (5, 4))
    finalists = [{"name": spec.name, "family": spec.family, "asked": spec.to_json()} for spec in specs]
    made = certificate.build(
        Conditions({}, {}, {}, None), finalists, table, verdict(table, names, Plan((5,)))
    )
    file = tmp_path / "certificate.json"
    file.write_text(certificate.to_text(made), "utf-8")
    return file


@pytest.mark.parametrize(
    ("question", "count", "by_search", "by_confirmation"),
    [
        ("rate", None, ["cosine #0"], ["one_cycle #2"]),
        ("horizon", None, ["cosine #0", "polynomial #1", "one_cycle #2", "linear #4"],
         ["one_cycle #2", "polynomial #1", "cosine #0"]),
        ("horizon", 2, ["cosine #0", "polynomial #1"], ["one_cycle #2", "polynomial #1"]),
        ("exponent", None, ["polynomial #1"], ["polynomial #1"]),
    ],
)  # fmt: skip
def test_the_confirmations_order_takes_the_place_of_the_searchs(
    record: StudyRecord,
    path: Path,
    question: str,
    count: int | None,
    by_search: list[str],
    by_confirmation: list[str],
) -> None:
    asked = QUESTIONS[question]
    assert [f.name for f in asked.choose(record, count)] == by_search
    assert [f.name for f in asked.choose(record, count, confirmed_trials(path, record))] == by_confirmation


def test_a_certificate_of_another_study_is_refused(record: StudyRecord, path: Path) -> None:
    other = StudyRecord(record.config, record.trials[1:])
    with pytest.raises(InputError, match="its finalist cosine #0 is none of study 'small'"):
        confirmed_trials(path, other)


def test_a_certificate_that_does_not_hold_is_refused(record: StudyRecord, path: Path) -> None:
    data = json.loads(path.read_text("utf-8"))
    data["values"]["cosine #0"][0] = 0.99
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(InputError, match=r"certificate\.json: verdict\."):
        confirmed_trials(path, record)

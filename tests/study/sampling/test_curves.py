"""Laws of the rate curves: base rate times schedule, as far as a trial trained."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import lrsched
from study.records.trial import Asked, Epoch, TrialRecord
from study.sampling.curves import POINTS, formula, rate_curve


def trial(schedule: lrsched.Schedule, trained: int, rates: tuple[float, ...] | None = None) -> TrialRecord:
    """A trial that trained so many epochs at rates that are the test's own."""
    asked = Asked(0, "any", schedule.to_json(), 0.3, {}, 30, 0, 0, 1)
    recorded = rates or (0.1,) * trained
    epochs = tuple(Epoch(e, recorded[e], 1.0, 0.5, 1.0, 0.5, None, 1.0) for e in range(trained))
    return TrialRecord(0, asked, epochs, "pruned", None, {}, None, None, None)


@pytest.mark.parametrize("trained", [1, 7, 30])
def test_it_is_base_rate_times_schedule_to_the_last_epoch_trained(trained: int) -> None:
    schedule = lrsched.Warmup(lrsched.Cosine(T_max=20, final=0.01), 5)
    times, rates = rate_curve(trial(schedule, trained))
    assert times[0] == 0
    assert times[-1] == trained
    assert len(times) == POINTS * trained + 1
    assert rates == pytest.approx(0.3 * schedule(times), rel=1e-12)


def test_a_schedule_driven_by_a_metric_is_drawn_from_what_was_recorded() -> None:
    times, rates = rate_curve(trial(lrsched.Plateau(), 3, (0.3, 0.3, 0.03)))
    assert times.tolist() == [0, 1, 1, 2, 2, 3]
    assert rates.tolist() == [0.3, 0.3, 0.3, 0.3, 0.03, 0.03]


def test_a_running_trial_is_drawn_as_far_as_it_reported() -> None:
    running = dataclasses.replace(trial(lrsched.Constant(), 0), outcome="running", reported={0: 0.5, 1: 0.6})
    times, rates = rate_curve(running)
    assert times[-1] == 2
    assert set(rates.tolist()) == {0.3}


def test_nothing_trained_or_asked_is_an_empty_curve() -> None:
    nothing = trial(lrsched.Constant(), 0)
    for record in (nothing, dataclasses.replace(nothing, asked=None)):
        assert [part.size for part in rate_curve(record)] == [0, 0]


def test_the_formula_is_the_one_that_the_schedule_documents() -> None:
    assert formula("constant") == "value = 1"
    for name in ("cosine", "linear", "one_cycle", "warmup_stable_decay", "multi_step"):
        found = formula(name)
        assert "value" in found
        assert "Source" not in found
        assert np.all([line == line.rstrip() for line in found.splitlines()])

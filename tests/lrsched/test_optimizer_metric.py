"""A schedule that is driven by a metric: how it is told, by whom, and that silence is noticed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, no_type_check

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs

from lrsched import Cosine, Plateau, Schedule, Warmup
from lrsched.optimizer import MetricScheduler, Scheduler

HALVES = Plateau(factor=0.5, patience=0)


def sgd() -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def rate(scheduler: Scheduler) -> float:
    return float(scheduler.optimizer.param_groups[0]["lr"])


@pytest.fixture(autouse=True)
def any_warning_is_an_error() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_it_is_torchs_plateau_to_frameworks_and_others_are_not() -> None:
    """They tell it by isinstance, and hand nothing else a metric."""
    for schedule in (HALVES, Warmup(HALVES, 3), [HALVES]):
        scheduler: object = Scheduler(sgd(), schedule)
        assert isinstance(scheduler, theirs.ReduceLROnPlateau)
        assert type(scheduler) is MetricScheduler
    assert not isinstance(Scheduler(sgd(), Cosine(3)), theirs.ReduceLROnPlateau)
    assert isinstance(Scheduler(optimizer=sgd(), schedule=HALVES), MetricScheduler)


@pytest.mark.parametrize(
    "metric", [1.0, 1, np.float32(1.0), np.int64(1), torch.tensor(1.0), torch.tensor([1])]
)
def test_step_takes_the_metric_in_first_place(metric: Any) -> None:
    """As torch's plateau does: whatever number it is, it is no step number."""
    scheduler = Scheduler(sgd(), HALVES)
    for epoch in range(4):
        assert (rate(scheduler), scheduler.last_epoch) == (0.5 ** max(epoch - 1, 0), epoch)
        scheduler.step(metric)
    scheduler.step(epoch=9)
    assert scheduler.last_epoch == 9


@pytest.mark.parametrize("tell", ["observe", "step(metric)"])
def test_an_epoch_of_steps_and_its_metric(tell: str) -> None:
    """Told after an epoch of ``step()``, time is not counted twice, and nothing is warned of."""
    scheduler = Scheduler(sgd(), Warmup(HALVES, 2), steps_per_epoch=196)
    for epoch in range(5):
        for _ in range(196):
            scheduler.step()
        scheduler.observe(1.0) if tell == "observe" else scheduler.step(1.0)
        assert scheduler.last_epoch == 196 * (epoch + 1)
        assert rate(scheduler) == min((epoch + 1) / 2, 1.0) * 0.5**epoch


@pytest.mark.parametrize("said", [195.5, 196, 190, 1e9])
def test_epochs_that_are_a_little_longer_than_was_said_warn_of_nothing(said: float) -> None:
    scheduler = Scheduler(sgd(), HALVES, steps_per_epoch=said)
    for _ in range(4):
        for _ in range(196):
            scheduler.step()
        scheduler.observe(1.0)


def test_once_an_epoch_in_either_order_warns_of_nothing() -> None:
    first, second = Scheduler(sgd(), HALVES), Scheduler(sgd(), HALVES)
    for _ in range(5):
        first.step()
        first.observe(1.0)
        second.observe(1.0)
        second.step()
    assert rate(first) == rate(second) == 0.5**4


def test_a_longer_wait_that_has_become_usual_warns_no_more() -> None:
    """Validation each fourth epoch: one warning at most, in the first four."""
    scheduler = Scheduler(sgd(), HALVES, steps_per_epoch=10)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(400):
            scheduler.step()
            if step % 40 == 39:
                scheduler.observe(1.0)
    assert len(caught) == 1


@pytest.mark.parametrize(("per_epoch", "silent"), [(1, 2), (4, 5), (196, 215)])
def test_an_epoch_without_its_metric_is_said_once(per_epoch: int, silent: int) -> None:
    scheduler = Scheduler(sgd(), HALVES, steps_per_epoch=per_epoch)
    for _ in range(silent):
        scheduler.step()
    message = (
        rf"lrsched: {silent + 1} steps have gone by without a metric, and an epoch has {per_epoch}: the rate"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        scheduler.step()
    assert caught[0].filename == __file__
    for _ in range(3 * per_epoch):
        scheduler.step()


def test_a_metric_without_steps_is_said() -> None:
    """What the Trainer does with a warm-up by batch: it never calls ``step()``."""
    scheduler = Scheduler(sgd(), Warmup(HALVES, 2), steps_per_epoch=196)
    with pytest.warns(UserWarning, match="so time goes on by 1/196 of an epoch: call step") as caught:
        scheduler.step(1.0)
    assert caught[0].filename == __file__
    assert scheduler.last_epoch == 1


def test_a_closed_form_is_told_of_no_metric() -> None:
    schedule: Schedule = Cosine(10)
    with pytest.raises(
        TypeError, match=r"epoch must be a whole number, got epoch=tensor\(1.\); a metric is given"
    ):
        Scheduler(sgd(), schedule).step(torch.tensor(1.0))


def test_a_class_of_ones_own_may_observe_with_or_without_the_time() -> None:
    class Without(Schedule):
        @property
        def metric_driven(self) -> bool:
            return True

        @no_type_check  # older than the third argument
        def observe(self, state: Any, metric: float) -> Any:
            return [*(state or []), metric]

        def _at(self, t: Any, state: Any) -> Any:
            return state[-1] + 0 * t if state else 1.0

    class With(Without):
        def observe(self, state: Any, metric: float, t: float | None = None) -> Any:
            return [*(state or []), metric, t]

    for kind, expected in ((Without, 0.25), (With, 1.5)):
        scheduler = Scheduler(sgd(), kind(), steps_per_epoch=2)
        for _ in range(3):
            scheduler.step()
        scheduler.observe(0.25)
        assert rate(scheduler) == expected

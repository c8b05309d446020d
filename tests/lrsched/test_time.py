"""Time: what counts as one, that rounding delays no jump, and that nothing but time decides a value."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lrsched
from lrsched import REGISTRY, Schedule

#: Their unit of time is fixed: they jump at each whole time, or are a user's function of it.
OF_WHOLE_TIMES = {"factor", "function", "multiplicative"}
SCALABLE = tuple(
    name
    for name, cls in REGISTRY.items()
    if name not in OF_WHOLE_TIMES and all(p.unit != "schedule" for p in cls.parameters())
)
STEPS = 600


def in_epochs(schedule: Schedule, steps_per_epoch: int) -> Schedule:
    """Return the same schedule with time in epochs instead of steps."""
    changed: dict[str, Any] = {}
    for p in schedule.parameters():
        value = getattr(schedule, p.name)
        if p.unit == "time":
            changed[p.name] = tuple(v / steps_per_epoch for v in value) if p.many else value / steps_per_epoch
        elif p.unit == "schedule":
            parts = tuple(in_epochs(s, steps_per_epoch) for s in (value if p.many else (value,)))
            changed[p.name] = parts if p.many else parts[0]
        elif "per unit of time" in p.meaning:
            changed[p.name] = value**steps_per_epoch
    return replace(schedule, **changed)  # type: ignore[type-var]  # every schedule is a dataclass


@settings(max_examples=1000)
@given(data=st.data(), steps_per_epoch=st.sampled_from([1, 3, 7, 10, 100, 196, 235, 391, 1000]))
def test_steps_in_epochs_are_steps(data: st.DataObject, steps_per_epoch: int, kinds: Any) -> None:
    """Law: 1,000 random schedules, every step: step / steps_per_epoch gives what the schedule in steps gives."""
    schedule = data.draw(kinds.any(SCALABLE, kinds.whole))
    steps = np.arange(STEPS, dtype=np.float64)
    epochs = in_epochs(schedule, steps_per_epoch)
    expected = schedule(steps)
    np.testing.assert_allclose(epochs(steps / steps_per_epoch), expected, rtol=1e-9, atol=1e-10)
    # As the study counts: whole epochs, and the share of one.
    apart = steps // steps_per_epoch + steps % steps_per_epoch / steps_per_epoch
    np.testing.assert_allclose(epochs(apart), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("steps_per_epoch", [10, 196, 391, 49, 3])
@pytest.mark.parametrize("period", [1, 3, 7, 500, 1000])
def test_every_jump_comes_on_its_step(period: int, steps_per_epoch: int) -> None:
    """Drops, restarts, milestones, holds and joins: at the step itself the new value, one step before the old."""
    time, jumps = period / steps_per_epoch, range(1, 200)
    step, restarts = lrsched.Step(time, 0.9), lrsched.CosineRestarts(time, decay=0.9)
    for n in jumps:
        at, before = n * period / steps_per_epoch, (n * period - 1) / steps_per_epoch
        assert step(at) == 0.9**n
        assert step(before) == 0.9 ** (n - 1)
        assert restarts(at) == pytest.approx(0.9**n, rel=1e-15)
        milestone = n * time  # rounded otherwise than the quotient
        for jump in (
            lrsched.MultiStep((milestone,), 0.5),
            lrsched.ByHand((milestone,), (0.5,)),
            lrsched.Join((lrsched.Constant(), lrsched.Hold(0.5, 1e6)), (milestone,)),
        ):
            assert (jump(before), jump(at)) == (1.0, 0.5)


@settings(max_examples=10)
@given(data=st.data())
def test_eight_threads_see_what_one_sees(every: Any, data: st.DataObject) -> None:
    """Law: a schedule is a pure function, also where threads share it from its first call on."""
    schedule, times = data.draw(every), [0.0, 17.5, 3.0, 40.0, 1e-3]
    start, seen = threading.Barrier(8), list[list[float]]()

    def evaluate(first: int) -> None:
        start.wait()
        seen.append([schedule(t) for t in times[first:] + times[:first]])

    threads = [threading.Thread(target=evaluate, args=(n % len(times),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = sorted(schedule(t) for t in times)
    assert [sorted(values) for values in seen] == [alone] * 8


def test_factors_are_multiplied_once_however_many_threads_come() -> None:
    """A function that lets the others in is where a shared list of products would get factors twice."""
    pause = threading.Event()

    def factor(_: int) -> float:
        pause.wait(0.001)
        return 0.5

    schedule, seen = lrsched.Multiplicative(factor), list[float]()
    threads = [threading.Thread(target=lambda: seen.append(schedule(20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [0.5**20] * 8
    assert schedule(np.arange(25)).tolist() == [0.5**n for n in range(25)]


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize(
    "t",
    [
        3,
        np.int64(3),
        np.uint8(3),
        np.float32(3),
        np.float16(3),
        np.array(3),
        torch.tensor(3),
        torch.tensor(3.0),
    ],
    ids=lambda t: f"{type(t).__module__}.{type(t).__name__}",
)
def test_any_number_is_a_time(name: str, t: Any) -> None:
    schedule = REGISTRY[name].example()
    value = schedule(t)
    assert value == schedule(3.0)
    assert type(value) is float or (isinstance(t, np.ndarray) and isinstance(value, np.ndarray))


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize(
    "make",
    [
        np.int32,
        np.uint16,
        np.float16,
        np.float32,
        torch.tensor,
        lambda t: torch.tensor(t).double(),
    ],
)
def test_arrays_of_any_numbers_are_times(name: str, make: Any) -> None:
    schedule = REGISTRY[name].example()
    values = schedule(make([[0, 3], [7, 40]]))
    assert isinstance(values, np.ndarray)
    assert values.tolist() == schedule(np.array([[0.0, 3.0], [7.0, 40.0]])).tolist()
    graph: Any = torch.tensor([1.0], requires_grad=True)
    assert schedule(graph).tolist() == [schedule(1.0)]


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize(
    "t",
    [
        *(True, "2", None, 1j, [1, 2], (1.0,), {}),
        *(np.bool_(1), np.array([True]), np.array(["2"]), np.array([1j]), np.array([None])),
        *(torch.tensor(True), torch.tensor([True]), torch.tensor([1j])),  # noqa: FBT003  # what is refused
    ],
    ids=repr,
)
def test_what_is_no_time_is_refused_in_one_way(name: str, t: Any) -> None:
    with pytest.raises(TypeError, match=r"^t must be a number or a numpy array, got t="):
        REGISTRY[name].example()(t)


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("t", [10**400, -(10**400), np.float32("inf"), torch.tensor(float("nan"))])
def test_times_without_end_are_refused(name: str, t: Any) -> None:
    with pytest.raises(ValueError, match=r"^t must be finite, got t="):
        REGISTRY[name].example()(t)


@settings(max_examples=60)
@given(
    before=st.lists(st.floats(-5, 5), min_size=1, max_size=12),
    after=st.lists(st.floats(-5, 5), min_size=1, max_size=12),
    warm=st.integers(0, 4),
)
def test_a_plateau_in_a_join_counts_from_its_own_start(
    before: list[float], after: list[float], warm: int
) -> None:
    """Law: once it has taken over, it does what it would have done had the training begun there."""
    plateau = lrsched.Warmup(lrsched.Plateau(0.5, patience=1), warm)
    joined = lrsched.Join((lrsched.Constant(), plateau, lrsched.Constant()), (len(before), 1000))
    whole = lrsched.follow(joined, [*before, *after, 0.0])
    assert whole[len(before) :] == lrsched.follow(plateau, [*after, 0.0])
    assert whole[: len(before)] == [1.0] * len(before)


def test_a_join_goes_by_the_time_that_it_is_told() -> None:
    """With time in steps: epochs of 100 steps, and a plateau that takes over at step 250, in the third epoch."""
    joined = lrsched.Join((lrsched.Constant(), lrsched.Plateau(0.5, patience=0)), (250,))
    state, seen = joined.initial(), []
    for epoch in range(6):
        seen.append(joined.at(100.0 * epoch, state))
        state = joined.observe(state, 1.0, 100.0 * (epoch + 1))
    assert seen == [1.0, 1.0, 1.0, 1.0, 0.5, 0.25]


@settings(max_examples=100)
@given(
    metrics=st.lists(st.floats(-10, 10), min_size=1, max_size=30),
    mode=st.sampled_from(["rel", "abs"]),
    threshold=st.floats(0, 0.5),
)
def test_a_metric_turned_round_is_the_other_mode(metrics: list[float], mode: str, threshold: float) -> None:
    """Law: to let m fall is to let -m rise, whatever the signs. torch's relative threshold breaks it."""
    falling = lrsched.Plateau(0.5, patience=0, threshold=threshold, threshold_mode=mode, mode="min")
    rising = replace(falling, mode="max")
    assert lrsched.follow(falling, metrics) == lrsched.follow(rising, [-m for m in metrics])


@pytest.mark.parametrize("metric", [True, "1", None, np.array([1.0, 2.0]), [1.0]], ids=repr)
def test_what_is_no_metric_is_refused(metric: Any) -> None:
    plateau = lrsched.Warmup(lrsched.Plateau(), 3)
    with pytest.raises(TypeError, match=r"^metric must be a number, got metric="):
        plateau.observe(plateau.initial(), metric)
    for fine in (np.float32(0.5), torch.tensor(0.5), 1):
        assert type(plateau.observe(plateau.initial(), fine)["best"]) is float  # type: ignore[arg-type]  # what callers have

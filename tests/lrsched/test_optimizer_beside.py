"""Weight decay, momentum and betas beside the rate; and going on with another schedule."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from lrsched import Constant, Cosine, Function, Join, Linear, OneCycle, Plateau, Schedule, Warmup
from lrsched.optimizer import Scheduler


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.zeros(1))


def adam(**options: Any) -> torch.optim.AdamW:
    return torch.optim.AdamW([parameter()], lr=1.0, **options)


# Weight decay


def test_weight_decay_is_each_groups_own_times_its_schedule() -> None:
    """Also after groups were added and reordered; a group without decay stays without."""
    groups = [{"params": [parameter()], "weight_decay": decay} for decay in (0.1, 0.0)]
    optimizer = torch.optim.AdamW(groups, lr=1.0)
    schedule = Linear(10, 1.0, 0.5)
    scheduler = Scheduler(optimizer, Constant(), of={"weight_decay": schedule}, steps_per_epoch=2)
    optimizer.add_param_group({"params": [parameter()], "weight_decay": 0.4})
    for step in range(1, 25):
        scheduler.step()
        held = [group["weight_decay"] for group in optimizer.param_groups]
        assert held == pytest.approx([b * schedule(step / 2) for b in (0.1, 0.0, 0.4)])
    optimizer.param_groups.reverse()
    scheduler.step(10)
    assert [group["weight_decay"] for group in optimizer.param_groups] == pytest.approx([0.3, 0.0, 0.075])


def test_scheduled_weight_decay_is_resumed() -> None:
    """What the optimizer holds when saved is no base value, whichever is loaded first."""
    optimizer = adam(weight_decay=0.2)
    scheduler = Scheduler(optimizer, Cosine(10), of={"weight_decay": Cosine(10)})
    scheduler.step(5)
    saved = optimizer.state_dict(), json.loads(json.dumps(scheduler.state_dict()))
    for order in ("optimizer, scheduler", "scheduler, optimizer", "optimizer, made, scheduler"):
        again = adam(weight_decay=0.2)
        if order.startswith("optimizer, made"):
            again.load_state_dict(saved[0])
        resumed = Scheduler(again, Cosine(10), of={"weight_decay": Cosine(10)})
        loads: list[tuple[Any, Any]] = [(again, saved[0]), (resumed, saved[1])]
        for target, state in loads if order.startswith("optimizer") else reversed(loads):
            target.load_state_dict(state)
        assert again.param_groups[0]["weight_decay"] == pytest.approx(0.1)
        resumed.step()
        assert again.param_groups[0]["weight_decay"] == pytest.approx(0.2 * Cosine(10)(6)), order


# Momentum and betas


def test_betas_each_by_its_schedule() -> None:
    optimizer = adam(betas=(0.5, 0.6))
    first, second = OneCycle(10).momentum(0.8, 0.9), Linear(10, 0.99, 0.9)
    scheduler = Scheduler(optimizer, Cosine(10), of={"betas": (first, second)})
    for step in range(11):
        assert optimizer.param_groups[0]["betas"] == (first(step), second(step))
        scheduler.step()


@pytest.mark.parametrize(
    "of", [{"momentum": Linear(10, 0.9, 0.8)}, {"betas": [Linear(10, 0.9, 0.8), Constant()]}]
)
def test_betas_that_are_tensors_are_filled_in_place(of: dict[str, Any]) -> None:
    held = torch.tensor(0.5), torch.tensor(0.6)
    optimizer = adam(betas=held, foreach=False, capturable=True)
    scheduler = Scheduler(optimizer, Cosine(10), of=of)
    scheduler.step(10)
    betas = optimizer.param_groups[0]["betas"]
    assert betas[0] is held[0]
    assert betas[1] is held[1]
    assert [float(beta) for beta in held] == pytest.approx([0.8, 1.0 if "betas" in of else 0.6])


def test_momentum_in_either_way() -> None:
    schedule = Linear(10, 0.9, 0.8)
    held = []
    for options in ({"momentum": schedule}, {"of": {"momentum": schedule}}):
        optimizer = torch.optim.SGD([parameter()], lr=1.0, momentum=0.3)
        scheduler = Scheduler(optimizer, Cosine(10), **options)
        optimizer.add_param_group({"params": [parameter()]})
        scheduler.step(5)
        assert scheduler.momentum == schedule
        held.append([group["momentum"] for group in optimizer.param_groups])
    assert held == [[pytest.approx(0.85)] * 2] * 2


def test_a_group_that_was_added_has_all_its_values_at_its_first_update() -> None:
    optimizer = torch.optim.SGD([parameter()], lr=1.0, momentum=0.3, weight_decay=0.1)
    scheduler = Scheduler(
        optimizer, Cosine(10), of={"momentum": Linear(10, 0.9, 0.8), "weight_decay": Linear(10)}
    )
    scheduler.step(5)
    optimizer.add_param_group({"params": [parameter()], "weight_decay": 0.4})
    optimizer.step()
    added = optimizer.param_groups[1]
    assert (added["lr"], added["momentum"], added["weight_decay"]) == pytest.approx((0.5, 0.85, 0.2))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"of": {"lr": Cosine(3)}}, ValueError, "of can schedule momentum, betas, weight_decay, got 'lr'"),
        ({"of": Cosine(3)}, TypeError, "of must be a mapping"),
        ({"of": {"weight_decay": 0.1}}, TypeError, "weight_decay must be a schedule of lrsched, got float"),
        ({"of": {"weight_decay": Plateau()}}, ValueError, "weight_decay must not be driven by a metric"),
        ({"of": {"betas": [Cosine(3)]}}, ValueError, "betas needs a schedule for each beta: got 1, group 0"),
        ({"of": {"momentum": Cosine(3)}, "momentum": Cosine(3)}, ValueError, "momentum is scheduled twice"),
        (
            {"of": {"betas": [Cosine(3)] * 2}, "momentum": Cosine(3)},
            ValueError,
            "the first beta is scheduled twice",
        ),
    ],
)
def test_wrong_schedules_beside_the_rate_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Scheduler(adam(), Cosine(10), **options)


def test_betas_of_an_optimizer_without() -> None:
    with pytest.raises(ValueError, match="betas needs an optimizer with betas; group 0 of SGD has none"):
        Scheduler(torch.optim.SGD([parameter()], lr=1.0), Cosine(3), of={"betas": [Cosine(3)] * 2})


# Going on with another schedule


def saved(
    schedule: Schedule, steps: int, losses: list[float] | None = None, **options: Any
) -> dict[str, Any]:
    """Return the state after some steps, through JSON."""
    scheduler = Scheduler(adam(), schedule, **options)
    scheduler.step(epoch=steps)
    for loss in losses or []:
        scheduler.observe(loss)
    state: dict[str, Any] = json.loads(json.dumps(scheduler.state_dict()))
    return state


def test_another_length_and_another_base_rate() -> None:
    optimizer = adam()
    scheduler = Scheduler(optimizer, Cosine(40), base_rates=0.5)
    line = scheduler.resume(saved(Cosine(20), 10))
    assert line == (
        "kept: step 10 (time 10); changed: base_lrs from [1.0] to [0.5], "
        "schedule from Cosine(T_max=20, final=0.0) to Cosine(T_max=40, final=0.0)"
    )
    assert optimizer.param_groups[0]["lr"] == 0.5 * Cosine(40)(10)
    assert scheduler.last_epoch == 10


def test_base_rates_that_were_given_count_though_the_optimizer_was_loaded_since() -> None:
    """The order of frameworks: make, load the optimizer, load the scheduler."""
    old, optimizer = adam(), adam()
    first = Scheduler(old, Cosine(20))
    first.step(10)
    scheduler = Scheduler(optimizer, Cosine(20), base_rates=0.5)
    optimizer.load_state_dict(old.state_dict())
    scheduler.resume(first.state_dict())
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.25)
    assert scheduler.base_lrs == [0.5]


def test_the_time_is_kept_where_epochs_have_another_number_of_steps() -> None:
    scheduler = Scheduler(adam(), Cosine(20), steps_per_epoch=50)
    line = scheduler.resume(saved(Cosine(20), 1000, steps_per_epoch=100))
    assert line == "kept: step 500 (time 10); changed: steps_per_epoch from 100 to 50"
    assert scheduler.optimizer.param_groups[0]["lr"] == pytest.approx(0.5)


def test_what_was_seen_of_the_metric_is_kept() -> None:
    state = saved(Warmup(Plateau(0.5, patience=1), 5), 10, [1.0, 2.0, 2.0, 2.0])
    scheduler = Scheduler(adam(), Warmup(Plateau(0.1, patience=0), 5))
    line = scheduler.resume(state)
    assert line.startswith(
        "kept: step 10 (time 10) and what was seen of the metric; changed: schedule from Warmup("
    )
    assert scheduler.optimizer.param_groups[0]["lr"] == 0.5
    scheduler.observe(2.0)
    assert scheduler.optimizer.param_groups[0]["lr"] == pytest.approx(0.05)


def test_nothing_changed_is_said_too() -> None:
    assert (
        Scheduler(adam(), Cosine(20)).resume(saved(Cosine(20), 4))
        == "kept: step 4 (time 4); changed: nothing"
    )


@pytest.mark.parametrize("schedule", [Plateau(), Join((Cosine(5), Plateau()), (5,))])
def test_a_metric_seen_by_another_composition_is_refused(schedule: Schedule) -> None:
    scheduler = Scheduler(adam(), schedule)
    with pytest.raises(
        ValueError, match=r"is of Warmup\(.*composed otherwise than .* say first_step=3 to go on"
    ):
        scheduler.resume(saved(Warmup(Plateau(), 5), 3, [1.0]))
    assert scheduler.last_epoch == 0


def test_loading_with_other_base_rates_than_were_given_is_refused() -> None:
    scheduler = Scheduler(adam(), Cosine(20), base_rates=0.5)
    with pytest.raises(
        ValueError, match=r"of base_lrs \[1.0\], this scheduler has \[0.5\]; scheduler.resume"
    ):
        scheduler.load_state_dict(saved(Cosine(20), 3))


def test_a_users_function_is_resumed_in_time_alone() -> None:
    scheduler = Scheduler(adam(), Function(lambda t: 0.5**t))
    assert scheduler.resume(saved(Function(lambda t: 0.9**t), 2)) == "kept: step 2 (time 2); changed: nothing"
    assert scheduler.optimizer.param_groups[0]["lr"] == 0.25

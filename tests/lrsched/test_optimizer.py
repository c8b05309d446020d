"""Driving torch's optimizers: what is changed, what is saved, what is refused."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs

import lrsched
from lrsched import Cosine, CosineRestarts, Cyclic, Factor, Function, OneCycle, Plateau, Schedule, Warmup
from lrsched.optimizer import Scheduler


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)
    return torch.nn.Sequential(*layers).double()


def two_groups(rates: tuple[float, float] = (0.1, 0.4), **options: Any) -> torch.optim.SGD:
    model = network()
    assert isinstance(model, torch.nn.Sequential)
    groups = [
        {"params": model[0].parameters(), "lr": rates[0]},
        {"params": model[2].parameters(), "lr": rates[1]},
    ]
    return torch.optim.SGD(groups, **options)


def rates_of(optimizer: torch.optim.Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


def test_each_group_keeps_its_own_base_rate() -> None:
    optimizer, schedule = two_groups(), Warmup(Cosine(20, 0.1), 4)
    scheduler = Scheduler(optimizer, schedule)
    for step in range(25):
        assert rates_of(optimizer) == scheduler.get_last_lr() == scheduler.get_lr()
        assert rates_of(optimizer) == pytest.approx([0.1 * schedule(step), 0.4 * schedule(step)], rel=1e-14)
        scheduler.step()


def test_steps_per_epoch_divides_time() -> None:
    optimizer, schedule = two_groups(), Warmup(Cosine(3), 0.5)
    scheduler = Scheduler(optimizer, schedule, steps_per_epoch=7)
    for step in range(700):
        assert rates_of(optimizer)[0] == pytest.approx(0.1 * schedule(step / 7), rel=1e-13)
        scheduler.step()


def test_constructing_changes_nothing_but_the_rate_of_the_first_step() -> None:
    """Only ``lr``, and the note of the base rate that every torch scheduler makes."""
    optimizer = two_groups(momentum=0.9, nesterov=True)
    before, method = copy.deepcopy(optimizer.state_dict()), optimizer.step
    Scheduler(optimizer, Factor(0.5))
    after = optimizer.state_dict()
    assert [group.pop("initial_lr") for group in after["param_groups"]] == [0.1, 0.4]
    assert after == before
    assert optimizer.step == method
    Scheduler(optimizer, lrsched.Hold(0.5, 3))
    assert rates_of(optimizer) == [0.05, 0.2]


def test_it_is_a_torch_scheduler() -> None:
    """To isinstance, to SequentialLR and to the warning-free use of both."""
    optimizer = two_groups()
    assert isinstance(Scheduler(optimizer, Cosine(9)), theirs.LRScheduler)
    first, second = Scheduler(optimizer, lrsched.Linear(5, 0.0, 1.0)), Scheduler(optimizer, Cosine(9))
    both = theirs.SequentialLR(optimizer, [first, second], [5])
    expected = lrsched.Join((lrsched.Linear(5, 0.0, 1.0), Cosine(9)), (5,))
    for step in range(16):
        assert rates_of(optimizer) == pytest.approx([0.1 * expected(step), 0.4 * expected(step)], rel=1e-14)
        optimizer.step()
        both.step()


def test_torch_scheduler_after_ours_still_knows_the_base_rate() -> None:
    optimizer = two_groups()
    Scheduler(optimizer, Warmup(Cosine(9), 5))
    assert rates_of(optimizer) == [0, 0]
    assert theirs.ExponentialLR(optimizer, 0.9).base_lrs == [0.1, 0.4]


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1),
        lambda p: torch.optim.AdamW(p, lr=0.1),
        lambda p: torch.optim.RMSprop(p, lr=0.1, momentum=0.5),
        lambda p: torch.optim.Adagrad(p, lr=0.1),
        lambda p: torch.optim.LBFGS(p, lr=0.1),
        lambda p: torch.optim.Adam(p, lr=torch.tensor(0.1, dtype=torch.float64)),
    ],
)
def test_any_optimizer(make: Callable[[Any], torch.optim.Optimizer]) -> None:
    """Also one whose rate is a tensor, which is written in place."""
    optimizer = make(network().parameters())
    rate = optimizer.param_groups[0]["lr"]
    scheduler = Scheduler(optimizer, Cosine(10))
    scheduler.step(5)
    assert rates_of(optimizer) == pytest.approx([0.05])
    assert (optimizer.param_groups[0]["lr"] is rate) == isinstance(rate, torch.Tensor)


def test_groups_added_later_join_with_their_own_rate() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = Scheduler(optimizer, Cosine(10))
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.6})
    scheduler.step(5)
    assert rates_of(optimizer) == pytest.approx([0.05, 0.3])


def test_user_functions_are_asked_for_no_step_ahead_of_time() -> None:
    table = [1.0, 0.5, 0.25]
    scheduler = Scheduler(two_groups(), Function(lambda n: table[n], whole=True))
    scheduler.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.025, 0.1]
    with pytest.raises(IndexError):
        scheduler.step()


# Momentum


@pytest.mark.parametrize("phases", [2, 3])
@pytest.mark.parametrize("shape", ["cosine", "linear"])
def test_momentum_of_one_cycle_is_torchs(phases: int, shape: str) -> None:
    total = 60
    a, b = two_groups((0.1, 0.1), momentum=0.9), two_groups((0.1, 0.1), momentum=0.9)
    anneal: Any = "cos" if shape == "cosine" else "linear"
    torchs = theirs.OneCycleLR(a, 0.1, total, anneal_strategy=anneal, three_phase=phases == 3)
    schedule = OneCycle(total - 1, (0.3 * total - 1) / (total - 1), 1 / 25, 1 / 25e4, shape, phases)
    scheduler = Scheduler(b, schedule, momentum=schedule.momentum())
    compare_momenta(a, b, torchs, scheduler, total)


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_momentum_of_cyclic_is_torchs(mode: Any) -> None:
    a, b = two_groups((0.1, 0.1), momentum=0.9), two_groups((0.1, 0.1), momentum=0.9)
    torchs = theirs.CyclicLR(a, 0.01, 0.1, 7, 11, mode, 0.99)
    schedule = Cyclic(7, 11, 0.1, mode, 0.99)
    scheduler = Scheduler(b, schedule, momentum=schedule.momentum())
    compare_momenta(a, b, torchs, scheduler, 100)


def compare_momenta(
    a: torch.optim.SGD, b: torch.optim.SGD, torchs: Any, scheduler: Scheduler, steps: int
) -> None:
    """Rate and momentum are the same at each step."""
    for _ in range(steps - 1):
        for one, other in zip(a.param_groups, b.param_groups, strict=True):
            assert other["momentum"] == pytest.approx(one["momentum"], rel=1e-12)
            assert other["lr"] == pytest.approx(one["lr"], rel=1e-12)
        a.step()
        b.step()
        torchs.step()
        scheduler.step()


def test_momentum_is_adams_first_beta() -> None:
    optimizer = torch.optim.Adam(network().parameters(), lr=0.1, betas=(0.5, 0.77))
    schedule = OneCycle(10, peak=0.5)
    scheduler = Scheduler(optimizer, schedule, momentum=schedule.momentum(0.8, 0.9))
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.77)
    scheduler.step(5)
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.77)


# Metrics


def test_plateau_goes_through_the_same_door() -> None:
    """Told of a metric each epoch, the warmed-up plateau's rate follows at once, per batch as per epoch."""
    optimizer, schedule = two_groups(), Warmup(Plateau(factor=0.5, patience=1), 2)
    scheduler = Scheduler(optimizer, schedule, steps_per_epoch=4)
    seen = []
    for _ in range(6):
        for _ in range(4):
            seen.append(rates_of(optimizer)[0])
            scheduler.step()
        scheduler.observe(torch.tensor(1.0))
    plateau = [1, 1, 1, 0.5, 0.5, 0.25]
    ramp = np.minimum(np.arange(24) / 8, 1)
    assert seen == pytest.approx((0.1 * ramp * np.repeat(plateau, 4)).tolist())


def test_metric_with_the_step() -> None:
    optimizer = two_groups()
    scheduler = Scheduler(optimizer, Plateau(factor=0.1, patience=0))
    for _ in range(2):
        scheduler.step(metric=1.0)
    assert rates_of(optimizer) == pytest.approx([0.01, 0.04])
    with pytest.raises(TypeError, match=r"a metric is given as step\(metric=...\)"):
        Scheduler(two_groups(), Cosine(9)).step(0.5)
    with pytest.raises(TypeError, match="metric must be a number, got metric='bad'"):
        scheduler.step("bad")  # type: ignore[arg-type]  # the mistake that is refused


# Saving and resuming

RESUMED: dict[str, Schedule] = {
    "cosine": Warmup(Cosine(40, 0.1), 5),
    "restarts": CosineRestarts(7, 2, 0.5),
    "plateau": Warmup(Plateau(factor=0.7, patience=1, cooldown=1), 8),
    "join": lrsched.Join((Plateau(patience=2), Cosine(20)), (30,)),
    "function": Function(lambda t: 0.9**t),
}


@pytest.mark.parametrize("name", RESUMED)
@pytest.mark.parametrize("stop", [0, 1, 17, 300])
def test_resuming_equals_never_having_stopped(name: str, stop: int) -> None:
    """The state survives JSON and ``torch.load(weights_only=True)``, and the rates are bit for bit the same."""
    schedule, losses = RESUMED[name], np.random.default_rng(0).uniform(size=400).tolist()
    whole, optimizer = Scheduler(two_groups(), schedule, steps_per_epoch=3), two_groups()
    first = Scheduler(optimizer, schedule, steps_per_epoch=3)
    for step in range(stop):
        whole.step(metric=losses[step])
        first.step(metric=losses[step])
    state = first.state_dict()
    assert json.loads(json.dumps(state)) == state
    file = io.BytesIO()
    torch.save({"scheduler": state, "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    again = two_groups((9.0, 9.0))
    again.load_state_dict(saved["optimizer"])
    second = Scheduler(again, schedule, steps_per_epoch=3)
    second.load_state_dict(saved["scheduler"])
    for step in range(stop, 400):
        assert second.get_last_lr() == whole.get_last_lr() == rates_of(again)
        whole.step(metric=losses[step])
        second.step(metric=losses[step])


def test_resuming_by_number() -> None:
    optimizer = two_groups()
    Scheduler(optimizer, Cosine(10), first_step=5)
    assert rates_of(optimizer) == pytest.approx([0.05, 0.2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": Cosine(30).to_json()}, "the state is of schedule"),
        ({"steps_per_epoch": 2}, "the state is of steps_per_epoch 2, this scheduler has 1"),
        ({"base_lrs": [0.1]}, "the state has 1 base rates, the optimizer 2 groups"),
        ({"momentum": Cosine(30).to_json()}, "the state is of momentum"),
    ],
)
def test_foreign_states_are_refused(change: dict[str, Any], message: str) -> None:
    scheduler = Scheduler(two_groups(), Cosine(20))
    with pytest.raises(ValueError, match=message):
        scheduler.load_state_dict({**scheduler.state_dict(), **change})


def test_the_state_of_a_torch_scheduler_is_refused() -> None:
    state = theirs.ExponentialLR(two_groups(), 0.9).state_dict()
    with pytest.raises(
        ValueError, match=r"the state is not one that Scheduler.state_dict gave: it has no 'step'"
    ):
        Scheduler(two_groups(), Cosine(20)).load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"schedule": "cosine"}, TypeError, "schedule must be a schedule of lrsched, got str"),
        ({"schedule": None}, TypeError, "schedule must be a schedule of lrsched, got NoneType"),
        ({"momentum": 0.9}, TypeError, "momentum must be a schedule of lrsched, got float"),
        ({"momentum": Cosine(3)}, ValueError, "group 0 of Adagrad has neither"),
        (
            {"momentum": Plateau()},
            ValueError,
            "momentum must not be driven by a metric, got momentum=Plateau",
        ),
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be a number > 0, got steps_per_epoch=0"),
        (
            {"steps_per_epoch": "7"},
            TypeError,
            "steps_per_epoch must be a number > 0, got steps_per_epoch='7'",
        ),
        ({"first_step": -1}, ValueError, "first_step must be a whole number >= 0, got first_step=-1"),
        ({"first_step": 2.5}, TypeError, "first_step must be a whole number >= 0, got first_step=2.5"),
        ({"optimizer": network()}, TypeError, "optimizer must be a torch optimizer, got Sequential"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"optimizer": torch.optim.Adagrad(network().parameters()), "schedule": Cosine(9), **arguments}
    with pytest.raises(error, match=message):
        Scheduler(**given)

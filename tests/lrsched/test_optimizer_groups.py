"""Each group's rate is its own base rate times the schedule, whatever is done to the groups meanwhile."""

from __future__ import annotations

import copy
import gc
import io
import json
import pickle
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from torch.optim import lr_scheduler as theirs

from lrsched import Constant, Cosine, Join, Linear, Plateau, Schedule, Warmup
from lrsched.optimizer import Scheduler

WARMUP = Warmup(Cosine(30, 0.1), 10)
RATES = st.sampled_from([0.1, 0.25, 0.5, 2.0])


def parameter() -> torch.nn.Parameter:
    """Return a parameter whose gradient is 1: plain SGD takes its rate off it."""
    made = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    made.grad = torch.ones_like(made)
    return made


def sgd(*rates: Any) -> torch.optim.SGD:
    return torch.optim.SGD([{"params": [parameter()], "lr": rate} for rate in rates])


def rates_of(optimizer: torch.optim.Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


def updated(optimizer: torch.optim.Optimizer) -> list[float]:
    """Make an update, and return the rate that each group was updated with."""
    before = [float(group["params"][0].detach()) for group in optimizer.param_groups]
    optimizer.step()
    after = [float(group["params"][0].detach()) for group in optimizer.param_groups]
    return [b - a for b, a in zip(before, after, strict=True)]


class AnySequence(RuleBasedStateMachine):
    """Add, remove, reorder, replace, save, load, set by hand, step, in any order; rates float or tensor.

    ``self.bases`` is what each group's base rate should be, by the group's place.
    """

    @initialize(tensor=st.booleans(), rates=st.lists(RATES, min_size=1, max_size=3), shared=st.booleans())
    def begin(self, *, tensor: bool, rates: list[float], shared: bool) -> None:
        self.tensor, self.step = tensor, 0
        self.default = self.rate(0.1)
        if shared:
            self.bases = [0.1] * len(rates)
            self.optimizer = torch.optim.SGD([{"params": [parameter()]} for _ in rates], lr=self.default)
        else:
            self.bases = list(rates)
            groups = [{"params": [parameter()], "lr": self.rate(rate)} for rate in rates]
            self.optimizer = torch.optim.SGD(groups, lr=self.default)
        self.scales = [1.0] * len(rates)
        self.saved: list[tuple[Any, Any, int, list[float], list[float]]] = []
        self.scheduler = Scheduler(self.optimizer, WARMUP)

    def rate(self, value: float) -> Any:
        return torch.tensor(value, dtype=torch.float64) if self.tensor else value

    def expected(self) -> list[float]:
        return [b * s * WARMUP(self.step) for b, s in zip(self.bases, self.scales, strict=True)]

    @rule(rate=RATES)
    def add_with_its_own_rate(self, rate: float) -> None:
        self.optimizer.add_param_group({"params": [parameter()], "lr": self.rate(rate)})
        self.bases.append(rate)
        self.scales.append(1.0)

    @rule(scale=st.sampled_from([0.5, 1.0]))
    def add_with_the_default_rate(self, scale: float) -> None:
        self.optimizer.add_param_group({"params": [parameter()], "lr_scale": scale})
        self.bases.append(0.1)
        self.scales.append(scale)

    @precondition(lambda self: self.tensor)
    @rule()
    def add_with_the_tensor_of_the_first(self) -> None:
        self.optimizer.add_param_group({"params": [parameter()], "lr": self.optimizer.param_groups[0]["lr"]})
        self.bases.append(self.bases[0])
        self.scales.append(1.0)

    @precondition(lambda self: len(self.bases) > 1)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.bases) - 1))
        for each in (self.optimizer.param_groups, self.bases, self.scales):
            del each[place]

    @rule()
    def reorder(self) -> None:
        for each in (self.optimizer.param_groups, self.bases, self.scales):
            each.reverse()

    @rule(rate=RATES)
    def replace_the_first(self, rate: float) -> None:
        held = self.optimizer.param_groups[0]
        fresh = {k: v for k, v in held.items() if k not in {"initial_lr", "lr_scale"}}
        self.optimizer.param_groups[0] = {**fresh, "lr": self.rate(rate)}
        self.bases[0], self.scales[0] = rate, 1.0

    @rule()
    def copy_the_groups(self) -> None:
        """As code does that rebuilds groups: other dictionaries, same content, the very same tensors."""
        self.optimizer.param_groups[:] = [dict(group) for group in self.optimizer.param_groups]

    @rule()
    def move(self) -> None:
        self.scheduler.step()
        self.step += 1
        assert rates_of(self.optimizer) == pytest.approx(self.expected(), rel=1e-12)
        assert self.scheduler.get_last_lr() == pytest.approx(self.expected(), rel=1e-12)
        assert self.scheduler.base_lrs == self.bases

    @rule()
    def update(self) -> None:
        """Also the first update of a group that was just added is made at its scheduled rate."""
        assert updated(self.optimizer) == pytest.approx(self.expected(), rel=1e-9, abs=1e-12)

    @rule()
    def save(self) -> None:
        scheduler = json.loads(json.dumps(self.scheduler.state_dict()))
        optimizer = copy.deepcopy(self.optimizer.state_dict())
        self.saved.append((optimizer, scheduler, self.step, list(self.bases), list(self.scales)))

    @precondition(lambda self: any(len(s[3]) == len(self.bases) for s in self.saved))
    @rule(optimizer_first=st.booleans())
    def load(self, *, optimizer_first: bool) -> None:
        fitting = [saved for saved in self.saved if len(saved[3]) == len(self.bases)]
        optimizer, scheduler, self.step, bases, scales = fitting[-1]
        self.bases, self.scales = list(bases), list(scales)
        loads: list[tuple[Any, Any]] = [(self.optimizer, optimizer), (self.scheduler, scheduler)]
        for target, state in loads if optimizer_first else reversed(loads):
            target.load_state_dict(state)
        assert rates_of(self.optimizer) == pytest.approx(self.expected(), rel=1e-12)

    @rule(rate=RATES, forgotten=st.booleans())
    def set_by_hand_and_schedule_anew(self, rate: float, *, forgotten: bool) -> None:
        """The rate that was set is the new base rate; the old scheduler may live on, or be gone."""
        if self.scheduler.get_lr()[0] == rate:
            return  # setting a rate to what it is says nothing
        self.update()
        first = self.optimizer.param_groups[0]
        first["lr"] = self.rate(rate)
        if forgotten:
            del self.scheduler
            gc.collect()
        self.scheduler = Scheduler(self.optimizer, WARMUP)
        self.bases[0], self.step = rate, 0

    @invariant()
    def no_two_groups_write_one_tensor(self) -> None:
        if getattr(self, "tensor", False) and self.scheduler.get_last_lr():
            self.scheduler.state_dict()  # settles what was added
            assert len({id(group["lr"]) for group in self.optimizer.param_groups}) == len(self.bases)


TestAnySequence = pytest.mark.slow(AnySequence.TestCase)
TestAnySequence.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_two_groups_that_share_a_rate_tensor_are_given_one_each() -> None:
    rate = torch.tensor(0.1, dtype=torch.float64)
    optimizer = sgd(rate, rate)
    Scheduler(optimizer, [Cosine(10), Constant()]).step(5)
    assert rates_of(optimizer) == pytest.approx([0.05, 0.1])
    assert optimizer.param_groups[0]["lr"] is rate


def test_the_first_update_of_a_group_added_in_warm_up_is_scheduled() -> None:
    optimizer = sgd(0.1)
    scheduler = Scheduler(optimizer, WARMUP)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    optimizer.add_param_group({"params": [parameter()], "lr": 0.8})
    assert updated(optimizer) == pytest.approx([0.1 * WARMUP(3), 0.8 * WARMUP(3)])


def test_a_scheduler_that_is_gone_or_not_in_charge_gives_no_rates() -> None:
    optimizer = sgd(0.1)
    first = Scheduler(optimizer, Linear(5, 0.0, 1.0))
    second = Scheduler(optimizer, Constant())
    optimizer.add_param_group({"params": [parameter()], "lr": 0.8})
    assert updated(optimizer) == [0.1, 0.8]
    del second
    gc.collect()
    optimizer.add_param_group({"params": [parameter()], "lr": 0.4})
    assert updated(optimizer) == [0.1, 0.8, 0.4]
    first.step()
    assert rates_of(optimizer) == pytest.approx([0.02, 0.16, 0.08])


def test_an_optimizer_is_freed_with_its_schedulers() -> None:
    optimizer = sgd(0.1)
    scheduler, gone = Scheduler(optimizer, Cosine(5)), weakref.ref(optimizer)
    scheduler.step()
    del optimizer, scheduler
    gc.collect()
    assert gone() is None


# Base rates


def test_a_rate_set_by_hand_is_the_next_schedulers_base_rate() -> None:
    optimizer = sgd(10.0, 10.0)
    finder = Scheduler(optimizer, Warmup(Constant(), length=100, start=1e-7, shape="exponential"))
    for _ in range(100):
        finder.step()
    optimizer.param_groups[0]["lr"] = 0.3
    scheduler = Scheduler(optimizer, Cosine(30))
    assert rates_of(optimizer) == scheduler.base_lrs == [0.3, 10.0]
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.3, 10.0]


def test_a_rate_set_by_hand_after_loading_counts_too() -> None:
    """A checkpoint is loaded for fine-tuning, at another rate."""
    optimizer, again = sgd(0.1), sgd(9.0)
    Scheduler(optimizer, Cosine(10)).step(5)
    Scheduler(again, Cosine(10))
    again.load_state_dict(optimizer.state_dict())
    assert Scheduler(again, Cosine(10)).base_lrs == [0.1]
    again.load_state_dict(optimizer.state_dict())
    again.param_groups[0]["lr"] = 0.02
    assert Scheduler(again, Cosine(10)).base_lrs == [0.02]


def test_a_copied_group_brings_its_base_rate_unless_it_is_given_a_rate() -> None:
    optimizer = sgd(0.1)
    scheduler = Scheduler(optimizer, Cosine(10))
    scheduler.step(5)
    held = optimizer.param_groups[0]
    optimizer.add_param_group({**held, "params": [parameter()]})
    optimizer.add_param_group({**held, "params": [parameter()], "lr": 0.6})
    optimizer.add_param_group({**held, "params": [parameter()], "lr": 0.0, "initial_lr": 0.7})
    scheduler.step(5)
    assert scheduler.base_lrs == [0.1, 0.1, 0.6, 0.7]


def test_what_torchs_schedulers_wrote_is_not_taken_for_a_base_rate() -> None:
    optimizer = sgd(0.1)
    warm = theirs.LinearLR(optimizer, 0.5, 1.0, 5)
    scheduler = Scheduler(optimizer, Cosine(10))
    assert scheduler.base_lrs == [0.1]
    optimizer.step()
    warm.step()
    with pytest.warns(UserWarning, match=r"lrsched: a group holds lr=0.12, .* say base_rates= to choose"):
        assert Scheduler(optimizer, Cosine(10)).base_lrs == [0.1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Scheduler(optimizer, Cosine(10)).base_lrs == [0.1]
        assert Scheduler(optimizer, Cosine(10), base_rates=0.06).base_lrs == [0.06]


@pytest.mark.parametrize(
    "given", [[0.3, 0.6], (0.3, 0.6), np.array([0.3, 0.6]), torch.tensor([0.3, 0.6], dtype=torch.float64)]
)
def test_base_rates(given: Any) -> None:
    optimizer = sgd(10.0, torch.tensor(10.0, dtype=torch.float64))
    scheduler = Scheduler(optimizer, Cosine(10), base_rates=given)
    assert scheduler.base_lrs == rates_of(optimizer) == [0.3, 0.6]
    assert theirs.ExponentialLR(optimizer, 0.5).base_lrs == [0.3, 0.6]
    scheduler.base_lrs = [1.0, 2.0]
    scheduler.step(5)
    assert rates_of(optimizer) == pytest.approx([0.5, 1.0])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([0.1], ValueError, "base_rates has a number for each group: got 1 for 2 groups"),
        (-0.1, ValueError, "base_rates must be numbers >= 0, got base_rates=-0.1"),
        ("0.1", TypeError, "base_rates must be numbers >= 0, got base_rates='0.1'"),
        ([0.1, float("nan")], ValueError, "base_rates must be numbers >= 0"),
    ],
)
def test_wrong_base_rates_are_refused(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Scheduler(sgd(0.1, 0.2), Cosine(10), base_rates=given)


# A schedule for each group


def test_a_schedule_for_each_group_goes_with_its_group() -> None:
    optimizer = sgd(0.1, 0.4)
    schedules = [Cosine(10), Warmup(Linear(10), 4)]
    scheduler = Scheduler(optimizer, schedules, steps_per_epoch=2)
    for step in range(8):
        expected = [0.1 * schedules[0](step / 2), 0.4 * schedules[1](step / 2)]
        assert rates_of(optimizer) == pytest.approx(expected, rel=1e-14)
        scheduler.step()
    optimizer.param_groups.reverse()
    optimizer.load_state_dict(optimizer.state_dict())
    scheduler.step(12)
    assert rates_of(optimizer) == pytest.approx([0.4 * schedules[1](6), 0.1 * schedules[0](6)], rel=1e-14)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.1})
    with pytest.raises(ValueError, match=r"group 2 is new, .* with 3 schedules and first_step=12"):
        optimizer.step()


def test_each_groups_plateau_sees_the_metric() -> None:
    optimizer = sgd(1.0, 1.0, 1.0)
    schedules: list[Schedule] = [Plateau(0.5, patience=0), Constant(), Plateau(0.1, patience=1)]
    scheduler = Scheduler(optimizer, schedules)
    for loss in (1.0, 1.0, 1.0):
        scheduler.step(loss)
    assert rates_of(optimizer) == pytest.approx([0.25, 1.0, 0.1])
    state = json.loads(json.dumps(scheduler.state_dict()))
    again = sgd(1.0, 1.0, 1.0)
    Scheduler(again, schedules).load_state_dict(state)
    assert rates_of(again) == rates_of(optimizer)


@pytest.mark.parametrize(
    ("schedules", "error", "message"),
    [
        ([Cosine(3)], ValueError, "a sequence of schedules has one for each group: got 1 for 2 groups"),
        ([Cosine(3), 0.5], TypeError, "schedule must be a schedule of lrsched, got float"),
    ],
)
def test_wrong_sequences_are_refused(schedules: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Scheduler(sgd(0.1, 0.2), schedules)


# Several schedulers on one optimizer


@pytest.mark.parametrize("stop", [2, 5, 7])
@pytest.mark.parametrize("mixed", [False, True])
def test_loading_a_sequence_leaves_the_rate_to_the_part_in_charge(stop: int, *, mixed: bool) -> None:
    """Torch's SequentialLR of ours, and of ours and torch's."""

    def make() -> tuple[torch.optim.SGD, theirs.SequentialLR]:
        optimizer = sgd(0.1)
        second = theirs.ExponentialLR(optimizer, 0.5) if mixed else Scheduler(optimizer, Cosine(9))
        return optimizer, theirs.SequentialLR(
            optimizer, [Scheduler(optimizer, Linear(5, 0.0, 1.0)), second], [5]
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR itself calls what torch has deprecated
        optimizer, scheduler = make()
        for _ in range(stop):
            optimizer.step()
            scheduler.step()
        again, resumed = make()
        again.load_state_dict(optimizer.state_dict())
        resumed.load_state_dict(scheduler.state_dict())
        for _ in range(9):
            assert updated(again) == pytest.approx(updated(optimizer))
            assert rates_of(again) == rates_of(optimizer)
            scheduler.step()
            resumed.step()


def test_the_scheduler_alone_restores_the_rate() -> None:
    """Also where the optimizer's state was loaded first, and a new scheduler has reset its rate."""
    optimizer = sgd(0.1)
    scheduler = Scheduler(optimizer, Cosine(10))
    scheduler.step(5)
    again = sgd(0.1)
    again.load_state_dict(optimizer.state_dict())
    fresh = Scheduler(again, Cosine(10))
    assert rates_of(again) == [0.1]
    fresh.load_state_dict(scheduler.state_dict())
    assert rates_of(again) == rates_of(optimizer)


def test_copies_and_pickles() -> None:
    scheduler = Scheduler(sgd(0.1), Join((Cosine(5), Plateau()), (5,)))
    scheduler.step()
    for again in (copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))):  # noqa: S301 - our own
        assert type(again) is type(scheduler)
        again.step()
        assert again.optimizer is not scheduler.optimizer
        assert rates_of(again.optimizer) == pytest.approx([0.1 * Cosine(5)(2)])


def test_a_compiled_step_is_compiled_once() -> None:
    """With a rate that is a tensor; the hook before each update leaves it one graph."""
    optimizer = torch.optim.SGD([parameter()], lr=torch.tensor(0.1, dtype=torch.float64))
    scheduler = Scheduler(optimizer, Cosine(10))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    step = torch.compile(lambda: optimizer.step(), backend="eager")  # noqa: PLW0108 - a method keeps its hooks outside
    for _ in range(4):
        step()
        scheduler.step()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert float(optimizer.param_groups[0]["params"][0].detach()) == pytest.approx(
        -0.1 * sum(Cosine(10)(n) for n in range(4))
    )


# What is saved


def test_numpy_and_torch_numbers_are_plain_inside() -> None:
    scheduler = Scheduler(
        sgd(np.float64(0.1)),
        Cosine(30),
        steps_per_epoch=np.float32(24.5),  # type: ignore[arg-type]  # the kinds that come from arrays
        first_step=np.int64(5),  # type: ignore[arg-type]  # likewise
    )
    scheduler.step(torch.tensor(7))
    scheduler.step(np.int64(6))
    file = io.BytesIO()
    torch.save(scheduler.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert state == json.loads(json.dumps(state)) == scheduler.state_dict()
    assert {type(state["step"]), type(state["steps_per_epoch"]), type(state["base_lrs"][0])} == {int, float}

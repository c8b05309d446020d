"""Fused equals single: for every network and optimizer, each lane trains as a lone network does.

The oracle is a loop over one network and its torch optimizer, with the rate set by hand before every step, in float64.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import lrsched
from lrsched.optimizer import Scheduler
from study.core.errors import InputError
from study.core.records import EpochMetrics, TrialSpec
from study.problems import Problem
from study.problems.examples import Examples
from study.problems.fashion_mnist import Split
from study.training.general.batched import BatchedAdam, BatchedSGD
from study.training.general.fused import ProblemLanes
from study.training.general.proof import require_bfloat16
from study.training.general.stacked import Stacked
from study.training.general.updates import Ordinary
from study.training.lanes import Lanes, data_order
from study.training.rates import Rates
from tests.making import spec_of
from tests.study.training.general import zoo
from tests.study.training.general.zoo import CLASSES, NETWORKS, OPTIMIZERS, problem_of
from tests.study.training.scenarios import STARTS, TRAINED, come_and_go, go_on, timeless

ORDER = 5
CPU = torch.device("cpu")
EPOCHS = 10  # of 5 steps: 50 steps

#: One schedule a lane, each of another kind.
SCHEDULES = (
    lrsched.Cosine(T_max=10.0, final=0.01),
    lrsched.OneCycle(length=10.0, peak=0.3),
    lrsched.Warmup(lrsched.Polynomial(length=10.0, power=2.0), length=2.0),
)


def lanes_of(
    problem: Problem, *, fused: bool = True, dtype: torch.dtype = torch.float64, **more: object
) -> ProblemLanes:
    return ProblemLanes(
        problem, problem.examples("train", CPU), problem.examples("validation", CPU),
        fused=fused, order_seed=ORDER, dtype=dtype, **more,  # type: ignore[arg-type]  # few of them
    )  # fmt: skip


def some_rates(problem: Problem, steps: int, key: int, epochs: int = EPOCHS) -> list[NDArray[np.float64]]:
    rates = Rates(SCHEDULES[key % len(SCHEDULES)], problem.base_rate[1] * (1 - 0.2 * key), steps)
    found = []
    for _ in range(epochs):
        found.append(rates.current())
        rates.observe(1.0)
    return found


def alone(
    problem: Problem,
    seed: int,
    epochs: list[NDArray[np.float64]],
    *,
    clock: int = 0,
) -> tuple[nn.Module, list[float]]:
    """Train one network as any tutorial does; return it and every epoch's mean training loss."""
    network = problem.build(seed).double()
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimizer = problem.optimizer(trainable, 1.0)
    scales = [group["lr"] for group in optimizer.param_groups]
    x, y = problem.examples("train", CPU).to(CPU, torch.float64)
    losses = []
    for epoch, rates in enumerate(epochs):
        tell(optimizer, "train")
        total = 0.0
        order = data_order(len(x), ORDER, clock + epoch)
        for step, indices in enumerate(torch.split(order, problem.batch_size)):
            for group, scale in zip(optimizer.param_groups, scales, strict=True):
                group["lr"] = float(rates[step]) * scale
            optimizer.zero_grad()
            loss = problem.loss(network(x[indices]), y[indices])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(indices)
        tell(optimizer, "eval")
        losses.append(total / len(x))
    return network, losses


def tell(optimizer: torch.optim.Optimizer, mode: str) -> None:
    if hasattr(optimizer, mode):
        getattr(optimizer, mode)()


def difference(weights: Mapping[str, torch.Tensor], network: nn.Module) -> float:
    state = network.state_dict()
    assert weights.keys() == state.keys()
    return max(float((weights[n].double() - w.double()).abs().max()) for n, w in state.items())


#: All networks with all optimizers; two of those are enough for a quick run.
TABLE = [
    pytest.param(
        network, optimizer, marks=[] if optimizer in {"nesterov", "adamw, groups"} else pytest.mark.slow
    )
    for network in NETWORKS
    for optimizer in OPTIMIZERS
]


@pytest.mark.parametrize(("network", "optimizer"), TABLE)
def test_fused_lanes_are_lone_networks(network: str, optimizer: str) -> None:
    """50 steps, each lane with its own schedule: weights, buffers and figures equal to 1e-9."""
    problem = problem_of(network, optimizer)
    if network == "attention":  # dropout draws other masks for many than for one
        problem = replace(problem, model=lambda: without_dropout(NETWORKS[network][0]()))
    lanes = lanes_of(problem)
    assert lanes.fused
    rates = {key: some_rates(problem, lanes.steps, key) for key in range(3)}
    for key in rates:
        lanes.add(key, seed=100 + key)
    given = [lanes.train_epoch({key: rates[key][e] for key in rates}) for e in range(EPOCHS)]
    x, y = problem.examples("validation", CPU).to(CPU, torch.float64)
    for key, own in rates.items():
        lone, losses = alone(problem, 100 + key, own)
        assert lanes.steps * EPOCHS >= 50
        assert difference(lanes.weights(key), lone) < 1e-9
        assert [epoch[key].train_loss for epoch in given] == pytest.approx(losses, abs=1e-9)
        with torch.no_grad():
            outputs = lone.eval()(x)
        assert given[-1][key].val_loss == pytest.approx(problem.loss(outputs, y).item(), abs=1e-9)
        if problem.metric == "accuracy":
            right = (outputs.argmax(1) == y).double().mean().item()
            assert given[-1][key].val_accuracy == pytest.approx(right, abs=1e-12)


def without_dropout(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return network


@pytest.mark.parametrize("network", ["mlp", "batch norm", "tied weights"])
@pytest.mark.parametrize("optimizer", ["nesterov", "adamw, groups", "rmsprop"])
def test_one_after_the_other_is_alone_too(network: str, optimizer: str) -> None:
    problem = problem_of(network, optimizer)
    lanes = lanes_of(problem, fused=False)
    assert not lanes.fused
    rates = {key: some_rates(problem, lanes.steps, key, 3) for key in range(2)}
    for key in rates:
        lanes.add(key, seed=key)
    for epoch in range(3):
        lanes.train_epoch({key: rates[key][epoch] for key in rates})
    for key in rates:
        assert difference(lanes.weights(key), alone(problem, key, rates[key])[0]) < 1e-12


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_schedule_drives_momentum_and_betas(optimizer: str, *, fused: bool) -> None:
    """A lane equals one network driven by our ``Scheduler``, its momentum too, where the optimizer has any.

    One-cycle with a warm-up beside cosine, which drives none; the lanes are saved and taken up again midway.
    """
    problem = problem_of("mlp", optimizer)
    cycle = lrsched.OneCycle(length=4.0, peak=0.3)
    asked = {
        0: spec_of(schedule=lrsched.Warmup(cycle, length=1.0), base_rate=problem.base_rate[1]),
        1: spec_of(schedule=lrsched.Cosine(T_max=4.0), base_rate=problem.base_rate[1]),
        2: spec_of(schedule=lrsched.Cyclic(up=1.0, down=1.5), base_rate=problem.base_rate[1] / 2),
    }
    lanes = lanes_of(problem, fused=fused)
    rates = {key: Rates(spec.schedule, spec.base_rate, lanes.steps) for key, spec in asked.items()}
    for key, spec in asked.items():
        lanes.add(key, key, spec)
    for epoch in range(4):
        found = lanes.train_epoch({key: rate.current() for key, rate in rates.items()})
        for key, rate in rates.items():
            rate.observe(found[key].train_loss)
        if epoch == 1:
            kept = io.BytesIO()
            torch.save(lanes.state_dict(), kept)
            kept.seek(0)
            lanes = lanes_of(problem, fused=fused)
            lanes.load_state_dict(torch.load(kept, weights_only=True))
    for key, momentum in {0: cycle.momentum(), 1: None, 2: asked[2].schedule.momentum()}.items():  # type: ignore[attr-defined]  # a Cyclic
        assert difference(lanes.weights(key), scheduled(problem, key, asked[key], momentum)) < 1e-9
    moves = any(
        group.get("momentum") or "betas" in group
        for group in problem.optimizer(problem.build(0).parameters(), 1.0).param_groups
    )
    apart = difference(lanes.weights(0), scheduled(problem, 0, asked[0], None))
    assert apart > 1e-9 if moves else apart < 1e-9


def scheduled(
    problem: Problem, seed: int, asked: TrialSpec, momentum: lrsched.Schedule | None, epochs: int = 4
) -> nn.Module:
    """Train one network by ``lrsched.optimizer.Scheduler``, as its documentation shows."""
    network = problem.build(seed).double()
    optimizer = problem.optimizer(network.parameters(), asked.base_rate)
    has = any(group.get("momentum") or "betas" in group for group in optimizer.param_groups)
    x, y = problem.examples("train", CPU).to(CPU, torch.float64)
    steps = -(-len(x) // problem.batch_size)
    scheduler = Scheduler(
        optimizer, asked.schedule, steps_per_epoch=steps, momentum=momentum if has else None
    )
    averaging = callable(getattr(optimizer, "eval", None))
    network.train()
    for epoch in range(epochs):
        for indices in torch.split(data_order(len(x), ORDER, epoch), problem.batch_size):
            optimizer.zero_grad()
            problem.loss(network(x[indices]), y[indices]).backward()
            optimizer.step()
            scheduler.step()
    if averaging:
        optimizer.eval()  # type: ignore[attr-defined]  # just asked
    return network


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_lane_does_not_see_who_comes_and_goes(optimizer: str, *, fused: bool) -> None:
    """One lane trains through, others leave and join: all equal lone networks, each from its own clock."""
    problem = problem_of("batch norm", optimizer)
    lanes = lanes_of(problem, fused=fused)
    rates = {key: some_rates(problem, lanes.steps, key, 8) for key in range(4)}
    ended = come_and_go(lanes, rates)
    for key, epochs in TRAINED.items():
        lone, _ = alone(problem, 100 + key, rates[key][:epochs], clock=STARTS[key])
        assert difference(ended[key], lone) < 1e-9


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_going_on_equals_never_having_stopped(optimizer: str, *, fused: bool) -> None:
    """What another process reads from a file, as data and not as code, trains on to the same bits; dropout too."""
    problem = problem_of("attention", optimizer)

    def make() -> ProblemLanes:
        return lanes_of(problem, fused=fused, dtype=torch.float32, averaging=1.0)

    go_on(make, {key: some_rates(problem, make().steps, key, 4) for key in (4, 9)})


@pytest.mark.parametrize("fused", [True, False])
def test_the_average_is_exponential(*, fused: bool) -> None:
    """After each step: average += (weights - average) / (length x steps), measured beside the weights."""
    problem = problem_of("mlp")
    lanes = lanes_of(problem, fused=fused, averaging=2.0)
    lanes.add(0, seed=3)
    rate = np.full(lanes.steps, 0.1)
    last = [lanes.train_epoch({0: rate}) for _ in range(2)][-1][0]
    network = problem.build(3).double()
    average = {n: w.detach().clone() for n, w in network.named_parameters()}
    for count in range(1, 2 * lanes.steps + 1):
        epochs = [rate] * (count // lanes.steps) + (
            [rate[: count % lanes.steps]] if count % lanes.steps else []
        )
        stepped = after(problem, 3, epochs, count)
        for name, weight in stepped.named_parameters():
            average[name] += (weight.detach() - average[name]) / (2.0 * lanes.steps)
    network.load_state_dict(average)
    x, y = problem.examples("validation", CPU).to(CPU, torch.float64)
    with torch.no_grad():
        right = (network(x).argmax(1) == y).double().mean().item()
    assert last.averaged_accuracy == pytest.approx(right, abs=1e-12)
    assert last.val_accuracy is not None


def after(problem: Problem, seed: int, epochs: list[NDArray[np.float64]], count: int) -> nn.Module:
    """The lone network after some steps: full epochs, then part of one."""
    network = problem.build(seed).double()
    sgd = torch.optim.SGD(network.parameters(), lr=0.1)
    x, y = problem.examples("train", CPU).to(CPU, torch.float64)
    done = 0
    for epoch in range(len(epochs)):
        for indices in torch.split(data_order(len(x), ORDER, epoch), problem.batch_size):
            if done == count:
                return network
            sgd.zero_grad()
            problem.loss(network(x[indices]), y[indices]).backward()
            sgd.step()
            done += 1
    return network


def test_known_optimizers_are_batched_and_others_are_not() -> None:
    """What is fast is fast on purpose: a change of torch's settings must not slip by."""
    kinds = {name: type(Stacked(problem_of("mlp", name), CPU, dtype=torch.float32, averaging=None, bfloat16=False)._updates)
             for name in OPTIMIZERS}  # fmt: skip
    assert kinds == {
        "sgd": BatchedSGD, "nesterov": BatchedSGD, "adam": BatchedAdam, "adamw, groups": BatchedAdam,
        "schedule-free": Ordinary, "rmsprop": Ordinary, "nadam": Ordinary, "amsgrad": Ordinary,
    }  # fmt: skip


@pytest.mark.parametrize("fused", [True, False])
def test_a_diverged_lane_disturbs_nobody(*, fused: bool) -> None:
    problem = problem_of("mlp", "nesterov")
    figures, weights = [], []
    for wild in (1e9, 0.1):
        lanes = lanes_of(problem, fused=fused, dtype=torch.float32)
        for key in range(3):
            lanes.add(key, seed=key)
        rates = {key: np.full(lanes.steps, wild if key == 1 else 0.01) for key in range(3)}
        figures.append([lanes.train_epoch(rates) for _ in range(3)])
        weights.append([lanes.weights(key) for key in range(3)])
    assert not math.isfinite(figures[0][-1][1].train_loss)
    for key in (0, 2):
        assert all(torch.equal(weights[0][key][name], w) for name, w in weights[1][key].items())
        assert [timeless(e[key]) for e in figures[0]] == [timeless(e[key]) for e in figures[1]]


def test_dropout_draws_another_mask_in_every_lane() -> None:
    """Same seed, same rates, same data: only the masks can make two lanes differ."""
    problem = problem_of("mlp", model=lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(10, 5)))
    lanes = lanes_of(problem)
    for key in (0, 1):
        lanes.add(key, seed=7)
    lanes.train_epoch(dict.fromkeys((0, 1), np.full(lanes.steps, 0.1)))
    assert not torch.equal(lanes.weights(0)["1.weight"], lanes.weights(1)["1.weight"])


def test_training_leaves_torch_s_generator_alone() -> None:
    problem = problem_of("attention")
    lanes = lanes_of(problem)
    lanes.add(0, seed=0)
    state = torch.random.get_rng_state()
    lanes.train_epoch({0: np.full(lanes.steps, 0.1)})
    assert torch.equal(torch.random.get_rng_state(), state)


def pinball(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs - targets).abs().mean(1)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("per_example", [True, False])
def test_a_metric_of_one_s_own(*, fused: bool, per_example: bool) -> None:
    """One value an example, or one number for the split: the mean is the same; only the first is known apart."""
    metric = pinball if per_example else lambda o, t: float(pinball(o, t).mean())
    problem = problem_of("regression", metric=metric, direction="minimize", chance=1.0)
    lanes = lanes_of(problem, fused=fused)
    lanes.add(0, seed=0)
    epoch = lanes.train_epoch({0: np.full(lanes.steps, 0.05)})[0]
    lone, _ = alone(problem, 0, [np.full(lanes.steps, 0.05)])
    x, y = problem.examples("validation", CPU).to(CPU, torch.float64)
    with torch.no_grad():
        expected = pinball(lone.eval()(x), y)
    assert epoch.val_accuracy == pytest.approx(float(expected.mean()), abs=1e-9)
    each = lanes.evaluate_examples(problem.examples("validation", CPU))
    assert (each is not None) == per_example
    if each is not None:
        assert each[0] == pytest.approx(expected.numpy(), abs=1e-9)
    assert lanes.evaluate(problem.examples("validation", CPU))[0] == (epoch.val_loss, epoch.val_accuracy)


def test_lanes_go_on_as_they_were_trained() -> None:
    lanes = lanes_of(problem_of("mlp"))
    with pytest.raises(ValueError, match="were trained fused and would go on one after the other"):
        lanes_of(problem_of("mlp"), fused=False).load_state_dict(lanes.state_dict())


@pytest.mark.parametrize("fused", [True, False])
def test_lenet_s_fast_path_is_the_general_one(few: Split, *, fused: bool) -> None:
    """The default problem, both ways, in float64: 50 steps, each lane with its own schedule, equal to 1e-9."""
    assert few.evaluation is not None
    train = Examples(few.train.pixels.unsqueeze(1), few.train.labels)
    validation = Examples(few.evaluation.pixels.unsqueeze(1), few.evaluation.labels)
    problem = problem_of(
        "lenet", model=zoo.lenet, train=tuple(train), validation=tuple(validation), test=None
    )
    general = ProblemLanes(
        problem,
        train,
        validation,
        fused=fused,
        order_seed=ORDER,
        batch_size=32,
        averaging=1.0,
        dtype=torch.float64,
    )
    fast = Lanes(few, batch_size=32, order_seed=ORDER, averaging=1.0, dtype=torch.float64)
    epochs = math.ceil(50 / fast.steps)
    rates = {key: some_rates(problem, fast.steps, key, epochs) for key in range(3)}
    for lanes in (general, fast):
        for key in rates:
            lanes.add(key, seed=100 + key)
    for epoch in range(epochs):
        one, other = (lanes.train_epoch({k: rates[k][epoch] for k in rates}) for lanes in (general, fast))
        for key in rates:
            assert losses_of(one[key]) == pytest.approx(losses_of(other[key]), abs=1e-9)
            # The fast path gives shares of hits in float32.
            assert shares_of(one[key]) == pytest.approx(shares_of(other[key]), abs=1e-7)
    for key in rates:
        ours, theirs = general.weights(key).values(), fast.weights(key).values()
        assert max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True)) < 1e-9


def losses_of(epoch: EpochMetrics) -> tuple[float, float | None, float]:
    return epoch.train_loss, epoch.val_loss, epoch.rate


def shares_of(epoch: EpochMetrics) -> tuple[float | None, ...]:
    return epoch.train_accuracy, epoch.val_accuracy, epoch.averaged_accuracy


class Float32Only(nn.Module):
    """As a network with a kernel of its own may be."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype is not torch.float32:
            raise TypeError(f"float32 only, got {x.dtype}")
        return x


def test_bfloat16_is_refused_where_it_cannot_be_computed() -> None:
    """By a network whose own code takes float32 alone; batch norms, too, compute in it, fused and alone."""
    for network, fused in product(("batch norm", "mlp"), (False, True)):
        require_bfloat16(problem_of(network), CPU, fused=fused)
    narrow = problem_of("mlp", model=lambda: nn.Sequential(nn.Linear(10, CLASSES, bias=False), Float32Only()))
    for fused in (False, True):
        with pytest.raises(
            InputError, match=r"`precision` bfloat16: problem 'small' cannot be trained in it .* use float32"
        ):
            require_bfloat16(narrow, CPU, fused=fused)


@pytest.mark.parametrize("network", ["lenet", "mlp", "attention"])
def test_bfloat16_is_for_the_steps_only(network: str) -> None:
    """Weights stay in float32; the losses are near those of float32 and not the same, traced steps included."""
    problem = problem_of(network)
    losses = []
    for bfloat16 in (False, True):
        lanes = lanes_of(problem, dtype=torch.float32, bfloat16=bfloat16)
        for key in range(2):
            lanes.add(key, seed=key)
        rates = dict.fromkeys(range(2), np.full(lanes.steps, 0.01))
        losses.append([lanes.train_epoch(rates)[1].train_loss for _ in range(6)])
        assert {w.dtype for w in lanes.weights(0).values() if w.is_floating_point()} == {torch.float32}
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.03)

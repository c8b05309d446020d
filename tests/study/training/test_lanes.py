"""Many at once is one alone: a lane trains as a lone network does, whatever its neighbours do.

The oracle is a LeNet of torch.nn layers, trained by torch.optim.SGD on the same minibatches with the rate
set by hand before every step, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import lrsched
from study.problems.fashion_mnist import Images, Split
from study.training.lanes import Lanes, data_order
from study.training.lenet import forward, lenet, unstack
from study.training.rates import Rates
from tests.study.training.scenarios import STARTS, TRAINED, come_and_go, go_on, timeless

ORDER = 5

#: One schedule a lane, each of another kind, all moving with every step (but the constant).
SCHEDULES = (
    lrsched.Constant(),
    lrsched.Cosine(T_max=6.0, final=0.01),
    lrsched.OneCycle(length=6.0, peak=0.3),
    lrsched.Warmup(lrsched.Polynomial(length=6.0, power=2.0), length=2.0),
)


def some_rates(steps: int, epochs: int, key: int = 0) -> list[NDArray[np.float64]]:
    """The rates of a run, epoch by epoch: schedule number ``key`` from base rate 0.1 up."""
    schedule = SCHEDULES[key % len(SCHEDULES)]
    rates = Rates(schedule, 0.1 + 0.05 * key, steps)
    found = []
    for _ in range(epochs):
        found.append(rates.current())
        rates.observe(1.0)
    return found


def alone(
    split: Split, seed: int, epochs: list[NDArray[np.float64]], *, batch: int, clock: int = 0
) -> Iterator[tuple[float, nn.Sequential]]:
    """Train one network as the textbook does; yield every step's summed loss and the network."""
    network = lenet(seed, torch.float64)
    sgd = torch.optim.SGD(network.parameters(), lr=1.0)
    for epoch, rates in enumerate(epochs):
        order = data_order(len(split.train), ORDER, clock + epoch)
        for step, indices in enumerate(torch.split(order, batch)):
            pixels, labels = split.train.pixels[indices].double().unsqueeze(1), split.train.labels[indices]
            sgd.param_groups[0]["lr"] = rates[step]
            loss = nn.functional.cross_entropy(network(pixels), labels)
            sgd.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
            sgd.step()
            yield loss.item() * len(labels), network


def difference(weights: dict[str, torch.Tensor], network: nn.Sequential) -> float:
    return max(float((weights[n] - w).abs().max()) for n, w in network.state_dict().items())


def together(split: Split, *, batch: int = 32, dtype: torch.dtype = torch.float64, **more: object) -> Lanes:
    return Lanes(split, batch_size=batch, order_seed=ORDER, dtype=dtype, **more)  # type: ignore[arg-type]  # few of them


@pytest.mark.parametrize("batch", [25, 32])
def test_a_lane_is_a_lone_network(few: Split, batch: int) -> None:
    """50 steps and more, each lane with its own schedule: weights and figures equal to 1e-9.

    With 32 of 200 images, the last minibatch of an epoch holds 8.
    """
    lanes = together(few, batch=batch)
    epochs = math.ceil(50 / lanes.steps)
    rates = {key: some_rates(lanes.steps, epochs, key) for key in range(4)}
    for key in rates:
        lanes.add(key, seed=100 + key)
    given = [lanes.train_epoch({key: rates[key][e] for key in rates}) for e in range(epochs)]
    assert few.evaluation is not None
    for key, own in rates.items():
        losses, networks = zip(*alone(few, 100 + key, own, batch=batch), strict=True)
        assert len(losses) >= 50
        assert difference(lanes.weights(key), networks[-1]) < 1e-9
        by_epoch = np.array(losses).reshape(epochs, lanes.steps).sum(axis=1) / len(few.train)
        assert [epoch[key].train_loss for epoch in given] == pytest.approx(by_epoch.tolist(), abs=1e-9)
        with torch.no_grad():
            logits = networks[-1](few.evaluation.pixels.double().unsqueeze(1))
        last = given[-1][key]
        expected = nn.functional.cross_entropy(logits, few.evaluation.labels).item()
        assert last.val_loss == pytest.approx(expected, abs=1e-9)
        right = (logits.argmax(1) == few.evaluation.labels).double().mean().item()
        assert last.val_accuracy == pytest.approx(right, abs=1e-12)
        assert last.rate == own[-1][-1]
        assert [epoch[key].epoch for epoch in given] == list(range(epochs))


@pytest.mark.parametrize("constant", [False, True])
def test_a_lane_does_not_see_who_comes_and_goes(few: Split, *, constant: bool) -> None:
    """One lane trains through, others leave and join: all equal lone networks, each from its own clock."""
    lanes = together(few, constant=constant)
    rates = {key: some_rates(lanes.steps, 8, key) for key in range(4)}
    ended = come_and_go(lanes, rates)
    for key, epochs in TRAINED.items():
        *_, (_, network) = alone(few, 100 + key, rates[key][:epochs], batch=32, clock=STARTS[key])
        assert difference(ended[key], network) < 1e-9


def test_a_number_of_lanes_that_stays_trains_as_one_that_changes(few: Split) -> None:
    """Lanes end, diverge, are replaced at once or later, and are more than ever before: all to 1e-12.

    A free lane's weights are zero and stay so; nothing of it is shown.
    """
    held = [together(few, averaging=1.0, constant=constant) for constant in (False, True)]
    rng = np.random.default_rng(3)
    joins = {0: (0, 1, 2), 2: (3,), 4: (4, 5), 5: (6,), 6: (7, 8)}
    leaves = {1: (1,), 2: (0,), 3: (2,), 5: (3,), 6: (4,)}
    widths = []
    for epoch in range(7):
        for lanes in held:
            for key in leaves.get(epoch, ()):
                lanes.drop(key)
            for key in joins.get(epoch, ()):
                lanes.add(key, seed=100 + key)
        changing, staying = held
        keys = set(changing.keys)
        rates = {key: rng.uniform(0.01, 0.2, staying.steps) for key in keys}
        if epoch == 3:
            rates[3][:] = 1e300
        one, other = changing.train_epoch(rates), staying.train_epoch(rates)
        assert set(staying.keys) == one.keys() == other.keys() == keys
        wild = {3} if epoch in {3, 4} else set()
        assert {key for key in keys if not one[key].finite} == wild
        assert {key for key in keys if not other[key].finite} == wild
        for key in keys - wild:
            given, expected = (timeless(e).to_json() for e in (other[key], one[key]))
            assert given == pytest.approx(expected, abs=1e-12)
            weights, same = changing.weights(key), staying.weights(key)
            assert max(float((same[n] - w).abs().max()) for n, w in weights.items()) < 1e-12
        free = set(range(len(staying._roster))) - set(staying._roster.rows)
        for tensors in (staying._weights, staying._averaged):
            assert all(bool((w[row] == 0).all()) for w in tensors.values() for row in free)
        widths.append((len(changing._roster), len(staying._roster)))
    assert widths == [(3, 3), (2, 3), (2, 3), (1, 3), (3, 3), (3, 3), (4, 4)]


@pytest.mark.parametrize("constant", [False, True])
def test_steps_read_what_is_put_before_them(few: Split, *, constant: bool) -> None:
    """By a counter, or by a loop in Python over rates and minibatches: the same bits."""
    lanes = together(few, dtype=torch.float32, averaging=2.0, constant=constant)
    for key in range(3):
        lanes.add(key, seed=key)
    weights = {name: w.clone() for name, w in lanes._weights.items()}
    rates = {key: rates[0] for key, rates in ((k, some_rates(lanes.steps, 1, k)) for k in range(3))}
    loss = torch.zeros(3)
    for step, indices in enumerate(torch.split(data_order(len(few.train), ORDER, 0), 32)):
        leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
        logits = forward(leaves, few.train.pixels[indices])
        losses = torch.stack(
            [nn.functional.cross_entropy(own, few.train.labels[indices], reduction="none") for own in logits]
        )
        losses.sum().div(len(indices)).backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        loss += losses.detach().sum(1)
        each = torch.tensor([rates[key][step] for key in range(3)], dtype=torch.float32)
        for name, leaf in leaves.items():
            assert leaf.grad is not None
            weights[name].addcmul_(leaf.grad, each.view(-1, *[1] * (leaf.dim() - 1)), value=-1)
    given = lanes.train_epoch(rates)
    assert [given[key].train_loss for key in range(3)] == (loss / len(few.train)).double().tolist()
    assert all(torch.equal(lanes._weights[name], w) for name, w in weights.items())


def test_a_checkpoint_goes_on_with_either_number_of_lanes(few: Split) -> None:
    """What a graphics card wrote, free lanes and all, a CPU trains on, and the other way round."""
    for first in (False, True):
        lanes, through = together(few, constant=first), together(few)
        for each in (lanes, through):
            for key in range(3):
                each.add(key, seed=key)
        rates = {key: np.full(lanes.steps, 0.1) for key in range(3)}
        for each in (lanes, through):
            each.train_epoch(rates)
            each.drop(1)
        other = together(few, constant=not first)
        other.load_state_dict(lanes.state_dict())
        assert other.keys == [0, 2]
        one, again = through.train_epoch(rates), other.train_epoch(rates)
        for key in (0, 2):
            assert timeless(again[key]).to_json() == pytest.approx(timeless(one[key]).to_json(), abs=1e-12)
        assert lanes.clock == 1


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("number", [3, 4])
@pytest.mark.parametrize("wildest", [1e6, 1e38])
def test_a_diverged_lane_disturbs_nobody(few: Split, *, bfloat16: bool, number: int, wildest: float) -> None:
    """A lane at rate 1e6 says that its loss is not finite; the others' bits are what they would have been.

    In bfloat16 an even number of lanes is computed two by two, and the second convolution sees partners together.
    """
    figures, weights = [], []
    for wild in (wildest, 0.1):
        lanes = together(few, dtype=torch.float32, averaging=1.0, bfloat16=bfloat16)
        for key in range(number):
            lanes.add(key, seed=key)
        rates = {key: np.full(lanes.steps, wild if key == 1 else 0.1) for key in range(number)}
        figures.append([lanes.train_epoch(rates) for _ in range(2)])
        weights.append([lanes.weights(key) for key in range(number)])
    assert not math.isfinite(figures[0][0][1].train_loss)
    assert math.isfinite(figures[1][1][1].train_loss)
    for key in {*range(number)} - {1}:
        assert all(torch.equal(weights[0][key][name], w) for name, w in weights[1][key].items())
        assert [timeless(e[key]) for e in figures[0]] == [timeless(e[key]) for e in figures[1]]


@pytest.mark.parametrize("length", [0.5, 2.0])
def test_the_average_is_exponential(few: Split, length: float) -> None:
    """After each step: average += (weights - average) / (length x steps an epoch), from the initial weights."""
    lanes = together(few, averaging=length)
    lanes.add(0, seed=3)
    rates = some_rates(lanes.steps, 3, 1)
    average = {n: w.clone() for n, w in lenet(3, torch.float64).state_dict().items()}
    for _, network in alone(few, 3, rates, batch=32):
        for name, weight in network.state_dict().items():
            average[name] += (weight - average[name]) / (length * lanes.steps)
    last = [lanes.train_epoch({0: row}) for row in rates][-1][0]
    kept = unstack(lanes._averaged, 0)
    assert max(float((kept[n] - w).abs().max()) for n, w in average.items()) < 1e-9

    network = lenet(0, torch.float64)
    network.load_state_dict(average)
    assert few.evaluation is not None
    with torch.no_grad():
        right = network(few.evaluation.pixels.double().unsqueeze(1)).argmax(1) == few.evaluation.labels
    assert last.averaged_accuracy == pytest.approx(right.double().mean().item(), abs=1e-12)


@pytest.mark.parametrize("constant", [False, True])
def test_going_on_equals_never_having_stopped(few: Split, *, constant: bool) -> None:
    """What another process reads from a file trains on to the same bits, averages and epoch numbers too."""

    def make() -> Lanes:
        return together(few, dtype=torch.float32, averaging=1.0, constant=constant)

    go_on(make, {key: some_rates(make().steps, 4, key) for key in (4, 9)})


def test_the_data_order_depends_on_seed_and_clock_alone() -> None:
    """A permutation; the same whenever it is drawn, another for each epoch and each seed; draws nothing else."""
    state = torch.random.get_rng_state()
    first = data_order(1000, 0, 0)
    torch.manual_seed(99)
    torch.rand(5)
    assert torch.equal(data_order(1000, 0, 0), first)
    assert torch.equal(first.sort().values, torch.arange(1000))
    others = [data_order(1000, *place) for place in ((0, 1), (1, 0), (1, 1), (0, 2))]
    orders = {tuple(order.tolist()) for order in [first, *others]}
    assert len(orders) == 5
    torch.random.set_rng_state(state)
    data_order(1000, 0, 0)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_without_images_to_measure_on_nothing_is_measured(few: Split) -> None:
    """A final training says nothing of an accuracy; its weights can still be measured on other images."""
    assert few.evaluation is not None
    lanes, judged = together(Split(few.train, None, {})), together(few)
    for each in (lanes, judged):
        each.add(0, seed=0)
    row = {0: np.full(lanes.steps, 0.1)}
    blind, seen = lanes.train_epoch(row)[0], judged.train_epoch(row)[0]
    assert (blind.val_loss, blind.val_accuracy, blind.averaged_accuracy) == (None, None, None)
    assert blind.train_loss == seen.train_loss
    assert lanes.evaluate(few.evaluation) == {0: (seen.val_loss, seen.val_accuracy)}


def test_bfloat16_is_for_the_steps_only(few: Split) -> None:
    """Weights and measuring stay in float32: measured alone, the weights give the figures reported."""
    assert few.evaluation is not None
    losses = []
    for bfloat16 in (False, True):
        lanes = together(few, dtype=torch.float32, bfloat16=bfloat16)
        lanes.add(0, seed=0)
        epoch = lanes.train_epoch({0: np.full(lanes.steps, 0.1)})[0]
        losses.append(epoch.train_loss)
        weights = lanes.weights(0)
        assert {w.dtype for w in weights.values()} == {torch.float32}
        network = lenet(0)
        network.load_state_dict(weights)
        with torch.no_grad():
            logits = network(few.evaluation.pixels.unsqueeze(1))
        assert epoch.val_loss == pytest.approx(
            nn.functional.cross_entropy(logits, few.evaluation.labels).item(), rel=1e-5
        )
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


def test_emptied_lanes_can_be_filled_again(few: Split) -> None:
    """All trials may end at one epoch: the next ones start from their own seeds, at the later clock."""
    lanes = together(few)
    rates = some_rates(lanes.steps, 2, 1)
    lanes.add(0, seed=0)
    lanes.train_epoch({0: rates[0]})
    lanes.drop(0)
    lanes.add(1, seed=1)
    lanes.train_epoch({1: rates[0]})
    *_, (_, network) = alone(few, 1, rates[:1], batch=32, clock=1)
    assert difference(lanes.weights(1), network) < 1e-9


def test_pixels_of_a_split_are_left_alone(few: Split) -> None:
    """Training writes to weights only."""
    before = Images(few.train.pixels.clone(), few.train.labels.clone())
    lanes = together(few, dtype=torch.float32)
    lanes.add(0, seed=0)
    lanes.train_epoch({0: np.full(lanes.steps, 0.1)})
    assert torch.equal(few.train.pixels, before.pixels)
    assert torch.equal(few.train.labels, before.labels)

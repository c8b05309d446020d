"""Schedule-free lanes beside scheduled ones: each trains as if it were alone, on the same minibatches."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import lrsched
from study.core.errors import InputError
from study.core.families import SCHEDULE_FREE, schedule_free_code
from study.core.records import TrialSpec
from study.problems.fashion_mnist import Split
from study.training.evaluation import score_examples
from study.training.general.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD, schedule_free
from study.training.lanes import Lanes, data_order
from study.training.lenet import lenet
from study.training.rates import Rates
from study.training.side_by_side import SideBySide
from study.training.workload import fashion_mnist_lanes
from tests.making import spec_of

ORDER, BATCH, EPOCHS = 3, 64, 3

FREE = spec_of(
    family=SCHEDULE_FREE, schedule=lrsched.Warmup(lrsched.Constant(), length=0.5), base_rate=0.2, seed=5
)
COSINE = spec_of(schedule=lrsched.Cosine(T_max=3.0), base_rate=0.1, seed=5)


def mixed(few: Split, clock: int = 0) -> SideBySide:
    return fashion_mnist_lanes(
        few, schedule_free=True, batch_size=BATCH, order_seed=ORDER, dtype=torch.float64, clock=clock
    )


def train(lanes: SideBySide, rates: dict[int, Rates]) -> None:
    found = lanes.train_epoch({key: rates[key].current() for key in lanes.keys})
    assert list(found) == lanes.keys
    for key, epoch in found.items():
        rates[key].observe(epoch.train_loss)


def alone(few: Split, asked: TrialSpec, clock: int = 0, epochs: int = EPOCHS) -> nn.Module:
    """Train one LeNet schedule-free, as the paper's loop does."""
    network = lenet(asked.seed, torch.float64)
    optimizer = ScheduleFreeSGD(network.parameters(), asked.base_rate)
    pixels = few.train.pixels.double().unsqueeze(1)
    steps = -(-len(pixels) // BATCH)
    for epoch in range(epochs):
        for step, indices in enumerate(torch.split(data_order(len(pixels), ORDER, clock + epoch), BATCH)):
            optimizer.param_groups[0]["lr"] = asked.base_rate * asked.schedule(epoch + step / steps)
            optimizer.zero_grad()
            functional.cross_entropy(network(pixels[indices]), few.train.labels[indices]).backward()  # type: ignore[no-untyped-call]  # torch has no type for it
            optimizer.step()
    optimizer.eval()
    return network


def apart(weights: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert weights.keys() == other.keys()
    return max(float((weights[name] - other[name]).abs().max()) for name in other)


def test_each_side_trains_as_if_alone_and_goes_on_from_its_state(few: Split) -> None:
    """A schedule-free lane is a lone network at its average; a scheduled one does not see it; scores are the average's."""
    lanes = mixed(few)
    rates = {0: Rates(COSINE.schedule, 0.1, lanes.steps), 1: Rates(FREE.schedule, 0.2, lanes.steps)}
    lanes.add(1, 5, FREE)
    lanes.add(0, 5, COSINE)
    assert lanes.keys == [1, 0]
    train(lanes, rates)
    kept = io.BytesIO()
    torch.save(lanes.state_dict(), kept)
    kept.seek(0)
    lanes = mixed(few)
    lanes.load_state_dict(torch.load(kept, weights_only=True))
    for _ in range(EPOCHS - 1):
        train(lanes, rates)

    reference = alone(few, FREE)
    assert apart(lanes.weights(1), reference.state_dict()) < 1e-9
    only = Lanes(few, batch_size=BATCH, order_seed=ORDER, dtype=torch.float64)
    only.add(0, 5)
    again = Rates(COSINE.schedule, 0.1, only.steps)
    for _ in range(EPOCHS):
        only.train_epoch({0: again.current()})
        again.observe(1.0)
    assert apart(lanes.weights(0), only.weights(0)) == 0.0

    assert few.evaluation is not None
    with torch.no_grad():
        right = reference(few.evaluation.pixels.double().unsqueeze(1)).argmax(1) == few.evaluation.labels
    found = score_examples(lanes, few.evaluation)[1].each
    assert found is not None
    assert found.tolist() == right.tolist()


def test_a_lane_that_comes_late_finds_the_clock_of_all(few: Split) -> None:
    """The side without lanes keeps time, and a search that is continued starts both sides at its clock."""
    lanes = mixed(few, clock=2)
    rates = {0: Rates(COSINE.schedule, 0.1, lanes.steps), 1: Rates(FREE.schedule, 0.2, lanes.steps)}
    lanes.add(0, 5, COSINE)
    train(lanes, rates)
    lanes.drop(0)
    lanes.add(1, 5, FREE)
    assert lanes.clock == 3
    train(lanes, rates)
    assert apart(lanes.weights(1), alone(few, FREE, clock=3, epochs=1).state_dict()) < 1e-9
    lanes.clock = 7
    train(lanes, rates)
    assert lanes.clock == 8
    with pytest.raises(ValueError, match="lane 1 trains already"):
        lanes.add(1, 0, COSINE)
    with pytest.raises(ValueError, match="no lane trains 4"):
        lanes.drop(4)


def of(kind: Callable[..., torch.optim.Optimizer], **settings: float | bool) -> torch.optim.Optimizer:
    def factory(parameters: Iterable[torch.Tensor], lr: float) -> torch.optim.Optimizer:
        return kind(parameters, lr=lr, **settings)

    return schedule_free(factory)([torch.nn.Parameter(torch.ones(2))], 0.3)


def test_the_form_keeps_the_settings() -> None:
    sgd, adamw = of(torch.optim.SGD, weight_decay=0.1), of(torch.optim.AdamW, weight_decay=0.2, eps=1e-6)
    assert isinstance(sgd, ScheduleFreeSGD)
    assert isinstance(adamw, ScheduleFreeAdamW)
    assert (sgd.param_groups[0]["lr"], sgd.param_groups[0]["weight_decay"]) == (0.3, 0.1)
    said = {name: adamw.param_groups[0][name] for name in ("beta", "beta2", "eps", "weight_decay")}
    assert said == {"beta": 0.9, "beta2": 0.999, "eps": 1e-6, "weight_decay": 0.2}


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (torch.optim.SGD, {"momentum": 0.9}, "SGD with momentum"),
        (torch.optim.Adam, {"weight_decay": 0.1}, "Adam"),
        (torch.optim.AdamW, {"amsgrad": True}, "AdamW"),
        (torch.optim.RMSprop, {}, "RMSprop"),
    ],
)
def test_an_optimizer_without_such_a_form_is_refused(
    kind: Callable[..., torch.optim.Optimizer], settings: dict[str, float], said: str
) -> None:
    with pytest.raises(InputError, match=f"plain SGD and of AdamW, not of {said}; leave it out"):
        of(kind, **settings)


@pytest.mark.peers
@pytest.mark.parametrize(("optimizer", "kind"), [("sgd", ScheduleFreeSGD), ("adamw", ScheduleFreeAdamW)])
@pytest.mark.parametrize("warmup", [0.0, 0.5])
def test_the_pasted_code_trains_as_the_lane_did(
    optimizer: str, kind: Callable[..., torch.optim.Optimizer], warmup: float
) -> None:
    """The package, warmed up as pasted, ends at the weights of ours under the lane's rates, to rounding."""
    torch.manual_seed(0)
    model, ours = (nn.Linear(4, 3).double() for _ in range(2))
    ours.load_state_dict(model.state_dict())
    code = schedule_free_code(0.05, warmup, 8, optimizer=optimizer, weight_decay=0.01)
    found: dict[str, object] = {"model": model}
    exec(code, found)  # noqa: S102 - our own code, as it is pasted
    theirs, scheduler = found["optimizer"], found["scheduler"]
    own = kind(ours.parameters(), 0.05, weight_decay=0.01)
    rates = Rates(lrsched.Warmup(lrsched.Constant(), warmup), 0.05, 8)
    theirs.train()  # type: ignore[attr-defined]  # the package's
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(16, 4)))
    for _ in range(2):
        for rate in rates.current():
            for network in (model, ours):
                network.zero_grad()
                network(x).square().mean().backward()
            theirs.step()  # type: ignore[attr-defined]  # the package's
            scheduler.step()  # type: ignore[attr-defined]  # torch's
            own.param_groups[0]["lr"] = rate
            own.step()
        rates.observe(1.0)
    assert apart(model.state_dict(), ours.state_dict()) < 1e-12

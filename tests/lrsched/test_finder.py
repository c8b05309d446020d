"""The range test: what it does to the rate, what it suggests, and that nothing is left of it."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lrsched import Cosine, Warmup
from lrsched.finder import RangeTest
from lrsched.optimizer import Scheduler

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "AdamW, a tensor for a rate": lambda p: torch.optim.AdamW(p, lr=torch.tensor(0.1), foreach=False),
    "LBFGS": lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=2),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
}


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Return a network with everything that changes in training: weights, running means, dropout."""
    torch.manual_seed(0)
    layers = nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 3)
    model = nn.Sequential(*layers).to(dtype)
    model.register_buffer("seen", torch.zeros(1), persistent=False)
    return model


def trainer(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], torch.Tensor]:
    """Return a function that makes one update on random data and returns its loss."""

    def update() -> torch.Tensor:
        x = torch.randn(16, 5, dtype=next(model.parameters()).dtype) * random.random()  # noqa: S311 - no secret
        y = torch.from_numpy(np.random.randint(3, size=16))  # noqa: NPY002 - the global generator is under test

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x).float(), y)
            loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
            return loss

        model.get_buffer("seen").add_(1)
        loss: torch.Tensor = optimizer.step(closure)  # type: ignore[assignment,arg-type]  # with a closure it is one
        return loss

    return update


def everything(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Any]:
    """Return all that a test may change, as comparable bytes, and who is who."""
    tensors = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters())]
    state = [(id(k), sorted(v)) for k, v in optimizer.state.items()]
    inner = [v for s in optimizer.state.values() for v in s.values()]
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    flat = [
        *tensors,
        *inner,
        *(v for g in groups for v in g.values()),
        *[m.training for m in model.modules()],
    ]
    return [
        [
            t.detach().reshape(-1).view(torch.uint8).tolist() if isinstance(t, torch.Tensor) else repr(t)
            for t in flat
        ],
        [id(t) for t in tensors],
        state,
        [(id(g), list(g), [id(p) for p in g["params"]]) for g in optimizer.param_groups],
        torch.get_rng_state().tolist(),
        random.getstate(),
        repr(np.random.get_state()),  # noqa: NPY002 - the global generator is under test
    ]


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("before", [0, 3])
def test_everything_is_put_back_to_the_last_bit(kind: str, dtype: torch.dtype, before: int) -> None:
    """Before the first update, and in mid-training; ended by itself, by ``break``, or by an error."""
    model = network(dtype)
    optimizer = OPTIMIZERS[kind](model.parameters())
    Scheduler(optimizer, Warmup(Cosine(9), 2))
    update = trainer(model, optimizer)
    for _ in range(before):
        update()
    model[2].eval()
    held = everything(model, optimizer)

    def changed() -> None:
        assert everything(model, optimizer) != held
        model.train()
        optimizer.param_groups[0]["note"] = 1
        model.register_buffer("late", torch.zeros(1))

    with RangeTest(optimizer, model, lowest=1e-4, highest=1.0, steps=8) as test:
        for _ in test:
            test.observe(update())
        changed()
    assert everything(model, optimizer) == held
    with RangeTest(optimizer, model, steps=8) as test:
        for _ in test:
            test.observe(update())
            break
        changed()
    assert everything(model, optimizer) == held

    def fails() -> torch.Tensor:
        update()
        changed()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        RangeTest(optimizer, model, steps=8).run(fails)
    assert everything(model, optimizer) == held


def test_training_goes_on_as_if_nothing_had_been() -> None:
    """With a scheduler, a scaler and a data loader's generator, all handed over."""

    def run(*, tested: bool) -> list[float]:
        model = network()
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 - the global generator is under test
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        scheduler, generator = Scheduler(optimizer, Cosine(20)), torch.Generator().manual_seed(3)
        update = trainer(model, optimizer)

        def step() -> float:
            loss = float(update().detach()) + float(torch.rand(1, generator=generator))
            scheduler.step()
            return loss

        losses = [step() for _ in range(5)]
        if tested:
            test = RangeTest(optimizer, model, scheduler, generator, lowest=1e-5, highest=1e-1, steps=10)
            assert len(test.run(step).losses) == 10
        return losses + [step() for _ in range(5)]

    assert run(tested=True) == run(tested=False)


# The rates


def parameter(value: float = 1.0) -> nn.Parameter:
    return nn.Parameter(torch.tensor(value, dtype=torch.float64))


def test_rates_rise_exponentially_and_groups_keep_their_proportions() -> None:
    """Also if a warm-up has set all rates to 0 by then."""
    groups = [{"params": [parameter()], "lr": 0.1}, {"params": [parameter()], "lr": torch.tensor(0.4)}]
    optimizer = torch.optim.SGD(groups)
    Scheduler(optimizer, Warmup(Cosine(9), 2))
    held = []
    with RangeTest(optimizer, lowest=1e-4, highest=1.0, steps=5) as test:
        for rate in test:
            held.append([rate, *(float(group["lr"]) for group in optimizer.param_groups)])
            test.observe(1.0)
    assert np.array(held) == pytest.approx(np.array([[r, r / 4, r] for r in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)]))
    assert test.rates == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert test.losses == [1.0] * 5
    assert [float(group["lr"]) for group in optimizer.param_groups] == [0.0, 0.0]


def test_any_loop_by_zip() -> None:
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    with RangeTest(optimizer, steps=10) as test:
        for _, batch in zip(test, itertools.count(), strict=False):
            test.observe(1.0 / (1 + batch))
    assert test.losses == [1.0 / (1 + n) for n in range(10)]


@pytest.mark.parametrize(
    ("losses", "updates"),
    [
        ([1.0, 0.5, 3.0, 1.0], 3),
        ([1.0, math.nan, 1.0], 2),
        ([1.0, math.inf, 1.0], 2),
        ([-1.0, -1.5, -1.0, 0.0, 2.9, 3.1, 5.0], 6),
        ([3.0, 2.0, 2.5, 7.0, 8.5], 5),
    ],
)
def test_it_stops_when_the_loss_diverges(losses: list[float], updates: int) -> None:
    given: Iterator[float] = itertools.chain(losses, itertools.repeat(losses[-1]))
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    assert len(RangeTest(optimizer, smoothing=0.0, steps=50).run(lambda: next(given)).losses) == updates


def test_losses_are_smoothed_without_a_bias_to_zero() -> None:
    losses = [3.0, 1.0, 2.0, 0.5]
    given = iter(losses)
    test = RangeTest(torch.optim.SGD([parameter()], lr=0.1), smoothing=0.9, steps=4).run(lambda: next(given))
    for n in range(4):
        weights = 0.9 ** np.arange(n, -1, -1)
        assert test.smoothed[n] == pytest.approx(np.average(losses[: n + 1], weights=weights))


# The suggestion


def descent(curvatures: list[float]) -> RangeTest:
    """Return a test of gradient descent on a quadratic: stable exactly below 2 / the largest curvature."""
    weights = nn.Parameter(torch.ones(len(curvatures), dtype=torch.float64))
    scale, optimizer = torch.tensor(curvatures, dtype=torch.float64), torch.optim.SGD([weights], lr=1.0)

    def update() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (scale * weights**2).sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
        optimizer.step()
        return loss

    return RangeTest(optimizer, lowest=1e-5, highest=100.0, steps=200).run(update)


@pytest.mark.parametrize("largest", [0.3, 1.0, 40.0])
@pytest.mark.parametrize("rule", ["steepest", "minimum"])
def test_the_suggestion_is_stable_and_no_more_than_two_magnitudes_below_the_edge(
    largest: float, rule: str
) -> None:
    """On a quadratic the edge of stability is known."""
    test = descent([largest, largest / 3, largest / 10])
    edge = 2.0 / largest
    assert edge / 100 < test.suggest(rule) < edge
    assert edge < test.rates[-1] < 100.0


def test_each_rule_does_as_it_says() -> None:
    """Steepest in the middle of a smooth fall; a tenth of the rate of the minimum."""
    given = iter([*(2.0 - np.tanh(np.linspace(-4, 4, 41))).tolist(), 1.5, 9.0])
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    test = RangeTest(optimizer, smoothing=0.0, steps=43, lowest=1e-4, highest=1.0, diverged=1e9)
    test.run(lambda: next(given))
    assert test.suggest() == test.rates[20]
    assert test.suggest("minimum") == test.rates[40] / 10


def test_the_picture_shows_losses_and_suggestions() -> None:
    test = descent([1.0, 0.3])
    figure = test.figure()
    assert list(figure.data[0].x) == test.rates
    assert list(figure.data[1].y) == test.smoothed
    assert [a.text for a in figure.layout.annotations] == [
        f"{rule}: {test.suggest(rule):.2g}" for rule in ("steepest", "minimum")
    ]
    assert figure.layout.xaxis.type == "log"
    rising = iter(range(1, 9))
    flat = RangeTest(torch.optim.SGD([parameter()], lr=0.1), steps=5).run(lambda: next(rising))
    assert not flat.figure().layout.annotations


# Mistakes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lowest": 0.0}, "lowest must be > 0 and below highest, got lowest=0.0, highest=10.0"),
        ({"highest": 1e-9}, "lowest must be > 0 and below highest, got lowest=1e-07, highest=1e-09"),
        ({"steps": 1}, "steps must be a whole number >= 2, got steps=1"),
        ({"steps": 2.5}, "steps must be a whole number >= 2, got steps=2.5"),
        ({"diverged": 1.0}, "diverged must be > 1, got diverged=1.0"),
        ({"smoothing": 1.0}, r"smoothing must be in \[0, 1\), got smoothing=1.0"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RangeTest(torch.optim.SGD([parameter()], lr=0.1), **options)


def test_mistakes_in_use_are_said() -> None:
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    with pytest.raises(RuntimeError, match=r"say `with RangeTest\(...\) as test:`"):
        next(iter(RangeTest(optimizer)))
    with (
        RangeTest(optimizer) as test,
        pytest.raises(RuntimeError, match="update 0 was made, but its loss is not known"),
    ):
        list(test)
    with pytest.raises(RuntimeError, match="called once for each rate"):
        RangeTest(optimizer).observe(1.0)
    with pytest.raises(TypeError, match="float cannot be put back"), RangeTest(optimizer, 0.5):
        pass
    with pytest.raises(ValueError, match="rule must be 'steepest' or 'minimum', got rule='best'"):
        test.suggest("best")
    with pytest.raises(ValueError, match="the loss did not fall over 9 updates"):
        RangeTest(optimizer, steps=9).run(lambda: 1.0).suggest()


def test_the_rate_found_is_the_base_rate_of_the_scheduler_made_next() -> None:
    optimizer = torch.optim.SGD([parameter()], lr=10.0)
    Scheduler(optimizer, Cosine(5))
    with RangeTest(optimizer, lowest=1e-3, highest=10.0, steps=5) as test:
        for _ in test:
            test.observe(1.0)
    optimizer.param_groups[0]["lr"] = 0.25
    assert Scheduler(optimizer, Cosine(30)).base_lrs == [0.25]

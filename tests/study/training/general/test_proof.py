"""Lanes are fused where two steps both ways agree, and nowhere else; the reason is said."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from study.problems import Problem
from study.training.general.proof import prove
from tests.study.training.general.zoo import (
    NETWORKS,
    Branching,
    Recurrent,
    lenet,
    problem_of,
    series,
    vectors,
)

CPU = torch.device("cpu")


class Noise(nn.Module):
    """Random numbers that are not dropout."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn_like(x)


class Unused(nn.Module):
    """A layer that no gradient reaches: an optimizer leaves it alone, one that sees zeros decays it."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(10, 5), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.used(x)
        return out


class Counting(nn.Module):
    """A scale that follows a Python number: a traced step would keep the number it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(10, 5), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        out: torch.Tensor = self.layer(x) * self.calls
        return out


class Float32(nn.Module):
    """Insists on float32."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(10, 5)
        self.register_buffer("scale", torch.ones(10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype != torch.float32:
            raise TypeError("float32 only")
        out: torch.Tensor = self.layer(x)
        return out


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("optimizer", ["adamw, groups", "rmsprop"])
def test_all_kinds_of_networks_are_fused(network: str, optimizer: str) -> None:
    """Dropout (in the attention's layer), batch, group and layer norms, embeddings, tied and frozen weights too."""
    proof = prove(problem_of(network, optimizer), CPU)
    assert proof.fused, proof.reason
    assert "in float64" in proof.reason


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: Recurrent(nn.LSTM), "torch.func cannot batch the network .*aten::lstm"),
        (lambda: Recurrent(nn.GRU), "torch.func cannot batch the network .*aten::gru"),
        (Branching, "data-dependent control flow"),
        (lambda: nn.Sequential(nn.Linear(10, 5), nn.BatchNorm1d(5, momentum=None)), r"calling \.item\(\)"),
        (lambda: nn.Sequential(nn.Linear(10, 5), Noise()), "losses of step 0 differ by .* from those alone"),
        (Unused, "unused.weight of network 0 differ by .* from those alone"),
        (Counting, "differ by .* from those alone"),
    ],
)
def test_what_cannot_be_fused_is_trained_alone_and_says_why(model: object, words: str) -> None:
    data = series if "lstm" in words or "gru" in words else vectors
    problem = problem_of(
        "mlp", "adamw, groups", model=model, train=data(40, 1), validation=data(30, 2), test=None
    )
    proof = prove(problem, CPU)
    assert not proof.fused
    assert str(proof).startswith("lanes are trained one after the other: ")
    assert re.search(words, proof.reason), proof.reason


def test_a_problem_can_say_no() -> None:
    proof = prove(problem_of("mlp", fuse=False), CPU)
    assert (proof.fused, proof.reason) == (False, "the problem says fuse=False")


def test_a_network_that_insists_on_float32_is_compared_in_it() -> None:
    proof = prove(problem_of("mlp", model=Float32), CPU)
    assert proof.fused
    assert "in float32" in proof.reason


def test_a_wrong_batching_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that is off by a thousandth in one lane does not pass."""
    from study.training.general import stacked

    right = stacked.Stacked._forward

    def wrong(self: stacked.Stacked, *given: object) -> torch.Tensor:
        outputs = right(self, *given)  # type: ignore[arg-type]  # passed through
        return outputs * torch.tensor([1.0, 1.001]).view(-1, *[1] * (outputs.dim() - 1)).to(outputs.dtype)

    monkeypatch.setattr(stacked.Stacked, "_forward", wrong)
    proof = prove(problem_of("mlp"), CPU)
    assert not proof.fused
    assert "differ by" in proof.reason


class AsksForALayout(nn.Module):
    """As cuDNN's batch norm does: in float32 alone it asks what vmap cannot say."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype is torch.float32:
            x[..., None, None].is_contiguous(memory_format=torch.channels_last)
        return x


def test_what_agrees_in_float64_must_run_in_float32_too() -> None:
    problem = problem_of("lenet", model=lambda: nn.Sequential(lenet(), AsksForALayout()))
    proof = prove(problem, CPU)
    assert not proof.fused
    assert proof.reason.startswith(
        "torch.func cannot batch the network (RuntimeError: NYI: querying is_contiguous"
    )


def test_proving_draws_nothing_from_torch_s_generator() -> None:
    state = torch.random.get_rng_state()
    prove(problem_of("attention"), CPU)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_problem_s_data_is_only_read() -> None:
    problem: Problem = problem_of("batch norm")
    before = problem.examples("train", CPU).digest()
    prove(problem, CPU)
    assert problem.examples("train", CPU).digest() == before

"""What a lane takes is estimated near what it takes, and too many lanes are refused before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from study.core.errors import InputError
from study.outside.memory import MB, available, require_room
from study.problems.definition import Problem
from study.training.general.lane_memory import lane_memory
from study.training.lenet import lenet_memory


def wide(width: int) -> Problem:
    """A network whose activations are all that counts: 4 layers of ``width`` on 200 examples."""
    inputs, targets = torch.zeros(200, 8), torch.zeros(200, dtype=torch.int64)
    return Problem(
        name="wide",
        model=lambda: nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Dropout(), nn.Linear(width, 2)),
        train=(inputs, targets),
        validation=(inputs, targets),
        loss=nn.functional.cross_entropy,
        optimizer=torch.optim.SGD,
        metric="accuracy",
        base_rate=(0.01, 1.0),
        batch_size=200,
        epochs=1,
    )


def test_the_estimate_counts_weights_and_what_autograd_keeps() -> None:
    """Tanh keeps what it gave, dropout its mask and what it gave is kept by the layer after it: 12 bytes an entry, twice."""
    problem, device, width = wide(1000), torch.device("cpu"), 1000
    network = problem.build(0)
    before, state = torch.random.get_rng_state(), {k: v.clone() for k, v in network.state_dict().items()}
    weights = 4 * (8 * width + width + 2 * width + 2)
    assert lane_memory(problem, network, device, 200, fused=False) == 5 * weights
    activations = (lane_memory(problem, network, device, 200, fused=True) - 5 * weights) / 2
    assert 8 * 200 * width <= activations <= 16 * 200 * width
    half = (lane_memory(problem, network, device, 100, fused=True) - 5 * weights) / 2
    assert half == pytest.approx(activations / 2, rel=0.05)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_lenets_estimate_is_what_was_measured() -> None:
    assert lenet_memory(256, bfloat16=False) == pytest.approx(13.8 * 2**20, rel=0.15)
    assert lenet_memory(1024, bfloat16=False) == pytest.approx(62 * 2**20, rel=0.15)
    assert lenet_memory(256, bfloat16=True) == pytest.approx(21 * 2**20, rel=0.15)


def test_more_lanes_than_fit_are_refused_with_how_many_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.outside.memory.available", lambda: 1_000 * MB)
    require_room(10, 100 * MB, "cpu")
    require_room(11, 100 * MB, "cuda")
    with pytest.raises(
        InputError, match=r"`lanes` 11 take about 1,100 MB, 100 MB each, and 1,000 MB are free; 10 fit"
    ):
        require_room(11, 100 * MB, "cpu")
    with pytest.raises(InputError, match="not one fits"):
        require_room(1, 2_000 * MB, "cpu")


def test_the_least_limit_counts(tmp_path: Path) -> None:
    """The machine's free memory, and a container's limit less what it uses and cannot give back."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    8000 kB\n")
    assert available(tmp_path) == 8000 * 1024
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("3000\n")
    assert available(tmp_path) == 8000 * 1024
    (group / "memory.max").write_text("5000\n")
    assert available(tmp_path) == 2000
    (group / "memory.stat").write_text("anon 1\ninactive_file 500\n")
    assert available(tmp_path) == 2500
    assert available(tmp_path / "nothing") is None

"""What the frameworks' tests share: a tiny network, its data, and a quiet place to train."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lrsched import Cosine, Plateau, Schedule, Warmup

BATCHES, UPDATES = 8, 4  # of an epoch, two batches accumulated

#: By update: two epochs of warm-up, then down to the end of the sixth.
WARMED_COSINE = Warmup(Cosine(6), 2)
HALVES = Plateau(factor=0.5, patience=0)


def by_update(schedule: Schedule, epochs: int) -> list[float]:
    """Return the rate of each update, base rate 0.1, time in epochs."""
    return [0.1 * schedule(n / UPDATES) for n in range(epochs * UPDATES)]


@pytest.fixture(autouse=True)
def what_frameworks_warn_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Their own warnings are theirs to mend; ours are errors. Nothing is left in a home folder."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message="lrsched")
        yield


@pytest.fixture
def model() -> nn.Module:
    """A network whose loss is never better than at first, when it is asked for a constant."""
    torch.manual_seed(0)
    return nn.Linear(4, 1)


@pytest.fixture
def data() -> DataLoader[tuple[torch.Tensor, ...]]:
    torch.manual_seed(1)
    return DataLoader(TensorDataset(torch.randn(2 * BATCHES, 4)), batch_size=2)

"""Networks of many kinds and optimizers of many kinds, for tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from study.problems import Problem
from study.problems.definition import OptimizerFactory
from study.training.general.schedule_free import ScheduleFreeAdamW

Data = tuple[torch.Tensor, torch.Tensor]
CLASSES = 5


class Residual(nn.Module):
    """``x + body(x)``."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x + self.body(x)
        return out


class Attention(nn.Module):
    """Characters in, one class out: embedding, positions, a torch encoder layer, the mean over positions.

    Without biases: softmax does not see the keys' one, so that its gradient is rounding, which Adam with coupled weight
    decay grows to 1e-5 in 50 steps, another 1e-5 in each run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.position = nn.Parameter(torch.randn(6, 8) / 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True, bias=False)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.layer(self.embedding(x) + self.position).mean(1))
        return out


class Tied(nn.Module):
    """A language model whose output layer is its embedding; classes in the second dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.body = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.GELU())
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.body(self.embedding(x)))
        return out.transpose(1, 2)


class Frozen(nn.Module):
    """A frozen random projection below a trained head; a buffer that counts the calls."""

    calls: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.fixed = nn.Linear(10, 16)
        self.fixed.requires_grad_(requires_grad=False)
        self.head = nn.Linear(16, CLASSES)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.calls.add_(1.0)
        out: torch.Tensor = self.head(torch.tanh(self.fixed(x)))
        return out


class Recurrent(nn.Module):
    """An LSTM, or a GRU, over a sequence."""

    def __init__(self, kind: type[nn.LSTM | nn.GRU] = nn.LSTM) -> None:
        super().__init__()
        self.core = kind(4, 8, batch_first=True)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.core(x)[0][:, -1])
        return out


class Branching(nn.Module):
    """Control flow that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(10, CLASSES), nn.Linear(10, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.one(x) if self.one.weight.sum() > 0 else self.other(x)
        return out


def vectors(n: int, seed: int) -> Data:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, 10, generator=draw), torch.randint(CLASSES, (n,), generator=draw)


def images(n: int, seed: int) -> Data:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, 8, 8, generator=draw), torch.randint(CLASSES, (n,), generator=draw)


def gray(n: int, seed: int) -> Data:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, 28, 28, generator=draw), torch.randint(10, (n,), generator=draw)


def words(n: int, seed: int) -> Data:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(11, (n, 6), generator=draw), torch.randint(CLASSES, (n,), generator=draw)


def texts(n: int, seed: int) -> Data:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(11, (n, 6), generator=draw), torch.randint(11, (n, 6), generator=draw)


def series(n: int, seed: int) -> Data:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, 6, 4, generator=draw), torch.randint(CLASSES, (n,), generator=draw)


def numbers(n: int, seed: int) -> Data:
    x, _ = vectors(n, seed)
    return x, x[:, :2].sin()


def lenet() -> nn.Module:
    """The default problem's network, drawn from torch's current seed."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


#: Networks that can be fused: the factory, its data, its loss.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[int, int], Data], Callable[..., torch.Tensor]]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, CLASSES)), vectors, functional.cross_entropy),
    "mlp, dropout": (
        lambda: nn.Sequential(nn.Linear(10, 16), nn.Dropout(0.0), nn.Tanh(), nn.Linear(16, CLASSES)),
        vectors,
        nn.CrossEntropyLoss(label_smoothing=0.1),
    ),
    "lenet": (lenet, gray, functional.cross_entropy),
    "batch norm": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
            Residual(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, CLASSES),
        ),
        images,
        functional.cross_entropy,
    ),
    "group norm": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2), nn.GroupNorm(2, 4), nn.SiLU(), nn.Flatten(), nn.Linear(36, CLASSES)
        ),
        images,
        functional.cross_entropy,
    ),
    "layer norm": (
        lambda: nn.Sequential(nn.LayerNorm(10), nn.Linear(10, 12), nn.GELU(), nn.LayerNorm(12), nn.Linear(12, CLASSES)),
        vectors,
        functional.cross_entropy,
    ),
    "depthwise": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 3, groups=3), nn.Conv2d(6, 6, 3, groups=6, dilation=2), nn.Conv2d(6, 8, 1), nn.ELU(),
            nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, CLASSES),
        ),
        images,
        functional.cross_entropy,
    ),
    "one-dimensional": (
        lambda: nn.Sequential(nn.Conv1d(6, 8, 2), nn.ReLU(), nn.Flatten(), nn.Linear(24, CLASSES)),
        series,
        functional.cross_entropy,
    ),
    "attention": (Attention, words, functional.cross_entropy),
    "tied weights": (Tied, texts, functional.cross_entropy),
    "frozen, buffer": (Frozen, vectors, functional.cross_entropy),
    "regression": (
        lambda: nn.Sequential(nn.Linear(10, 16), nn.Softplus(), nn.BatchNorm1d(16), nn.Linear(16, 2)),
        numbers,
        functional.mse_loss,
    ),
}  # fmt: skip


def _grouped(parameters: object, lr: float) -> torch.optim.Optimizer:
    """AdamW that decays matrices only, biases at twice the rate: groups of their own."""
    own = list(parameters)  # type: ignore[call-overload]  # an iterable of parameters
    return torch.optim.AdamW(
        [
            {"params": [p for p in own if p.dim() > 1], "weight_decay": 0.1},
            {"params": [p for p in own if p.dim() <= 1], "weight_decay": 0.0, "lr": 2 * lr},
        ],
        lr=lr,
    )


#: Optimizers, with a base rate that trains.
OPTIMIZERS: dict[str, tuple[OptimizerFactory, float]] = {
    "sgd": (lambda p, lr: torch.optim.SGD(p, lr=lr), 0.1),
    "nesterov": (
        lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, nesterov=True, weight_decay=1e-3),
        0.02,
    ),
    "adam": (lambda p, lr: torch.optim.Adam(p, lr=lr, weight_decay=1e-3), 1e-3),
    "adamw, groups": (_grouped, 1e-3),
    "rmsprop": (lambda p, lr: torch.optim.RMSprop(p, lr=lr, momentum=0.5), 1e-3),
    "nadam": (lambda p, lr: torch.optim.NAdam(p, lr=lr), 1e-3),
    "schedule-free": (lambda p, lr: ScheduleFreeAdamW(p, lr=lr, weight_decay=1e-3), 1e-3),
    "amsgrad": (lambda p, lr: torch.optim.Adam(p, lr=lr, amsgrad=True), 1e-3),
}


def problem_of(network: str, optimizer: str = "sgd", *, n: int = 40, **more: object) -> Problem:
    """Return a small problem of a network and an optimizer of the tables above."""
    model, data, loss = NETWORKS[network]
    factory, rate = OPTIMIZERS[optimizer]
    settings: dict[str, object] = {
        "name": "small", "model": model, "train": data(n, 1), "validation": data(30, 2), "test": data(20, 3),
        "loss": loss, "optimizer": factory, "base_rate": (rate / 10, rate), "batch_size": 8, "epochs": 3,
    }  # fmt: skip
    if network == "regression":
        settings |= {"metric": "loss", "chance": 1.0}
    return Problem(**{**settings, **more})  # type: ignore[arg-type]  # a table of settings

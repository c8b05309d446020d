"""What a user hands in: a network, its data, how it is trained and what counts as good.

Only factories and data, no base class and no training loop: whoever trains calls ``model()`` under a seed
and ``optimizer(parameters, lr)`` once a lane. Data is read into memory once, moved to the device, and
hashed; the test data is not read before somebody asks for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

import torch
from torch import nn

from study.core.errors import InputError
from study.core.metric import Direction, Metric
from study.problems.examples import Examples, checked, read
from study.problems.user_code import named, user_code

#: The parts that a problem's data comes in.
Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")

OptimizerFactory = Callable[[Iterable[torch.Tensor], float], torch.optim.Optimizer]
Measure = Callable[[torch.Tensor, torch.Tensor], Any]


def sgd(parameters: Iterable[torch.Tensor], lr: float) -> torch.optim.Optimizer:
    """Return plain SGD: the optimizer of a problem that names none."""
    return torch.optim.SGD(parameters, lr=lr)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A network, its data, and how it is trained and measured.

    Attributes:
        name: What it is called in records: letters, digits, ``.``, ``_`` and ``-``.
        model: Returns a new network; called under a seed, so that one seed means one network. Its
            ``forward`` takes a minibatch of inputs ``[B, ...]`` and returns one tensor ``[B, ...]``.
        train: What the weights are fitted to: a pair ``(inputs, targets)`` of tensors or numpy arrays with one
            row an example, a map-style torch ``Dataset`` of such pairs, or a function of no arguments that
            returns either.
        validation: What the search measures on, likewise.
        test: What ``study.confirm`` measures on, likewise; nothing else reads it.
        loss: ``loss(outputs, targets)``, the mean over the minibatch as one number.
        metric: ``"accuracy"``, ``"loss"``, or a function of ``(outputs, targets)`` that returns one value an
            example, ``[B]``, or one number for all. It is given a whole split at once.
        direction: Whether more of the metric is better; by default maximize, and minimize for ``"loss"``.
        chance: What a network that learned nothing scores: a diverged run counts as that. By default, for
            ``"accuracy"``, the share of the most frequent class in ``train``.
        bounds: Smallest and largest value of the metric; by default (0, 1) for ``"accuracy"``.
        optimizer: ``optimizer(parameters, lr)`` returns a torch optimizer; parameter groups may have rates of
            their own, as multiples of ``lr``. By default plain SGD.
        base_rate: Range that base learning rates are searched in.
        batch_size: Examples a minibatch.
        epochs: Length of a trial.
        fuse: Whether lanes may be trained as one batched network, where that is proven to change nothing.

    Raises:
        InputError: Something cannot be used; one line with the value and the rule.
    """

    name: str
    model: Callable[[], nn.Module]
    train: Any
    validation: Any
    test: Any = None
    loss: Measure
    metric: str | Measure = "accuracy"
    direction: Direction | None = None
    chance: float | None = None
    bounds: tuple[float, float] | None = None
    optimizer: OptimizerFactory = sgd
    base_rate: tuple[float, float] = (1e-3, 1.0)
    batch_size: int = 128
    epochs: int = 30
    fuse: bool = True
    _read: dict[str, Examples] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check everything that can be checked without training."""
        name: Any = self.name
        if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", name)):
            raise InputError(
                f"a problem's name must be 1 to 64 letters, digits, '.', '_' or '-', got name={self.name!r}"
            )
        for factory in ("model", "loss", "optimizer"):
            if not callable(getattr(self, factory)) or isinstance(
                getattr(self, factory), torch.optim.Optimizer
            ):
                self._refuse(f"{factory} must be a function, got {named(getattr(self, factory))}")
        model: Any = self.model
        if isinstance(model, nn.Module):
            self._refuse(
                "model must be a function that returns a new network, got a network; write model=lambda: ..."
            )
        self._check_numbers()
        self._check_metric()
        for part in PARTS:
            given = getattr(self, part)
            if given is not None or part != "test":
                checked(given, f"problem {self.name!r}: {part}")
        self._check_pairs()

    @property
    def measured(self) -> Metric:
        """What the study knows of the metric: name, direction, chance level, bounds."""
        low, high = self._bounds
        chance = self.chance if self.chance is not None else self._most_frequent_share()
        try:
            return Metric(self.metric_name, self.improves, chance, low, high)
        except ValueError as error:
            raise InputError(f"problem {self.name!r}: {error}") from None

    @property
    def metric_name(self) -> str:
        """The metric's name: the function's, where it is one."""
        if isinstance(self.metric, str):
            return self.metric
        name = str(getattr(self.metric, "__name__", type(self.metric).__name__))
        return "metric" if name == "<lambda>" else name

    @property
    def improves(self) -> Direction:
        """The direction that is better."""
        return self.direction or ("minimize" if self.metric == "loss" else "maximize")

    def examples(self, part: Part, device: torch.device) -> Examples:
        """Return a part's data on the device; read once, then kept.

        Raises:
            InputError: There is none, it does not fit into memory, or it is not what a network can train on.
        """
        if part not in self._read:
            given = getattr(self, part)
            if given is None:
                self._refuse(f"has no {part} data; give {part}=(inputs, targets)")
            self._read[part] = read(given, f"problem {self.name!r}: {part}", device)
            self._check_pairs()
        found = self._read[part].to(device)
        self._read[part] = found
        return found

    def whole(self, device: torch.device) -> Examples:
        """Return ``train`` and ``validation`` as one: what a confirmation trains on."""
        train, validation = self.examples("train", device), self.examples("validation", device)
        return Examples(
            torch.cat([train.inputs, validation.inputs]), torch.cat([train.targets, validation.targets])
        )

    def build(self, seed: int) -> nn.Module:
        """Return a new network with initial weights drawn from ``seed``; draws nothing else.

        Raises:
            InputError: The factory fails, or returns no network.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            with user_code(f"problem {self.name!r}: model()"):
                network: Any = self.model()
        if not isinstance(network, nn.Module):
            self._refuse(f"model() must return a torch.nn.Module, got {named(network)}")
        if not any(p.requires_grad for p in network.parameters()):
            self._refuse("model() returned a network without weights to train")
        return network

    @property
    def _bounds(self) -> tuple[float, float]:
        return self.bounds or ((0.0, 1.0) if self.metric == "accuracy" else (-math.inf, math.inf))

    def _check_numbers(self) -> None:
        for whole in ("batch_size", "epochs"):
            value: Any = getattr(self, whole)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                self._refuse(f"{whole} must be a whole number of 1 or more, got {whole}={value!r}")
        _check_range(self, "base_rate", above=0.0)
        if self.bounds is not None:
            _check_range(self, "bounds", above=-math.inf)
        fuse: Any = self.fuse
        if not isinstance(fuse, bool):
            self._refuse(f"fuse must be True or False, got fuse={fuse!r}")

    def _check_metric(self) -> None:
        if not (callable(self.metric) or self.metric in {"accuracy", "loss"}):
            self._refuse(f"metric must be 'accuracy', 'loss' or a function, got metric={self.metric!r}")
        if self.direction not in {None, "maximize", "minimize"}:
            self._refuse(f"direction must be 'maximize' or 'minimize', got direction={self.direction!r}")
        if self.metric == "accuracy" and self.direction == "minimize":
            self._refuse("direction must be 'maximize' for 'accuracy', got direction='minimize'")
        if callable(self.metric) and self.direction is None:
            self._refuse("direction must be given for a metric of your own: 'maximize' or 'minimize'")
        if self.chance is None and self.metric != "accuracy":
            self._refuse(
                f"chance must be given for {self.metric_name!r}: what a network that learned nothing scores, "
                "such as math.log(classes) for a cross-entropy"
            )
        if self.chance is not None:
            chance: Any = self.chance
            if isinstance(chance, bool) or not isinstance(chance, int | float):
                self._refuse(f"chance must be a number, got chance={chance!r}")
            _ = self.measured  # which checks it against the bounds

    def _check_pairs(self) -> None:
        """Compare the parts that are tensors already: same shapes, same types."""
        known = {part: self._read.get(part) or getattr(self, part) for part in PARTS}
        pairs = {
            part: tuple(given) for part, given in known.items() if isinstance(given, tuple | list | Examples)
        }
        if "train" not in pairs:
            return
        for part, pair in pairs.items():
            for kind, mine, other in zip(("inputs", "targets"), pair, pairs["train"], strict=True):
                if tuple(mine.shape[1:]) != tuple(other.shape[1:]):
                    self._refuse(
                        f"{part} {kind} have shape {list(mine.shape[1:])} an example, those of train "
                        f"{list(other.shape[1:])}"
                    )
                if _whole(mine) != _whole(other):
                    self._refuse(f"{part} {kind} are {mine.dtype}, those of train {other.dtype}")

    def _most_frequent_share(self) -> float:
        targets = self.examples("train", torch.device("cpu")).targets
        if targets.is_floating_point():
            self._refuse(f"metric 'accuracy' needs whole numbers as targets, got {targets.dtype}")
        _, counts = torch.unique(targets, return_counts=True)
        return float(counts.max()) / targets.numel()

    def _refuse(self, fault: str) -> NoReturn:
        raise InputError(f"problem {self.name!r}: {fault}")


def _check_range(problem: Problem, name: str, *, above: float) -> None:
    value = getattr(problem, name)
    rule = f"must be (low, high) with {'0 < ' if above == 0 else ''}low < high"
    numbers = isinstance(value, tuple | list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in value
    )
    if not (numbers and len(value) == 2 and value[0] < value[1] and value[0] >= above):
        raise InputError(f"problem {problem.name!r}: {name} {rule}, got {name}={value!r}")
    if above == 0 and not (value[0] > 0 and math.isfinite(value[1])):
        raise InputError(f"problem {problem.name!r}: {name} {rule}, got {name}={value!r}")


def _whole(values: Any) -> bool:
    """Whether a tensor or an array holds whole numbers."""
    return "int" in str(values.dtype) or "bool" in str(values.dtype)

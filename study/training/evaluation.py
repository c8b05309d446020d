"""What finalists are trained on, and how trained lanes are scored on examples that nothing was chosen by.

Notation: L lanes, N examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from study.problems.examples import Examples
from study.problems.fashion_mnist import Images
from study.training.general.fused import ProblemLanes
from study.training.lanes import EVALUATION_BATCH, Lanes
from study.training.lenet import forward, stack

#: Networks that train side by side, by the fast path or the general one.
AnyLanes = Lanes | ProblemLanes
Each = NDArray[np.bool_] | NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """What one lane does with the examples.

    Attributes:
        loss: Mean loss; not finite for a diverged lane.
        metric: The metric over all examples.
        each: The metric of every example, ``[N]``: numbers, or whether it is classified right; ``None`` where the
            metric is one number for all.
    """

    loss: float
    metric: float
    each: Each | None

    @property
    def value(self) -> float:
        """The metric; NaN for a diverged lane."""
        return self.metric if math.isfinite(self.loss) and math.isfinite(self.metric) else math.nan


@dataclass(frozen=True)
class Examination:
    """What finalists are trained on, and what judges them.

    Attributes:
        train: Examples that are trained on: all but the test data's, or the first of them.
        whole: Examples that could be.
        make: Makes empty lanes, nothing measured; see :meth:`lanes`.
        score: Scores trained lanes on the test data, by key; reads that when it is first called.
        digests: SHA-256 of every file or part of the data, by name; reads the test data too.
    """

    train: int
    whole: int
    make: Callable[..., AnyLanes]
    score: Callable[[AnyLanes], dict[int, Scores]]
    digests: Callable[[], Mapping[str, str]]

    def lanes(self, *, batch_size: int, order_seed: int, bfloat16: bool = False) -> AnyLanes:
        """Return empty lanes; arguments as of ``Lanes``."""
        return self.make(
            batch_size=batch_size, order_seed=order_seed, averaging=None, bfloat16=bfloat16, clock=0
        )


def score_examples(lanes: AnyLanes, examples: Images | Examples) -> dict[int, Scores]:
    """Return the scores of every lane on every example, by key.

    Raises:
        TypeError: LeNet's lanes were given other examples than images, or a problem's lanes images.
    """
    if isinstance(lanes, Lanes) and isinstance(examples, Images):
        return _on_images(lanes, examples)
    if isinstance(lanes, ProblemLanes) and isinstance(examples, Examples):
        return _on_examples(lanes, examples)
    raise TypeError(f"{type(lanes).__name__} cannot be scored on {type(examples).__name__}")


def _on_examples(lanes: ProblemLanes, examples: Examples) -> dict[int, Scores]:
    means, each = lanes.evaluate(examples), lanes.evaluate_examples(examples)
    return {
        key: Scores(loss, metric, None if each is None else _narrow(each[key]))
        for key, (loss, metric) in means.items()
    }


def _narrow(each: NDArray[np.float64]) -> Each:
    """Return zeros and ones as booleans: they take a 64th of the room, and their sums are exact."""
    return each == 1.0 if bool(np.isin(each, (0.0, 1.0)).all()) else each


@torch.no_grad()
def _on_images(lanes: Lanes, images: Images) -> dict[int, Scores]:
    device = images.pixels.device
    weights = stack([lanes.weights(key) for key in lanes.keys], device)
    dtype = weights["conv1.weight"].dtype
    losses, right = torch.zeros(len(lanes.keys), dtype=torch.float64), []
    for pixels, labels in zip(
        torch.split(images.pixels, EVALUATION_BATCH),
        torch.split(images.labels, EVALUATION_BATCH),
        strict=True,
    ):
        logits = forward(weights, pixels.to(dtype))
        each = functional.cross_entropy(
            logits.flatten(0, 1), labels.repeat(len(logits)), reduction="none"
        ).view(len(logits), -1)
        losses += each.sum(1).cpu().double()
        right.append((logits.argmax(-1) == labels).cpu())
    table = torch.cat(right, dim=1).numpy()
    means = (losses / len(images.labels)).tolist()
    return {
        key: Scores(means[lane], float(table[lane].mean()), table[lane])
        for lane, key in enumerate(lanes.keys)
    }

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

from study.problems.examples import Examples
from study.problems.fashion_mnist import Images
from study.training.epoch_steps import EVALUATION_BATCH, cross_entropies
from study.training.general.fused import ProblemLanes
from study.training.general.mixed import Mixed
from study.training.lenet import forward, stack
from study.training.side_by_side import SideBySide

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
    make: Callable[..., SideBySide]
    score: Callable[[SideBySide], dict[int, Scores]]
    digests: Callable[[], Mapping[str, str]]

    def lanes(self, *, batch_size: int, order_seed: int, bfloat16: bool = False) -> SideBySide:
        """Return empty lanes; arguments as of ``Lanes``."""
        return self.make(
            batch_size=batch_size, order_seed=order_seed, averaging=None, bfloat16=bfloat16, clock=0
        )


def score_examples(lanes: SideBySide, examples: Images | Examples) -> dict[int, Scores]:
    """Return the scores of every lane on every example, by key.

    Args:
        lanes: Trained lanes; of LeNet where they are scored on images, whichever engine trained them.
        examples: What they are scored on.

    Raises:
        TypeError: LeNet's own lanes were given other examples than images.
    """
    if isinstance(examples, Images):
        return _on_images(lanes, examples)
    if isinstance(lanes, ProblemLanes | Mixed):
        return _on_examples(lanes, examples)
    raise TypeError(f"{type(lanes).__name__} cannot be scored on {type(examples).__name__}")


def _on_examples(lanes: ProblemLanes | Mixed, examples: Examples) -> dict[int, Scores]:
    means, each = lanes.evaluate(examples), lanes.evaluate_examples(examples)
    return {
        key: Scores(loss, metric, None if each is None else _narrow(each[key]))
        for key, (loss, metric) in means.items()
    }


def _narrow(each: NDArray[np.float64]) -> Each:
    """Return zeros and ones as booleans: they take a 64th of the room, and their sums are exact."""
    return each == 1.0 if bool(np.isin(each, (0.0, 1.0)).all()) else each


@torch.no_grad()
def _on_images(lanes: SideBySide, images: Images) -> dict[int, Scores]:
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
        losses += cross_entropies(logits, labels).sum(1).cpu().double()
        right.append((logits.argmax(-1) == labels).cpu())
    table = torch.cat(right, dim=1).numpy()
    means = (losses / len(images.labels)).tolist()
    return {
        key: Scores(means[lane], float(table[lane].mean()), table[lane])
        for lane, key in enumerate(lanes.keys)
    }

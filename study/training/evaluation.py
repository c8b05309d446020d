"""Score trained lanes on other images, one score an example.

Notation: L lanes, N examples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from study.problems.fashion_mnist import Images
from study.training.epoch_steps import EVALUATION_BATCH, cross_entropies
from study.training.lenet import forward, stack
from study.training.side_by_side import SideBySide


@dataclass(frozen=True)
class Scores:
    """What one lane does with each example.

    Attributes:
        loss: Mean cross-entropy; not finite for a diverged lane.
        right: Whether each example is classified right, ``[N]``.
    """

    loss: float
    right: NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """Share of the examples classified right; NaN for a diverged lane."""
        return float(self.right.mean()) if math.isfinite(self.loss) else math.nan


@torch.no_grad()
def score_examples(lanes: SideBySide, images: Images) -> dict[int, Scores]:
    """Return the scores of every lane on every image, by key."""
    device = images.pixels.device
    weights = stack([lanes.weights(key) for key in lanes.keys], device)
    dtype = weights["conv1.weight"].dtype
    losses, right = [], []
    for pixels, labels in zip(
        torch.split(images.pixels, EVALUATION_BATCH),
        torch.split(images.labels, EVALUATION_BATCH),
        strict=True,
    ):
        logits = forward(weights, pixels.to(dtype))
        losses.append(cross_entropies(logits, labels).sum(1))
        right.append(logits.argmax(-1) == labels)
    table = torch.cat(right, dim=1).cpu().numpy()
    means = (torch.stack(losses).cpu().double().sum(0) / len(images.labels)).tolist()
    return {key: Scores(means[lane], table[lane]) for lane, key in enumerate(lanes.keys)}

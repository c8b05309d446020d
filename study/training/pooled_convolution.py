"""A convolution of images that all lanes share, with 2x2 max-pooling, as four matrix products.

Notation: B images of C channels, D output channels (of all lanes), a K x K kernel, B * H * W pooled positions.

Pooling torch's way costs more than the convolution itself: it writes positions as 64-bit numbers, fills the
gradient of the whole convolution with zeros and scatters one of four values into it. Here each of the four
outputs that one pooled value is the largest of comes as a plane of its own. The window of K + 1 by K + 1 pixels
under a pooled position holds the windows of all four, so with the windows as rows of one matrix

    planes[2i + j] = patches @ (kernel moved i rows down and j columns right in a (K + 1) x (K + 1) window)

and pooling, its gradient too, is a few elementwise operations over whole planes::

    upper = max(planes[0], planes[1]),   lower = max(planes[2], planes[3]),   pooled = max(upper, lower)

Of equal values the first in reading order takes the gradient, as in torch: a later one must be greater. A
column of ones in the patches makes the bias a row of the kernels, so its gradient comes with theirs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

_keep_where_positive = torch.ops.aten.threshold_backward  # (values, condition, 0): one pass, where() takes several


def pooled_convolution(
    images: torch.Tensor, kernels: torch.Tensor, bias: torch.Tensor, padding: int
) -> torch.Tensor:
    """Return ``max_pool2d(conv2d(images, kernels, bias, padding=padding), 2)``, channels-last.

    The images get no gradient.

    Args:
        images: ``[B, C, ., .]``, such that the convolution's height 2H and width 2W are even.
        kernels: ``[D, C, K, K]``.
        bias: ``[D]``.
        padding: Zeros put around the images.

    Returns:
        ``[B, D, H, W]`` in the images' type, also where autocast is on.
    """
    if images.device.type != "cpu":
        return functional.max_pool2d(functional.conv2d(images, kernels, bias, padding=padding), 2)
    outputs, _, side, _ = kernels.shape
    height, width = ((n + 2 * padding - side + 1) // 2 for n in images.shape[2:])
    patches = _patches(functional.pad(images, [padding] * 4), side + 1, height, width)
    pooled: torch.Tensor = _LargestOfFour.apply(patches, _moved(kernels, bias).to(images.dtype))
    return pooled.view(len(images), height, width, outputs).permute(0, 3, 1, 2)


def _patches(images: torch.Tensor, side: int, height: int, width: int) -> torch.Tensor:
    """Return the windows at stride 2 as rows, and a one: ``[B * H * W, side * side * C + 1]``."""
    batch, channels = images.shape[:2]
    image, channel, row, column = images.stride()
    windows = images.as_strided(
        (batch, height, width, side, side, channels),
        (image, 2 * row, 2 * column, row, column, channel),
        images.storage_offset(),
    )
    size = side * side * channels
    patches = images.new_empty(batch, height, width, size + 1)
    patches[..., :size].view(windows.shape).copy_(windows)
    patches[..., size] = 1
    return patches.view(-1, size + 1)


def _moved(kernels: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return the kernels at the four places in a window one larger, the bias below: ``[4, (K+1)(K+1)C + 1, D]``."""
    moved = [functional.pad(kernels, (j, 1 - j, i, 1 - i)) for i in (0, 1) for j in (0, 1)]
    rows = torch.stack(moved).permute(0, 3, 4, 2, 1).flatten(1, 3)
    return torch.cat([rows, bias.expand(4, 1, -1)], dim=1)


class _LargestOfFour(torch.autograd.Function):
    """The largest of ``patches @ kernels[0..3]``; what is kept is by how much each later one is larger."""

    @staticmethod
    def forward(ctx: Any, patches: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        first, second, third, fourth = (patches @ kernel for kernel in kernels)
        upper, lower = torch.maximum(first, second), torch.maximum(third, fourth)
        pooled = torch.maximum(upper, lower)
        ctx.save_for_backward(patches, second.sub_(first), fourth.sub_(third), lower.sub_(upper))
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, torch.Tensor]:
        patches, by_second, by_fourth, by_lower = ctx.saved_tensors
        lower = _keep_where_positive(gradient, by_lower, 0)
        upper = gradient - lower
        second = _keep_where_positive(upper, by_second, 0)
        fourth = _keep_where_positive(lower, by_fourth, 0)
        planes = (upper.sub_(second), second, lower.sub_(fourth), fourth)
        return None, torch.stack([patches.t() @ plane for plane in planes])

"""A grouped convolution, laid out so that CPUs are faster at it.

Notation: G groups (lanes), B images, C channels a group comes from and D it goes to, a K x K kernel.

The CPU kernels pad a group's C channels to the 16 of a vector register; LeNet's second convolution has 6 and
wastes most of the work, in the slowest part of a training step.

In bfloat16, where products cost least, two groups become one of 2C channels: block-diagonal kernels, half of them
zeros, and yet a step's three convolutions take 11 ms where they took 17 (8 lanes, 256 images, one thread). Zero
times infinity is NaN, so what is not finite is set to zero before it meets the partner's zeros, forward and
backward; the bias of a group that it came from becomes NaN instead.

Otherwise only the gradient for the input is mended. Two neighbouring columns together make 2C channels of one
plain convolution over the output's gradient with stride (1, 2)::

    dX[2j + p] = sum over u of dY[2j - (K - 1) + u] * W[p + (K - 1) - u],    u = 0..K, p = 0, 1

(columns only, W zero outside of 0..K-1; rows are as in any transposed convolution).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from study.training.layers.finite import only_finite


def grouped_convolution(
    images: torch.Tensor, kernels: torch.Tensor, bias: torch.Tensor, groups: int
) -> torch.Tensor:
    """Return ``conv2d(images, kernels, bias, groups=groups)``, channels-last: stride 1, no padding.

    Args:
        images: ``[B, G * C, H, W]``, of an even width.
        kernels: ``[G * D, C, K, K]``.
        bias: ``[G * D]``.
        groups: Number of groups, G.

    Returns:
        ``[B, G * D, H - K + 1, W - K + 1]`` in the images' type, also where autocast is on.
    """
    if images.device.type != "cpu":
        return functional.conv2d(images, kernels, bias, groups=groups)
    kernels, bias = kernels.to(images.dtype), bias.to(images.dtype)
    if images.dtype is torch.bfloat16 and groups % 2 == 0:
        return _two_by_two(images, kernels, bias, groups)
    convolved: torch.Tensor = _PairedColumns.apply(images, kernels, bias, groups)
    return convolved


def _two_by_two(images: torch.Tensor, kernels: torch.Tensor, bias: torch.Tensor, groups: int) -> torch.Tensor:
    """Return the convolution by half as many groups; a group that is not finite becomes NaN, alone."""
    sums = images.detach().sum((0, 2, 3)).view(groups, -1).sum(1)  # not finite if one value is not
    bias = bias + (0 * sums).repeat_interleave(len(bias) // groups)
    channels = kernels.shape[1]
    first, second = kernels.view(groups // 2, 2, -1, *kernels.shape[1:]).unbind(1)  # [G / 2, D, C, K, K] each
    first = functional.pad(first, (0, 0, 0, 0, 0, channels))
    second = functional.pad(second, (0, 0, 0, 0, channels, 0))
    pairs = torch.stack([first, second], dim=1).flatten(0, 2).contiguous(memory_format=torch.channels_last)
    convolved = functional.conv2d(_Finite.apply(images), pairs, bias, groups=groups // 2)
    finite: torch.Tensor = _FiniteGradient.apply(convolved)
    return finite


class _Finite(torch.autograd.Function):
    """Zero for what is not finite; the gradient passes."""

    @staticmethod
    def forward(_ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        return only_finite(tensor)

    @staticmethod
    def backward(_ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


class _FiniteGradient(torch.autograd.Function):
    """The tensor itself; zero for what is not finite in its gradient."""

    @staticmethod
    def forward(_ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.view_as(tensor)

    @staticmethod
    def backward(_ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return only_finite(gradient)


class _PairedColumns(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: torch.Tensor, kernels: torch.Tensor, bias: torch.Tensor, groups: int
    ) -> torch.Tensor:
        ctx.save_for_backward(images, kernels)
        ctx.groups = groups
        return functional.conv2d(images, kernels, bias, groups=groups)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        images, kernels = ctx.saved_tensors
        _, for_kernels, for_bias = torch.ops.aten.convolution_backward(
            gradient,
            images,
            kernels,
            bias_sizes=[len(kernels)],
            stride=[1, 1],
            padding=[0, 0],
            dilation=[1, 1],
            transposed=False,
            output_padding=[0, 0],
            groups=ctx.groups,
            output_mask=[False, True, True],
        )
        return _for_images(gradient, kernels, ctx.groups), for_kernels, for_bias, None


def _for_images(gradient: torch.Tensor, kernels: torch.Tensor, groups: int) -> torch.Tensor:
    """Return the gradient for the images ``[B, G * C, H, W]``, two columns at a time."""
    outputs, channels, side, _ = kernels.shape
    turned = kernels.view(groups, outputs // groups, channels, side, side).flip(3, 4).transpose(1, 2)
    pairs = torch.stack([functional.pad(turned, (0, 1)), functional.pad(turned, (1, 0))], dim=1)
    pairs = pairs.flatten(0, 2).contiguous(memory_format=torch.channels_last)  # [G * 2 * C, D, K, K + 1]
    h = functional.conv2d(gradient, pairs, stride=(1, 2), padding=side - 1, groups=groups)
    batch, _, height, half = h.shape
    h = h.permute(0, 2, 3, 1).reshape(batch, height, half, groups, 2, channels).transpose(3, 4)
    return h.reshape(batch, height, 2 * half, groups * channels).permute(0, 3, 1, 2)

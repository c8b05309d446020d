"""2x2 max-pooling with ReLU, and its gradient, each in one pass over memory on CPUs.

torch writes positions as 64-bit numbers, fills the gradient with zeros and scatters into it, and takes ReLU in
further passes: more than a third of a training step. Here one loop, compiled by Numba, keeps one byte for each
output, which of its four inputs was the largest, and the gradient is written once, in the order of memory.
The results are torch's to the last bit: of equal values the first in reading order counts, NaN stays NaN.

Notation: B images, H x W outputs, C channels; channels-last, so that the innermost loop runs over channels.
bfloat16, which NumPy has not, is passed as the 16-bit integers of the same bits.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from numba.extending import overload
from torch.nn import functional

_NONE = 4  # the code of an output that ReLU set to zero: none of its four inputs gets a gradient


def pool_relu(images: torch.Tensor) -> torch.Tensor:
    """Return ``relu(max_pool2d(images, 2))``, channels-last.

    Args:
        images: ``[B, C, 2H, 2W]``; fastest channels-last.

    Returns:
        ``[B, C, H, W]``.
    """
    if images.device.type != "cpu":
        return functional.relu(functional.max_pool2d(images, 2))
    pooled: torch.Tensor = _PoolRelu.apply(images)
    return pooled


class _PoolRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = images.shape
        if height % 2 or width % 2:
            raise ValueError(f"images must be of even height and width, got {height} x {width}")
        shape = (batch, height // 2, width // 2, channels)
        pooled, codes = images.new_empty(shape), images.new_empty(shape, dtype=torch.uint8)
        use_as_many_threads_as_torch()
        _pool(_by_fours(images), _array(pooled), _array(codes))
        ctx.save_for_backward(codes)
        return pooled.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (codes,) = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        batch, channels, height, width = gradient.shape
        spread = gradient.new_empty(batch, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
        _spread(_array(gradient.permute(0, 2, 3, 1)), _array(codes), _by_fours(spread))
        return spread


def use_as_many_threads_as_torch() -> None:
    """Both share one pool of OpenMP threads; starting it, Numba changes torch's number, which is put back."""
    threads = torch.get_num_threads()
    most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # set when it is imported
    numba.set_num_threads(min(threads, most))
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def _by_fours(images: torch.Tensor) -> np.ndarray:
    """Return images ``[B, C, 2H, 2W]`` as ``[B, H, 2, W, 2, C]``."""
    batch, channels, height, width = images.shape
    last = images.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return _array(last).reshape(batch, height // 2, 2, width // 2, 2, channels)


def _array(tensor: torch.Tensor) -> np.ndarray:
    """Return the tensor's memory as an array."""
    tensor = tensor.detach()
    return tensor.view(torch.uint16).numpy() if tensor.dtype is torch.bfloat16 else tensor.numpy()


def _value(stored: Any) -> Any:
    """Return the number that is stored: itself, or for 16 bits the bfloat16 that they are; compiled code only."""
    raise NotImplementedError


@overload(_value, inline="always")
def _value_compiled(stored: Any) -> Any:
    def of_bits(stored: Any) -> Any:  # a bfloat16 is the upper half of a float32
        return np.uint32(np.uint32(stored) << np.uint32(16)).view(np.float32)

    def itself(stored: Any) -> Any:
        return stored

    return of_bits if stored == numba.types.uint16 else itself


@numba.njit(parallel=True, nogil=True, cache=True)
def _pool(images: np.ndarray, pooled: np.ndarray, codes: np.ndarray) -> None:
    """Fill ``pooled`` and ``codes`` ``[B, H, W, C]`` from images ``[B, H, 2, W, 2, C]``."""
    batch, height, _, width, _, channels = images.shape
    for row in numba.prange(batch * height):
        b, i = row // height, row % height
        for j in range(width):
            for c in range(channels):
                largest, code = images[b, i, 0, j, 0, c], np.uint8(0)
                for other in range(1, 4):
                    stored = images[b, i, other // 2, j, other % 2, c]
                    value = _value(stored)
                    if value > _value(largest) or np.isnan(value):
                        largest, code = stored, np.uint8(other)
                if _value(largest) <= 0:
                    largest, code = images.dtype.type(0), np.uint8(_NONE)
                pooled[b, i, j, c] = largest
                codes[b, i, j, c] = code


@numba.njit(parallel=True, nogil=True, cache=True)
def _spread(gradient: np.ndarray, codes: np.ndarray, spread: np.ndarray) -> None:
    """Fill ``spread`` ``[B, H, 2, W, 2, C]``: each gradient ``[B, H, W, C]`` where its code says, else zero."""
    batch, height, width, channels = gradient.shape
    for row in numba.prange(batch * height):
        b, i = row // height, row % height
        for half in range(2):
            for j in range(width):
                for other in range(2):
                    code = np.uint8(2 * half + other)
                    for c in range(channels):
                        taken = codes[b, i, j, c] == code
                        spread[b, i, half, j, other, c] = (
                            gradient[b, i, j, c] if taken else gradient.dtype.type(0)
                        )

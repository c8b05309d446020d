"""Zero for whatever is not finite, in one pass over bfloat16; ``torch.nan_to_num`` takes ten times as long there."""

from __future__ import annotations

import numba
import numpy as np
import torch

from study.training.layers.pooling import use_as_many_threads_as_torch

_EXPONENT = 0x7F80  # all ones in what is infinite or NaN


def only_finite(tensor: torch.Tensor) -> torch.Tensor:
    """Return a bfloat16 tensor on the CPU with zero where it is not finite; in the same layout if that has no gaps."""
    cleaned = torch.empty_like(tensor)
    if cleaned.stride() != tensor.stride():
        tensor = cleaned.copy_(tensor)
    use_as_many_threads_as_torch()
    _clean(_bits(tensor), _bits(cleaned))
    return cleaned


def _bits(tensor: torch.Tensor) -> np.ndarray:
    """Return the tensor's memory, in its own order."""
    flat = tensor.detach().as_strided((tensor.numel(),), (1,))
    return flat.view(torch.uint16).numpy()


@numba.njit(parallel=True, nogil=True, cache=True)
def _clean(bits: np.ndarray, cleaned: np.ndarray) -> None:
    exponent = np.uint16(_EXPONENT)
    for i in numba.prange(len(bits)):
        cleaned[i] = bits[i] if (bits[i] & exponent) != exponent else np.uint16(0)

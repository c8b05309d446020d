"""Settings of the process that training is faster with; made once, before the first tensor."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt(3)


def prepare_process() -> None:
    """Keep freed memory in the process; make CUDA choose fixed algorithms, and mean float32 where it says so.

    glibc hands every freed activation back to the kernel and faults it in again page by page; raising
    two thresholds keeps it. Elsewhere than on Linux with glibc that part does nothing.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, 2**30)
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    # By default cuDNN's convolutions are computed in TF32, of 10 bits. Each is named: before torch 2.14 the setting of
    # all of cuDNN did not reach the convolutions.
    cudnn: Any = torch.backends.cudnn  # torch makes these at run time
    cudnn.fp32_precision = cudnn.conv.fp32_precision = cudnn.rnn.fp32_precision = "ieee"
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True

"""Which arithmetic a study computes in: its training steps in bfloat16 where that is made in hardware."""

from __future__ import annotations

import torch

from study.core.errors import InputError

AUTO = "auto"
FLOAT32 = "float32"
BFLOAT16 = "bfloat16"


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware: AVX512-BF16 or AMX; CUDA from capability 8.0 up.

    Elsewhere it is emulated and slower than float32, or unmeasured.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def widest(device: torch.device) -> torch.dtype:
    """Return the floating-point type that sums are kept in: Apple's MPS knows no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def choose_precision(asked: str, device: torch.device, recorded: str | None = None) -> str:
    """Return ``float32`` or ``bfloat16``.

    Args:
        asked: As ``--precision`` names it: one of them, or ``auto``.
        device: What is trained on.
        recorded: What the study that is joined computes in; ``None`` for a new one. ``auto`` follows it.

    Raises:
        InputError: ``auto`` on a device without bfloat16 joins a study that computes in it.
    """
    if asked != AUTO:
        return asked
    if recorded is None:
        return BFLOAT16 if has_bfloat16(device) else FLOAT32
    if recorded == BFLOAT16 and not has_bfloat16(device):
        raise InputError(
            f"`precision` auto: the study computes in bfloat16, which this {device.type} has not in hardware; "
            "join from another machine, give `precision` bfloat16 to compute it slowly, or `study` OTHER to start another"
        )
    return recorded


def precision_for(asked: str, device: torch.device, source: str, recorded: str | None = None) -> str:
    """Return what a study trains in: as ``choose_precision``, but for a user's problem ``auto`` is ``float32``.

    bfloat16 is measured to change nothing for LeNet alone; for another network it has to be asked for.

    Args:
        asked: As ``--precision`` names it.
        device: What is trained on.
        source: SHA-256 of the problem's file; empty for the default problem.
        recorded: What the study that is joined computes in; ``None`` for a new one.
    """
    if asked == AUTO and source and recorded is None:
        return FLOAT32
    return choose_precision(asked, device, recorded)

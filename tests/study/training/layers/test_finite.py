"""What is finite stays as it is, bit for bit; the rest is zero."""

from __future__ import annotations

import torch

from study.training.layers.finite import only_finite


def test_it_is_torchs_for_every_bfloat16() -> None:
    """All 65,536 of them."""
    every = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    expected = torch.nan_to_num(every, nan=0.0, posinf=0.0, neginf=0.0)
    assert torch.equal(only_finite(every).view(torch.int16), expected.view(torch.int16))


def test_the_layout_stays() -> None:
    images = torch.randn(2, 3, 4, 5, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    images[1, 2, 3, 4] = float("inf")
    cleaned = only_finite(images)
    assert cleaned.stride() == images.stride()
    assert torch.equal(cleaned, images.nan_to_num(posinf=0.0))
    assert torch.equal(only_finite(images[:, 1:]), cleaned[:, 1:])

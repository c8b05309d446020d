"""The faster convolution is torch's own: the same output, the same three gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from study.training.layers.convolution import grouped_convolution


def outputs_and_gradients(convolution: str, inputs: list[torch.Tensor], groups: int) -> list[torch.Tensor]:
    """Return the output and the gradients, for images, kernels and bias, of a sum weighted at random."""
    images, kernels, bias = copies = [tensor.clone().requires_grad_() for tensor in inputs]
    if convolution == "ours":
        output = grouped_convolution(images, kernels, bias, groups)
    else:
        output = functional.conv2d(images, kernels, bias, groups=groups)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=output.dtype)
    return [output, *torch.autograd.grad((output * weights).sum(), copies)]


def drawn(
    seed: int, batch: int, groups: int, channels: int, outputs: int, side: int, height: int, width: int
) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [
        (batch, groups * channels, height, width),
        (groups * outputs, channels, side, side),
        (groups * outputs,),
    ]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 1000),
    batch=st.integers(1, 3),
    groups=st.integers(1, 4),
    channels=st.integers(1, 7),
    outputs=st.integers(1, 5),
    side=st.integers(1, 5),
    extra=st.tuples(st.integers(0, 4), st.integers(0, 4)),
)
def test_it_is_torchs(
    seed: int, batch: int, groups: int, channels: int, outputs: int, side: int, extra: tuple[int, int]
) -> None:
    """For any numbers of groups and channels, any kernel, any images at least as large and of an even width."""
    height, width = side + extra[0], 2 * (side // 2 + 1 + extra[1])
    inputs = drawn(seed, batch, groups, channels, outputs, side, height, width)
    ours, theirs = (outputs_and_gradients(name, inputs, groups) for name in ("ours", "torch"))
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_changes_the_arithmetic_not_the_type(dtype: torch.dtype) -> None:
    """Weights in float32, images in the type that autocast gave them: the output has the images' type."""
    images, kernels, bias = (t.float() for t in drawn(0, 2, 3, 6, 16, 5, 14, 14))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        output = grouped_convolution(images.to(dtype), kernels, bias, 3)
    assert output.dtype is dtype
    expected = functional.conv2d(images, kernels, bias, groups=3)
    assert (output.float() - expected).abs().max() < (1e-4 if dtype is torch.float32 else 0.5)


@pytest.mark.parametrize("groups", [1, 2, 3, 8])
def test_bfloat16_gradients_are_torchs(groups: int) -> None:
    """Whether groups are taken in pairs or not: as near to float64's as torch's own bfloat16 gradients are."""
    inputs = drawn(0, 8, groups, 6, 16, 5, 14, 14)
    exact = outputs_and_gradients("torch", inputs, groups)
    rounded = [tensor.bfloat16() for tensor in inputs]
    ours, theirs = (outputs_and_gradients(name, rounded, groups) for name in ("ours", "torch"))
    for one, other, truth in zip(ours, theirs, exact, strict=True):
        assert one.dtype is torch.bfloat16
        off, allowed = ((t.double() - truth).norm() / truth.norm() for t in (one, other))
        assert off < 1.2 * allowed + 1e-3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["images", "kernels", "gradient"])
def test_what_is_not_finite_stays_in_its_group(value: float, where: str) -> None:
    """Groups taken in pairs share products with zeros, and yet nothing of one reaches the other."""
    found = []
    for put in (1.0, value):
        images, kernels, bias = (t.to(torch.bfloat16) for t in drawn(0, 2, 2, 6, 16, 5, 14, 14))
        images = images.contiguous(memory_format=torch.channels_last)
        gradient = torch.ones(2, 32, 10, 10, dtype=torch.bfloat16)
        {"images": images[0, 1, 3], "kernels": kernels[4, 2, 1], "gradient": gradient[1, 5, 2]}[where][0] = (
            put
        )
        copies = [t.requires_grad_() for t in (images, kernels, bias)]
        output = grouped_convolution(images, kernels, bias, 2)
        back = torch.autograd.grad(output, copies, gradient)
        found.append([output[:, 16:], back[0][:, 6:], back[1][16:], back[2][16:]])
    assert where == "gradient" or not output[0, 4].isfinite().all()
    for tame, wild in zip(*found, strict=True):
        assert wild.isfinite().all()
        assert torch.equal(wild, tame)

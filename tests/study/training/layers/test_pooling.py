"""Pooling in one pass is torch's pooling and ReLU: the same bits out, the same bits back, ties and NaN too."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from study.training.layers.pooling import pool_relu


def torchs(images: torch.Tensor) -> torch.Tensor:
    return functional.relu(functional.max_pool2d(images, 2))


def output_and_gradient(
    pool: object, images: torch.Tensor, gradient: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    assert callable(pool)
    images = images.clone(memory_format=torch.preserve_format).requires_grad_()
    pooled = pool(images)
    (back,) = torch.autograd.grad(pooled, images, gradient)
    return pooled.detach(), back


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one.nan_to_num(7e7), other.nan_to_num(7e7))


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 70), st.integers(1, 4), st.integers(1, 4)),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
    distinct=st.sampled_from([2, 5, 1000]),
    last=st.booleans(),
)
def test_it_is_torchs(
    seed: int, shape: tuple[int, int, int, int], dtype: torch.dtype, distinct: int, *, last: bool
) -> None:
    """For any shape, type and layout, and whether few values are equal or nearly all."""
    batch, channels, height, width = shape
    draw = torch.Generator().manual_seed(seed)
    size = (batch, channels, 2 * height, 2 * width)
    images = (torch.randint(-distinct, distinct, size, generator=draw) / distinct).to(dtype)
    if last:
        images = images.contiguous(memory_format=torch.channels_last)
    gradient = torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype)
    ours, theirs = (output_and_gradient(pool, images, gradient) for pool in (pool_relu, torchs))
    assert same_bits(ours[0], theirs[0])
    assert same_bits(ours[1], theirs[1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_what_is_not_finite_is_not_hidden(dtype: torch.dtype) -> None:
    """NaN of either sign, at any of the four places, and infinities come out as torch gives them."""
    special = [float("nan"), -float("nan"), float("inf"), -float("inf")]
    images = torch.zeros(len(special) * 4, 3, 2, 2, dtype=dtype)
    for number, value in enumerate(special):
        for place in range(4):
            images[4 * number + place].flatten(1)[:, place] = value
    assert torch.isnan(pool_relu(images)[:8]).all()
    assert same_bits(pool_relu(images), torchs(images))


def test_an_odd_size_is_refused() -> None:
    with pytest.raises(ValueError, match="even height and width, got 5 x 4"):
        pool_relu(torch.zeros(1, 1, 5, 4))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_is_torchs_and_stays(threads: int) -> None:
    """The compiled loop starts threads of its own kind; torch's number is neither ignored nor changed."""
    code = (
        "import numba, torch; from study.training.layers.pooling import pool_relu;"
        f"torch.set_num_threads({threads}); pool_relu(torch.zeros(2, 2, 4, 4));"
        "print(torch.get_num_threads(), numba.get_num_threads())"
    )
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "NUMBA_"))}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=own)
    at_most = min(threads, len(os.sched_getaffinity(0)))
    assert run.stdout.split() == [str(threads), str(at_most)]

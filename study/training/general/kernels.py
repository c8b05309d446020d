"""Batching rules for four operations that ``torch.func.vmap`` batches slowly on CPUs, or on a card not at all.

Notation: L lanes, B examples, C channels, K classes. vmap lays lanes beside examples, ``[L * B, C, H, W]``, for
pooling and examples beside lanes, ``[B, L * C, H, W]``, for convolutions, and copies all activations between
the two. Here lanes always lie in the channels, channels last, as in the hand-made LeNet; the bias is part of
the convolution, and the cross-entropy is one over ``[L * B, K]``. A batch norm is of each channel by itself, so that lanes in the
channels need no rule but that; vmap's own asks cuDNN for a layout that it cannot tell (torch 2.11, float32, seen on an H100).

The rules are ``autograd.Function``s that are only ever called under vmap, inside :class:`LaneKernels`; what they
call is differentiated by autograd itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from study.training.layers.convolution import grouped_convolution

Dims = tuple[int | None, ...]


class LaneKernels(TorchFunctionMode):
    """Inside this context a call under vmap of one of the four operations takes the rule of this file.

    A call that a rule does not cover (a weight that all lanes share, three-dimensional convolutions, class
    weights) takes vmap's own rule.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Reroute the call where there is a rule for it."""
        kwargs = kwargs or {}
        rule = _RULES.get(func)
        if rule is not None:
            bound = rule.bound(*args, **kwargs)
            if bound is not None:
                return rule.apply(*bound)
        return func(*args, **kwargs)


class _Rule(torch.autograd.Function):
    """What the four have in common: outside of vmap they are never called, so they need no backward."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: autograd sees the operations inside the rule."""

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise NotImplementedError("a lane's kernel is differentiated by autograd itself")


class _Convolution(_Rule):
    @staticmethod
    def bound(x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
              groups: int = 1) -> tuple[Any, ...] | None:  # fmt: skip
        """Return the arguments of ``apply``, or ``None`` where vmap's own rule has to do."""
        if x.dim() != 4 or not all(map(_is_lanes, (weight, *(() if bias is None else (bias,))))):
            return None
        return x, weight, bias, stride, padding, dilation, groups

    @staticmethod
    def forward(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *how: Any) -> torch.Tensor:
        return functional.conv2d(x, weight, bias, *how)

    @staticmethod
    def vmap(info: Any, dims: Dims, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
             stride: Any, padding: Any, dilation: Any, groups: int) -> tuple[torch.Tensor, int]:  # fmt: skip
        lanes = info.batch_size
        kernels = _channels_last(_lanes_first(weight, dims[1]).flatten(0, 1))
        joined = None if bias is None else _lanes_first(bias, dims[2]).flatten()
        if dims[0] is not None:
            x, groups = _in_channels(x, dims[0]), groups * lanes
        elif groups > 1:  # shared by the lanes, but each group sees a part of it
            x, groups = x.repeat(1, lanes, 1, 1), groups * lanes
        x = _channels_last(x)
        plain = (stride, padding, dilation) == ((1, 1), (0, 0), (1, 1))
        square = kernels.shape[2] == kernels.shape[3]
        # In bfloat16 the grouped convolution calls compiled loops, which a trace of torch's operations does not see.
        traceable = x.dtype is not torch.bfloat16
        if groups > 1 and plain and square and joined is not None and x.shape[3] % 2 == 0 and traceable:
            out = grouped_convolution(x, kernels, joined, groups)
        else:
            out = functional.conv2d(x, kernels, joined, stride, padding, dilation, groups)
        return _lanes_apart(out, lanes), 1


class _MaxPooling(_Rule):
    @staticmethod
    def bound(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
              ceil_mode: bool = False, return_indices: bool = False) -> tuple[Any, ...] | None:  # noqa: FBT001, FBT002 - torch's  # fmt: skip
        """Return the arguments of ``apply``, or ``None`` where vmap's own rule has to do."""
        if x.dim() != 4 or return_indices or not _is_lanes(x):
            return None
        return x, kernel_size, stride, padding, dilation, ceil_mode

    @staticmethod
    def forward(x: torch.Tensor, *how: Any) -> torch.Tensor:
        out: torch.Tensor = functional.max_pool2d(x, *how)
        return out

    @staticmethod
    def vmap(info: Any, dims: Dims, x: torch.Tensor, *how: Any) -> tuple[torch.Tensor, int]:
        out: torch.Tensor = functional.max_pool2d(_in_channels(x, dims[0] or 0), *how)
        return _lanes_apart(out, info.batch_size), 1


_BATCH_NORM = inspect.signature(functional.batch_norm)


class _BatchNorm(_Rule):
    @staticmethod
    def bound(*args: Any, **kwargs: Any) -> tuple[Any, ...] | None:
        """Return the arguments of ``apply``, or ``None`` where vmap's own rule has to do."""
        given = _BATCH_NORM.bind(*args, **kwargs)
        given.apply_defaults()
        tensors = [each for each in given.arguments.values() if isinstance(each, torch.Tensor)]
        return tuple(given.arguments.values()) if all(map(_is_lanes, tensors)) else None

    @staticmethod
    def forward(x: torch.Tensor, *how: Any) -> torch.Tensor:
        return functional.batch_norm(x, *how)

    @staticmethod
    def vmap(info: Any, dims: Dims, x: torch.Tensor, *how: Any) -> tuple[torch.Tensor, int]:
        mean, variance, weight, bias = (
            None if t is None else _lanes_first(t, d) for t, d in zip(how[:4], dims[1:5], strict=True)
        )
        out = functional.batch_norm(
            _in_channels(x, dims[0] or 0),
            None if mean is None else mean.view(-1),  # a view of what the lanes hold: it changes there
            None if variance is None else variance.view(-1),
            None if weight is None else weight.flatten(),
            None if bias is None else bias.flatten(),
            *how[4:],
        )
        return _lanes_apart(out, info.batch_size), 1


class _CrossEntropy(_Rule):
    @staticmethod
    def bound(x: Any, target: Any, **how: Any) -> tuple[Any, ...] | None:
        """Return the arguments of ``apply``, or ``None`` where vmap's own rule has to do."""
        covered = x.dim() == 2 and target.dim() == 1 and _is_lanes(x) and not _is_lanes(target)
        smoothing = how.pop("label_smoothing", 0.0)
        usual: dict[str, Any] = {"weight": None, "size_average": None, "ignore_index": -100, "reduce": None,
                                 "reduction": "mean"}  # fmt: skip
        return (x, target, smoothing) if covered and how == {k: usual[k] for k in how} else None

    @staticmethod
    def forward(x: torch.Tensor, target: torch.Tensor, smoothing: float) -> torch.Tensor:
        return functional.cross_entropy(x, target, label_smoothing=smoothing)

    @staticmethod
    def vmap(
        info: Any, dims: Dims, x: torch.Tensor, target: torch.Tensor, smoothing: float
    ) -> tuple[torch.Tensor, int]:
        lanes = info.batch_size
        each = functional.cross_entropy(
            _lanes_first(x, dims[0]).flatten(0, 1),
            target.repeat(lanes),
            reduction="none",
            label_smoothing=smoothing,
        ).view(lanes, -1)
        # As torch: the mean is over the targets that count, those that are not -100.
        losses: torch.Tensor = each.sum(1) / (target != -100).sum()
        return losses, 0


_RULES: dict[Any, Any] = {
    torch.conv2d: _Convolution,
    functional.max_pool2d: _MaxPooling,
    functional.batch_norm: _BatchNorm,
    functional.cross_entropy: _CrossEntropy,
}


def _is_lanes(tensor: torch.Tensor) -> bool:
    """Whether a tensor seen under vmap has another value in every lane."""
    batched: bool = torch._C._functorch.is_batchedtensor(tensor)  # noqa: SLF001 - torch has no public name for it
    return batched


def _lanes_first(tensor: torch.Tensor, dim: int | None) -> torch.Tensor:
    return tensor.movedim(dim or 0, 0)


def _in_channels(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Return activations ``[B, L * C, ...]`` of lanes that lie in dimension ``dim``; a view where they lie so."""
    return x.movedim(dim, 1).flatten(1, 2)


def _lanes_apart(x: torch.Tensor, lanes: int) -> torch.Tensor:
    """Return activations ``[B, L * C, ...]`` as ``[B, L, C, ...]``."""
    return x.view(x.shape[0], lanes, -1, *x.shape[2:])


def _channels_last(x: torch.Tensor) -> torch.Tensor:
    """Return the tensor laid out channels-last, by strides that say so for a single channel as well."""
    return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)

"""May a problem's lanes be fused? Decided by trying: two networks, three steps, both ways.

Fused (``torch.func``) and one after the other, from the same seeds, on the same minibatches, each network with its
own rates: outputs, losses, weights, buffers and measured outputs must agree. Dropout is left out on both
sides, since it draws other masks for many than for one; all else that is random makes the two differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from study.core.errors import InputError
from study.problems.definition import Problem
from study.problems.user_code import said
from study.training.general.separate import Separate
from study.training.general.stacked import Stacked
from study.training.precision import widest

#: Largest difference relative to the size of the numbers compared, by type.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
#: Examples a minibatch of the trial: enough for a batch norm.
TRIED = 8


@dataclass(frozen=True)
class Proof:
    """Whether lanes are fused.

    Attributes:
        fused: Whether they are.
        reason: Why, in a few words.
    """

    fused: bool
    reason: str

    def __str__(self) -> str:
        """Return a line for the terminal and the report."""
        return f"lanes are {'fused' if self.fused else 'trained one after the other'}: {self.reason}"


def prove(problem: Problem, device: torch.device) -> Proof:
    """Train two networks both ways for three steps and compare everything.

    The first step is batched anew, the second is traced, the third runs the trace again: what a trace froze shows.

    In float64; in float32 where the network cannot compute in float64. What agrees there must also run in float32, which it is
    trained in: libraries take other ways for it, some of which cannot be batched.
    """
    if not problem.fuse:
        return Proof(fused=False, reason="the problem says fuse=False")
    kinds = (torch.float64, torch.float32) if device.type != "mps" else (torch.float32,)
    for dtype in kinds:
        try:
            alone = _trained(Separate, problem, device, dtype)
        except Exception:
            if dtype == kinds[-1]:
                raise
            continue  # a network may insist on float32
        try:
            together = _trained(Stacked, problem, device, dtype)
            if dtype != kinds[-1]:
                _trained(Stacked, problem, device, kinds[-1])
        except Exception as error:  # noqa: BLE001 - vmap raises many kinds
            return Proof(fused=False, reason=f"torch.func cannot batch the network ({_why(error)})")
        return _compared(alone, together, dtype)
    return Proof(fused=False, reason="three steps one after the other failed")


def require_bfloat16(problem: Problem, device: torch.device, *, fused: bool) -> None:
    """Refuse bfloat16 where the network's steps cannot be computed in it: some of torch's batching rules cannot mix types.

    Raises:
        InputError: Three steps failed.
    """
    try:
        _trained(Stacked if fused else Separate, problem, device, torch.float32, bfloat16=True)
    except Exception as error:
        raise InputError(
            f"`precision` bfloat16: problem {problem.name!r} cannot be trained in it ({_why(error)}); use float32"
        ) from error


def _trained(
    kind: type[Stacked | Separate],
    problem: Problem,
    device: torch.device,
    dtype: torch.dtype,
    *,
    bfloat16: bool = False,
) -> dict[str, torch.Tensor]:
    """Train two networks for three steps; return all that can be compared, by what it is."""
    networks = kind(problem, device, dtype=dtype, averaging=0.5, bfloat16=bfloat16)
    if isinstance(networks, Stacked):
        networks.trace_after = 1  # the second step is a traced one
    train = problem.examples("train", device).to(device, dtype)
    size = min(TRIED, len(train))
    middle = float(np.sqrt(problem.base_rate[0] * problem.base_rate[1]))
    found: dict[str, torch.Tensor] = {}
    with (
        torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []),
        _WithoutDropout(),
    ):
        torch.manual_seed(0)
        for seed in (0, 1):
            networks.add(seed)
        networks.begin_epoch(middle * np.array([[1.0, 0.3], [0.5, 0.1], [0.7, 0.6]]), None)
        for step in range(3):
            start = step * size % max(1, len(train) - size + 1)
            losses, outputs = networks.step(step, *train.part(start, start + size))
            found |= {f"losses of step {step}": losses, f"outputs of step {step}": outputs}
        networks.end_epoch()
        found["measured outputs"] = networks.outputs(train.inputs[:size])
        found["outputs of the averaged weights"] = networks.outputs(train.inputs[:size], averaged=True)
        for lane in (0, 1):
            found |= {f"{name} of network {lane}": tensor for name, tensor in networks.weights(lane).items()}
    return found


def _compared(
    alone: Mapping[str, torch.Tensor], together: Mapping[str, torch.Tensor], dtype: torch.dtype
) -> Proof:
    worst, wide = 0.0, widest(next(iter(alone.values())).device)
    for what, expected in alone.items():
        given = together[what]
        if given.shape != expected.shape:
            return Proof(
                fused=False, reason=f"{what} have shape {list(given.shape)}, alone {list(expected.shape)}"
            )
        difference = _difference(given.to(wide), expected.to(wide)) if expected.numel() else 0.0
        if not difference <= TOLERANCE[dtype]:
            return Proof(fused=False, reason=f"fused, {what} differ by {difference:.1e} from those alone")
        worst = max(worst, difference)
    bits = torch.finfo(dtype).bits
    return Proof(fused=True, reason=f"three steps both ways agree to {worst:.0e} in float{bits}")


def _difference(given: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest difference, relative to the largest number or to one."""
    return float((given - expected).abs().max()) / (1.0 + float(expected.abs().max()))


class _WithoutDropout(TorchFunctionMode):
    """Inside this context dropout changes nothing."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Leave dropout out of a call."""
        kwargs = dict(kwargs or {})
        if func in _DROPOUTS:
            return args[0] if args else kwargs["input"]
        if func is functional.scaled_dot_product_attention:
            kwargs["dropout_p"] = 0.0
            args = (*args[:4], *args[5:])
        elif func is functional.multi_head_attention_forward:
            kwargs["training"] = False
        return func(*args, **kwargs)


_DROPOUTS = {
    functional.dropout,
    functional.dropout1d,
    functional.dropout2d,
    functional.dropout3d,
    functional.alpha_dropout,
    functional.feature_alpha_dropout,
    torch.dropout,
    torch.feature_dropout,
    torch.alpha_dropout,
}


def _why(error: Exception) -> str:
    """Return what vmap says in its first sentence."""
    first = said(error).split(". ")[0]
    return first if len(first) <= 160 else f"{first[:157]}..."

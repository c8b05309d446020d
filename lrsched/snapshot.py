"""Everything that an experiment changes, kept and put back to the last bit, in the same tensors."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

#: Puts one thing back.
Restore = Callable[[], object]


class Snapshot:
    """The state of some parts, and of all random numbers, at the time of making it.

    Tensors are put back in place, so that whoever holds them (an optimizer, a captured graph, an average of weights) sees
    their old values; gradients, buffers and optimizer state that came since are gone again.

    Args:
        parts: Modules, optimizers, and anything with ``state_dict`` and ``load_state_dict``, or ``get_state`` and
            ``set_state`` (torch's generators).

    Raises:
        TypeError: A part is none of these.
    """

    def __init__(self, *parts: Any) -> None:
        # Optimizers last: to load a scheduler may write into their groups.
        ordered = sorted(parts, key=lambda part: isinstance(part, Optimizer))
        self._restores = [restore for part in ordered for restore in _keep(part)]
        self._restores += _keep_random_numbers()

    def restore(self) -> None:
        """Put everything back."""
        with torch.no_grad():
            for restore in self._restores:
                restore()


def _keep(part: Any) -> Iterator[Restore]:
    """Yield what puts a part back."""
    if isinstance(part, nn.Module):
        for module in part.modules():
            yield from _keep_module(module)
    elif isinstance(part, Optimizer):
        yield _keep_state(part)
        yield from (_keep_group(group) for group in part.param_groups)
        groups = list(part.param_groups)
        yield lambda: part.param_groups.__setitem__(slice(None), groups)
    elif hasattr(part, "state_dict") and hasattr(part, "load_state_dict"):
        state = copy.deepcopy(part.state_dict())
        yield lambda: part.load_state_dict(state)
    elif hasattr(part, "get_state") and hasattr(part, "set_state"):
        held = part.get_state()
        yield lambda: part.set_state(held)
    else:
        raise TypeError(
            f"{type(part).__name__} cannot be put back: it has neither state_dict and load_state_dict "
            "nor get_state and set_state"
        )


def _keep_module(module: nn.Module) -> Iterator[Restore]:
    """Yield what puts back a module's own parameters, gradients, buffers and mode; not those of its children."""
    training = module.training
    yield lambda: setattr(module, "training", training)
    # The dictionaries themselves: also what is no part of the state_dict, what was replaced, and what came since.
    for held in (module._parameters, module._buffers):  # noqa: SLF001 - the only way to all of them
        yield _keep_tensors(held)


def _keep_tensors(held: dict[str, Any]) -> Restore:
    """Return what puts back named tensors and their gradients."""
    kept = {name: _keep_value(tensor) for name, tensor in held.items()}
    gradients = [(t, _keep_value(t.grad)) for t in held.values() if isinstance(t, nn.Parameter)]

    def restore() -> None:
        held.clear()
        held.update({name: put_back() for name, put_back in kept.items()})
        for tensor, gradient in gradients:
            tensor.grad = gradient()

    return restore


def _keep_state(optimizer: Optimizer) -> Restore:
    """Return what puts back an optimizer's state: the same tensors, and nothing for parameters that had none."""
    kept = {key: _keep_value(value) for key, value in optimizer.state.items()}

    def restore() -> None:
        optimizer.state.clear()
        optimizer.state.update({key: put_back() for key, put_back in kept.items()})

    return restore


def _keep_group(group: dict[str, Any]) -> Restore:
    """Return what puts back a parameter group: its keys, and the tensors among its values."""
    parameters = list(group["params"])
    kept = {key: _keep_value(value) for key, value in group.items() if key != "params"}

    def restore() -> None:
        group.clear()
        group.update({"params": parameters, **{key: put_back() for key, put_back in kept.items()}})

    return restore


def _keep_value(value: Any) -> Callable[[], Any]:
    """Return what gives a value back as it was: the same tensors, refilled; the same containers' content."""
    if isinstance(value, Tensor):
        content = value.detach().clone()

        def refill() -> Tensor:
            value.detach().copy_(content)
            return value

        return refill
    if type(value) is dict:
        items = {key: _keep_value(item) for key, item in value.items()}
        return lambda: {key: put_back() for key, put_back in items.items()}
    if type(value) in {list, tuple}:
        kind, each = type(value), [_keep_value(item) for item in value]
        return lambda: kind(put_back() for put_back in each)
    held = copy.deepcopy(value)
    return lambda: copy.deepcopy(held)


def _keep_random_numbers() -> list[Restore]:
    """Return what puts back the random numbers of Python, numpy, and torch on every device in use."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - the global one
    restores: list[Restore] = [
        lambda: random.setstate(python),
        lambda: np.random.set_state(numpy),  # noqa: NPY002 - likewise
        lambda: torch.set_rng_state(cpu),
    ]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch does not type it
        cuda = torch.cuda.get_rng_state_all()
        restores.append(lambda: torch.cuda.set_rng_state_all(cuda))
    if torch.backends.mps.is_available():
        mps = torch.mps.get_rng_state()
        restores.append(lambda: torch.mps.set_rng_state(mps))
    return restores

"""What a CUDA graph is, on a CPU: operations recorded once, with their memory, and repeated without any Python of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from study.training.graphs import Work

#: Operations that ask the device for a value, or whose result's shape depends on one: the host would have to wait.
ASKING = (
    "_local_scalar_dense",
    "item",
    "nonzero",
    "is_nonzero",
    "equal",
    "unique",
    "masked_select",
    "bincount",
)


def asks(operation: Any, found: Any, given: Any) -> bool:
    """Whether an operation makes the host wait: it asks for a value, or moves a tensor to another device."""
    name = operation.name().removeprefix("aten::").partition(".")[0]
    devices = {t.device.type for t in tree_leaves((found, given)) if isinstance(t, torch.Tensor)}
    return name.startswith(ASKING) or len(devices) > 1


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no type for it
    """Sees every operation, those of the backward pass too."""

    def __init__(self, see: Callable[..., None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # likewise
        self._see = see

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = [(t, t.clone()) for t in written(func, args)]
        found = func(*args, **(kwargs or {}))
        self._see(func, args, kwargs or {}, found, before)
        return found


def written(operation: Any, args: Any) -> Iterator[torch.Tensor]:
    """Yield the arguments that an operation writes to."""
    for argument, given in zip(operation._schema.arguments, args, strict=False):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield given


class Tape:
    """A recorder on the CPU. What it recorded reads and writes the tensors of the recording, and nothing else.

    Args:
        refuse: Whether recording fails, as where work cannot be held by a graph.
    """

    def __init__(self, *, refuse: bool = False) -> None:
        self._refuse = refuse
        self.log: list[str] = []

    def run(self, work: Work) -> None:
        """Do the work."""
        self.log.append("run")
        work()

    def record(self, work: Work) -> Work:
        """Record the work, undo it, and return what repeats it."""
        self.log.append("record")
        taken: list[tuple[Any, Any, Any, Any]] = []
        undo: list[tuple[torch.Tensor, torch.Tensor]] = []

        def see(func: Any, args: Any, kwargs: Any, found: Any, before: Any) -> None:
            if self._refuse or asks(func, found, args):
                raise RuntimeError(f"operation not permitted when stream is capturing\n{func}")
            undo.extend(before)
            if before or not aliases(found, args):  # a view shows its memory without being taken again
                taken.append((func, args, kwargs, found))

        try:
            with Operations(see):
                work()
        finally:
            for tensor, old in reversed(undo):
                tensor.copy_(old)

        def replay() -> None:
            self.log.append("replay")
            with torch.no_grad():
                for func, args, kwargs, found in taken:
                    again = func(*args, **kwargs)
                    for old, new in zip(tree_leaves(found), tree_leaves(again), strict=True):
                        if isinstance(old, torch.Tensor) and new.data_ptr() != old.data_ptr():
                            old.copy_(new)

        return replay


def aliases(found: Any, given: Any) -> bool:
    """Whether a result lies in an argument's memory."""
    own = {t.untyped_storage().data_ptr() for t in tree_leaves(given) if isinstance(t, torch.Tensor)}
    return any(
        t.untyped_storage().data_ptr() in own for t in tree_leaves(found) if isinstance(t, torch.Tensor)
    )

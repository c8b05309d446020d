"""Examples as tensors on the device: from tensors, numpy arrays or a torch Dataset, read once.

Notation: N examples; inputs ``[N, ...]`` and targets ``[N, ...]``, one row an example.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from study.core.errors import InputError
from study.problems.user_code import named, user_code

#: Share of the memory available that one part of a problem's data may take: networks need room as well.
MEMORY_SHARE = 0.5


@dataclass(frozen=True)
class Examples:
    """Examples on one device.

    Attributes:
        inputs: ``[N, ...]``: float32, or int64 where they are whole numbers.
        targets: ``[N, ...]``: float32, or int64 where they are whole numbers.
    """

    inputs: torch.Tensor
    targets: torch.Tensor

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.targets)

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Yield inputs, then targets: examples unpack as the pair they are."""
        yield self.inputs
        yield self.targets

    def part(self, start: int, stop: int) -> Examples:
        """Return the examples at positions ``start`` to ``stop`` (exclusive), without a copy."""
        return Examples(self.inputs[start:stop], self.targets[start:stop])

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> Examples:
        """Return them on a device, floating-point numbers in ``dtype`` where given."""
        return Examples(*(t.to(device, dtype if t.is_floating_point() else None) for t in self))

    def digest(self) -> str:
        """Return the SHA-256 of types, shapes and values."""
        found = hashlib.sha256()
        for tensor in self:
            found.update(f"{tensor.dtype} {list(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()


def checked(given: Any, what: str) -> None:
    """Refuse data that can be seen to be wrong without reading it all.

    Args:
        given: As the user gave it.
        what: Whose and which part it is, for the error.

    Raises:
        InputError: It is no data, or a tensor in it cannot be trained on.
    """
    if isinstance(given, DataLoader):
        _refuse(what, "must be a Dataset, got a DataLoader; give its .dataset")
    if isinstance(given, IterableDataset):
        _refuse(what, "must be a map-style Dataset, with __len__ and __getitem__, got an IterableDataset")
    if _is_dataset(given):
        _check_first(given, what)
    elif isinstance(given, tuple | list):
        _tensors(given, what)
    elif not callable(given):
        _refuse(
            what,
            f"must be (inputs, targets), a torch Dataset, or a function that returns either, got {named(given)}",
        )


def read(given: Any, what: str, device: torch.device) -> Examples:
    """Return the data as tensors on the device.

    Args:
        given: A pair, a Dataset, or a function that returns one.
        what: Whose and which part it is, for the error.
        device: Where it shall lie.

    Raises:
        InputError: It cannot be read, does not fit into memory, or cannot be trained on.
    """
    if callable(given) and not _is_dataset(given):
        with user_code(f"{what}: the function that reads it"):
            given = given()
        if callable(given) and not _is_dataset(given):
            _refuse(what, f"the function that reads it must return data, got {named(given)}")
        checked(given, what)
    if _is_dataset(given):
        given = _collected(given, what, device)
    return _tensors(given, what).to(device)


def memory_available(device: torch.device) -> int | None:
    """Return the bytes that are free on the device, or ``None`` where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        facts = dict(line.split(":", 1) for line in lines)
        return 1024 * int(facts["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _tensors(pair: Any, what: str) -> Examples:
    """Return a pair of tensors or arrays as examples, refusing what cannot be trained on."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        count = f"{len(pair)} things" if isinstance(pair, tuple | list) else named(pair)
        _refuse(what, f"must be a pair (inputs, targets), got {count}")
    inputs, targets = (
        _tensor(one, f"{what} {kind}") for one, kind in zip(pair, ("inputs", "targets"), strict=True)
    )
    if len(inputs) != len(targets):
        _refuse(what, f"has {len(inputs)} inputs but {len(targets)} targets")
    if len(inputs) == 0:
        _refuse(what, "has no examples")
    return Examples(inputs, targets)


def _tensor(value: Any, what: str) -> torch.Tensor:
    if not isinstance(value, torch.Tensor | np.ndarray):
        _refuse(what, f"must be a tensor or a numpy array, got {named(value)}")
    if value.ndim == 0:
        _refuse(what, "must have one row an example, got a single number")
    try:
        tensor = torch.as_tensor(value).detach()
    except (TypeError, ValueError):
        _refuse(what, f"must hold numbers, got an array of {value.dtype}")
    if tensor.is_complex() or tensor.is_sparse or tensor.is_quantized:
        _refuse(
            what, f"must hold plain real numbers, got {tensor.dtype}{' (sparse)' if tensor.is_sparse else ''}"
        )
    if not tensor.is_floating_point():
        return tensor.to(torch.int64)
    bad = int((~torch.isfinite(tensor)).sum())
    if bad:
        _refuse(what, f"must be finite, got {bad} values that are NaN or infinite")
    return tensor.to(torch.float32)


def _is_dataset(given: Any) -> bool:
    return isinstance(given, Dataset) or (hasattr(given, "__getitem__") and hasattr(given, "__len__")
                                          and not isinstance(given, tuple | list | dict | str | np.ndarray | torch.Tensor))  # fmt: skip


def _check_first(dataset: Any, what: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a Dataset's first example; refuse one that has none or gives another each time it is asked."""
    try:
        size = len(dataset)
    except TypeError:
        _refuse(what, "must be a map-style Dataset, but it has no length")
    if size == 0:
        _refuse(what, "has no examples")
    first, again = _example(dataset, 0, what), _example(dataset, 0, what)
    if not all(torch.equal(one, other) for one, other in zip(first, again, strict=True)):
        _refuse(
            what,
            "gives another example 0 each time it is asked; data is read once, so put random augmentation "
            "into the network",
        )
    return first


def _example(dataset: Any, index: int, what: str) -> tuple[torch.Tensor, torch.Tensor]:
    with user_code(f"{what}: example {index}"):
        pair = dataset[index]
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        _refuse(what, f"example {index} must be a pair (input, target), got {named(pair)}")
    found = []
    for one, kind in zip(pair, ("input", "target"), strict=True):
        if not isinstance(one, torch.Tensor | np.ndarray | np.number | int | float):
            _refuse(
                what,
                f"the {kind} of example {index} must be a tensor, a numpy array or a number, got {named(one)}"
                "; for images add torchvision's ToTensor",
            )
        found.append(torch.as_tensor(one))
    return found[0], found[1]


def _collected(dataset: Any, what: str, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Read a whole Dataset into two tensors, made at their full size first: memory is known before it is used."""
    first = _check_first(dataset, what)
    size = len(dataset)
    each = sum(t.numel() * (4 if t.is_floating_point() else 8) for t in first)
    free = memory_available(device)
    if free is not None and size * each > MEMORY_SHARE * free:
        _refuse(
            what,
            f"holds {size:,} examples of {each:,} bytes, {size * each / 1e9:.1f} GB; data is kept in memory and "
            f"may take {MEMORY_SHARE:.0%} of the {free / 1e9:.1f} GB that are free; take fewer or smaller ones",
        )
    tensors = [
        torch.empty((size, *t.shape), dtype=torch.float32 if t.is_floating_point() else torch.int64)
        for t in first
    ]
    for index in range(size):
        for kind, tensor, one in zip(
            ("input", "target"), tensors, _example(dataset, index, what), strict=True
        ):
            if one.shape != tensor.shape[1:]:
                _refuse(
                    what,
                    f"the {kind} of example {index} has shape {list(one.shape)}, that of example 0 "
                    f"{list(tensor.shape[1:])}; all must be alike",
                )
            tensor[index] = one
    return tensors[0], tensors[1]


def _refuse(what: str, fault: str) -> NoReturn:
    raise InputError(f"{what} {' '.join(fault.split())[:400]}")

"""Fashion-MNIST as tensors on the device: found, verified, split once and for all.

The 60,000 training images are split by position: the first 50,000 train, the last 10,000 validate.
The split has no random part, so it is the same for every study, seed and version. (The published
order is already shuffled; every class has 955 to 1,050 images among the last 10,000.) The test files
are opened by :func:`load_final` alone, which the search never calls.

Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST", 2017. IDX format: four bytes of magic, then one
big-endian 32-bit size per dimension, then the bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from study.core.errors import InputError
from study.core.records import ALL_IMAGES, SEARCH_IMAGES

ENVIRONMENT = "FASHION_MNIST_DIR"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

#: SHA-256 of each file once it is unpacked: archives differ in how they were packed, the data not.
CHECKSUMS = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


@dataclass(frozen=True)
class Images:
    """Labelled images on one device.

    Attributes:
        pixels: ``[N, 28, 28]`` grey values in [0, 1].
        labels: ``[N]`` classes 0 to 9, int64.
    """

    pixels: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def part(self, start: int, stop: int) -> Images:
        """Return the images at positions ``start`` to ``stop`` (exclusive), without a copy."""
        return Images(self.pixels[start:stop], self.labels[start:stop])


@dataclass(frozen=True)
class Split:
    """What is trained on and what is measured on.

    Attributes:
        train: Images that the weights are fitted to.
        evaluation: Images that accuracies are measured on; ``None`` where nothing may be measured.
        checksums: SHA-256 of each unpacked file that was read, by its name.
        on_test: Whether ``evaluation`` is the test set: nothing may be chosen by what is measured on it.
    """

    train: Images
    evaluation: Images | None
    checksums: dict[str, str]
    on_test: bool = False


def load_search(
    directory: str | None, device: torch.device, *, train_images: int = SEARCH_IMAGES, download: bool = True
) -> Split:
    """Return the search's split: 50,000 images (or the first ``train_images``) and 10,000 to validate.

    The test files are not looked for, not opened and not verified.

    Raises:
        InputError: The files are missing, truncated or foreign, or ``train_images`` is out of range.
    """
    if not 1 <= train_images <= SEARCH_IMAGES:
        raise InputError(f"`train_images` must be in 1..{SEARCH_IMAGES}, got {train_images}")
    images = _read_pair(_find(directory, TRAIN, download=download), TRAIN, device)
    return Split(
        train=images.part(0, train_images),
        evaluation=images.part(SEARCH_IMAGES, len(images)),
        checksums={name: CHECKSUMS[name] for name in TRAIN},
    )


def load_training(
    directory: str | None,
    device: torch.device,
    *,
    train_images: int = ALL_IMAGES,
    download: bool = True,
) -> Split:
    """Return all 60,000 training images (or the first ``train_images``) and nothing to measure on.

    That is what a confirmation trains with.

    Raises:
        InputError: The files are missing, truncated or foreign, or ``train_images`` is out of range.
    """
    if not 1 <= train_images <= ALL_IMAGES:
        raise InputError(f"`train_images` must be in 1..{ALL_IMAGES}, got {train_images}")
    images = _read_pair(_find(directory, TRAIN, download=download), TRAIN, device)
    return Split(images.part(0, train_images), None, {name: CHECKSUMS[name] for name in TRAIN})


def load_final(directory: str | None, device: torch.device, *, download: bool = True) -> Split:
    """Return all 60,000 training images and the 10,000 test images.

    Raises:
        InputError: The files are missing, truncated or foreign.
    """
    folder = _find(directory, TRAIN + TEST, download=download)
    return Split(
        _read_pair(folder, TRAIN, device), _read_pair(folder, TEST, device), dict(CHECKSUMS), on_test=True
    )


def require_final(directory: str | None, *, download: bool = True) -> None:
    """Refuse a folder without the test files, before hours are spent on what they are to judge.

    They are looked for, not opened.

    Raises:
        InputError: A file is missing.
    """
    _find(directory, TRAIN + TEST, download=download)


def choose_device(name: str) -> torch.device:
    """Return the device called ``name``: ``cpu``, ``cuda``, ``mps``, or the best there is for ``auto``.

    Raises:
        InputError: The device is asked for by name and this machine or this PyTorch has none.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, is_there in there.items() if is_there))
    if name not in there:
        raise InputError(f"`device` must be auto, cpu, cuda or mps, got {name!r}")
    if not there[name]:
        found = ", ".join(kind for kind, is_there in there.items() if is_there)
        raise InputError(f"`device` {name}: PyTorch {torch.__version__} finds none here; available: {found}")
    return torch.device(name)


def _find(directory: str | None, names: Sequence[str], *, download: bool) -> Path:
    """Return the first folder that holds all files; a folder named by the user is the only one tried."""
    for origin, given in (("`data_dir`", directory), (ENVIRONMENT, os.environ.get(ENVIRONMENT))):
        if given:
            folder = _holder(Path(given), names)
            if folder is None:
                raise InputError(
                    f"{origin} {given}: {_missing(Path(given), names)} is not there; "
                    "name the folder that holds Fashion-MNIST's four IDX files"
                )
            return folder
    for place in (Path("data"), DEBIAN):
        folder = _holder(place, names)
        if folder is not None:
            return folder
    if not download:
        raise InputError(
            "Fashion-MNIST was not found in data/ or in Debian's dataset-fashion-mnist; "
            "run `make data`, or give `data_dir`"
        )
    return _download(names)


def _holder(root: Path, names: Sequence[str]) -> Path | None:
    """Return ``root`` or the folder below it (torchvision's, an unpacked Debian package's) with all files."""
    below = (Path(), Path("FashionMNIST/raw"), Path("raw"), DEBIAN.relative_to("/"))
    return next((root / b for b in below if all(_packed_or_not(root / b, n) for n in names)), None)


def _packed_or_not(folder: Path, name: str) -> Path | None:
    return next((p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), None)


def _missing(folder: Path, names: Sequence[str]) -> str:
    return next((f"{n}[.gz]" for n in names if _packed_or_not(folder, n) is None), "a file")


def _download(names: Sequence[str]) -> Path:
    """Fetch the files with torchvision, all or none, into ``data/`` and return that folder."""
    from torchvision.datasets import FashionMNIST

    target = Path("data")
    with tempfile.TemporaryDirectory(prefix="fashion-mnist-", dir=".") as part:
        try:
            FashionMNIST(part, download=True)
        except Exception as error:  # torchvision raises whatever its transport does
            raise InputError(
                "Fashion-MNIST was not found in data/ or in Debian's dataset-fashion-mnist, and the download "
                f"failed ({error}); run `make data`, or give `data_dir`"
            ) from error
        target.mkdir(exist_ok=True)
        for archive in Path(part).glob("FashionMNIST/raw/*.gz"):
            archive.replace(target / archive.name)
    if _holder(target, names) is None:
        raise InputError("torchvision's download left no Fashion-MNIST in data/; give `data_dir`")
    return target


def _read_pair(folder: Path, names: tuple[str, str], device: torch.device) -> Images:
    pixels, labels = (_read_idx(folder, name) for name in names)
    scaled = (
        torch.tensor(pixels).to(torch.float32).div_(255)
    )  # in place: new memory costs more than the division
    return Images(scaled.to(device), torch.from_numpy(labels.astype(np.int64)).to(device))


def _read_idx(folder: Path, name: str) -> np.ndarray:
    """Read one verified IDX file: images ``[N, 28, 28]`` or labels ``[N]``, uint8."""
    path = _packed_or_not(folder, name)
    if path is None:
        raise InputError(f"{folder / name}: the file has gone")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read or is truncated ({error}); fetch it again") from error
    found = hashlib.sha256(content).hexdigest()
    if found != CHECKSUMS[name]:
        raise InputError(
            f"{path}: not Fashion-MNIST's {name} (SHA-256 {found[:12]}..., expected "
            f"{CHECKSUMS[name][:12]}...); fetch it again"
        )
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", count=dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(tuple(shape.tolist()))

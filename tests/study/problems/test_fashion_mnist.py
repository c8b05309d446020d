"""Fashion-MNIST is found where it may lie, is what it claims to be, and is split once and for all."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from study.core.errors import InputError
from study.problems import fashion_mnist as data
from study.problems.fashion_mnist import (
    TEST,
    TRAIN,
    Split,
    choose_device,
    load_final,
    load_search,
    load_training,
    require_final,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def source() -> Path:
    """The folder that holds the real files, packed or not."""
    return data._find(None, TRAIN + TEST, download=False).resolve()


@pytest.fixture(autouse=True)
def nowhere(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in an empty folder of a machine without the data."""
    monkeypatch.setattr(data, "DEBIAN", Path("/nowhere/on/this/machine"))
    monkeypatch.delenv(data.ENVIRONMENT, raising=False)
    monkeypatch.chdir(tmp_path)


def place(source: Path, folder: Path, *names: str) -> Path:
    """Link some of the real files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        file = data._packed_or_not(source, name)
        assert file is not None
        (folder / file.name).symlink_to(file)
    return folder


def unpacked(source: Path, name: str) -> bytes:
    file = data._packed_or_not(source, name)
    assert file is not None
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


def refusal(folder: Path | str | None) -> str:
    """What the search says of a folder: one line."""
    with pytest.raises(InputError) as caught:
        load_search(None if folder is None else str(folder), CPU, download=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is read


def test_the_split_is_by_position(search_split: Split, source: Path) -> None:
    """50,000 and 10,000 images of all ten classes, in the file's own order, grey values in [0, 1]."""
    train, evaluation = search_split.train, search_split.evaluation
    assert evaluation is not None
    assert (len(train), len(evaluation)) == (50_000, 10_000)
    assert train.pixels.shape == (50_000, 28, 28)
    assert (train.pixels.dtype, train.labels.dtype) == (torch.float32, torch.int64)
    assert float(train.pixels.min()) == 0.0
    assert float(train.pixels.max()) == 1.0
    labels = torch.frombuffer(bytearray(unpacked(source, TRAIN[1])[8:]), dtype=torch.uint8).long()
    assert torch.equal(torch.cat([train.labels, evaluation.labels]), labels)
    assert sorted(search_split.checksums) == sorted(TRAIN)
    counts = evaluation.labels.bincount()
    assert (int(counts.min()), int(counts.max())) == (955, 1050)  # as data.py's first lines say


def test_fewer_images_are_the_first_ones(search_split: Split, source: Path) -> None:
    """A quick look trains on the first N images and is measured on the same 10,000."""
    look = load_search(str(source), CPU, train_images=1_000)
    assert look.evaluation is not None
    assert search_split.evaluation is not None
    assert torch.equal(look.train.pixels, search_split.train.pixels[:1_000])
    assert torch.equal(look.evaluation.labels, search_split.evaluation.labels)


def test_the_search_needs_no_test_files(source: Path, search_split: Split) -> None:
    """A folder with the two training files is enough to search and to train, and not to judge."""
    folder = place(source, Path("two"), *TRAIN)
    found = load_search(str(folder), CPU)
    assert torch.equal(found.train.labels, search_split.train.labels)
    whole = load_training(str(folder), CPU)
    assert (len(whole.train), whole.evaluation) == (60_000, None)
    for judge in (lambda: load_final(str(folder), CPU), lambda: require_final(str(folder))):
        with pytest.raises(InputError, match=r"t10k-images-idx3-ubyte\[\.gz\] is not there"):
            judge()


def test_the_search_does_not_look_at_test_files(source: Path) -> None:
    """Rubbish in the test files' place is not noticed by the search, and refused by the judgement."""
    folder = place(source, Path("rubbish"), *TRAIN)
    for name in TEST:
        (folder / f"{name}.gz").write_bytes(b"rubbish")
    load_search(str(folder), CPU)
    require_final(str(folder))  # looks for them, and opens none
    with pytest.raises(InputError, match=r"t10k-images-idx3-ubyte\.gz: cannot be read or is truncated"):
        load_final(str(folder), CPU)


def test_the_final_split(source: Path) -> None:
    final = load_final(str(source), CPU)
    assert final.evaluation is not None
    assert (len(final.train), len(final.evaluation)) == (60_000, 10_000)
    assert final.evaluation.labels.bincount().tolist() == [1_000] * 10
    assert final.checksums == data.CHECKSUMS


# Where it may lie


@pytest.mark.parametrize("below", ["", "FashionMNIST/raw", "raw", "nowhere/on/this/machine"])
def test_layouts_of_a_named_folder(source: Path, below: str) -> None:
    """The files themselves, torchvision's folders, an unpacked Debian package."""
    place(source, Path("root") / below, *TRAIN)
    assert data._find("root", TRAIN, download=False) == Path("root") / below


@pytest.mark.parametrize("packed", [True, False])
def test_files_packed_and_unpacked_are_the_same(source: Path, *, packed: bool, search_split: Split) -> None:
    folder = Path("other")
    folder.mkdir()
    for name in TRAIN:
        content = unpacked(source, name)
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content, 0) if packed else content)
    found = load_search(str(folder), CPU, train_images=100)
    assert torch.equal(found.train.pixels, search_split.train.pixels[:100])


def test_order_of_places(source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """--data-dir before the environment variable before data/ before Debian's package."""
    option, variable, debian = (place(source, tmp_path / n, *TRAIN) for n in ("option", "env", "debian"))
    here = place(source, Path("data/FashionMNIST/raw"), *TRAIN)
    monkeypatch.setattr(data, "DEBIAN", debian)
    monkeypatch.setenv(data.ENVIRONMENT, str(variable))
    assert data._find(str(option), TRAIN, download=False) == option
    assert data._find(None, TRAIN, download=False) == variable
    monkeypatch.delenv(data.ENVIRONMENT)
    assert data._find(None, TRAIN, download=False) == here
    for file in here.iterdir():
        file.unlink()
    assert data._find(None, TRAIN, download=False) == debian


# What is refused


def test_a_named_folder_is_the_only_one_tried(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a folder without the data is told so, though data/ holds it."""
    place(source, Path("data"), *TRAIN)
    Path("empty").mkdir()
    assert refusal("empty").startswith("`data_dir` empty: train-images-idx3-ubyte[.gz] is not there")
    assert refusal("missing").startswith("`data_dir` missing: train-images-idx3-ubyte[.gz] is not there")
    monkeypatch.setenv(data.ENVIRONMENT, "empty")
    assert refusal(None).startswith("FASHION_MNIST_DIR empty: train-images-idx3-ubyte[.gz] is not there")


def test_the_file_that_is_missing_is_named(source: Path) -> None:
    folder = place(source, Path("half"), TRAIN[0])
    assert "train-labels-idx1-ubyte[.gz] is not there" in refusal(folder)


def test_without_data_the_ways_to_get_it_are_named() -> None:
    said = refusal(None)
    assert "make data" in said
    assert "`data_dir`" in said


def damaged(content: bytes, how: str) -> bytes:
    packed = gzip.compress(content, 1)
    middle = len(packed) // 2
    return {
        "cut short": packed[:middle],
        "flipped inside": packed[:middle] + bytes(b ^ 0xFF for b in packed[middle : middle + 64]) + packed[middle + 64 :],
        "not packed": content,
        "empty": b"",
        "foreign": gzip.compress(content[:-1] + bytes([content[-1] ^ 1]), 1),
        "too short inside": gzip.compress(content[:-1], 1),
    }[how]  # fmt: skip


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut short", "cannot be read or is truncated"),
        ("flipped inside", "fetch it again"),
        ("not packed", "cannot be read or is truncated"),
        ("empty", "fetch it again"),
        ("foreign", "not Fashion-MNIST's train-labels-idx1-ubyte (SHA-256 "),
        ("too short inside", "not Fashion-MNIST's train-labels-idx1-ubyte (SHA-256 "),
    ],
)
def test_a_damaged_or_foreign_file_is_named(source: Path, how: str, message: str) -> None:
    """Also one of the right size: a single label that differs is enough."""
    folder = place(source, Path("damaged"), TRAIN[0])
    path = folder / f"{TRAIN[1]}.gz"
    path.write_bytes(damaged(unpacked(source, TRAIN[1]), how))
    said = refusal(folder)
    assert said.startswith(f"{path}: ")
    assert message in said
    assert "fetch it again" in said


def test_labels_in_the_place_of_images(source: Path) -> None:
    folder = place(source, Path("swapped"), TRAIN[1])
    (folder / TRAIN[0]).write_bytes(unpacked(source, TRAIN[1]))
    assert "not Fashion-MNIST's train-images-idx3-ubyte" in refusal(folder)


@pytest.mark.parametrize("count", [0, -1, 50_001])
def test_train_images_out_of_range(count: int) -> None:
    with pytest.raises(InputError, match=rf"`train_images` must be in 1\.\.50000, got {count}"):
        load_search(None, CPU, train_images=count)


# Downloads, from a server of our own


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing."""


@pytest.fixture
def mirror(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that torchvision takes for Fashion-MNIST's home, holding the real files, packed."""
    from torchvision.datasets import FashionMNIST

    folder = tmp_path / "mirror"
    folder.mkdir()
    resources = []
    for name in TRAIN + TEST:
        packed = gzip.compress(unpacked(source, name), 0)
        (folder / f"{name}.gz").write_bytes(packed)
        resources.append((f"{name}.gz", hashlib.md5(packed, usedforsecurity=False).hexdigest()))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(FashionMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    yield folder
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_missing_data_are_downloaded(mirror: Path, search_split: Split) -> None:
    """They are fetched with torchvision into data/, where the next command finds them."""
    found = load_search(None, CPU, train_images=10)
    assert torch.equal(found.train.pixels, search_split.train.pixels[:10])
    assert sorted(p.name for p in Path("data").iterdir()) == sorted(f"{n}.gz" for n in TRAIN + TEST)
    assert sorted(p.name for p in Path().iterdir()) == ["data", "mirror"]
    load_final(None, CPU, download=False)


@pytest.mark.slow
def test_a_download_that_breaks_off_leaves_nothing(mirror: Path) -> None:
    """One line says so, and no half of it is taken for the data later."""
    (mirror / f"{TEST[1]}.gz").write_bytes(b"half")
    with pytest.raises(InputError, match="the download failed") as caught:
        load_search(None, CPU)
    assert "make data" in str(caught.value)
    assert [p.name for p in Path().iterdir()] == ["mirror"]


# Devices


def test_devices() -> None:
    """The CPU is always there; what is not there is refused with what is."""
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in {"cpu", "cuda", "mps"}
    with pytest.raises(InputError, match="must be auto, cpu, cuda or mps, got 'tpu'"):
        choose_device("tpu")
    for name, there in {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}.items():
        if not there:
            with pytest.raises(InputError, match=f"`device` {name}: PyTorch .* finds none here; available: "):
                choose_device(name)

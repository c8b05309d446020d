"""bfloat16 where the hardware has it; whoever joins a study computes as it does, or is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from study.core.errors import InputError
from study.training.precision import choose_precision, has_bfloat16, widest

CPU, CUDA, MPS = (torch.device(kind) for kind in ("cpu", "cuda", "mps"))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> object:
    """Makes this machine one with other processors."""

    def make(*, cpu: dict[str, bool] | None = None, cuda: tuple[int, int] = (0, 0)) -> None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu or {})
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: cuda)

    return make


def test_this_processor_is_read_as_linux_reads_it() -> None:
    """The flags that the kernel lists, where it lists them."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.exists() else []
    if "flags" not in flags:
        pytest.skip("no x86 Linux")
    assert has_bfloat16(CPU) == bool({"avx512_bf16", "amx_bf16"} & {*flags})


@pytest.mark.parametrize(
    ("cpu", "has"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx2": True}, False),
        ({}, False),
    ],
)
def test_processors(machine: object, cpu: dict[str, bool], *, has: bool) -> None:
    assert callable(machine)
    machine(cpu=cpu)
    assert has_bfloat16(CPU) is has
    assert choose_precision("auto", CPU) == ("bfloat16" if has else "float32")


@pytest.mark.parametrize(
    ("capability", "has"), [((7, 5), False), ((8, 0), True), ((9, 0), True), ((12, 0), True)]
)
def test_graphics_cards(machine: object, capability: tuple[int, int], *, has: bool) -> None:
    assert callable(machine)
    machine(cuda=capability)
    assert has_bfloat16(CUDA) is has
    assert not has_bfloat16(MPS)


def test_what_is_asked_for_by_name_is_what_is_computed(machine: object) -> None:
    """Wherever it is: bfloat16 can be emulated, and another study's word does not count."""
    assert callable(machine)
    machine()
    for name in ("float32", "bfloat16"):
        assert choose_precision(name, CPU) == choose_precision(name, CPU, "float32") == name


def test_auto_joins_a_study_as_it_is(machine: object) -> None:
    assert callable(machine)
    machine(cpu={"amx_bf16": True})
    assert [choose_precision("auto", CPU, recorded) for recorded in ("float32", "bfloat16")] == [
        "float32",
        "bfloat16",
    ]
    machine()
    assert choose_precision("auto", CPU, "float32") == "float32"
    with pytest.raises(
        InputError, match="computes in bfloat16, which this cpu has not in hardware; join from"
    ):
        choose_precision("auto", CPU, "bfloat16")


@pytest.mark.parametrize(("device", "wide"), [("cpu", 64), ("cuda", 64), ("mps", 32)])
def test_sums_are_kept_as_exactly_as_the_device_can(device: str, wide: int) -> None:
    """Apple's GPU refuses float64; elsewhere a sum over thousands of images must not lose digits."""
    assert torch.finfo(widest(torch.device(device))).bits == wide

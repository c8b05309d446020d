"""What a fresh clone installs: every package pinned with hashes, from nowhere in particular."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.running import run_program, run_python

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SCHEDULES = tomllib.loads((ROOT / "lrsched" / "pyproject.toml").read_text("utf-8"))["project"]
#: The extras that each lock file holds beside what all people need.
LOCKS = {"requirements.lock": ("dev", "postgres"), "requirements-peers.lock": ("peers",)}


def pins(lock: str) -> dict[str, tuple[str, list[str]]]:
    """Return version and hashes by canonical name."""
    text = (ROOT / lock).read_text("utf-8")
    return {
        canonicalize_name(name): (version, re.findall(r"--hash=sha256:[0-9a-f]{64}", hashes))
        for name, version, hashes in re.findall(
            r"^([A-Za-z0-9._-]+)==(\S+)[^\n]*\\\n((?:    --hash=.*\n?)+)", text, re.MULTILINE
        )
    }


def wanted(lock: str) -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    return [Requirement(r) for r in (*PROJECT["dependencies"], *(r for e in LOCKS[lock] for r in extras[e]))]


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_holds_what_the_project_asks_for(lock: str) -> None:
    pinned = pins(lock)
    for requirement in wanted(lock):
        version, hashes = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version)
        assert hashes


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_the_lock_is_a_pin_a_hash_or_a_comment(lock: str) -> None:
    """So it names no host and no folder; a comment holds no path, address or option either."""
    assert len(pins(lock)) > 100
    pin = r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.+!-]*( ;[^/@]*)? \\"
    form = re.compile(pin + r"|    --hash=sha256:[0-9a-f]{64}( \\)?|(    )?#(?!.*--)[^/@]*|")
    lines = (ROOT / lock).read_text("utf-8").splitlines()
    assert [line for line in lines if not form.fullmatch(line)] == []


def test_the_locks_agree() -> None:
    """Installing the peers moves nothing that is there."""
    main, peers = (pins(lock) for lock in LOCKS)
    shared = main.keys() & peers.keys()
    assert {name: main[name] for name in shared} == {name: peers[name] for name in shared}


def test_torch_and_torchvision_are_a_pair_that_was_tried() -> None:
    pinned = pins("requirements.lock")
    assert (pinned["torch"][0], pinned["torchvision"][0]) == ("2.14.1", "0.29.1")


def test_nothing_is_promised_at_an_address_that_is_none() -> None:
    """The project's own address is not known yet: so none stands there."""
    assert [url for url in PROJECT.get("urls", {}).values() if not url.startswith("https://")] == []


def test_the_schedules_alone_agree_with_the_study() -> None:
    """Two distributions are made of one checkout: of one version, with the same numpy, pictures and torch."""
    assert SCHEDULES["version"] == PROJECT["version"]
    assert SCHEDULES["requires-python"] == PROJECT["requires-python"]
    needed = {r for extra in SCHEDULES["optional-dependencies"].values() for r in extra}
    assert {*SCHEDULES["dependencies"], *needed} <= set(PROJECT["dependencies"])
    cited = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {PROJECT['version']}\n" in cited


@pytest.mark.slow
def test_the_schedules_alone_need_numpy_only(tmp_path: Path) -> None:
    """Their wheel holds every module, asks for numpy and nothing else, and works with what it asks for."""
    shutil.copytree(ROOT / "lrsched", tmp_path / "lrsched", ignore=shutil.ignore_patterns("__pycache__"))
    run_python(
        "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "./lrsched", folder=tmp_path
    )
    (wheel,) = tmp_path.glob("lrsched-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
        archive.extractall(tmp_path / "installed")
    modules = {f"lrsched/{path.name}" for path in (ROOT / "lrsched").glob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == {*modules, "lrsched/py.typed"}
    asked = re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE)
    assert [line for line in asked if "extra ==" not in line] == SCHEDULES["dependencies"]
    # Python without its packages, but for numpy.
    (tmp_path / "installed" / "numpy").symlink_to(Path(np.__file__).parent)
    code = "import sys; sys.path.insert(0, 'installed'); import lrsched; print(lrsched.Cosine(10)(5))"
    assert run_python("-S", "-I", "-c", code, folder=tmp_path) == "0.5\n"


def test_the_sites_lock_holds_what_builds_the_site() -> None:
    """Versions and hashes alone, in an environment of its own."""
    asked = [
        Requirement(r)
        for r in (ROOT / "docs" / "requirements.in").read_text("utf-8").splitlines()
        if r[0] != "#"
    ]
    pinned = pins("requirements-docs.lock")
    assert asked
    assert [str(r) for r in asked if not r.specifier.contains(pinned[r.name][0])] == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere PyTorch's own wheels are without CUDA")
def test_without_cuda_nothing_of_cuda_is_installed(tmp_path: Path) -> None:
    """``make install CPU=1`` reads the lock file without PyTorch and what only its CUDA build needs."""
    shown = run_program(
        ["make", "--no-print-directory", "--dry-run", "CPU=1", f"VENV={tmp_path}/venv", "install"], ROOT
    )
    (program,) = re.findall(r"^awk '(.+)' requirements\.lock", shown.stdout, re.MULTILINE)
    kept = run_program(["awk", program, "requirements.lock"], ROOT).stdout
    names = set(re.findall(r"^([\w.-]+)==", kept, re.MULTILINE))
    left_out = pins("requirements.lock").keys() - names
    assert {"torch", "torchvision"} <= left_out
    assert [n for n in names if n.startswith(("nvidia", "cuda", "triton", "torch"))] == []
    assert {n.split("-")[0] for n in left_out} <= {"nvidia", "cuda", "triton", "torch", "torchvision"}
    assert "torch==2.14.1" in shown.stdout


@pytest.mark.parametrize("word", ["ruff check", "ruff format --check", "mypy"])
def test_a_commit_is_checked_by_what_ci_runs(word: str) -> None:
    """With the tools of the environment: no hook is fetched from anywhere."""
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert re.search(rf"^ +entry: {word}\b", hooks, re.MULTILINE)
    assert f"$(BIN)/{word}\n" in (ROOT / "Makefile").read_text("utf-8")
    assert set(re.findall(r"repo: (\S+)", hooks)) == {"local"}


def test_make_alone_lists_every_target_that_people_use() -> None:
    shown = run_program(["make", "--no-print-directory"], ROOT)
    listed = set(re.findall(r"^  make (\w+)", shown.stdout, re.MULTILINE))
    assert listed >= {
        "search",
        "reference",
        "demo",
        "test",
        "check",
        "peers",
        "docs",
        "lint",
        "types",
        "format",
        "data",
        "install",
        "lock",
        "clean",
    }

"""What a fresh clone installs: every package pinned with hashes, from nowhere in particular."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
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


def test_make_alone_lists_every_target_that_people_use() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    listed = set(re.findall(r"^  make (\w+)", shown.stdout, re.MULTILINE))
    assert listed >= {
        "search",
        "test",
        "check",
        "peers",
        "lint",
        "types",
        "format",
        "data",
        "install",
        "lock",
        "clean",
    }

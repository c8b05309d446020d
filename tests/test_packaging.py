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
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

#: Version and hashes by canonical name.
PINS: dict[str, tuple[str, list[str]]] = {
    canonicalize_name(name): (version, re.findall(r"--hash=sha256:[0-9a-f]{64}", hashes))
    for name, version, hashes in re.findall(
        r"^([A-Za-z0-9._-]+)==(\S+)[^\n]*\\\n((?:    --hash=.*\n?)+)", LOCK, re.MULTILINE
    )
}


def wanted() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    return [Requirement(r) for r in (*PROJECT["dependencies"], *extras["dev"], *extras["postgres"])]


@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_the_lock_holds_what_the_project_asks_for(requirement: Requirement) -> None:
    version, hashes = PINS[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)
    assert hashes


def test_every_line_of_the_lock_is_a_pin_a_hash_or_a_comment() -> None:
    """So it names no host and no folder; a comment holds no path, address or option either."""
    assert len(PINS) > 100
    pin = r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.+!-]*( ;[^/@]*)? \\"
    form = re.compile(pin + r"|    --hash=sha256:[0-9a-f]{64}( \\)?|(    )?#(?!.*--)[^/@]*|")
    assert [line for line in LOCK.splitlines() if not form.fullmatch(line)] == []


def test_torch_and_torchvision_are_a_pair_that_was_tried() -> None:
    assert (PINS["torch"][0], PINS["torchvision"][0]) == ("2.14.1", "0.29.1")


def test_make_alone_lists_every_target_that_people_use() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    listed = set(re.findall(r"^  make (\w+)", shown.stdout, re.MULTILINE))
    assert listed >= {
        "search",
        "test",
        "check",
        "lint",
        "types",
        "format",
        "data",
        "install",
        "lock",
        "clean",
    }

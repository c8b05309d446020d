"""Where results come from: versions, device, git revision; kept with every record."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("torch", "optuna", "mlflow", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Return the versions that numbers depend on, by package, and Python's."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def git_revision() -> str | None:
    """Return the commit of the source tree, ``+changed`` behind it if the tree differs; else ``None``."""
    root = Path(__file__).resolve().parents[2]
    head = _git(root, "rev-parse", "HEAD")
    if head is None:
        return None
    return f"{head}+changed" if _git(root, "status", "--porcelain", "--untracked-files=no") else head


def short_revision() -> str:
    """Return the commit in twelve digits for a page, ``+changed`` behind it if the tree differs; or ``unknown``."""
    commit, changed, _ = (git_revision() or "unknown").partition("+changed")
    return commit[:12] + changed


def provenance(device: str) -> dict[str, str]:
    """Return the facts for the tags of a run: git revision, device, versions."""
    facts = {"device": device, **{f"version.{name}": v for name, v in versions().items()}}
    revision = git_revision()
    return facts if revision is None else {**facts, "git_revision": revision}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - our own fixed command
            ["git", "-C", str(root), *arguments],  # noqa: S607 - the user's git
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()

"""The front door must not lie: its Python runs, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted({ROOT / "README.md", *(ROOT / "docs").glob("*.md")})


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_readmes_python_runs(block: str) -> None:
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - our own README is what is under test


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_shown_exists_with_its_options(document: Path) -> None:
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    for name, rest in re.findall(r"python -m study\.(\w+)([^\n`]*)", text):
        command = import_module(f"study.{name}").main
        known = {option for parameter in command.params for option in parameter.opts}
        shown = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", rest.split("#")[0]))
        assert shown <= known | {"--help"}, f"{document.name}: python -m study.{name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_named_is_there(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    named = re.findall(r"\]\(([^)#:]+)\)|`((?:docs|benchmarks|tests|study|lrsched|tools)/[\w./]+)`", text)
    for link, path in named:
        place = document.parent / link if link else ROOT / path
        assert place.exists(), f"{document.name} names {link or path}"

"""The front door must not lie: its Python runs, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.__main__ import COMMANDS, Commands
from study.loops import archived_study
from study.page.gather import confirmation, gather
from study.page.outputs.answer import SECTION, answer
from study.stats import certificate
from study.store import optuna_storage as store
from study.terminal.markdown import Section
from tests.running import run_python

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted({ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")})
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def wrong_commands(text: str) -> list[str]:
    """Return the study's commands that a text shows and that do not exist, or not with these options."""
    return [shown for shown, options in commands(text) if not options <= known_options(shown.split()[0])]


def commands(text: str) -> Iterator[tuple[str, set[str]]]:
    """Yield every command of the study that a text shows, with its options."""
    for name, rest in re.findall(r"(?:python -m study\.|lrstudy )(\w+)([^\n`]*)", text.replace("\\\n", " ")):
        yield f"{name}{rest}", set(re.findall(r"(?<!\S)--[a-z][a-z-]*", rest.split("#")[0]))


def known_options(name: str) -> set[str]:
    """Return the options of a command; none, not even --help, where there is no such command."""
    if name not in COMMANDS:
        return set()
    parameters = Commands.named(name).params
    return {"--help", *(option for parameter in parameters for option in parameter.opts)}


def missing_files(document: Path, text: str) -> list[str]:
    """Return the files that a document names and that are not there."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    links = [(document.parent / link, link) for link in re.findall(r"\]\(([^)#:]+)\)", prose)]
    folders = "docs|benchmarks|examples|tests|study|lrsched|tools"
    paths = [(ROOT / path, path) for path in re.findall(rf"`((?:{folders})/[\w./]+)`", prose)]
    return [name for place, name in links + paths if not place.exists()]


def test_every_command_that_is_shown_exists_with_its_options() -> None:
    texts = {document.name: document.read_text("utf-8") for document in DOCUMENTS}
    assert {name: wrong for name, text in texts.items() if (wrong := wrong_commands(text))} == {}
    assert {shown.split()[0] for shown, _ in commands(README)} == COMMANDS.keys()


def test_every_file_that_is_named_is_there() -> None:
    texts = {document: document.read_text("utf-8") for document in DOCUMENTS}
    assert {d.name: missing for d, text in texts.items() if (missing := missing_files(d, text))} == {}


def test_a_lie_is_seen() -> None:
    """What the two tests above would say of a wrong option, command, link and path."""
    text = "`python -m study.search --trails 5` `lrstudy serch --trials 5`\n[a](docs/none.md) `study/none.py`"
    assert wrong_commands(text) == ["search --trails 5", "serch --trials 5"]
    assert missing_files(ROOT / "README.md", text) == ["docs/none.md", "study/none.py"]
    assert wrong_commands("python -m study.search \\\n --trials 5  # not --so") == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    printed = run_python(str(example), folder=tmp_path)
    assert printed.strip()
    assert list(tmp_path.iterdir()) == []


def test_the_readmes_python_is_an_example() -> None:
    """So it is run as well."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    examples = [example.read_text("utf-8") for example in EXAMPLES]
    assert blocks
    assert [block for block in blocks if not any(block in example for example in examples)] == []


@pytest.mark.parametrize(
    ("document", "kept"),
    [("README.md", "docs/reference"), ("docs/results/larger-vision.md", "docs/results/larger-vision")],
)
def test_an_answer_is_what_its_study_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: str, kept: str
) -> None:
    """Nobody typed it: headline, figures and finalists are those of the study and the certificate in the repository."""
    monkeypatch.chdir(ROOT)  # where a reader runs the command that checks it
    folder, read = Path(kept), Path(document)
    record = store.record(archived_study.restore(folder, f"sqlite:///{tmp_path}/optuna.db"))
    page = gather(record, confirmation(record.config.name, folder / "certificate.json"))
    before = read.read_text("utf-8").partition("<!-- begin answer -->")[0]
    assert Section(read, SECTION).read() == answer(page, folder / "certificate.json", read)
    assert before.count("\n") <= 4  # on the first screen
    assert certificate.check(certificate.read(folder / "certificate.json")) == []
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2e6

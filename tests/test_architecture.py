"""Who may import whom. Imports are read from the source, wherever in a file they stand."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from study.__main__ import COMMANDS
from tests.running import run_python

ROOT = Path(__file__).resolve().parent.parent

#: The stages, lowest first: a folder may import those of lower rows, and itself. `lrsched` is below all.
STAGES = (
    {"core"},
    {"outside"},
    {"problems", "tuning", "training", "store", "stats", "terminal"},
    {"loops", "page"},
    {"textbook", "questions"},
)

#: Imports between folders of one row, each with its reason.
SIDEWAYS = {
    ("training", "problems"),  # lanes train what a problem holds
}

#: What a folder may import of others; the longest path that a file lies under decides.
OTHERS: dict[str, set[str]] = {
    "lrsched": {"numpy"},
    "lrsched/finder.py": {"numpy", "plotly", "torch"},
    "lrsched/groups.py": {"torch"},
    "lrsched/optimizer.py": {"torch"},
    "lrsched/picture.py": {"numpy", "plotly"},
    "lrsched/snapshot.py": {"numpy", "torch"},
    "lrsched/writing.py": {"torch"},
    "study/__init__.py": set(),
    "study/core": {"numpy"},
    "study/outside": {"pydantic"},
    "study/problems": {"numpy", "torch", "torchvision"},
    "study/tuning": {"numpy", "optuna"},
    "study/training": {"numba", "numpy", "torch"},
    "study/store": {"numpy", "optuna", "mlflow", "sqlalchemy", "optuna_dashboard"},
    "study/stats": {"numpy", "scipy"},
    "study/terminal": {"click", "rich"},
    "study/loops": {"click", "numpy", "optuna", "torch"},
    "study/page": {"click", "jinja2", "numpy", "optuna", "pandas", "plotly", "pyarrow"},
    "study/textbook": {"numpy", "plotly", "scipy"},
    "study/questions": {"numpy", "plotly", "scipy", "torch"},
    "study": {"click", "plotly"},  # commands
}

#: Slow to import, so never needed for ``--help`` or for a schedule.
HEAVY = {
    "torch",
    "numba",
    "torchvision",
    "mlflow",
    "optuna",
    "plotly",
    "scipy",
    "statsmodels",
    "pandas",
    "pydantic",
}


@dataclass(frozen=True)
class Import:
    """One import: of ``module``, in ``file``, at ``line``."""

    file: str
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def imports(file: Path, source: str) -> Iterator[Import]:
    """Yield every import in a file, absolute, with what is imported from a package appended."""
    place = file.as_posix()
    package = file.parent.parts
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Import(place, node.lineno, name.name)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            for name in node.names:
                yield Import(place, node.lineno, f"{base}.{name.name}")


def refused(found: Import) -> bool:
    """Whether the rules above refuse this import."""
    top, *below = found.module.split(".")
    if top == "lrsched":
        return False
    if top == "study":
        return not found.file.startswith("study/") or not _downwards(found.file, below[0] if below else "")
    places = [p for p in OTHERS if found.file == p or found.file.startswith(f"{p}/")]
    return top not in sys.stdlib_module_names and top not in OTHERS[max(places, key=len)]


def _downwards(file: str, folder: str) -> bool:
    """Whether a file of the study may import from one of its folders."""
    mine = Path(file).parts[1]
    rows = {name: row for row, names in enumerate(STAGES) for name in names}
    own = rows.get(mine, len(STAGES))  # commands stand above all folders
    if folder not in rows:
        return False
    return folder == mine or rows[folder] < own or (mine, folder) in SIDEWAYS


def sources() -> list[Path]:
    return sorted(p.relative_to(ROOT) for top in ("lrsched", "study") for p in (ROOT / top).rglob("*.py"))


def test_imports_point_downwards() -> None:
    found = [i for file in sources() for i in imports(file, (ROOT / file).read_text("utf-8"))]
    assert len(found) > 50
    assert [str(i) for i in found if refused(i)] == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("lrsched/decay.py", "import torch"),
        ("lrsched/decay.py", "from study.core.records import Epoch"),
        ("lrsched/decay.py", "def f():\n    from plotly import graph_objects"),
        ("study/training/lanes.py", "from optuna import Study"),
        ("study/training/lanes.py", "from ..store import optuna_storage"),
        ("study/core/records.py", "import torch"),
        ("study/store/optuna_storage.py", "import torch.nn"),
        ("study/stats/verdict.py", "from study.store.optuna_storage import load"),
        ("study/tuning/space.py", "from study.training import lanes"),
        ("study/terminal/progress.py", "import optuna"),
        ("study/confirm.py", "from study.search import main"),
        ("study/confirm.py", "from . import search"),
    ],
)
def test_a_wrong_direction_is_seen(file: str, source: str) -> None:
    assert any(refused(i) for i in imports(Path(file), source))


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("lrsched/optimizer.py", "import torch"),
        ("study/search.py", "from study.training.lanes import train"),
        ("study/training/lanes.py", "from ..core.records import Epoch"),
        ("study/training/lanes.py", "from . import lenet"),
    ],
)
def test_a_right_direction_is_let_through(file: str, source: str) -> None:
    assert not any(refused(i) for i in imports(Path(file), source))


def commands() -> list[str]:
    return [p.stem for p in sorted((ROOT / "study").glob("*.py")) if not p.stem.startswith("__")]


def test_the_list_of_commands_names_every_one() -> None:
    assert sorted(COMMANDS) == commands()


@pytest.mark.parametrize("module", ["lrsched", "study.__main__", *(f"study.{name}" for name in commands())])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*({HEAVY!r} & sys.modules.keys()))"
    assert run_python("-c", code).split() == []


# The size of the house: a newcomer finds a thing by its name, and reads a file in one sitting.


def too_full(files: Iterable[Path]) -> list[str]:
    """Return the folders of the study that hold more than 12 modules."""
    held = Counter(file.parent for file in files if file.parts[0] == "study" and file.stem != "__init__")
    return sorted(folder.as_posix() for folder, modules in held.items() if modules > 12)


def ambiguous(files: Iterable[Path]) -> list[str]:
    """Return the names that two modules have; each package may have a door and a command of its own."""
    names = Counter(file.stem for file in files if not file.stem.startswith("__"))
    return sorted(name for name, modules in names.items() if modules > 1)


def too_long(lines: Mapping[str, int]) -> list[str]:
    """Return the files of more than 350 lines."""
    return sorted(file for file, count in lines.items() if count > 350)


def test_no_folder_is_too_full() -> None:
    assert too_full(sources()) == []


def test_no_name_stands_for_two_modules_and_no_file_is_too_long() -> None:
    files = sources()
    assert ambiguous(files) == []
    assert too_long({f.as_posix(): len((ROOT / f).read_text("utf-8").splitlines()) for f in files}) == []


def test_exceptions_stay_few() -> None:
    assert len(SIDEWAYS) <= 3


def test_a_house_that_grows_is_seen() -> None:
    """What the laws above would say of 13 modules, of a name given twice and of 351 lines."""
    thirteen = [Path(f"study/page/figure_{n}.py") for n in range(13)]
    assert too_full([*thirteen[:12], Path("study/page/__init__.py")]) == []
    assert too_full(thirteen) == ["study/page"]
    assert ambiguous([Path("lrsched/__main__.py"), Path("study/__main__.py")]) == []
    assert ambiguous([Path("study/store/tracking/budget.py"), Path("study/loops/budget.py")]) == ["budget"]
    assert too_long({"a.py": 350, "b.py": 351}) == ["b.py"]

"""Who may import whom. Imports are read from the source, wherever in a file they stand."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: The stages, lowest first: a folder may import those of lower rows, and itself. `lrsched` is below all.
STAGES = (
    {"core"},
    {"problems", "tuning", "training", "store", "stats", "terminal"},
    {"loops", "page"},
    {"textbook"},
)

#: Imports between folders of one row, each with its reason.
SIDEWAYS = {
    ("training", "problems"),  # lanes train what a problem holds
}

#: What a folder may import of others; the longest path that a file lies under decides.
OTHERS: dict[str, set[str]] = {
    "lrsched": {"numpy"},
    "lrsched/optimizer.py": {"numpy", "torch", "typing_extensions"},  # which torch brings
    "lrsched/picture.py": {"numpy", "plotly"},
    "study/__init__.py": set(),
    "study/core": {"numpy"},
    "study/problems": {"numpy", "torch", "torchvision"},
    "study/tuning": {"numpy", "optuna"},
    "study/training": {"numba", "numpy", "torch"},
    "study/store": {"numpy", "optuna", "mlflow", "sqlalchemy", "optuna_dashboard"},
    "study/stats": {"numpy", "scipy"},
    "study/terminal": {"click", "rich"},
    "study/loops": {"click", "numpy", "optuna", "torch"},
    "study/page": {"click", "jinja2", "numpy", "optuna", "pandas", "plotly", "pyarrow"},
    "study/textbook": {"numpy", "plotly", "scipy"},
    "study": {"click", "plotly"},  # commands
}

#: Slow to import, so never needed for ``--help`` or for a schedule.
HEAVY = {"torch", "numba", "torchvision", "mlflow", "optuna", "plotly", "scipy", "statsmodels", "pandas"}


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
    return [p.stem for p in sorted((ROOT / "study").glob("*.py")) if p.stem != "__init__"]


@pytest.mark.parametrize("module", ["lrsched", *(f"study.{name}" for name in commands())])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*({HEAVY!r} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []

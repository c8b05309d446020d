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

PLAIN = {"study.records.trial", "study.records.errors"}
BELOW = {f"study.{name}" for name in ("records", "sampling", "training", "analysis", "terminal")}

#: What a file or folder may import of ours (a name allows all below it) and of others.
#: The longest path that a file lies under decides.
MAY_IMPORT: dict[str, tuple[set[str], set[str]]] = {
    "lrsched": ({"lrsched"}, {"numpy"}),
    "lrsched/groups.py": ({"lrsched"}, {"torch"}),
    "lrsched/optimizer.py": ({"lrsched"}, {"torch"}),
    "lrsched/snapshot.py": ({"lrsched"}, {"numpy", "torch"}),
    "lrsched/finder.py": ({"lrsched"}, {"numpy", "plotly", "torch"}),
    "lrsched/picture.py": ({"lrsched"}, {"numpy", "plotly"}),
    "study/__init__.py": (set(), set()),
    "study/records/trial.py": (set(), set()),
    "study/records/errors.py": (set(), set()),
    "study/records": ({"study.records"}, {"numpy", "optuna", "mlflow", "sqlalchemy", "optuna_dashboard"}),
    "study/sampling": ({"study.sampling", "lrsched", *PLAIN}, {"numpy", "optuna"}),
    "study/training": ({"study.training", *PLAIN}, {"numpy", "torch", "torchvision"}),
    "study/analysis": (
        {"study.analysis", *PLAIN},
        {"numpy", "scipy", "statsmodels", "plotly", "pandas", "pyarrow"},
    ),
    "study/terminal": ({"study.terminal", *PLAIN}, {"click", "rich"}),
    # What several commands share when they train: all below it, no command.
    "study/running": (
        {"study.running", "lrsched", *BELOW},
        {"click", "jinja2", "numpy", "optuna", "plotly", "torch"},
    ),
    # Commands: everything below them, but no other command.
    "study": ({"study.running", "lrsched", *BELOW}, {"click", "plotly"}),
}

#: Slow to import, so never needed for ``--help`` or for a schedule.
HEAVY = {"torch", "torchvision", "mlflow", "optuna", "plotly", "scipy", "statsmodels", "pandas"}


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
    places = [p for p in MAY_IMPORT if found.file == p or found.file.startswith(f"{p}/")]
    ours, others = MAY_IMPORT[max(places, key=len)]
    top = found.module.split(".")[0]
    if top in {"lrsched", "study"}:
        return not any(f"{found.module}.".startswith(f"{name}.") for name in ours)
    return top not in sys.stdlib_module_names and top not in others


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
        ("lrsched/decay.py", "from study.records.trial import Epoch"),
        ("lrsched/decay.py", "def f():\n    from plotly import graph_objects"),
        ("study/training/lanes.py", "import lrsched"),
        ("study/training/lanes.py", "from optuna import Study"),
        ("study/training/lanes.py", "from ..records import store"),
        ("study/records/trial.py", "import numpy"),
        ("study/records/store.py", "import torch.nn"),
        ("study/analysis/verdict.py", "from study.records.store import load"),
        ("study/sampling/space.py", "from study.training import lanes"),
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
        ("study/training/lanes.py", "from ..records.trial import Epoch"),
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

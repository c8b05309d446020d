"""A user's problem file is run; nothing else that the study reads can run code.

Databases, certificates and notes are text and JSON; checkpoints are tensors read by torch's ``weights_only``. The source is
searched for every way that Python has of turning data into code, and a checkpoint that carries code is read.
"""

from __future__ import annotations

import ast
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch

import lrsched
from study.core.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
#: Files that may run code, each with its reason.
MAY = {
    "study/problems/loading.py",  # the user's problem: the one thing that is run on purpose
    "study/__main__.py",  # imports one of our own commands, by a name from a fixed list
    "lrsched/pasteable.py",  # checks the code that it wrote: our docstrings' lines and a schedule's checked numbers
}
#: Modules that make objects of any class from bytes, or code from text.
MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "code",
    "codeop",
    "runpy",
    "yaml",
}
CALLS = {"eval", "exec", "compile", "__import__", "import_module", "exec_module", "spec_from_file_location"}


def sources() -> list[Path]:
    return sorted(p for top in ("lrsched", "study") for p in (ROOT / top).rglob("*.py"))


def faults(source: str) -> list[str]:
    """Return each place at which data could become code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [f"imports {a.name}" for a in node.names if a.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(f"imports {node.module}")
        elif isinstance(node, ast.Call):
            found += call_faults(node)
    return found


def call_faults(node: ast.Call) -> list[str]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    keywords = {k.arg: k.value for k in node.keywords}
    owner = getattr(node.func.value, "id", "") if isinstance(node.func, ast.Attribute) else ""
    # `network.eval()` and `re.compile()` are methods of their own.
    if name in CALLS and not (isinstance(node.func, ast.Attribute) and name in {"eval", "exec", "compile"}):
        return [f"calls {name}"]
    if owner == "torch" and name == "load":
        value = keywords.get("weights_only")
        safe = isinstance(value, ast.Constant) and value.value is True
        return [] if safe else ["torch.load without weights_only=True"]
    return ["allow_pickle"] if "allow_pickle" in keywords else []


def test_only_the_loading_of_a_problem_runs_code() -> None:
    found = {str(path.relative_to(ROOT)): faults(path.read_text("utf-8")) for path in sources()}
    assert len(found) > 60
    assert {path for path, what in found.items() if what} == MAY


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "exec(text)",
        "importlib.import_module(name)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_each_way_is_seen(source: str) -> None:
    assert faults(source)


class Bomb:
    """An object that, unpickled, makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    from study.loops.passes import Pass, schedule_rates

    file, mark = tmp_path / "seed-0000.pt", tmp_path / "ran"
    torch.save({"asked": "[]", "history": "[]", "state": Bomb(mark)}, file)
    # The bomb is real: torch's other way of reading sets it off.
    torch.load(io.BytesIO(file.read_bytes()), weights_only=False)
    assert mark.is_dir()
    mark.rmdir()
    with pytest.raises(InputError, match="damaged, or no checkpoint of ours; remove it"):
        Pass([], schedule_rates, file).history()
    assert not mark.exists()


def test_scores_with_code_are_refused_and_not_run(tmp_path: Path) -> None:
    from study.loops.score_files import read_scores

    file, mark = tmp_path / "seed-0001.scores.npz", tmp_path / "ran"
    np.savez(
        file, names=np.array(["a"]), losses=np.array([Bomb(mark)], dtype=object), metrics=np.array([0.5])
    )
    with np.load(file, allow_pickle=True) as kept:
        _ = kept["losses"]  # the bomb is real
    assert mark.is_dir()
    mark.rmdir()
    with pytest.raises(InputError, match="damaged, or no scores of ours; remove it"):
        read_scores(file, ["a"])
    assert not mark.exists()


def test_a_checkpoint_of_a_problem_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    """The same with what the general engine keeps: the code hides in an optimizer's state."""
    from study.loops.passes import Pass, schedule_rates

    file, mark = tmp_path / "seed-0001.pt", tmp_path / "ran"
    networks = {"lanes": [{"network": {}, "optimizer": {"state": Bomb(mark)}, "averaged": {}}]}
    torch.save({"asked": "[]", "history": "[]", "state": {"networks": networks}}, file)
    with pytest.raises(InputError, match="damaged, or no checkpoint of ours; remove it"):
        Pass([], schedule_rates, file).history()
    assert not mark.exists()


def test_a_file_that_a_database_names_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever confirms, reports or audits names the problem's file again; what the study noted is only shown, in quotes."""
    import optuna
    from click.testing import CliRunner

    from study import audit, confirm, report
    from study.core.metric import Metric
    from study.page.reproduce import torch_code
    from study.store import optuna_storage as store
    from tests.making import config_of, spec_of

    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n", "utf-8")
    config = config_of(
        name="bait", problem="mine", source="ab", optimizer="own", metric=Metric(name="loss", chance=1.0)
    )
    study = store.open_study(f"sqlite:///{tmp_path}/optuna.db", config)
    reference = "evil.py:problem'\nimport os; os.mkdir('ran')  #"
    study.set_user_attr("problem_reference", reference)
    study.set_user_attr("lanes", "lanes are fused")
    study.add_trial(optuna.trial.create_trial(value=0.5, user_attrs={"asked": spec_of().to_json()}))
    store.close(study)
    for command, flags in ((report, []), (audit, []), (confirm, ["--baseline", "none"])):
        CliRunner().invoke(command.main, [*flags, "--study", "bait"], standalone_mode=True)
    assert (tmp_path / "report.html").exists()
    code = torch_code(spec_of(), config, 100, reference)
    assert "import os" not in [line.strip()[:9] for line in code.splitlines()]
    ast.parse(code)
    assert not mark.exists()


#: All that JSON can hold: a user's function is never read from it.
READ = sorted(n for n, cls in lrsched.REGISTRY.items() if all(p.unit != "function" for p in cls.parameters()))


@pytest.mark.parametrize("name", READ)
def test_text_in_a_schedule_that_is_read_never_reaches_the_code_that_is_pasted(
    name: str, tmp_path: Path
) -> None:
    """Pasted code is tried before it is given out, so a field that could hold any text would be run."""
    cls = lrsched.REGISTRY[name]
    mark = tmp_path / "ran"
    code = f"__import__('os').mkdir({str(mark)!r})"
    written = cls.example().to_json()
    for field in written:
        with pytest.raises((TypeError, ValueError)):
            lrsched.from_json({**written, field: code})
    assert not mark.exists()

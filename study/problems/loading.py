"""Find a user's problem: ``FILE.py:name`` or ``module:name``.

A problem file is the user's own code, and it is run. Nothing else that the study reads (databases, checkpoints,
certificates) can run code.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from study.core.errors import InputError
from study.problems.definition import Problem
from study.problems.user_code import named, user_code


@dataclass(frozen=True)
class Loaded:
    """A problem and where it came from.

    Attributes:
        problem: The problem.
        reference: As the user named it.
        source: SHA-256 of the file that it stands in.
    """

    problem: Problem
    reference: str
    source: str


def load_problem(reference: str) -> Loaded:
    """Run the file or import the module and return the problem that it calls ``name``.

    Raises:
        InputError: There is no such file, module or name, it fails, or what is there is no problem.
    """
    place, _, name = reference.rpartition(":")
    if not place or not name.isidentifier():
        raise InputError(f"--problem must be FILE.py:name or module:name, got {reference!r}")
    module, path = _from_file(place) if place.endswith(".py") else _from_module(place)
    if name not in vars(module):
        problems = [n for n, value in vars(module).items() if isinstance(value, Problem)]
        near = get_close_matches(name, vars(module), n=1)
        hint = f"did you mean {near[0]}?" if near else f"problems there: {', '.join(problems) or 'none'}"
        raise InputError(f"--problem {reference}: {place} has no {name}; {hint}")
    found: Any = getattr(module, name)
    if not isinstance(found, Problem):
        raise InputError(
            f"--problem {reference}: {name} must be a study.problems.Problem, got {named(found)}"
        )
    return Loaded(found, reference, hashlib.sha256(path.read_bytes()).hexdigest())


def _from_file(place: str) -> tuple[ModuleType, Path]:
    """Run a file as a module of a name that nothing else has; files beside it can be imported from it."""
    path = Path(place)
    if not path.is_file():
        raise InputError(f"--problem: there is no file {place}")
    name = f"problem_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"--problem: {place} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where classes defined in it look their module up
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        with user_code(f"--problem: {place}"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(folder)
    return module, path


def _from_module(place: str) -> tuple[ModuleType, Path]:
    with user_code(f"--problem: import of {place}"):
        module = importlib.import_module(place)
    file = getattr(module, "__file__", None)
    if file is None:
        raise InputError(f"--problem: module {place} has no file whose hash could be recorded; name a module")
    return module, Path(file)

"""The formulas of the docstrings as Python functions that stand alone: what pasted code is made of."""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lrsched.schedule import Schedule

_MATHS = frozenset({"cos", "log", "pi", "prod", "sqrt", "tanh"})


def alone(schedule: Schedule, steps_per_epoch: int) -> str:
    """Return the code of a function ``multiplier(step)``, after those of the schedule's parts.

    It needs ``math`` if it says so, and nothing else. Whether it holds is for the caller to try: a formula may divide by
    zero where a length is zero, or use what only the schedule's own module knows.
    """
    functions: list[str] = []
    _write(schedule, functions, Counter(), f"multiplier(step, steps_per_epoch={steps_per_epoch}")
    return "\n\n".join(functions)


def _write(schedule: Schedule, functions: list[str], used: Counter[str], head: str = "") -> str:
    """Append a function for the schedule, after those of its parts; return its name.

    A function holds its fields and its parts' functions as defaults, so that no name of the user's can reach it.

    Args:
        schedule: What the function evaluates.
        functions: The code so far.
        used: How many functions each schedule's name has.
        head: Name and first arguments; by default the schedule's name with a number, and ``t``.
    """
    parts: dict[str, str] = {}
    for p in schedule.parameters():
        if p.unit == "schedule":
            held = getattr(schedule, p.name)
            names = [_write(s, functions, used) for s in (held if p.many else [held])]
            parts[p.name] = f"({', '.join(names)}{',' * (len(names) == 1)})" if p.many else names[0]
            if p.many:
                parts["durations"] = repr(tuple(float(s.duration) for s in held))
    if not head:
        used[schedule.name] += 1
        head = f"{schedule.name}_{used[schedule.name]}(t"
    known = {p.name: getattr(schedule, p.name) for p in schedule.parameters() if p.unit != "schedule"}
    tree = _Decide(known).visit(ast.parse(schedule.formula()))
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    defaults = {**{name: repr(value) for name, value in known.items()}, **parts}
    arguments = "".join(f", {name}={text}" for name, text in defaults.items() if name in named)
    lines = ["t = step / steps_per_epoch"] if head.startswith("multiplier(") else []
    lines += [*ast.unparse(tree).splitlines(), "return value"]
    functions.append(f"def {head}{arguments}):\n" + textwrap.indent("\n".join(lines), "    "))
    return head.partition("(")[0]


class _Decide(ast.NodeTransformer):
    """Makes a formula one that stands alone.

    ``if field == constant``, also as an expression, and ``{constant: ...}[field]`` are replaced by what holds: one shape of
    four, say. Functions of ``math`` are named in full, and a part's ``duration`` is a number that is known.
    """

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known

    def visit_If(self, node: ast.If) -> Any:
        holds = self._holds(node.test)
        if holds is None:
            return self.generic_visit(node)
        kept = ast.Module(node.body if holds else node.orelse, [])
        return self.generic_visit(kept).body  # type: ignore[attr-defined]  # it gives back the module, with what is in it

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        holds = self._holds(node.test)
        return self.generic_visit(node) if holds is None else self.visit(node.body if holds else node.orelse)

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        match node:
            case ast.Subscript(ast.Dict(keys, values), ast.Name(field)) if field in self._known:
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == self._known[field]:
                        return self.visit(value)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id in _MATHS and node.id not in self._known:
            return ast.Attribute(ast.Name("math", ast.Load()), node.id, ast.Load())
        return node

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        match node:
            case ast.Attribute(ast.Subscript(ast.Name("schedules"), index), "duration"):
                return ast.Subscript(ast.Name("durations", ast.Load()), self.visit(index), ast.Load())
        return self.generic_visit(node)

    def _holds(self, test: ast.expr) -> bool | None:
        match test:
            case ast.Compare(ast.Name(field), [ast.Eq()], [ast.Constant(value)]) if field in self._known:
                return bool(self._known[field] == value)
        return None

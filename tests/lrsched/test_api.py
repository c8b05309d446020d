"""What users of the library can count on: its names, its typing, its weight."""

from __future__ import annotations

import doctest
import importlib
import re
import time
from pathlib import Path
from typing import Any

import pytest

import lrsched
from lrsched import optimizer, picture, pytorch
from lrsched.catalogue import markdown
from tests.running import run_python

#: Widening this list is a decision.
PUBLIC = {
    *("REGISTRY", "Parameter", "Schedule", "Search", "follow", "from_json", "parameter", "schedule_class"),
    *("ByHand", "Constant", "Cosine", "CosineRestarts", "Cyclic", "Exponential", "Factor", "FlatCosine"),
    *("Function", "Hold", "InverseSquareRoot", "Join", "KDecay", "Knee", "Linear", "LinearToZero", "Mirror"),
    *("MultiStep", "Multiplicative", "Noam", "OneCycle", "Plateau", "Polynomial", "PowerDecay", "Product"),
    *("Rex", "Spline", "SquareRoot", "Step", "Tanh", "TriStage", "Warmup", "WarmupStableDecay"),
}

#: The fields of each schedule, in order: they are arguments, options of the command, and keys in JSON.
FIELDS = {
    "by_hand": "times values",
    "constant": "",
    "cosine": "T_max final",
    "cosine_restarts": "T_0 T_mult decay final",
    "cyclic": "up down low mode gamma",
    "exponential": "gamma",
    "factor": "factor floor",
    "flat_cosine": "length flat final",
    "function": "function whole",
    "hold": "factor length",
    "inverse_square_root": "timescale",
    "join": "schedules milestones clock",
    "k_decay": "length k shape power final",
    "knee": "length explore",
    "linear": "length start final",
    "linear_to_zero": "length",
    "mirror": "inner low high",
    "multi_step": "milestones factor",
    "multiplicative": "function",
    "noam": "warmup",
    "one_cycle": "length peak start final shape phases",
    "plateau": "factor patience threshold threshold_mode cooldown floor mode eps",
    "polynomial": "length power final",
    "power_decay": "timescale power",
    "product": "schedules",
    "rex": "length beta final",
    "spline": "times values",
    "square_root": "timescale",
    "step": "step_size factor",
    "tanh": "length lower upper final",
    "tri_stage": "length warmup hold start final",
    "warmup": "inner length start shape",
    "warmup_stable_decay": "length decay shape final",
}


def test_public_names() -> None:
    assert set(lrsched.__all__) == PUBLIC
    assert set(pytorch.__all__) == {"from_torch", "peak_rates", "to_torch_code"}
    # What the modules without an __all__ are there for.
    assert callable(optimizer.Scheduler)
    assert all(callable(f) for f in (picture.draw, picture.catalogue, picture.write))


def test_fields() -> None:
    assert {n: " ".join(p.name for p in c.parameters()) for n, c in lrsched.REGISTRY.items()} == FIELDS


def test_all_but_compositions_and_users_functions_can_be_searched() -> None:
    unsearchable = {name for name, cls in lrsched.REGISTRY.items() if not cls.searchable()}
    assert unsearchable == {"warmup", "join", "product", "mirror", "function", "multiplicative"}


def test_it_is_typed() -> None:
    assert (Path(lrsched.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize(
    "file", sorted(Path(lrsched.__file__).parent.glob("*.py")), ids=lambda file: file.stem
)
def test_examples_in_docstrings(file: Path) -> None:
    """What the docstrings show is what happens."""
    name = "lrsched" if file.stem == "__init__" else f"lrsched.{file.stem}"
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", lrsched.REGISTRY)
def test_each_docstring_has_an_example_and_its_fields(name: str) -> None:
    text = lrsched.REGISTRY[name].__doc__ or ""
    assert ">>> " in text
    assert all(f"    {p.name}: {p.meaning} (" in text for p in lrsched.REGISTRY[name].parameters())


def test_the_page_of_all_schedules_is_up_to_date(repository: Path) -> None:
    """Declared once: the page is what the command prints."""
    page = (repository / "docs" / "schedules.md").read_text("utf-8")
    assert page == markdown(), "run: python -m lrsched --markdown > docs/schedules.md"


def test_the_examples_on_the_page_run(repository: Path) -> None:
    """Each stands with its imports, as one would type it, and gives what the page says."""
    page = (repository / "docs" / "schedules.md").read_text("utf-8")
    blocks = [b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if b.startswith(">>> ")]
    assert len(blocks) == len(lrsched.REGISTRY)
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    for number, block in enumerate(blocks):
        assert runner.run(parser.get_doctest(block, {}, f"example {number}", None, None)).failed == 0


def test_the_page_on_choosing_knows_every_schedule_and_every_other_name(repository: Path) -> None:
    """A new schedule needs a place in a family, and a name that is accepted a line in the glossary."""
    page = (repository / "docs" / "choosing.md").read_text("utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    assert set(lrsched.REGISTRY) <= named
    assert {other for cls in lrsched.REGISTRY.values() for p in cls.parameters() for other in p.also} <= named


#: With torch's own names for the same quantities.
OTHERWISE: list[tuple[type[lrsched.Schedule], dict[str, Any], lrsched.Schedule]] = [
    (lrsched.Linear, {"total_iters": 9, "start_factor": 0.5, "end_factor": 0.1}, lrsched.Linear(9, 0.5, 0.1)),
    (lrsched.Polynomial, {"total_iters": 9, "power": 2}, lrsched.Polynomial(9, 2)),
    (lrsched.Hold, {"factor": 0.3, "total_iters": 9}, lrsched.Hold(0.3, 9)),
    (lrsched.Step, {"step_size": 9, "gamma": 0.3}, lrsched.Step(9, 0.3)),
    (lrsched.MultiStep, {"milestones": (3, 9), "gamma": 0.3}, lrsched.MultiStep((3, 9), 0.3)),
    (lrsched.Factor, {"gamma": 0.3}, lrsched.Factor(0.3)),
    (lrsched.Cyclic, {"step_size_up": 3, "step_size_down": 9}, lrsched.Cyclic(3, 9)),
]


def test_every_other_name_is_tried() -> None:
    declared = {(c, o) for c in lrsched.REGISTRY.values() for p in c.parameters() for o in p.also}
    own = {(c, p.name) for c in lrsched.REGISTRY.values() for p in c.parameters()}
    assert not declared & own
    tried = {(cls, name) for cls, fields, _ in OTHERWISE for name in fields}
    assert tried - own == declared


@pytest.mark.parametrize(("cls", "fields", "schedule"), OTHERWISE, ids=lambda x: getattr(x, "__name__", ""))
def test_the_names_that_torch_has_are_accepted(
    cls: type[lrsched.Schedule], fields: dict[str, Any], schedule: lrsched.Schedule
) -> None:
    assert cls(**fields) == schedule
    assert lrsched.from_json({"schedule": cls.name, **fields}) == schedule
    assert set(schedule.to_json()) == {"schedule", *(p.name for p in cls.parameters())}


def test_importing_it_is_quick_and_needs_numpy_alone() -> None:
    """Under 0.3 s of processor time beyond numpy's own import; neither torch nor plotly is touched."""
    code = (
        "import sys, time, numpy; began = time.process_time(); import lrsched;"
        "print(time.process_time() - began);"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'plotly', 'scipy', 'pandas', 'study'}))"
    )
    seconds = []
    for _ in range(3):
        took, heavy = run_python("-c", code).splitlines()
        assert heavy == "[]"
        seconds.append(float(took))
    assert min(seconds) < 0.3


def test_a_schedule_of_ones_own_is_a_class_of_six_lines() -> None:
    """Declared fields are checked, written as JSON and found by name, like ours."""

    class Sawtooth(lrsched.Schedule, name="sawtooth_of_a_test"):
        """Fall to zero again and again."""

        period: float = lrsched.parameter("time of one fall", "time", above=True)

        def _value(self, t: lrsched.schedule.Array) -> lrsched.schedule.Array:
            return 1.0 - t % self.period / self.period

    try:
        saw = Sawtooth(4)
        assert saw(5) == 0.75
        assert lrsched.from_json(saw.to_json()) == saw
        assert lrsched.Warmup(saw, 2)(1) == 0.375
    finally:
        del lrsched.REGISTRY["sawtooth_of_a_test"]


def test_a_single_value_is_quick() -> None:
    """A value in a Python loop takes microseconds, not an array's set-up: a generous bound for a busy machine."""
    schedule = lrsched.Warmup(lrsched.Cosine(30, 0.01), 3)
    best = min(_seconds(schedule) for _ in range(5))
    assert best < 50e-6


def _seconds(schedule: lrsched.Schedule) -> float:
    began = time.perf_counter()
    for step in range(1000):
        schedule(step / 196)
    return (time.perf_counter() - began) / 1000

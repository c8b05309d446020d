"""How to get the same study again: the commands and the facts that a page states."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from lrsched.pasteable import to_torch_code
from study.core.records import DEFAULT_PROBLEM, StudyConfig, StudyRecord, TrialSpec

# The name is said first, and the data by its checksums; a problem brings the rest that is no option. Every other
# setting is an option of the same name.
_BROUGHT = {"name", "data", "problem", "source", "metric", "base_rate"}
_FLAGS = tuple(field.name for field in fields(StudyConfig) if field.name not in _BROUGHT)


def search_command(config: StudyConfig, trials: int, reference: str | None = None) -> str:
    """Return the command that makes the study, each of its settings spelt out.

    Args:
        config: The settings.
        trials: How many trials.
        reference: Where a user's problem stands; it brings the optimizer.
    """
    words = ["python", "-m", "study.search", "--study", config.name, "--trials", str(trials)]
    words += ["--problem", reference] if reference else []
    for name in _FLAGS:
        if reference and name in {"optimizer", "weight_decay"}:
            continue
        value = getattr(config, name)
        words += [f"--{name.replace('_', '-')}", ",".join(value) if isinstance(value, tuple) else str(value)]
    return _folded(words)


def commands(record: StudyRecord, revision: str | None) -> str:
    """Return the commands from the source to this page."""
    name = shlex.quote(record.config.name)
    # "+changed" marks a tree that differs from its commit; only the commit can be checked out.
    lines = [f"git checkout {shlex.quote(revision.removesuffix('+changed'))}"] if revision else []
    lines += [
        search_command(record.config, max(1, len(record.trials)), record.attributes.get("problem_reference")),
        confirm_command(record),
        f"python -m study.report --study {name}",
    ]
    return "\n".join(line for line in lines if line)


def confirm_command(record: StudyRecord) -> str:
    """Return the command that confirms the study; nothing where no test data can judge it."""
    if "test_data" in record.attributes:
        return ""
    reference = record.attributes.get("problem_reference")
    own = f" --problem {shlex.quote(reference)}" if reference else ""
    return f"python -m study.confirm --study {shlex.quote(record.config.name)}{own}"


#: The optimizers of ``study.search --optimizer`` as code; ``{rate}`` and ``{decay}`` stand for numbers.
_OPTIMIZERS = {
    "sgd": "torch.optim.SGD(model.parameters(), lr={rate}, weight_decay={decay})",
    "momentum": "torch.optim.SGD(model.parameters(), lr={rate}, momentum=0.9, weight_decay={decay})",
    "nesterov": "torch.optim.SGD(model.parameters(), lr={rate}, momentum=0.9, nesterov=True, weight_decay={decay})",
    "adamw": "torch.optim.AdamW(model.parameters(), lr={rate}, weight_decay={decay})",
}


def torch_code(spec: TrialSpec, config: StudyConfig, examples: int, reference: str | None = None) -> str:
    """Return what a trial was asked as PyTorch code to paste, with the optimizer that trained it.

    Args:
        spec: What it was asked.
        config: The study's settings.
        examples: Examples an epoch.
        reference: Where a user's problem stands.
    """
    batch = config.batch_size
    steps = -(-examples // batch)
    code = to_torch_code(
        spec.schedule, spec.base_rate, spec.epochs, steps, examples=examples, batch_size=batch
    )
    rate = repr(float(spec.base_rate))
    plain = f"optimizer = torch.optim.SGD(model.parameters(), lr={rate})"
    if code.count(plain) != 1:
        raise ValueError(f"the code to paste has no line {plain!r}")
    return code.replace(plain, _optimizer_code(config, rate, reference) or plain)


def _optimizer_code(config: StudyConfig, rate: str, reference: str | None) -> str | None:
    """Return the lines that make the optimizer; ``None`` where plain SGD does. What a database says stays quoted."""
    if config.problem != DEFAULT_PROBLEM:
        where = repr(reference or "FILE.py:NAME")
        return (
            f"from study.problems.loading import load_problem  # trained with --problem {where}\n"
            f"problem = load_problem({where}).problem\n"
            f"optimizer = problem.optimizer(model.parameters(), {rate})"
        )
    if (config.optimizer, config.weight_decay) == ("sgd", 0.0):
        return None
    decay = repr(float(config.weight_decay))
    return f"optimizer = {_OPTIMIZERS[config.optimizer].format(rate=rate, decay=decay)}"


def provenance(
    record: StudyRecord, versions: Mapping[str, str], revision: str | None
) -> dict[str, dict[str, str]]:
    """Return facts under titles: settings, what the study noted of itself, versions, data."""
    config = record.config.to_json()
    config.pop("data")
    noted = {key: _text(value) for key, value in sorted(record.attributes.items())}
    return {
        title: facts
        for title, facts in {
            "Settings of the study": {key.replace("_", " "): _text(value) for key, value in config.items()},
            "Noted with the study": noted,
            "This page was written with": {**versions, **({"git revision": revision} if revision else {})},
            "Data files, by checksum": dict(record.config.data),
        }.items()
        if facts
    }


def _folded(words: list[str], width: int = 88) -> str:
    """Return a shell command over several lines, each option with its value."""
    lines = [" ".join(words[:3])]
    for option, value in zip(words[3::2], words[4::2], strict=True):
        part = f" {option} {shlex.quote(value)}"
        if len(lines[-1]) + len(part) > width:
            lines.append("   ")
        lines[-1] += part
    return " \\\n".join(lines)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)

"""How to get the same study again: the commands and the facts that a page states."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from lrsched.pasteable import to_torch_code
from study.core.errors import InputError
from study.core.families import SCHEDULE_FREE, as_trained, momentum_of, schedule_free_code, warmup_of
from study.core.records import DEFAULT_PROBLEM, SEARCH_IMAGES, StudyConfig, StudyRecord, TrialSpec
from study.stats.leaderboard import Choice, choose_finalists, usual_heats
from study.stats.sequential import LEVEL, LOOKS
from study.tuning.classic import CLASSIC

if TYPE_CHECKING:
    from study.page.verdict_text import Confirmation

# The name is said first, and the data by its checksums; a problem brings the rest that is no option. Every other
# setting is an option of the same name.
_BROUGHT = {"name", "data", "problem", "source", "metric", "base_rate"}
_FLAGS = tuple(field.name for field in fields(StudyConfig) if field.name not in _BROUGHT)

#: What ``study.search`` does unless told otherwise (a test compares it with the command's own). What it derives from the
#: machine or from other options has no place here and is always spelt out.
USUAL: Mapping[str, Any] = {
    "epochs": 30,
    "batch_size": 256,
    "schedules": CLASSIC,
    "sampler": "stratified",
    "pruner": "median",
    "interval_steps": 1,
    "prune_on": "val",
    "reprieve": 0.1,
    "seed": 0,
    "train_images": SEARCH_IMAGES,
    "keep_best": 1,
    "optimizer": "sgd",
    "weight_decay": 0.0,
}
#: Likewise of ``study.confirm``.
USUAL_FINALISTS, USUAL_BASELINE, USUAL_RATE_SEEDS = 5, "constant", 3
#: Settings that a user's problem brings, so that the usual ones are those of no problem of a user's.
_OF_PROBLEM = {"epochs", "batch_size", "train_images"}


def search_command(
    config: StudyConfig, trials: int, reference: str | None = None, lanes: int | None = None
) -> str:
    """Return the command that makes the study: each of its settings that is not the usual one.

    Args:
        config: The settings.
        trials: How many trials.
        reference: Where a user's problem stands; it brings the optimizer.
        lanes: How many trials trained side by side; what the sampler saw of each depends on it.
    """
    words = ["python", "-m", "study.search", "--study", config.name, "--trials", str(trials)]
    words += ["--problem", reference] if reference else []
    for name in _FLAGS:
        value = getattr(config, name)
        own = reference and name in _OF_PROBLEM
        if (reference and name in {"optimizer", "weight_decay"}) or (not own and USUAL.get(name) == value):
            continue
        words += [f"--{name.replace('_', '-')}", ",".join(value) if isinstance(value, tuple) else str(value)]
    return _folded(words + (["--lanes", str(lanes)] if lanes else []))


def confirm_command(record: StudyRecord, confirmed: Confirmation | None = None) -> str:
    """Return the command that confirms the study's finalists, as they were if they were; none without test data."""
    if "test_data" in record.attributes:
        return ""
    words = ["python", "-m", "study.confirm", "--study", record.config.name]
    reference = record.attributes.get("problem_reference")
    words += ["--problem", reference] if reference else []
    if confirmed is None:
        return _folded(words)
    plan, rates, held = confirmed.verdict.plan, confirmed.rates, confirmed.study
    words += _chosen(record, confirmed)
    words += ["--train-images", str(confirmed.trained)] if confirmed.trained != confirmed.whole else []
    words += ["--looks", ",".join(map(str, plan.looks))] if plan.looks != LOOKS else []
    words += ["--level", f"{plan.level:g}"] if plan.level != LEVEL else []
    metric = confirmed.verdict.metric
    words += ["--margin", f"{metric.units * plan.margin:g}"] if plan.margin != metric.margin(None) else []
    if rates is not None:
        words += ["--rates", ",".join(f"{multiple:g}" for multiple in rates.multiples)]
        words += ["--rate-seeds", str(rates.seeds)] if rates.seeds != USUAL_RATE_SEEDS else []
    words += ["--precision", held["precision"]] if held.get("precision", "float32") != "float32" else []
    words += ["--device", held["device"]] if "device" in held else []
    return _folded(words)


def _chosen(record: StudyRecord, confirmed: Confirmation) -> list[str]:
    """Return the options that choose those finalists; of the baseline none where the study has other leaders by now."""
    names, count = sorted(confirmed.finalists), len(confirmed.finalists)
    families = [str(f.get("family")) for f in confirmed.finalists.values()]
    most = max(Counter(families).values())
    words = ["--finalists", str(count)] if count != USUAL_FINALISTS else []
    words += ["--per-family", str(most)] if most > 1 else []
    usual = usual_heats(confirmed.verdict.plan.seeds)
    words += ["--heats", str(confirmed.heats)] if confirmed.heats != usual else []
    if confirmed.heats:  # the runs of those who did not go through are not here: who they were is not known
        return words + ([] if USUAL_BASELINE in families else ["--baseline", "none"])
    for baseline in (USUAL_BASELINE, None, *families):
        try:
            chosen = choose_finalists(record, Choice(count, most, baseline))
        except InputError:  # no trial of it finished
            continue
        if sorted(f.name for f in chosen) == names:
            return words + ([] if baseline == USUAL_BASELINE else ["--baseline", baseline or "none"])
    return words


def commands(record: StudyRecord, confirmed: Confirmation | None, written_by: str | None) -> str:
    """Return the commands from the source to this page.

    Args:
        record: The study.
        confirmed: Its confirmation, if there is one.
        written_by: Revision of the source that writes the page, where the study does not say its own.
    """
    made_by = record.attributes.get("git_revision")
    revision = written_by if made_by in {None, "unknown"} else made_by
    # "+changed" marks a tree that differs from its commit; only the commit can be checked out.
    lines = [f"git checkout {shlex.quote(revision.removesuffix('+changed'))}"] if revision else []
    lanes = {trial.spec.lanes for trial in record.trials}
    reference = record.attributes.get("problem_reference")
    lines += [
        search_command(
            record.config, max(1, len(record.trials)), reference, lanes.pop() if len(lanes) == 1 else None
        ),
        confirm_command(record, confirmed),
        f"python -m study.report --study {shlex.quote(record.config.name)}",
    ]
    return "\n".join(line for line in lines if line)


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
    if spec.family == SCHEDULE_FREE:
        return schedule_free_code(
            spec.base_rate, warmup_of(spec.schedule), steps,
            optimizer=config.optimizer, weight_decay=config.weight_decay,
        )  # fmt: skip
    code = to_torch_code(
        spec.schedule, spec.base_rate, spec.epochs, steps, examples=examples, batch_size=batch
    )
    if config.problem == DEFAULT_PROBLEM:
        return as_trained(
            code, momentum_of(spec.schedule), optimizer=config.optimizer, weight_decay=config.weight_decay
        )
    rate, where = (
        repr(float(spec.base_rate)),
        repr(reference or "FILE.py:NAME"),
    )  # what a database says stays quoted
    plain = f"optimizer = torch.optim.SGD(model.parameters(), lr={rate})"
    if code.count(plain) != 1:
        raise ValueError(f"the code to paste has no line {plain!r}")
    own = (
        f"from study.problems.loading import load_problem  # trained with --problem {where}\n"
        f"problem = load_problem({where}).problem\n"
        f"optimizer = problem.optimizer(model.parameters(), {rate})"
    )
    return code.replace(plain, own)


def provenance(
    record: StudyRecord, versions: Mapping[str, str], revision: str | None
) -> dict[str, dict[str, str]]:
    """Return facts under titles: settings by the names that the code gives them, what the study noted, versions, data."""
    config = record.config.to_json()
    config.pop("data")
    noted = {key: _text(value) for key, value in sorted(record.attributes.items())}
    return {
        title: facts
        for title, facts in {
            "Settings of the study": {k: _text(v) for k, v in config.items() if v != ""},
            "Noted with the study": noted,
            "This page was written with": {**versions, **({"git revision": revision} if revision else {})},
            "Data files, by checksum": dict(record.config.data),
        }.items()
        if facts
    }


def _folded(words: Sequence[str], width: int = 88) -> str:
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

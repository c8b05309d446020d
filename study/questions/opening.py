"""A sweep opened: a new one of a study's finalists, or the file of one that is gone on with; and what trains it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from study.core.errors import InputError
from study.core.records import StudyRecord, TrialRecord
from study.problems.fashion_mnist import choose_device
from study.questions.grids import QUESTIONS, default_values, is_default
from study.questions.options import ExploreOptions
from study.questions.sweep import Results, Sweep, read_results
from study.stats import certificate
from study.store import optuna_storage as store
from study.training.precision import precision_for
from study.training.reopening import reopen_workload
from study.training.workload import Workload


def opened(options: ExploreOptions) -> tuple[Results, Workload]:
    """Return the sweep's file as it stands, or a new sweep of a study's finalists with no runs yet; and what trains it.

    Raises:
        InputError: An option differs from what the file says, there is no study to take schedules from, or what is
            trained is no longer what it was.
    """
    path = options.results / f"{options.question}.jsonl"
    device = choose_device(options.device)
    if not path.exists():
        return _new(options, device, path)
    found = _continued(options, path)
    config = found.sweep.config
    workload = reopen_workload(
        config, options.problem, found.sweep.reference, device,
        data_dir=options.data_dir, at_most=config.train_images,
    )  # fmt: skip
    return found, workload


def _continued(options: ExploreOptions, path: Path) -> Results:
    """Return what a sweep's file holds; refuse options that say otherwise."""
    found = read_results(path)
    sweep, config = found.sweep, found.sweep.config
    kept = {
        "values": sweep.values, "multiples": sweep.multiples,
        "epochs": config.epochs, "train_images": config.train_images, "precision": config.precision,
    }  # fmt: skip
    for name, value in kept.items():
        given = getattr(options, name)
        if given is not None and given not in {value, "auto"}:
            raise InputError(
                f"`{name}` {_said(given)}: {path} holds a sweep with {_said(value)}; leave it out to continue, or name another "
                "`results` folder"
            )
    others = options.study is not None or options.certificate is not None
    if options.finalists not in {None, len(sweep.finalists)} or others:
        names = ", ".join(f.name for f in sweep.finalists)
        raise InputError(
            f"{path} holds a sweep of {names}; leave out `study`, `certificate` and `finalists` to continue it, or name "
            "another `results` folder"
        )
    return found


def _new(options: ExploreOptions, device: torch.device, path: Path) -> tuple[Results, Workload]:
    """Return a sweep with no runs yet of a study's finalists, and what trains it."""
    record = store.load(options.storage, options.study)
    question, searched = QUESTIONS[options.question], record.config
    if options.question == "optimizer" and not is_default(searched):
        raise InputError(
            f"study {searched.name!r}: optimizer varies schedules of LeNet trained by plain SGD only"
        )
    if not searched.metric.scaled:
        raise InputError(
            f"study {searched.name!r}: {searched.metric.name} has a chance level of 0 and no bound, which says nothing of when "
            "a run failed; give the problem's chance or bounds"
        )
    if options.values is not None and not question.values:
        raise InputError(f"`values`: {options.question} has none to choose")
    reference = record.attributes.get("problem_reference", "")
    workload = reopen_workload(
        searched, options.problem, reference, device, data_dir=options.data_dir, at_most=options.train_images
    )
    if options.train_images is not None and options.train_images > workload.train_images:
        raise InputError(f"`train_images` must be in 1..{workload.train_images}, got {options.train_images}")
    config = replace(
        searched,
        epochs=options.epochs or searched.epochs,
        train_images=workload.train_images,
        device=device.type,
        precision=precision_for(options.precision or "float32", device, workload.source),
    )
    confirmed = None if options.certificate is None else confirmed_trials(options.certificate, record)
    made_by = f"study {searched.name}, {len(record.ended)} trials of {searched.epochs} epochs"
    sweep = Sweep(
        question=options.question,
        finalists=question.choose(record, options.finalists, confirmed),
        source=made_by if confirmed is None else f"{made_by}, as its confirmation ranks them",
        values=options.values or default_values(options.question, config),
        multiples=options.multiples or question.multiples,
        config=config,
        reference=options.problem or "",
    )
    return Results(path, sweep, ()), workload


def confirmed_trials(path: Path, record: StudyRecord) -> tuple[TrialRecord, ...]:
    """Return the trials that a certificate ranks, its leader first.

    Raises:
        InputError: It does not follow from its own figures, or is of another study.
    """
    data = certificate.read(path)
    problems = certificate.check(data)
    if problems:
        raise InputError(f"`certificate` {path}: {problems[0]}")
    data, trials = certificate.today(data), {t.spec.name: t for t in record.trials}
    asked = {f["name"]: f.get("asked") for f in data["finalists"]}
    for name, spec in asked.items():
        if name not in trials or spec != trials[name].spec.to_json():
            raise InputError(
                f"`certificate` {path}: its finalist {name} is none of study {record.config.name!r}"
            )
    return tuple(trials[f.name] for f in certificate.judged(data).ranked)


def _said(value: Any) -> str:
    return ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)

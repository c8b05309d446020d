"""Go on with a study: find what it trains again, and refuse what is no longer the same."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from study.core.errors import InputError
from study.core.families import SCHEDULE_FREE
from study.core.records import DEFAULT_PROBLEM, SEARCH_IMAGES, StudyConfig
from study.core.same_problem import changed_problem
from study.problems.loading import load_problem
from study.training.workload import Workload, digests_of, open_default, open_own


def reopen_workload(
    config: StudyConfig,
    reference: str | None,
    recorded: str,
    device: torch.device,
    *,
    data_dir: str | None = None,
    at_most: int | None = None,
) -> Workload:
    """Return what a study trains, to go on with it.

    The file of a user's problem is run where the user names it, never because a database does.

    Args:
        config: The study's settings.
        reference: ``FILE.py:name`` or ``module:name``, as the user names it now.
        recorded: As it was named when the study was made.
        device: Where it is trained.
        data_dir: Folder of Fashion-MNIST.
        at_most: The first so many examples are trained on, or all where there are fewer; ``None`` for all.

    Raises:
        InputError: The problem cannot be used, is not named, or is not what the study was made with.
    """
    schedule_free = SCHEDULE_FREE in config.schedules
    if reference is not None:
        if data_dir is not None:
            raise InputError(
                f"`data_dir` {data_dir} goes with the default problem; a `problem` brings its own"
            )
        loaded = load_problem(reference)
        _require_same(config, loaded.problem.name, loaded.source, {})  # before time is spent on it
        workload = open_own(loaded, device, at_most, schedule_free=schedule_free, cut=True)
    elif config.problem != DEFAULT_PROBLEM:
        raise InputError(
            f"study {config.name!r} is of the problem {config.problem!r}: give `problem` {recorded or 'FILE.py:NAME'}"
        )
    else:
        images = min(at_most or SEARCH_IMAGES, SEARCH_IMAGES)
        workload = open_default(
            device, data_dir, images, config.optimizer, config.weight_decay, schedule_free=schedule_free
        )
    _require_same(config, workload.name, workload.source, workload.data)
    return workload


def require_problem(config: StudyConfig, reference: str) -> None:
    """Refuse a problem that is not the study's, or no longer; trains nothing.

    Raises:
        InputError: It is not, or cannot be used.
    """
    loaded = load_problem(reference)
    _require_same(config, loaded.problem.name, loaded.source, {})
    _require_same(config, loaded.problem.name, loaded.source, digests_of(loaded.problem, torch.device("cpu")))


def _require_same(config: StudyConfig, name: str, source: str, data: Mapping[str, str]) -> None:
    changed = changed_problem(config, name, source, data)
    if changed is not None:
        raise InputError(f"study {config.name!r}: {changed}")

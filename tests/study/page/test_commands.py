"""Laws of the commands: read back by the commands themselves, they make the very study and judge it the same way."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study import confirm as confirm_command_module
from study import search as search_module
from study.core.records import DEFAULT_PROBLEM, StudyConfig, StudyRecord
from study.loops.confirm_options import ConfirmOptions
from study.loops.searching.search_options import SearchOptions
from study.page import reproduce
from study.page.verdict_text import Confirmation
from study.stats.base_rates import BaseRates
from study.stats.leaderboard import Choice, choose_finalists
from study.stats.verdict import Plan, verdict
from study.training.workload import OPTIMIZERS, Workload
from study.tuning.classic import CLASSIC
from tests.making import config_of

Maker = Callable[..., StudyRecord]


def read_back(command: Any, line: str) -> dict[str, Any]:
    """Return the options that a command takes from a line of shell."""
    words = shlex.split(line.replace("\\\n", " "))
    assert words[:3] == ["python", "-m", command.name.removeprefix("python -m ")]
    return dict(command.make_context("test", words[3:]).params)


def config_from(line: str, like: StudyConfig) -> StudyConfig:
    """Return the settings that ``study.search`` makes of a line on the problem that another study has."""
    options = SearchOptions(**read_back(search_module.main, line))
    optimizer = options.optimizer or "sgd"
    workload = Workload(
        like.problem, 30, 256, options.train_images or 50_000, OPTIMIZERS[optimizer][1], like.metric, like.data,
        like.source, optimizer, options.weight_decay or 0.0, {}, *[lambda: None] * 3,  # type: ignore[arg-type]  # trains nothing
    )  # fmt: skip
    return options.config(options.device, options.precision, workload)


@st.composite
def configs(draw: st.DrawFn) -> StudyConfig:
    optimizer = draw(st.sampled_from(sorted(OPTIMIZERS)))
    epochs = draw(st.sampled_from([1, 7, 30]))
    return config_of(
        name=draw(st.sampled_from(["lr-schedules", "a b", "it's $(ls)"])),
        epochs=epochs,
        batch_size=draw(st.sampled_from([64, 256])),
        schedules=draw(st.sampled_from([reproduce.USUAL["schedules"], ("constant", "cosine"), ("knee",)])),
        sampler=draw(st.sampled_from(["stratified", "tpe", "random"])),
        pruner=draw(st.sampled_from(["median", "family-median", "none"])),
        n_warmup_steps=min(epochs, draw(st.sampled_from([3, 8, 12]))),
        interval_steps=draw(st.sampled_from([1, 2])),
        n_startup_trials=draw(st.sampled_from([1, 6])),
        prune_on=draw(st.sampled_from(["val", "averaged"])),
        reprieve=draw(st.sampled_from([0.0, 0.1, 1 / 3])),
        seed=draw(st.sampled_from([0, 3])),
        train_images=draw(st.sampled_from([50_000, 6_000])),
        device=draw(st.sampled_from(["cpu", "cuda"])),
        precision=draw(st.sampled_from(["float32", "bfloat16"])),
        keep_best=draw(st.sampled_from([0, 1])),
        optimizer=optimizer,
        weight_decay=draw(st.sampled_from([0.0, 5e-4])),
        base_rate=OPTIMIZERS[optimizer][1],
    )


@given(configs())
def test_the_line_read_back_by_the_command_makes_the_same_study(config: StudyConfig) -> None:
    line = reproduce.search_command(config, 24, lanes=8)
    assert config_from(line, config) == config
    options = read_back(search_module.main, line)
    assert (options["trials"], options["lanes"]) == (24, 8)


def test_what_is_usual_is_left_out_and_is_what_the_commands_do() -> None:
    defaults = {param.name: param.default for param in search_module.main.params}
    defaults["schedules"] = CLASSIC
    fixed = {"epochs": 30, "batch_size": 256, "train_images": 50_000, "optimizer": "sgd", "weight_decay": 0.0}
    assert {name: fixed.get(name, defaults[name]) for name in reproduce.USUAL} == dict(reproduce.USUAL)
    confirming = {param.name: param.default for param in confirm_command_module.main.params}
    usual = (reproduce.USUAL_FINALISTS, reproduce.USUAL_BASELINE, reproduce.USUAL_RATE_SEEDS)
    assert (confirming["finalists"], confirming["baseline"], confirming["rate_seeds"]) == usual
    config = config_of(**reproduce.USUAL)
    said = reproduce.search_command(config, 100)
    assert not any(f"--{name.replace('_', '-')} " in said for name in reproduce.USUAL)


def test_a_users_problem_is_named_and_brings_its_optimizer() -> None:
    config = config_of(problem="mine", optimizer="own", batch_size=32, epochs=3)
    line = reproduce.search_command(config, 5, "mine.py:problem")
    options = read_back(search_module.main, line)
    assert (options["problem"], options["epochs"], options["batch_size"]) == ("mine.py:problem", 3, 32)
    assert options["optimizer"] is None


def confirmed(record: StudyRecord, plan: Plan, **chosen: Any) -> Confirmation:
    """Return a confirmation of a study's finalists with made-up figures."""
    finalists = choose_finalists(record, Choice(**chosen))
    names = [finalist.name for finalist in finalists]
    table = 0.9 + np.random.default_rng(0).normal(0, 0.002, (plan.looks[-1], len(names)))
    rates = BaseRates((0.5, 1.0, 2.0), {name: np.full((4, 3), 0.9) for name in names}, 50_000)
    asked = {f.name: {"family": f.spec.family, "asked": f.spec.to_json()} for f in finalists}
    scores = {name: table[:, i] for i, name in enumerate(names)}
    study = {"device": "cuda", "precision": "bfloat16"}
    return Confirmation(verdict(table, names, plan), scores, asked, 12_000, 60_000, rates, study)


@pytest.mark.parametrize(
    ("plan", "chosen"),
    [
        (Plan(), {"finalists": 5, "per_family": 1, "baseline": "constant"}),
        (Plan((4, 9), 0.9, 0.002), {"finalists": 4, "per_family": 2, "baseline": "linear"}),
        (Plan((12,)), {"finalists": 3, "per_family": 3, "baseline": None}),
    ],
)
def test_the_confirmations_line_chooses_and_judges_as_it_did(
    made_up: Maker, plan: Plan, chosen: dict[str, Any]
) -> None:
    record = made_up(100)
    made = confirmed(record, plan, **chosen)
    options = ConfirmOptions(
        **read_back(confirm_command_module.main, reproduce.confirm_command(record, made))
    )
    assert options.plan(record.config.metric) == plan
    again = choose_finalists(record, options.choice)
    assert {f.name for f in again} == set(made.finalists)
    assert (options.train_images, options.rates, options.rate_seeds) == (12_000, (0.5, 1.0, 2.0), 4)
    assert (options.device, options.precision) == ("cuda", "bfloat16")


@pytest.mark.parametrize(("heats", "words"), [(0, "--heats 0"), (2, "--heats 2"), (3, None)])
def test_the_confirmations_line_says_heats_that_are_not_the_usual_ones(
    made_up: Maker, heats: int, words: str | None
) -> None:
    record = made_up(100)
    made = confirmed(record, Plan(), finalists=5, per_family=1, baseline="constant")
    ran = {name: {**f, "heats": [0.9] * heats} if heats else f for name, f in made.finalists.items()}
    made = dataclasses.replace(made, finalists=ran)
    line = reproduce.confirm_command(record, made)
    assert ("--heats" in line) == (words is not None)
    assert words is None or words in line
    assert any("in heats" in sentence for sentence in made.text().sentences) == bool(heats)


def test_the_revision_is_the_studys_own_where_it_says_one(made_up: Maker) -> None:
    record = made_up(12)
    assert reproduce.commands(record, None, "abc+changed").startswith("git checkout abc\n")
    own = dataclasses.replace(record, attributes={"git_revision": "def"})
    assert reproduce.commands(own, None, "abc").startswith("git checkout def\n")
    assert "study.confirm" in reproduce.commands(record, None, None)


def test_settings_keep_the_names_that_the_code_gives_them(made_up: Maker) -> None:
    settings = reproduce.provenance(made_up(3), {"torch": "2"}, None)["Settings of the study"]
    assert "n_warmup_steps" in settings
    assert settings["problem"] == DEFAULT_PROBLEM

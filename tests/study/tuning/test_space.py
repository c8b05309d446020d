"""Declared ranges become distributions, draws become schedules, and best values at an edge are named."""

from __future__ import annotations

import json

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import lrsched
from study.core.errors import InputError
from study.tuning.space import BASE_RATE, Space

SEARCHABLE = tuple(name for name, family in lrsched.REGISTRY.items() if family.searchable())


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_every_draw_of_every_family_means_itself(epochs: int) -> None:
    """Any point is a valid schedule, survives JSON, and is made again from its parameters."""
    space = Space(SEARCHABLE, epochs)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = set()
    for _ in range(40 * len(SEARCHABLE)):
        trial = study.ask()
        point = space.suggest(trial)
        drawn.add(point.family)
        assert np.isfinite(point.schedule(np.linspace(0, epochs, 7))).all()
        assert lrsched.from_json(json.loads(json.dumps(point.schedule.to_json()))) == point.schedule
        assert space.point(point.family, trial.params) == point
        assert trial.params.keys() == {"schedule", *space.distributions(point.family)}
    assert drawn == set(SEARCHABLE)


def test_every_declared_range_is_searched() -> None:
    """No field is forgotten: each declared range has its distribution, and nothing else has."""
    for family in SEARCHABLE:
        declared = [p for p in lrsched.REGISTRY[family].parameters() if p.search is not None]
        names = {"base_rate", "warmup"}
        for p in declared:
            assert p.search is not None
            own = f"{family}.{p.name}"
            names |= {own} if p.search.count == 1 else {f"{own}_{k + 1}" for k in range(p.search.count)}
        assert Space((family,), 30).distributions(family).keys() == names


def test_ranges_are_translated() -> None:
    """Fractions of the run become epochs; scale, whole numbers and choices are kept."""
    space = Space(("multi_step", "cyclic", "plateau", "polynomial"), 40)
    for k in (1, 2, 3):
        assert space.distributions("multi_step")[f"multi_step.milestones_{k}"] == FloatDistribution(4.0, 40.0)
    assert space.distributions("cyclic")["cyclic.low"] == FloatDistribution(1e-3, 0.5, log=True)
    assert space.distributions("cyclic")["cyclic.mode"] == CategoricalDistribution(
        ("triangular", "triangular2")
    )
    assert space.distributions("plateau")["plateau.patience"] == IntDistribution(0, 11)
    assert space.distributions("polynomial")["base_rate"] == BASE_RATE
    assert space.distributions("polynomial")["warmup"] == FloatDistribution(0.0, 12.0)


@pytest.mark.parametrize("epochs", [1, 3, 30, 300])
@pytest.mark.parametrize(("family", "field"), [("factor", "factor"), ("exponential", "gamma")])
def test_a_factor_per_epoch_is_searched_as_what_the_run_leaves(family: str, field: str, epochs: int) -> None:
    """The same share of the rate at the end of any run: else a long run would search where nothing is left."""
    distribution = Space((family,), epochs).distributions(family)[f"{family}.{field}"]
    assert isinstance(distribution, FloatDistribution)
    assert distribution.low**epochs == pytest.approx(2e-5)
    assert distribution.high**epochs == pytest.approx(0.86)


def test_milestones_are_sorted_whatever_was_drawn_first() -> None:
    params = {
        "base_rate": 0.3,
        "warmup": 0.0,
        "multi_step.factor": 0.5,
        "multi_step.milestones_1": 20.0,
        "multi_step.milestones_2": 5.0,
        "multi_step.milestones_3": 10.0,
    }
    point = Space(("multi_step",), 30).point("multi_step", params)
    assert point.schedule == lrsched.MultiStep(milestones=(5.0, 10.0, 20.0), factor=0.5)


def test_warm_up_wraps_only_when_there_is_one() -> None:
    space = Space(("constant",), 30)
    assert space.point("constant", {"base_rate": 0.3, "warmup": 0.0}).schedule == lrsched.Constant()
    warmed = space.point("constant", {"base_rate": 0.3, "warmup": 3.0}).schedule
    assert warmed == lrsched.Warmup(lrsched.Constant(), 3.0)


LOW, HIGH = BASE_RATE.low, BASE_RATE.high
DECADE_SHARE = (HIGH / LOW) ** 0.05


@pytest.mark.parametrize(
    ("family", "params", "expected"),
    [
        ("constant", {"base_rate": 0.3, "warmup": 3.0}, []),
        ("constant", {"base_rate": HIGH / DECADE_SHARE * 1.001}, ["base_rate at the high edge: widen it"]),
        ("constant", {"base_rate": HIGH / DECADE_SHARE * 0.999}, []),
        ("constant", {"base_rate": LOW * DECADE_SHARE * 0.999}, ["base_rate at the low edge: widen it"]),
        ("constant", {"base_rate": LOW * DECADE_SHARE * 1.001}, []),
        ("constant", {"warmup": 0.01}, []),
        ("constant", {"warmup": 8.9}, ["warmup at the high edge: widen it"]),
        ("cyclic", {"cyclic.mode": "triangular2", "cyclic.low": 0.2}, []),
        ("cosine_restarts", {"cosine_restarts.decay": 1.0}, []),
        ("plateau", {"plateau.patience": 0}, []),
        ("plateau", {"plateau.patience": 8}, ["plateau.patience at the high edge: widen it"]),
        ("multi_step", {"multi_step.milestones_2": 29.9}, []),
        (
            "multi_step",
            {"multi_step.milestones_2": 3.1},
            ["multi_step.milestones_2 at the low edge: widen it"],
        ),
        ("warmup_stable_decay", {"warmup_stable_decay.length": 30.0}, []),
    ],
)
def test_edges(family: str, params: dict[str, float | str], expected: list[str]) -> None:
    """Within 5 % of an end on the range's own scale; pinned values, choices and natural limits are none."""
    assert Space((family,), 30).edges(family, params) == expected


@pytest.mark.parametrize(
    ("families", "message"),
    [
        ((), "no schedule is left to search"),
        (("cosin",), "unknown schedule 'cosin'"),
        (("warmup",), "schedule 'warmup' has fields without a search range"),
    ],
)
def test_bad_families_are_refused(families: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Space(families, 30)


def test_the_schedule_free_opponent_is_a_warmed_up_constant_rate() -> None:
    """Base rate and warm-up are tuned as in every family, and nothing else."""
    space = Space(("cosine", "schedule_free"), 30)
    assert space.distributions("schedule_free").keys() == {"base_rate", "warmup"}
    point = space.point("schedule_free", {"base_rate": 0.3, "warmup": 2.0})
    assert (point.family, point.schedule) == ("schedule_free", lrsched.Warmup(lrsched.Constant(), 2.0))
    with pytest.raises(InputError, match=r"known are .*schedule_free"):
        Space(("schedule-free",), 30)

"""A confirmation of a user's problem: the same laws as LeNet's, whatever the metric is, fused or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from study.core.errors import InputError
from study.core.records import StudyConfig
from study.loops.confirmation import Confirmation, Standing, confirm
from study.loops.recording import Limit
from study.loops.score_files import read_scores
from study.problems.definition import Problem
from study.problems.loading import Loaded
from study.stats.leaderboard import Finalist
from study.stats.verdict import Plan
from study.store.tracking.mlflow_tracking import Tracker
from study.training.workload import Workload, open_own
from tests.making import config_of, spec_of

CPU = torch.device("cpu")
EPOCHS = 2
PLAN = Plan((2, 3), level=0.6, margin=0.0)


def squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs - targets).square().mean(1)


def correlation(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.corrcoef(torch.cat([outputs, targets], 1).T)[0, 1]


def data(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, generator=generator)
    return x, x.sum(1, keepdim=True) / 3**0.5 + 0.1 * torch.randn(count, 1, generator=generator)


#: Metrics that are one value an example and one for all, to minimise and to maximise, named and the user's own.
METRICS: dict[str, dict[str, Any]] = {
    "squared error": {"metric": squared_error, "direction": "minimize", "chance": 1.0},
    "loss": {"metric": "loss", "chance": 1.0},
    "correlation": {"metric": correlation, "direction": "maximize", "chance": 0.0, "bounds": (-1.0, 1.0)},
}


def problem(kind: str, **said: Any) -> Problem:
    usual: dict[str, Any] = {
        "name": "line", "model": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)),
        "train": data(0, 40), "validation": data(1, 20), "test": data(2, 30),
        "loss": functional.mse_loss, "base_rate": (0.01, 1.0), "batch_size": 10, "epochs": EPOCHS, **METRICS[kind],
    }  # fmt: skip
    return Problem(**{**usual, **said})


def opened(own: Problem) -> Workload:
    return open_own(Loaded(own, "mine.py:problem", "ab" * 32), CPU, None)


def confirmation(workload: Workload, folder: Path) -> Confirmation:
    config = config_of(
        name="own", problem=workload.name, source=workload.source, optimizer="own", data=dict(workload.data),
        metric=workload.metric, epochs=EPOCHS, batch_size=10, train_images=60,
    )  # fmt: skip
    rates = (0.3, 0.2, 1e-6)
    finalists = tuple(
        Finalist(f"cosine #{n}", spec_of(n, epochs=EPOCHS, base_rate=rate), 0.5)
        for n, rate in enumerate(rates)
    )
    return Confirmation(config, finalists, PLAN, folder)


def tracker(uri: str, config: StudyConfig, **more: Any) -> Tracker:
    return Tracker.open(uri, config, attributes={}, key="k", kind="confirm", **more)


class Cut(BaseException):
    """Ends a process where it stands."""


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("fuse", [True, False])
def test_cut_off_anywhere_it_reaches_the_same_end(kind: str, fuse: bool, uri: str, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """Cut off after every third epoch or look; the better half of the finalists leads, whichever way is better."""
    workload = opened(problem(kind, fuse=fuse))
    examination = workload.examination()
    whole = confirmation(workload, tmp_path / "whole")
    judged, table = confirm(whole, examination, tracker(uri, whole.config), lambda _: None, Limit())
    assert judged is not None
    assert judged.final
    assert judged.leader != "cosine #2"
    assert (judged.metric, judged.noun) == (workload.metric, "examples")
    assert judged.examples == (30 if kind == "squared error" else None)
    again, run = confirmation(workload, tmp_path / "cut"), tracker(uri, whole.config, name="cut")
    cuts = 0
    while True:
        shown: list[Standing] = []

        def cut(standing: Standing, shown: list[Standing] = shown) -> None:
            shown.append(standing)
            if len(shown) == 3:
                raise Cut

        try:
            second, repeated = confirm(again, examination, run, cut, Limit())
            break
        except Cut:
            cuts += 1
            run = tracker(uri, whole.config, resume_run_id=run.run_id)
    assert cuts > 1
    assert second == judged
    np.testing.assert_array_equal(repeated, table)


def test_values_are_those_of_lone_networks_trained_on_all_but_the_test_data(uri: str, tmp_path: Path) -> None:
    """Train and validation data together, 60 examples; the value is the mean of what is kept of every test example."""
    own = problem("squared error")
    workload = opened(own)
    examination = workload.examination()
    assert (examination.train, examination.whole) == (60, 60)
    asked = replace(confirmation(workload, tmp_path), plan=Plan((2,), level=0.6, margin=0.0))
    _, table = confirm(asked, examination, tracker(uri, asked.config), lambda _: None, Limit())
    lanes = asked.lanes(examination, 1)
    asked.pass_of(1, asked.names).load(lanes)
    inputs, targets = data(2, 30)
    kept = read_scores(asked.place / "seed-0001.scores.npz", asked.names)
    assert kept is not None
    for lane, name in enumerate(asked.names):
        network = own.build(0)
        network.load_state_dict(lanes.weights(lane))
        with torch.no_grad():
            each = squared_error(network(inputs), targets)
        assert table[0, lane] == pytest.approx(float(each.mean()), rel=1e-5)
        np.testing.assert_allclose(
            np.asarray(kept[name].each, dtype=float), each.numpy(), rtol=1e-4, atol=1e-7
        )


def test_fewer_examples_and_no_test_data() -> None:
    workload = opened(problem("loss"))
    assert workload.examination(12).train == 12
    with pytest.raises(InputError, match=r"`train_images` must be in 1\.\.60, got 61"):
        workload.examination(61)
    blind = opened(problem("loss", test=None))
    assert "cannot judge" in blind.facts["test_data"]
    with pytest.raises(InputError, match="'line' has no test data, and nothing else may judge"):
        blind.examination()


def test_lanes_that_were_fused_do_not_go_on_one_by_one(uri: str, tmp_path: Path) -> None:
    """The checkpoint is named in one line; nothing is trained on it."""
    fused, single = (opened(problem("loss", fuse=fuse)) for fuse in (True, False))
    asked = confirmation(fused, tmp_path)

    def cut(_: Standing) -> None:
        raise Cut

    with pytest.raises(Cut):
        confirm(asked, fused.examination(), tracker(uri, asked.config), cut, Limit())
    with pytest.raises(
        InputError, match=r"seed-0001\.pt: damaged, or of other lanes \(these lanes were trained fused"
    ):
        confirm(asked, single.examination(), tracker(uri, asked.config), cut, Limit())

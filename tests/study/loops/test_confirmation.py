"""A confirmation's laws: paired fresh seeds, folders that never mix, a test set that is opened once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from study.core.records import StudyConfig, TrialSpec
from study.loops.confirmation import (
    FRESH,
    Confirmation,
    open_test_set,
    train_finalists,
)
from study.loops.search_loop import initial_seed
from study.problems.fashion_mnist import Split
from study.stats.finalists import Finalist
from study.store.mlflow_tracking import Tracker
from study.training.lenet import lenet

Make = Callable[..., TrialSpec]


@pytest.fixture
def confirmation(config: StudyConfig, spec: Make, tmp_path: Path) -> Confirmation:
    """Two finalists, two seeds, two epochs."""
    finalists = (
        Finalist("cosine #4", spec(4, epochs=2), 0.7),
        Finalist("cosine #1", spec(1, base_rate=0.02, epochs=2), 0.6),
    )
    return Confirmation(config, finalists, 2, tmp_path / "checkpoints")


@pytest.fixture
def training(few: Split) -> Split:
    return Split(few.train, None, few.checksums)


def test_seeds_pair_the_finalists(confirmation: Confirmation) -> None:
    """In a pass all finalists share one seed; no seed is one of a search's."""
    passes = confirmation.passes()
    assert len(passes) == 2
    for seed, one in enumerate(passes):
        assert [run.seed for run in one.runs] == [FRESH + seed] * 2
        assert [run.base_rate for run in one.runs] == [0.2, 0.02]
    drawn = {initial_seed(s, n) for s in range(5) for n in range(1000)}
    assert not drawn & set(range(FRESH, FRESH + 1000))


def test_every_confirmation_has_its_own_folder(confirmation: Confirmation) -> None:
    """Other settings or finalists lie elsewhere; more seeds add to the same place."""
    others = [
        replace(confirmation, config=replace(confirmation.config, train_images=100)),
        replace(confirmation, finalists=confirmation.finalists[::-1]),
        replace(confirmation, finalists=confirmation.finalists[:1]),
    ]
    assert len({c.place for c in [confirmation, *others]}) == 4
    more = replace(confirmation, seeds=5)
    assert more.place == confirmation.place
    assert [p.checkpoint for p in more.passes()[:2]] == [p.checkpoint for p in confirmation.passes()]


@pytest.mark.slow
def test_a_confirmation_end_to_end(
    confirmation: Confirmation, training: Split, few: Split, config: StudyConfig, uri: str
) -> None:
    """Interrupted after the first seed and continued, each run is trained once, and measured as alone.

    The accuracies are those of lone networks with the weights kept in the checkpoints.
    """
    from mlflow import MlflowClient

    tracker = Tracker.open(uri, config, attributes={}, kind="confirm")

    def stop_at_the_second_seed(done: int, seed: int) -> None:
        if seed == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_finalists(confirmation, training, tracker, stop_at_the_second_seed)
    assert confirmation.trained() in {4 + 2, 4 + 2 * 2}
    before = confirmation.trained()
    shown: list[tuple[int, int]] = []
    train_finalists(confirmation, training, tracker, lambda done, seed: shown.append((done, seed)))
    assert confirmation.trained() == 8
    assert shown == [(done, 1) for done in range(before + 2, 9, 2)]
    tracker.close("finished")

    client = MlflowClient(uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    children = [r for r in client.search_runs(experiments) if "mlflow.parentRunId" in r.data.tags]
    finished = [r.data.tags for r in children if r.info.status == "FINISHED"]
    assert sorted((t["finalist"], t["confirm_seed"]) for t in finished) == [
        (name, seed) for name in sorted(f.name for f in confirmation.finalists) for seed in "01"
    ]
    assert {r.data.tags["state"] for r in children} == {"finished", "interrupted"}

    table = open_test_set(confirmation, few)
    assert table.shape == (2, 2)
    assert few.evaluation is not None
    for seed, one in enumerate(confirmation.passes()):
        trained = confirmation.lanes(few, seed)
        one.load(trained)
        for lane in range(len(one.runs)):
            network = lenet(0)
            network.load_state_dict(trained.weights(lane))
            with torch.no_grad():
                right = network(few.evaluation.pixels.unsqueeze(1)).argmax(1) == few.evaluation.labels
            assert table[seed, lane] == pytest.approx(right.double().mean().item(), abs=1 / 300)


def test_a_diverged_run_has_no_accuracy(confirmation: Confirmation, training: Split, few: Split) -> None:
    """Its place in the table is empty (NaN); the others keep their figures."""
    wild = replace(confirmation.finalists[1], spec=replace(confirmation.finalists[1].spec, base_rate=1e30))
    both = replace(confirmation, finalists=(confirmation.finalists[0], wild), seeds=1)
    (one,) = both.passes()
    one.train(both.lanes(training, 0), lambda _asked, _epoch, _rates: None)
    table = open_test_set(both, few)
    assert np.isnan(table[0, 1])
    assert 0.0 <= table[0, 0] <= 1.0


def test_a_split_without_test_images_cannot_judge(confirmation: Confirmation, training: Split) -> None:
    with pytest.raises(ValueError, match="the final split has no test images"):
        open_test_set(confirmation, training)

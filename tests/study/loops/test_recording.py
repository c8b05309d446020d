"""Every run of a fixed list is closed in MLflow once, whatever stops the process; one process a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from study.core.errors import InputError
from study.core.records import StudyConfig, TrialSpec
from study.loops.passes import Pass, schedule_rates
from study.loops.recording import alone_in, closing, is_recorded, train_recorded
from study.problems.fashion_mnist import Split
from study.store.tracking.mlflow_tracking import Tracker
from study.training.lanes import Lanes

Make = Callable[..., TrialSpec]


class Killed(BaseException):
    """Ends a process where it stands: nothing of ours cleans up after it."""


@pytest.fixture
def one(spec: Make, tmp_path: Path) -> Pass:
    """Two runs of two epochs."""
    return Pass([spec(0, epochs=2), spec(1, epochs=2)], schedule_rates, tmp_path / "runs" / "seed-0000.pt")


def train(one: Pass, split: Split, tracker: Tracker) -> list[int]:
    """Train and record one pass as a command does; return what was shown."""
    shown: list[int] = []
    lanes = Lanes(split, batch_size=64, order_seed=9)
    train_recorded(
        one, lanes, tracker, lambda lane: (f"lane {lane}", {}), lambda row: shown.append(row[0].epoch)
    )
    return shown


def children(uri: str) -> Counter[tuple[str, str]]:
    """MLflow's children by name and state."""
    client = MlflowClient(uri)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return Counter(
        (r.info.run_name, r.data.tags["state"]) for r in runs if "mlflow.parentRunId" in r.data.tags
    )


@pytest.mark.parametrize("closed", [0, 1])
def test_a_pass_that_was_killed_before_its_runs_were_closed_is_recorded_again(
    one: Pass, few: Split, config: StudyConfig, uri: str, monkeypatch: pytest.MonkeyPatch, closed: int
) -> None:
    """Its last epoch is in the checkpoint already: nothing is trained, and every run ends up finished."""
    tracker = Tracker.open(uri, config, attributes={}, key="k", kind="confirm")
    ends: list[str] = []

    def end(child: str, outcome: str) -> None:
        if len(ends) == closed:
            raise Killed
        ends.append(child)
        Tracker.end(tracker, child, outcome)  # type: ignore[arg-type]  # an Outcome

    monkeypatch.setattr(tracker, "end", end)
    with pytest.raises(Killed):
        train(one, few, tracker)
    written = one.checkpoint.stat().st_mtime_ns
    assert one.trained() == one.epochs
    assert not is_recorded(one)

    again = Tracker.open(uri, config, attributes={}, key="k", kind="confirm")
    assert train(one, few, again) == []
    assert is_recorded(one)
    assert one.checkpoint.stat().st_mtime_ns == written
    found = children(uri)
    assert {key: n for key, n in found.items() if key[1] == "finished"} == {
        ("lane 0", "finished"): 1,
        ("lane 1", "finished"): 1,
    }
    assert {state for _, state in found} <= {"finished", "interrupted"}
    assert sorted(p.name for p in one.checkpoint.parent.iterdir()) == [one.checkpoint.name]

    assert train(one, few, again) == []
    assert children(uri) == found


def test_runs_that_are_open_when_training_stops_are_closed_with_their_parent(
    one: Pass, few: Split, config: StudyConfig, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker.open(uri, config, attributes={}, key="k", kind="confirm")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tracker, "epoch", stop)
    with pytest.raises(KeyboardInterrupt), closing(tracker):
        train(one, few, tracker)
    assert children(uri) == {("lane 0", "interrupted"): 1, ("lane 1", "interrupted"): 1}
    assert MlflowClient(uri).get_run(tracker.run_id).info.status == "KILLED"
    with closing(Tracker.open(uri, config, attributes={}, key="k")):
        pass
    assert MlflowClient(uri).get_run(tracker.run_id).info.status == "FINISHED"


def test_two_processes_do_not_train_the_same_runs(tmp_path: Path) -> None:
    """The second one is refused while the first is there, and let in afterwards."""
    folder = tmp_path / "deep" / "er"
    for _ in range(2):
        with alone_in(folder):
            with pytest.raises(InputError, match=f"trains the same runs in {folder}; wait until it ends"):
                alone_in(folder).__enter__()
            with alone_in(tmp_path / "other"):
                pass


def test_a_place_that_cannot_be_written_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(
        InputError, match=r"`checkpoints`: cannot write to .*/runs/confirm \(Not a directory\)"
    ):
        alone_in(tmp_path / "runs" / "confirm").__enter__()

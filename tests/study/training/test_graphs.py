"""Work that is recorded once and repeated trains as work that is done each time: nothing is left to Python in a step.

No graphics card is needed: a tape records the operations of the CPU as a CUDA graph records kernels.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from study.problems.fashion_mnist import Images, Split
from study.training import lenet as networks
from study.training.graphs import WARM_UPS, CudaRecorder, Graphs
from study.training.lanes import Lanes
from tests.study.training.tape import Operations, Tape, asks

#: Figures and weights after each epoch, by key.
Trained = dict[int, list[tuple[dict[str, object], dict[str, torch.Tensor]]]]


@pytest.fixture
def torch_s_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU, the layers that other devices use: a tape cannot see into code compiled by Numba."""
    monkeypatch.setattr(networks, "pool_relu", lambda x: functional.relu(functional.max_pool2d(x, 2)))
    monkeypatch.setattr(
        networks, "grouped_convolution", lambda x, w, b, groups: functional.conv2d(x, w, b, groups=groups)
    )


def trained(split: Split, tape: Tape | None, *, bfloat16: bool = False) -> Trained:
    """Train three lanes for five epochs; one ends after the first, another takes its place after the second."""
    lanes = Lanes(
        split,
        batch_size=32,
        order_seed=5,
        averaging=1.0,
        dtype=torch.float32,
        bfloat16=bfloat16,
        constant=True,
    )
    if tape is not None:
        lanes.recorder = lambda _device: tape
    rng = np.random.default_rng(0)
    found: Trained = {}
    for epoch in range(5):
        if epoch == 0:
            for key in range(3):
                lanes.add(key, seed=key)
        elif epoch == 1:
            lanes.drop(1)
        elif epoch == 2:
            lanes.add(7, seed=7)
        rates = {key: rng.uniform(0.01, 0.2, lanes.steps) for key in lanes.keys}
        for key, figures in lanes.train_epoch(rates).items():
            state = {name: w.clone() for name, w in lanes.weights(key).items()}
            found.setdefault(key, []).append((figures.to_json() | {"seconds": 0}, state))
    return found


@pytest.mark.usefixtures("torch_s_layers")
@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_replayed_epoch_is_an_epoch(few: Split, *, bfloat16: bool) -> None:
    """Weights and figures to the last bit, with a short last minibatch, a lane that ends and one that takes its place."""
    tape = Tape()
    replayed, done = trained(few, tape, bfloat16=bfloat16), trained(few, None, bfloat16=bfloat16)
    assert replayed.keys() == done.keys() == {0, 1, 2, 7}
    for key, epochs in done.items():
        for (one, weights), (other, again) in zip(replayed[key], epochs, strict=True):
            assert one == other
            assert all(torch.equal(weights[name], w) for name, w in again.items())
    # 6 of 7 steps an epoch are full; the last one and the measuring are recorded in the fourth epoch.
    assert tape.log[: WARM_UPS + 2] == [*["run"] * WARM_UPS, "record", "replay"]
    assert tape.log.count("record") == 3
    assert tape.log.count("run") == 3 * WARM_UPS
    assert tape.log.count("replay") == 5 * 8 - 3 * WARM_UPS


@pytest.mark.usefixtures("torch_s_layers")
def test_where_recording_fails_work_is_done_each_time_and_one_warning_says_so(few: Split) -> None:
    tape = Tape(refuse=True)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = trained(few, tape)
    refused = "operation not permitted when stream is capturing"
    assert [str(w.message) for w in said] == [
        f"no CUDA graph ({refused}): kernels are launched one by one, which takes longer"
    ]
    assert tape.log == [*["run"] * WARM_UPS, "record", *["run"] * (5 * 8 - WARM_UPS)]
    for key, epochs in trained(few, None).items():
        assert [figures for figures, _ in epochs] == [figures for figures, _ in found[key]]


def test_a_mistake_in_the_work_is_no_reason_to_go_on() -> None:
    """Only what the recording refuses falls back; an error of the work itself is raised."""

    def work() -> None:
        if len(tape.log) > WARM_UPS:
            raise KeyError("conv3")

    tape = Tape()
    once = Graphs(tape).replayed(work)
    for _ in range(WARM_UPS):
        once()
    with pytest.raises(KeyError, match="conv3"):
        once()


def test_a_tape_repeats_what_was_recorded() -> None:
    """The tape itself: recording changes nothing, a replay does what the work does, a question is refused."""
    total, x = torch.zeros(3), torch.tensor([1.0, 2.0, 3.0])

    def work() -> None:
        total.add_((x.view(3) * 2).relu())

    def asking() -> None:
        total.add_(x.max().item())

    replay = Tape().record(work)
    assert total.tolist() == [0, 0, 0]
    replay()
    x.neg_()
    replay()
    x.neg_()
    replay()
    assert total.tolist() == [4, 8, 12]
    with pytest.raises(RuntimeError, match="not permitted"):
        Tape().record(asking)


@pytest.mark.parametrize("averaging", [None, 1.0])
def test_the_host_never_waits_within_an_epoch(averaging: float | None) -> None:
    """On tensors without memory (device "meta", by the layers that accelerators use): no value can be asked for.

    The data order and the rates are put there before the steps; the figures are read after them.
    """
    found: list[str] = []

    def see(func: object, args: object, kwargs: object, result: object, _before: object) -> None:
        if asks(func, result, (args, kwargs)):
            found.append(str(func))

    lanes = Lanes(nowhere(), batch_size=32, order_seed=5, averaging=averaging)
    for key in range(3):
        lanes.add(key, seed=key)
    lanes.drop(1)
    assert lanes._constant
    steps, works = lanes._prepared()
    assert len(works) == 7 + 1
    with Operations(see):
        for work in works:
            work()
    assert found == []
    with Operations(see):
        torch.ones(2, device="meta").copy_(torch.ones(2))
    assert found == ["aten.copy_.default"]
    with pytest.raises(NotImplementedError, match="meta"):
        steps.figures.tolist()


def nowhere() -> Split:
    """200 images to train on and 300 to measure on, that have shapes and no values."""

    def images(number: int) -> Images:
        pixels = torch.empty(number, 28, 28, device="meta")
        return Images(pixels, torch.empty(number, dtype=torch.int64, device="meta"))

    return Split(images(200), images(300), {})


class Card:
    """Stands in for ``torch.cuda`` where there is no card: it notes what is called on which stream, in order.

    That a real card captures is seen by ``benchmarks/gpu.sh`` alone.
    """

    def __init__(self, *, refuse: bool = False) -> None:
        self.refuse, self.said, self.current = refuse, list[str](), "ours"

    class Stream:
        """A stream by its name."""

        def __init__(self, card: Card, name: str) -> None:
            self.card, self.name = card, name

        def wait_stream(self, other: Card.Stream) -> None:
            self.card.said.append(f"{self.name} waits for {other.name}")

    @contextmanager
    def stream(self, stream: Card.Stream) -> Iterator[None]:
        before, self.current = self.current, stream.name
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def graph(
        self, _graph: object, *, pool: str, stream: Card.Stream, capture_error_mode: str
    ) -> Iterator[None]:
        """As the real one: a capture that fails leaves its stream current."""
        before, self.current = self.current, stream.name
        self.said.append(f"capture in {pool}, {capture_error_mode}")
        yield
        if self.refuse:
            raise RuntimeError("capture was invalidated")
        self.current = before

    def installed(self, monkeypatch: pytest.MonkeyPatch) -> CudaRecorder:
        replaced = {
            "Stream": lambda _device: Card.Stream(self, "side"),
            "current_stream": lambda _device: Card.Stream(self, self.current),
            "graph_pool_handle": lambda: "a pool",
            "CUDAGraph": lambda: SimpleNamespace(replay=lambda: self.said.append("replay")),
            "stream": self.stream,
            "graph": self.graph,
        }
        for name, stand_in in replaced.items():
            monkeypatch.setattr(torch.cuda, name, stand_in)
        return CudaRecorder(torch.device("cuda"))


def test_work_is_warmed_up_and_recorded_on_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first calls count, so each waits for what was before it and is waited for by what comes after."""
    card = Card()
    once = Graphs(card.installed(monkeypatch)).replayed(lambda: card.said.append(f"work on {card.current}"))
    for _ in range(WARM_UPS + 2):
        once()
    warm = ["side waits for ours", "work on side", "ours waits for side"]
    recorded = ["capture in a pool, thread_local", "work on side", "replay"]
    assert card.said == [*warm * WARM_UPS, *recorded, "replay"]
    assert card.current == "ours"


def test_a_failed_capture_leaves_the_stream_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(refuse=True)
    recorder = card.installed(monkeypatch)
    with pytest.raises(RuntimeError, match="invalidated"):
        recorder.record(lambda: None)
    assert card.current == "ours"

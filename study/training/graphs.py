"""Replay work from a CUDA graph: the host launches one graph where it launched some hundred kernels.

Work is a function without arguments that gives nothing back: it reads and writes tensors that stay where they are, launches
the same kernels each time and never asks the device for a value. Its first calls run as they are and count; libraries
make their handles then, on the stream that is recorded afterwards. The next call records it, and from then on it is replayed.

Source: PyTorch's notes "CUDA semantics: CUDA graphs", whole-network capture.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol

import torch

Work = Callable[[], None]

#: Calls before the recording, as many as PyTorch's own ``make_graphed_callables`` takes.
WARM_UPS = 3


class Recorder(Protocol):
    """Something that records work once and repeats it."""

    def run(self, work: Work) -> None:
        """Do the work now, where it would be recorded."""

    def record(self, work: Work) -> Work:
        """Record the work without doing it; return what does it.

        Raises:
            RuntimeError: It cannot be recorded.
        """


class CudaRecorder:
    """CUDA graphs of one device: one stream to warm up and record on, one pool that the graphs share.

    They are replayed one after the other, and what outlasts a replay lies outside of the pool, so none overwrites another's.

    Args:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has no type for it
        self._pool = torch.cuda.graph_pool_handle()

    def run(self, work: Work) -> None:
        """Do the work on the stream that is recorded on, after what was queued before and before what comes next."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            work()
        current.wait_stream(self._stream)

    def record(self, work: Work) -> Work:
        """Return the replay of a new graph.

        Raises:
            RuntimeError: The work does something that a graph cannot hold.
        """
        graph = torch.cuda.CUDAGraph()
        # A failed recording leaves its own stream current; the outer context puts ours back. What other threads do
        # on a device meanwhile is no reason to fail: "thread_local".
        with (
            torch.cuda.stream(torch.cuda.current_stream(self._device)),
            torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
        ):
            work()
        return graph.replay


class Graphs:
    """Work that is replayed once it has been recorded.

    If one recording fails, a warning says why, and all work goes on as it is.

    Args:
        recorder: What records; of one device.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._failed = False

    def replayed(self, work: Work) -> Work:
        """Return what does the work: as it is the first times, then replayed."""
        calls = 0
        replay: Work | None = None

        def once() -> None:
            nonlocal calls, replay
            calls += 1
            if replay is None and calls > WARM_UPS and not self._failed:
                replay = self._recorded(work)
            if replay is None:
                self._recorder.run(work)
            else:
                replay()

        return once

    def _recorded(self, work: Work) -> Work | None:
        try:
            return self._recorder.record(work)
        except RuntimeError as error:
            self._failed = True
            reason = str(error).partition("\n")[0]
            warnings.warn(
                f"no CUDA graph ({reason}): kernels are launched one by one, which takes longer",
                RuntimeWarning,
                stacklevel=3,
            )
            return None

"""Signals held back while records are written, so that Ctrl-C finds them whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def held_back() -> Iterator[None]:
    """Deliver a signal that arrives within the block at its end; a second one is delivered at once.

    The second one is for whoever cannot wait, on a server that does not answer. Signals that are ignored
    or end the process stay as they are; so does everything outside the main thread, which gets none.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {s: handler for s in _STOPS if callable(handler := signal.getsignal(s))}
    arrived: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        if len(arrived) > 1:
            handlers[signal.Signals(number)](number, frame)

    for number in handlers:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is hold:  # a handler that ran within may have set another
                signal.signal(number, handler)
        if len(arrived) == 1:
            handlers[signal.Signals(arrived[0])](arrived[0], None)

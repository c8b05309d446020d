"""How a command is stopped: by Ctrl-C, SIGTERM or SIGHUP, at any moment, with its records whole.

The handler notes the signal, and raises ``KeyboardInterrupt`` unless records are being written (:func:`held_back`).
Python drops what is raised inside a garbage collector's callback or a ``__del__``, and a library may catch
it: so it is raised again, every ``AGAIN`` seconds, until the exception is on its way up the stack.

A second signal ends the process at once. A thread watches for it, because the main thread may be waiting for a
database or a host's address, where Python calls no handler. What is cut off then is what SIGKILL cuts off.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

#: Seconds after which an exception that got lost is raised again.
AGAIN = 0.2
#: Seconds within which a second signal is the first one again: `timeout` and terminals send one twice.
SAME = 0.5
#: Exit code of a command that was stopped.
STOPPED = 130

_STOPS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else []))
#: Dispositions that a command may replace. Signals that are ignored (``nohup``) stay ignored.
_REPLACED = (signal.SIG_DFL, signal.default_int_handler)


class _Stop:
    """Whether the command was asked to stop, and what keeps it from stopping."""

    def __init__(self) -> None:
        self.asked = False
        self.held = 0
        self.raised: BaseException | None = None

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        self.deliver()

    def on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        self.deliver()

    def deliver(self) -> None:
        """Raise, unless records are being written; come back, in case the exception gets lost."""
        if not self.asked or self.held:
            return
        if sys.platform != "win32":
            signal.signal(signal.SIGALRM, self.on_alarm)
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        if not _is_under_way(self.raised):
            self.raised = KeyboardInterrupt()
            raise self.raised

    def on_unraisable(self, lost: Any) -> None:
        """Say nothing of an exception of ours that got lost: it is raised again."""
        if lost.exc_value is not self.raised:
            sys.__unraisablehook__(lost)


_active: _Stop | None = None


@contextmanager
def stoppable() -> Iterator[None]:
    """Let signals stop the block with ``KeyboardInterrupt``; a second one ends the process.

    Outside the main thread, which alone gets signals, and within another such block it changes nothing.
    """
    global _active  # noqa: PLW0603 - signals are the process's
    if _active is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    stop = _active = _Stop()
    before = {number: signal.getsignal(number) for number in _STOPS}
    caught = [number for number, handler in before.items() if handler in _REPLACED]
    alarm = None if sys.platform == "win32" else signal.getsignal(signal.SIGALRM)
    hook, sys.unraisablehook = sys.unraisablehook, stop.on_unraisable
    try:
        with _watching(caught):
            for number in caught:
                signal.signal(number, stop.on_signal)
            yield
    finally:
        _active = None
        for number in caught:
            signal.signal(number, before[number])
        sys.unraisablehook = hook
        if sys.platform != "win32" and signal.getsignal(signal.SIGALRM) == stop.on_alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, alarm)


@contextmanager
def held_back() -> Iterator[None]:
    """Deliver a signal that arrives within the block at its end, so that what it writes is whole.

    Raises:
        KeyboardInterrupt: At the end; or at the start, where an earlier signal is still to be delivered.
    """
    with nullcontext() if _active is not None else stoppable():
        stop = _active
        if stop is None:  # outside the main thread: no signal comes here
            yield
            return
        if sys.exc_info()[0] is None:  # else it cleans up after an error: that comes first
            stop.deliver()
        stop.held += 1
        try:
            yield
        finally:
            stop.held -= 1
            stop.deliver()


def stop_asked() -> bool:
    """Return whether a signal asked the command to stop: whoever waits should not go on waiting."""
    return _active is not None and _active.asked


def pause(seconds: float) -> bool:
    """Sleep, less if a signal comes; return whether the command was asked to stop."""
    until = time.monotonic() + seconds
    while not stop_asked() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
    return stop_asked()


def _is_under_way(raised: BaseException | None) -> bool:
    """Return whether an exception is what is being handled, or led to it."""
    error, seen = sys.exc_info()[1], 0
    while error is not None and raised is not None and seen < 100:
        if error is raised:
            return True
        error, seen = error.__context__, seen + 1
    return False


@contextmanager
def _watching(caught: list[signal.Signals]) -> Iterator[None]:
    """End the process at the second signal, from a thread, whatever the main thread does."""
    if sys.platform == "win32":
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    earlier = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reading, caught), name="signals", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(earlier)
        os.close(writing)
        watcher.join()
        os.close(reading)


def _watch(reading: int, caught: list[signal.Signals]) -> None:
    first: float | None = None
    while number := os.read(reading, 1):
        if number[0] not in caught:
            continue
        now = time.monotonic()
        if first is not None and now - first > SAME:
            os.write(2, b"\nended at once; the same command continues\n")
            os._exit(STOPPED)
        first = now if first is None else first

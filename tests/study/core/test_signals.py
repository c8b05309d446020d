"""A signal waits for the end of a block, and nothing else about signals changes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import pytest

from study.core.signals import held_back


@pytest.fixture(autouse=True)
def stops() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise, as in a command, whatever the runner of the tests made of them."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def receive(*numbers: int) -> list[int]:
    """Get signals within a block; return those after which it went on. It ends with Ctrl-C's exception."""
    survived: list[int] = []

    def block() -> None:
        with held_back():
            for number in numbers:
                send(number)
                survived.append(number)

    with pytest.raises(KeyboardInterrupt):
        block()
    return survived


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end(number: signal.Signals) -> None:
    assert receive(number) == [number]


def test_a_second_signal_does_not_wait() -> None:
    assert receive(signal.SIGTERM, signal.SIGINT, signal.SIGINT) == [signal.SIGTERM]


def test_handlers_are_as_before_afterwards() -> None:
    """After a quiet block, a signal, an error; ignored signals are ignored within as well."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with held_back():
        send(signal.SIGHUP)
    with pytest.raises(KeyboardInterrupt), held_back():
        send(signal.SIGINT)
    with pytest.raises(RuntimeError, match="inside"), held_back():
        raise RuntimeError("inside")
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGTERM)


def test_what_a_handler_set_within_the_block_stays() -> None:
    """A command ignores further SIGTERMs while it cleans up after the first; the block does not undo that."""

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    assert receive(signal.SIGTERM, signal.SIGTERM) == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_other_threads_get_no_signals_and_need_none() -> None:
    done = []

    def work() -> None:
        with held_back():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]

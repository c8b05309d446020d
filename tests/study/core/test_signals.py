"""A signal stops whatever runs, at any moment; it waits for what is being written; a second one waits for nothing."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from study.core.signals import STOPPED, held_back, pause, stop_asked, stoppable
from tests.running import started

STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


#: Seconds that a block would take, were it not stopped: far more than a busy machine may take to stop it.
LONG = 40.0


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Signals do by default what they do in a process that was just started, whatever the runner of the tests made of them."""
    before = {s: signal.getsignal(s) for s in STOPS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@contextmanager
def stopped() -> Iterator[None]:
    """A command's block that a signal stops long before its end; on a quiet machine within a second."""
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), stoppable():  # noqa: PT012 - the block is the test's
        yield
        time.sleep(LONG)
    assert time.monotonic() - began < LONG / 2
    assert not stop_asked(), "the next command starts anew"


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_stops_the_command(number: signal.Signals) -> None:
    with stopped():
        send(number)


def test_one_that_gets_lost_in_a_garbage_collectors_callback_is_delivered_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Python prints and drops what is raised there; here nothing is printed, and the command stops."""

    def callback(phase: str, _info: dict[str, int]) -> None:
        if phase == "start" and not sent:
            sent.append(True)
            send()
            for _ in range(1000):  # the handler runs in here
                pass

    sent: list[bool] = []
    gc.callbacks.append(callback)
    try:
        with stopped():
            gc.collect()
            assert sent
    finally:
        gc.callbacks.remove(callback)
    assert "ignored" not in capsys.readouterr().err


def test_one_that_a_library_catches_is_delivered_again() -> None:
    with stopped():
        for _ in range(3):
            with suppress(BaseException):
                send()
                time.sleep(LONG)


def test_what_cleans_up_is_not_stopped_by_a_reminder() -> None:
    """Nor by the same signal sent twice, as `timeout` does."""
    done = []
    with stopped():
        try:
            send()
            time.sleep(LONG)
        finally:
            send()
            with held_back():
                time.sleep(0.7)
                done.append("held")
            time.sleep(0.7)
            done.append("whole")
    assert done == ["held", "whole"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", [True, False])
def test_a_signal_waits_for_the_end_of_what_is_written(number: signal.Signals, command: bool) -> None:  # noqa: FBT001 - a case
    """In a command, and for whoever calls the library without one."""
    done = []

    def write() -> None:
        with held_back(), held_back():
            send(number)
            time.sleep(0.5)
            done.append("written")
        done.append("more")

    def run() -> None:
        if command:
            with stoppable():
                write()
        else:
            write()

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done == ["written"]


def test_whoever_waits_within_it_is_told() -> None:
    with stopped(), held_back():
        send()
        began = time.monotonic()
        assert pause(60)
        assert time.monotonic() - began < 5


def test_handlers_are_as_before_afterwards() -> None:
    """After a quiet block, a signal, an error; ignored signals are ignored within as well."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    watched = [*STOPS, signal.SIGALRM]
    before, hook = [signal.getsignal(s) for s in watched], sys.unraisablehook
    with stoppable(), held_back():
        send(signal.SIGHUP)
    with stopped():
        send(signal.SIGINT)
    with pytest.raises(RuntimeError, match="inside"), stoppable(), held_back():
        raise RuntimeError("inside")
    assert [signal.getsignal(s) for s in watched] == before
    assert sys.unraisablehook is hook
    assert "signals" not in {thread.name for thread in threading.enumerate()}


def test_other_threads_get_no_signals_and_need_none() -> None:
    done = []

    def work() -> None:
        with stoppable(), held_back():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


#: Waits in SQLite for a lock that is never given up, where Python calls no handler: 60 s.
WAITING = """
import sqlite3, sys
from study.core.signals import held_back, stoppable
holder, waiter = (sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None) for _ in range(2))
holder.execute("BEGIN IMMEDIATE")
with stoppable(), held_back():
    print("ready", flush=True)
    waiter.execute("BEGIN IMMEDIATE")
"""


@pytest.mark.parametrize("first", STOPS)
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_process_at_once_even_where_python_waits_for_others(
    tmp_path: object, first: signal.Signals, second: signal.Signals
) -> None:
    with started([sys.executable, "-c", WAITING, f"{tmp_path}/file.db"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(first)
        process.send_signal(first)  # the same one, twice
        time.sleep(0.8)
        assert process.poll() is None
        sent = time.monotonic()
        process.send_signal(second)
        _, said = process.communicate(timeout=60)
    assert time.monotonic() - sent < 5
    assert process.returncode == STOPPED
    assert said == "\nended at once; the same command continues\n"

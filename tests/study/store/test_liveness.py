"""Whether a recorded process still runs is known only where it can be seen."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

from study.store.liveness import Process, current


def test_the_caller_is_alive() -> None:
    assert current().pid == os.getpid()
    assert current().is_alive() is True


def test_an_ended_process_is_dead_even_before_it_is_collected() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        record = dataclasses.replace(current(), pid=child.pid, started=_started(child.pid))
        assert record.is_alive() is True
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, not collected
        assert record.is_alive() is False
    assert record.is_alive() is False


def test_another_process_with_the_same_number_is_not_the_recorded_one() -> None:
    assert dataclasses.replace(current(), started="before").is_alive() is False


def test_a_process_of_another_machine_or_container_cannot_be_seen() -> None:
    assert dataclasses.replace(current(), kernel="elsewhere").is_alive() is None


def test_a_record_reads_back() -> None:
    assert Process(**json.loads(json.dumps(dataclasses.asdict(current())))) == current()


def _started(pid: int) -> str:
    from study.store import liveness as process

    return process._started(pid)

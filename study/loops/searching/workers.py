"""Several processes of one search on one machine, started and stopped together: a GPU each, or a share of the CPUs.

Each is the same command without ``--workers``; they meet in the databases alone, as several machines do. What they
print is passed on line by line, under their number. A worker that dies does not end the others; what it leaves in
training is put back by whoever recovers next, at the latest by the process that started them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import click
import torch

from study.core.errors import InputError
from study.core.threads import processors
from study.outside.memory import SHARED
from study.outside.printable import printable
from study.problems.fashion_mnist import choose_device

#: The option that starts them.
OPTION = "--workers"
#: How the line of a command that refuses its input starts, and its exit code.
ERROR, REFUSED = "error: ", 2
#: Seconds that workers get to put their records in order before they are ended.
PATIENCE = 60.0


@dataclass(frozen=True)
class Share:
    """What one worker gets of the machine, as variables of its environment."""

    number: int
    variables: Mapping[str, str]


def shares(workers: int, device: str, visible: Sequence[str]) -> list[Share]:
    """Divide a machine between workers.

    Args:
        workers: How many, at least 2.
        device: Type of the device: ``cpu`` or ``cuda``.
        visible: The GPUs that this process sees, as ``CUDA_VISIBLE_DEVICES`` names them.

    Raises:
        InputError: There are fewer GPUs than workers, or fewer processors, or the device cannot be divided.
    """
    cores = processors()
    if device == "cuda" and workers > len(visible):
        raise InputError(
            f"`workers` {workers}: there are {len(visible)} GPUs here, and each worker needs its own"
        )
    if device not in {"cpu", "cuda"}:
        raise InputError(
            f"`workers` {workers}: a device of type {device} cannot be shared; start one process"
        )
    if workers > cores:
        raise InputError(f"`workers` {workers}: this process may use {cores} processors, fewer than one each")
    each = str(cores // workers)
    threads = {"OMP_NUM_THREADS": each, "NUMBA_NUM_THREADS": each, SHARED: str(workers)}
    gpus = ({"CUDA_VISIBLE_DEVICES": visible[n]} if device == "cuda" else {} for n in range(workers))
    return [Share(number, {**threads, **gpu}) for number, gpu in enumerate(gpus, start=1)]


def visible_gpus(count: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names of the GPUs that this process sees: those of ``CUDA_VISIBLE_DEVICES``, or their numbers."""
    named = [name.strip() for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if named else [str(number) for number in range(count)]


def divide_and_run(workers: int, device: str, words: Sequence[str]) -> None:
    """Run the search with these words several times at once.

    Args:
        workers: How many, at least 2.
        device: As ``--device`` has it.
        words: The search's arguments.

    Raises:
        InputError: The machine cannot be divided so, or the workers refuse their input.
    """
    where = choose_device(device).type
    divided = shares(workers, where, visible_gpus(torch.cuda.device_count()))
    run_workers(own_command("study.search", words), divided)


def run_workers(command: Sequence[str], divided: Sequence[Share]) -> None:
    """Run a command once a share, pass on what each prints, and stop all of them when this process is stopped.

    A worker that was killed is said; whoever goes on with the study trains what it left.

    Args:
        command: The words of the command.
        divided: What each worker gets.

    Raises:
        InputError: A worker refused its input, which is everybody's: the first one's line.
    """
    with _started(command, divided) as workers:
        codes = {worker.number: worker.process.wait() for worker in workers}
    refused = [line for worker in workers for line in worker.errors if codes[worker.number] == REFUSED]
    if refused:
        raise InputError(refused[0])
    for number, code in codes.items():
        if code:
            click.echo(f"worker {number} ended with code {code}", err=True)


class _Worker:
    """A process, and the thread that passes on what it prints."""

    def __init__(self, command: Sequence[str], share: Share) -> None:
        self.number = share.number
        self.errors: list[str] = []
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            env={**os.environ, **share.variables, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a signal reaches it through this process alone, once
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self.process.stdout is None:
            return
        with self.process.stdout as lines:
            for line in lines:
                text = printable(line.rstrip())
                if text.startswith(ERROR):
                    self.errors.append(text.removeprefix(ERROR))
                else:
                    click.echo(f"{self.number}: {text}")

    def end(self, *, refusals: bool) -> None:
        """Wait until it has put its records in order; end it if that takes too long.

        Args:
            refusals: Whether to say why it refused its input; otherwise the caller does.
        """
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        for line in self.errors if refusals or self.process.returncode != REFUSED else ():
            click.echo(f"{self.number}: {ERROR}{line}", err=True)


@contextmanager
def _started(command: Sequence[str], divided: Sequence[Share]) -> Iterator[list[_Worker]]:
    workers: list[_Worker] = []
    stopped = True
    try:
        for share in divided:
            workers.append(_Worker(command, share))  # noqa: PERF401 - those started are stopped if the next one fails
        yield workers
        stopped = False
    finally:
        for worker in workers:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGTERM)
        for worker in workers:
            worker.end(refusals=stopped)


def own_command(module: str, words: Sequence[str]) -> list[str]:
    """Return the command that runs a module's command with these words, without ``--workers`` and its value."""
    kept, rest = [], iter(words)
    for word in rest:
        if word == OPTION:
            next(rest, None)
        elif not word.startswith(f"{OPTION}="):
            kept.append(word)
    return [sys.executable, "-m", module, *kept]

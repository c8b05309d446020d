"""Servers that tests start: whether one answers, and a throwaway PostgreSQL that can be restarted."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """Return a port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether a GET of ``url`` succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own server's URL
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def script(name: str) -> str:
    """Return the path of a program that is installed beside this Python."""
    return str(Path(sys.executable).parent / name)


class Postgres:
    """A server in a folder of its own; made by ``postgres``.

    Attributes:
        url: Its URL, without a database's name.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._port = free_port()
        # PostgreSQL refuses to run as root.
        self._prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.url = f"postgresql+psycopg://tester@127.0.0.1:{self._port}"

    def make(self) -> None:
        """Make its files."""
        if self._prefix:
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "-D", self._data, "-U", "tester", "-A", "trust", "--no-sync")

    def start(self) -> None:
        """Start it; returns when it answers."""
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop it, whoever is connected."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")

    def database(self, name: str) -> str:
        """Make an empty database; return its URL."""
        import psycopg

        plain = self.url.replace("+psycopg", "")
        with psycopg.connect(f"{plain}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return f"{self.url}/{name}"

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        words = [*self._prefix, str(self._programs / program), *arguments]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd=self._folder)


@contextmanager
def postgres() -> Iterator[Postgres | None]:
    """Run a server until the block ends; ``None`` where its programs are not installed."""
    found = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        Path(shutil.which("initdb") or "").parent,
    ]
    programs = next((folder for folder in found if (folder / "initdb").exists()), None)
    if programs is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="records-"))
    server = Postgres(programs, folder)
    server.make()
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)

"""What cannot be used is refused: exit code 2, one line of at most 300 characters, no file made or changed.

A table over all commands, run in this process. Its rows are products: every option of a kind with every bad value of
that kind, so that a new option is in the table by itself.
"""

from __future__ import annotations

import os
import shutil
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from importlib import import_module
from pathlib import Path

import click
import pytest

from study.__main__ import COMMANDS
from study.outside.printable import LONGEST_LINE
from study.store import lifecycle
from study.store import optuna_storage as store
from study.terminal.command import Command
from study.terminal.values import Duration, Names, Numbers, Real, StudyName, Url, Whole
from tests.making import config_of, epochs_of, spec_of

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "before"
SURROGATE, ESCAPES, LONG = "\udcff", "\x1b]0;owned\x07\x1b[2J", "x" * 10_000
DIGITS = "9" * 400

NUMBERS = ("", " ", "nan", "inf", "-inf", "1e400", f"-{DIGITS}", "0x10", "1,5", "ten", "1 2", SURROGATE, ESCAPES,
           LONG, "--5", "1e", "½")  # fmt: skip
WHOLE = (*NUMBERS, "1.5", DIGITS, "-1", "9" * 5_000)
LISTS = ("", ",", "1,,2", "3,2", "2,2", "2,nan", "2,inf", f"2,{DIGITS}", "a,b", LONG, ESCAPES, "-1,2",
         ",".join(map(str, range(2, 2_000))))  # fmt: skip
TIMES = ("", "60", "-5m", "0s", "nans", "infh", "5 days", f"{DIGITS}h", "m", SURROGATE, LONG)
WORDS = ("", "nothing", SURROGATE, ESCAPES, LONG, "Cosine,", "auto,auto", DIGITS)
NAMES = ("", ".", "..", "../up", "../../etc/passwd", "/absolute", "a/b", "a\\b", " lead", "tail ", "x" * 201, LONG, "\x00",
         "two\nlines", "bell\a", ESCAPES, SURROGATE, "\u202egnp.exe", "tab\t", "\x7f")  # fmt: skip
URLS = (
    "", "optuna.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:////", "sqlite:///folder",
    "sqlite:///no/such/folder.db", "sqlite:///text.txt", "sqlite:///text.txt/inside.db", "sqlite:///fifo",
    "sqlite:///loop.db", "sqlite:///dangling.db", "sqlite:////dev/null", "sqlite:////dev/zero", "sqlite:///other.db",
    "sqlite:///file:x?mode=memory", "sqlite:///optuna.db?foo=bar", "sqlite:///optuna.db?timeout=abc", "sqlite://host/x.db",
    f"sqlite:///{'x' * 300}.db", f"sqlite:///{LONG}.db", f"sqlite:///{ESCAPES}.db", f"sqlite:///{SURROGATE}.db",
    "sqlite:///cut.db", "nonsense://x", "://", "postgresql+psycopg://", "postgresql+psycopg://u:hunter22@localhost:1/db",
    "postgresql+psycopg://u:hunter22@localhost:99999/db", "postgresql+psycopg://u:hunter22@localhost:port/db",
    "postgresql+psycopg://u:hunter22@127.0.0.1:1/db?foo=bar", "postgresql+psycopg://127.0.0.1:1/db?password=hunter22",
    "postgresql+psycopg://127.0.0.1:1/db?sslmode=perhaps", "postgresql+psycopg://127.0.0.1:1/db?connect_timeout=soon",
    "postgresql+psycopg://u:hunter22/x@127.0.0.1:1/db", "postgresql+nodriver://u:hunter22@h/db", "mysql://u:hunter22@h/db",
    f"postgresql+psycopg://u:{'hunter22' * 60}@127.0.0.1:1/db", "postgresql+psycopg://127.0.0.1:1/db?plugin=none",
)  # fmt: skip
SERVERS = (
    "http://", "https://", "http://127.0.0.1:1", "http://127.0.0.1:99999", "http://127.0.0.1:port", "http://[::1",
    "http://u:hunter22@127.0.0.1:1", "http://someone@127.0.0.1:1", "http://127.0.0.1:-1", "ftp://127.0.0.1/",
    "http:///nowhere", "http://host name/", "file:///tmp/mlruns", "mlruns", "databricks", "https://127.0.0.1:1",
)  # fmt: skip
FILES = ("", ".", "folder", "folder/", "no/such/folder/file.html", "/dev/null", "/dev/full", "fifo", "x" * 300, LONG,
         "text.txt/inside.html", "optuna.db", "loop.db", "dangling.db")  # fmt: skip
#: Arguments that make the rest of a command's line one that could run.
LINES = {
    "search": ("--trials", "2", "--epochs", "1", "--train-images", "500", "--study", "new"),
    "confirm": ("--max-seeds", "2"),
    "replicate": ("--seeds", "1", "--epochs", "1", "--train-images", "500"),
    "report": (),
    "audit": (),
    "problem": ("problem.py:problem",),
    "archive": ("--save", "kept"),
    "explore": ("rate",),
}
CONTRADICTIONS = (
    ("search", "--rerun", "0", "--precision", "float32"), ("search", "--rerun", "0", "--trials", "3"),
    ("search", "--rerun", "0", "--epochs", "3"), ("search", "--rerun", "0", "--lanes", "3"),
    ("search", "--rerun", "0", "--seed", "3"), ("search", "--rerun", "99"), ("search", "--study", "nothing", "--rerun", "0"),
    ("search", "--n-warmup-steps", "9", "--epochs", "4"), ("search", "--prune-after", "31"),
    ("search", "--problem", "problem.py:problem", "--optimizer", "sgd"), ("search", "--train-images", "50001"),
    ("search", "--problem", "nothing.py:problem"), ("search", "--problem", "problem.py"), ("search", "--problem", ":"),
    ("search", "--data-dir", "folder"), ("search", "--data-dir", "no/such"), ("search", "--data-dir", "text.txt"),
    ("search", "--tracking-uri", "sqlite:///optuna.db"), ("search", "--storage", "sqlite:///mlflow.db"),
    ("search", "--schedules", "cosine,cosine"), ("search", "--schedules", "cosin"), ("search", "--nothing"),
    ("search", "surplus"), ("search", "--trials"), ("search", "--study", "made", "--epochs", "9"),
    ("confirm", "--check", "c.json", "--seeds", "3"), ("confirm", "--check", "c.json", "--study", "made"),
    ("confirm", "--check", "c.json", "--level", "0.9"), ("confirm", "--check", "c.json", "--out", "d.json"),
    ("confirm", "--rate-seeds", "2"), ("confirm", "--seeds", "5", "--looks", "5,10"),
    ("confirm", "--seeds", "5", "--max-seeds", "5"), ("confirm", "--looks", "10,20", "--max-seeds", "5"),
    ("confirm", "--rates", "2,4"), ("confirm", "--baseline", "nothing"), ("confirm", "--study", "nothing"),
    ("confirm", "--per-family", "99", "--finalists", "99"),
    ("replicate", "--as-published", "--corrected"), ("replicate", "--both", "--corrected"),
    ("replicate", "--figure", "figure.pdf"), ("replicate", "--figure", "figure"), ("replicate", "--markdown", "text.txt"),
    ("replicate", "--markdown", "bytes.bin"),
    ("report", "--export", "table.xlsx"), ("report", "--export", "same.csv", "--out", "same.csv"),
    ("report", "--study", "nothing"), ("report", "--study", ESCAPES), ("report", "--study", LONG),
    ("report", "--publish", "--tracking-uri", "http://127.0.0.1:1"), ("report", "--figures", "text.txt"),
    ("report", "--figures", "/dev/null/figures"), ("report", "--certificate", "fifo"),
    ("audit", "--out", "figure.html"), ("audit", "--study", "nothing"),
    ("problem",), ("problem", "a", "b"), ("problem", "nothing.py:x"), ("problem", "problem.py:other"), ("problem", ""),
    ("problem", LONG), ("problem", f"{ESCAPES}.py:x"), ("problem", "text.txt:x"), ("problem", "no.such.module:x"),
    ("problem", "..:x"), ("problem", ".hidden:x"), ("problem", f"{SURROGATE}:x"),
)  # fmt: skip

Row = tuple[str, ...]


def command_of(name: str) -> Command:
    found: Command = import_module(f"study.{name}").main
    return found


def bad_values(param: click.Parameter, name: str) -> tuple[str, ...]:
    """Return what an option must refuse, by its type."""
    kinds: list[tuple[type | tuple[type, ...], tuple[str, ...]]] = [
        (Whole, WHOLE), (Real, NUMBERS), (Numbers, LISTS), (Duration, TIMES), (StudyName, NAMES), (Url, URLS),
        ((click.Choice, Names), WORDS), (click.Path, FILES if param.name in WRITTEN else ()),
    ]  # fmt: skip
    found = next((values for kind, values in kinds if isinstance(param.type, kind)), ())
    if param.name == "tracking_uri":
        # The readers look at it only where they publish.
        found = () if name == "report" else (*found, *SERVERS)
    return found


#: Options whose files are written at the end.
WRITTEN = {"out", "figure", "markdown", "export"}


def rows() -> Iterator[Row]:
    """Yield every row of the table: a command and its arguments."""
    for name in COMMANDS:
        for param in command_of(name).params:
            if not isinstance(param, click.Option) or param.is_flag:
                continue
            for value in bad_values(param, name):
                if name == "search" and param.name == "trials" and value == "":
                    yield (name, param.opts[0], value)
                else:
                    yield (name, *LINES[name], param.opts[0], value)
    yield from CONTRADICTIONS


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study, a certificate, and everything that is no file to write to or to read."""
    folder = tmp_path_factory.mktemp("bad")
    study = store.open_study(f"sqlite:///{folder}/optuna.db", config_of(name="made", epochs=3))
    for number, accuracy in enumerate((0.5, 0.7)):
        trial = lifecycle.ask(study, 2)
        assert trial is not None
        lifecycle.begin(trial, spec_of(number, epochs=3))
        lifecycle.finish(study, trial, epochs_of((0.1, 0.2, accuracy)), "finished")
    store.close(study)
    shutil.copy(folder / "optuna.db", folder / "cut.db")
    with (folder / "cut.db").open("r+b") as file:
        file.truncate(5_000)
    (folder / "folder").mkdir()
    (folder / "text.txt").write_text("text")
    (folder / "bytes.bin").write_bytes(b"\xff\xfe\x00")
    (folder / "problem.py").write_text("other = 1\n")
    os.mkfifo(folder / "fifo")
    (folder / "loop.db").symlink_to("loop.db")
    (folder / "dangling.db").symlink_to("no/such/file.db")
    import sqlite3

    other = sqlite3.connect(folder / "other.db")
    other.execute("CREATE TABLE other (x)")
    other.close()
    shutil.copy(FIXTURES / "certificate.json", folder / "c.json")
    return folder


Refused = Callable[..., str]


@pytest.fixture
def refused(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must refuse, in the folder, and holds the law; returns its line."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "")  # what a URL says of a login is put there
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")

    def run(name: str, *arguments: str) -> str:
        before = listing(place)
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            command_of(name).main(list(arguments))
        out, line = capsys.readouterr()
        assert left.value.code == 2, (left.value.code, out, line)
        assert line.startswith("error: ")
        assert line.count("\n") == 1
        assert line[:-1].isprintable(), ascii(line)
        assert len(line) <= LONGEST_LINE + 1
        assert "Traceback" not in out + line
        assert "hunter22" not in out + line
        assert listing(place) == before
        return line

    return run


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return what is in a folder, with size, time and inode; the log of a database in use aside."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.name.endswith(("-wal", "-shm")):
            about = path.lstat()
            found[str(path)] = (about.st_size, about.st_mtime_ns, about.st_ino)
    return found


ROWS = list(rows())


@pytest.mark.parametrize(
    "row", ROWS, ids=[f"{n}-{row[0]}-{ascii(row[-2:])[:60]}" for n, row in enumerate(ROWS)]
)
def test_what_cannot_be_used_is_refused_in_one_line(row: Row, refused: Refused) -> None:
    refused(*row)


def test_there_are_as_many_rows_as_promised() -> None:
    assert len(ROWS) >= 600
    assert {row[0] for row in ROWS} == set(COMMANDS)


class Stranger(BaseHTTPRequestHandler):
    """A web server that is not MLflow's: it answers everything with a page, or with what its port stands for."""

    status, content = 200, b"<html>hello</html>"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class Garbage(socketserver.BaseRequestHandler):
    """Something that does not speak HTTP."""

    def handle(self) -> None:
        self.request.recv(100)
        self.request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


class Missing(Stranger):
    """A web server that knows no such page."""

    status, content = 404, b"none"


@pytest.mark.parametrize(
    ("handler", "why"),
    [(Stranger, "is no MLflow server"), (Missing, "status 404"), (Garbage, "does not answer")],
)
@pytest.mark.parametrize("name", ["search", "confirm", "replicate"])
def test_a_server_that_is_not_mlflows_is_refused(
    name: str, handler: type[socketserver.BaseRequestHandler], why: str, refused: Refused
) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        line = refused(name, *LINES[name], "--tracking-uri", f"http://u:hunter22@127.0.0.1:{port}")
        assert why in line
        server.shutdown()

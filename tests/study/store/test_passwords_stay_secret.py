"""A password in a URL reaches the server and nothing else: no line, no record, no page, no table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.running import run_command

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

PASSWORD = "hunter22hunter22"  # noqa: S105 - looked for


def contents(url: str) -> Iterator[str]:
    """Yield every row of every table of a database as text."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"').fetchall():  # noqa: S608 - its own names
                yield repr(row)


def test_a_password_is_nowhere_but_on_the_command_line(
    postgres: Callable[[str], str], tmp_path: Path
) -> None:
    storage, tracking = (postgres(n).replace("tester@", f"tester:{PASSWORD}@") for n in ("optuna", "mlflow"))
    where = ("--storage", storage)
    small = ("--trials", "2", "--epochs", "1", "--train-images", "500", "--device", "cpu", "--lanes", "2")
    said = run_command(
        tmp_path, "study.search", *small, "--study", "it's $mine", *where, "--tracking-uri", tracking
    )
    said += run_command(tmp_path, "study.report", *where, "--export", "table.json")
    said += run_command(tmp_path, "study.search", *small, "--study", "other", "--seed", "1",
                        *where, "--tracking-uri", storage, code=2)  # fmt: skip
    assert "tester:***@127.0.0.1" in said
    assert "--study 'it'\"'\"'s $mine'" in said
    rows = [*contents(storage), *contents(tracking)]
    assert len(rows) > 50
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert PASSWORD not in said + "".join(rows)
    assert not any(PASSWORD.encode() in content for content in files)

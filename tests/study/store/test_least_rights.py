"""The SQL of docs/several-machines.md, word for word: each role can do its part, and nothing else."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from study.core.errors import InputError
from study.store import optuna_storage as store

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

Worker = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def roles(postgres_server: str, repository: Path) -> Callable[[str], str]:
    """The server as the page sets it up; returns the URL of a role's database."""
    import psycopg

    text = (repository / "docs/several-machines.md").read_text("utf-8")
    blocks = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    plain = postgres_server.replace("+psycopg", "")
    for database, block in zip(("postgres", "lrstudy_optuna", "lrstudy_mlflow"), blocks, strict=True):
        with psycopg.connect(f"{plain}/{database}", autocommit=True) as connection:
            for statement in filter(str.strip, block.split(";")):
                connection.execute(statement)

    def url(role: str) -> str:
        database = "lrstudy_mlflow" if role == "lrstudy_mlflow" else "lrstudy_optuna"
        return postgres_server.replace("tester@", f"{role}@") + f"/{database}"

    return url


def test_each_role_can_do_its_part_and_nothing_else(roles: Callable[[str], str], worker: Worker) -> None:
    """A worker makes the tables and works, MLflow's role records, a reader reads; what is another's is refused."""
    import psycopg

    storage, tracking, reading = (roles(f"lrstudy_{who}") for who in ("worker", "mlflow", "reader"))
    process = worker("work", storage, "3", tracking)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    assert store.load(reading).outcomes["finished"] == 3
    for url, statement in (
        (reading, "DELETE FROM trials"),
        (reading, "CREATE TABLE mine (x int)"),
        (storage, "CREATE DATABASE mine"),
        (storage, "CREATE ROLE mine"),
    ):
        with (
            psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)
    for role, database in (("worker", "mlflow"), ("reader", "mlflow"), ("mlflow", "optuna")):
        stranger = roles_url(storage, f"lrstudy_{role}", f"lrstudy_{database}")
        with pytest.raises(InputError, match=r"cannot be reached: .*permission denied for database"):
            store.load(stranger)


def roles_url(url: str, role: str, database: str) -> str:
    """Return a URL with another role and another database."""
    return re.sub(r"//\w+@(.*)/\w+$", rf"//{role}@\1/{database}", url)

"""A password is shown nowhere, whoever wrote the message, and reaches MLflow all the same."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from study.core.errors import InputError
from study.outside import passwords
from study.outside.passwords import hidden, remember, without_login


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:secret@host/db", "postgresql+psycopg://me:***@host/db"),
        ("postgresql://me:sec/r@et@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://:secret@host/db", "postgresql://:***@host/db"),
        ("postgresql://host/db?user=me&password=secret&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("postgresql://host/db?sslpassword=secret", "postgresql://host/db?sslpassword=***"),
        ("http://me:secret@host:5000/path", "http://me:***@host:5000/path"),
        ("sqlite:///folder/a:b@c.db", "sqlite:///folder/a:b@c.db"),
        ("postgresql+psycopg://me@host/db", "postgresql+psycopg://me@host/db"),
        ("see http://a:b@c and http://d:e@f, both", "see http://a:***@c and http://d:***@f, both"),
    ],
)
def test_urls_are_shown_without_their_passwords(url: str, shown: str) -> None:
    assert hidden(url) == shown
    assert hidden(shown) == shown


@given(st.text(st.characters(exclude_categories=("C", "Z")), min_size=4).filter(lambda p: "*" not in p))
def test_a_remembered_password_is_hidden_wherever_it_occurs(password: str) -> None:
    """In an error of a driver too, which knows nothing of URLs."""
    url = f"postgresql+psycopg://me:{password}@host/db"
    try:
        remember(url)
        found = next(iter(passwords._USERINFO.finditer(url)), None)
        if found is not None and len(found[2]) >= 4:
            assert found[2] not in hidden(f"FATAL: no such password as {found[2]}").replace("***", "")
    finally:
        passwords._known.clear()


def test_those_of_variables_are_hidden_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter22")
    assert hidden("tried hunter22 in vain") == "tried *** in vain"


def test_a_login_goes_to_mlflows_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_known", set())
    found: dict[str, str] = {}
    assert without_login("https://me:a%40b%3Acd@host:5000/x", found) == "https://host:5000/x"
    assert found == {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "a@b:cd"}
    assert hidden("a@b:cd") == "***"
    assert without_login("sqlite:///mlflow.db", found) == "sqlite:///mlflow.db"
    assert without_login("http://host:5000", found) == "http://host:5000"


def test_a_user_without_a_password_is_told_where_to_put_it() -> None:
    with pytest.raises(InputError, match="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"):
        without_login("http://me@host:5000", {})
    found = {"MLFLOW_TRACKING_PASSWORD": "given"}
    assert without_login("http://me@host:5000", found) == "http://host:5000"
    assert found == {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "given"}

"""Passwords in URLs: shown as ``***``, and handed to MLflow where nobody sees them.

A password that stands in an option is remembered, so that no message shows it, whoever wrote the message.
"""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from urllib.parse import unquote, urlsplit, urlunsplit

from study.core.errors import InputError

HIDDEN = "***"
#: Shorter ones are words that occur by themselves.
_SHORTEST = 4
#: ``user:password@`` to the last ``@`` of a word, because a password may hold the characters that end a host.
_USERINFO = re.compile(r"(?<=://)([^:/@\s'\"]*):([^\s'\"]*)@")
_QUERY = re.compile(r"([?&][^=&\s'\"]*(?:pass|secret|token)[^=&\s'\"]*=)([^&\s'\"]+)", re.IGNORECASE)
#: Variables whose values are secrets.
VARIABLES = ("PGPASSWORD", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")

_known: set[str] = set()


def remember(url: str) -> None:
    """Take in what is secret in a URL."""
    found = [match[2] for match in _USERINFO.finditer(url)] + [match[2] for match in _QUERY.finditer(url)]
    _known.update(form for text in found for form in (text, unquote(text)) if len(form) >= _SHORTEST)


def hidden(text: str) -> str:
    """Return text with ``***`` for every password: those of URLs in it, remembered ones, those of variables."""
    text = _QUERY.sub(rf"\1{HIDDEN}", _USERINFO.sub(rf"\1:{HIDDEN}@", text))
    secrets = _known | {value for name in VARIABLES if len(value := os.environ.get(name, "")) >= _SHORTEST}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def without_login(url: str, environment: MutableMapping[str, str] = os.environ) -> str:
    """Return a server's address without the user and the password in it, which go to MLflow's own variables.

    MLflow prints its server's address, and puts it into errors.

    Args:
        url: ``http://user:password@host:port``; another URL is returned as it is.
        environment: Changed in place: ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``.

    Raises:
        InputError: It names a user without a password, and no variable does.
    """
    remember(url)
    if not url.startswith(("http://", "https://")):
        return url
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InputError(f"`tracking_uri` {hidden(url)!r} is no server's address: {error}") from None
    login, at, host = parts.netloc.rpartition("@")
    if not at:
        return url
    user, colon, password = login.partition(":")
    if not colon and not environment.get("MLFLOW_TRACKING_PASSWORD"):
        raise InputError(
            f"`tracking_uri` {parts.scheme}://{user}@{host} names a user without a password: set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    environment["MLFLOW_TRACKING_USERNAME"] = unquote(user)
    if colon:
        environment["MLFLOW_TRACKING_PASSWORD"] = unquote(password)
    return urlunsplit(parts._replace(netloc=host))

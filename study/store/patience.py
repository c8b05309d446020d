"""A database or server that went away: say so, wait for it, go on; what it refuses is one line.

A library's own retries cannot be stopped by a signal and say nothing. So each call to a store is one attempt, and
the waiting between attempts is done here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from study.core.errors import InputError
from study.core.signals import pause, stop_asked

#: Seconds that a lost PostgreSQL is waited for unless told otherwise: longer than it takes to restart.
STORAGE_TIMEOUT = 120.0
#: Seconds between two attempts, at first and at most.
FIRST, LONGEST = 0.1, 5.0
#: SQLSTATEs of what passes: a server that goes down, comes up or is full, or that took a transaction back because it met
#: another one's (a deadlock, a serialization failure: class 40).
_PASSING = ("08", "57P01", "57P02", "57P03", "53300", "40")


class LostError(InputError):
    """A store did not answer for as long as it was waited for."""


@dataclass
class Patience:
    """How long a store is waited for.

    Attributes:
        shown: What it is called, without its password.
        why: Returns the reason where an error says that the store is away; ``None`` for any other error.
        limit: Seconds that it is waited for; ``None``: until it answers or a signal comes.
        falls: How often it was away so far.
    """

    shown: str
    why: Callable[[Exception], str | None]
    limit: float | None = None
    falls: int = field(default=0, init=False)
    _given_up: bool = field(default=False, init=False)

    def call(self, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Call a function, again and again while the store is away.

        Raises:
            LostError: It stayed away. Later calls wait no more: whatever cleans up is soon done.
            KeyboardInterrupt: A signal came meanwhile; likewise.
        """
        attempts, began, wait = 0, 0.0, FIRST
        while True:
            try:
                result = function(*args, **named)
            except Exception as error:
                reason = self.why(error)
                if reason is None:
                    raise
                attempts += 1
                self._away(attempts, reason)
                began = began or time.monotonic()
                if self._over(began) or pause(wait):
                    self._given_up = True
                    if stop_asked():
                        raise KeyboardInterrupt from None
                    raise LostError(
                        f"{self.shown} does not answer: {reason}; the same command continues"
                    ) from error
                wait = min(2 * wait, LONGEST)
            else:
                if attempts > 1:
                    _say(f"{self.shown} answers again after {time.monotonic() - began:.0f} s")
                self._given_up = False
                return result

    def _away(self, attempts: int, reason: str) -> None:
        """Say that it is away at the second attempt: a connection that broke since is mended by the first."""
        self.falls += attempts == 1
        if attempts == 2 and not self._given_up and not stop_asked():
            until = "" if self.limit is None else f" for {self.limit:g} s"
            _say(f"{self.shown} does not answer ({reason}); waiting{until}, Ctrl-C stops")

    def _over(self, began: float) -> bool:
        return self._given_up or (self.limit is not None and time.monotonic() - began >= self.limit)


class Patient:
    """Anything whose methods are calls to a store: each of them waits for it."""

    def __init__(self, inner: Any, patience: Patience) -> None:
        self._inner, self._patience = inner, patience

    def __getattr__(self, name: str) -> Any:
        """Return the method, made patient; what is no method, as it is."""
        found = getattr(self._inner, name)
        return partial(self._patience.call, found) if callable(found) else found


class PatientStorage(RDBStorage):
    """Optuna's storage in a database; every call waits for a server that went away.

    A call is one transaction, so that it can be made again. Where the server fell between a commit and its
    answer the second one meets what the first one did: see ``lifecycle``.
    """

    patience: Patience

    def __init__(self, *args: Any, patience: Patience, **named: Any) -> None:
        self.patience = patience
        try:
            super().__init__(*args, **named)
        except Exception:
            if hasattr(self, "engine"):  # a refusal leaves no connection open
                self.engine.dispose()
            raise


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: PatientStorage, *args: Any, **named: Any) -> Any:
        try:
            return self.patience.call(method, self, *args, **named)
        except (StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
            raise InputError(f"{self.patience.shown} refuses: {reason_of(error)}") from error

    return call


#: Every call of Optuna's that reaches the database. Those that call others of these only wait twice as long.
CALLS = (
    "create_new_study", "delete_study", "set_study_user_attr", "set_study_system_attr", "get_study_id_from_name",
    "get_study_name_from_id", "get_study_directions", "get_study_user_attrs", "get_study_system_attrs",
    "get_trial_user_attrs", "get_trial_system_attrs", "get_all_studies", "_create_new_trial", "_set_trial_param",
    "get_trial_param", "set_trial_state_values", "set_trial_intermediate_value", "set_trial_user_attr",
    "set_trial_system_attr", "get_trial_id_from_study_id_trial_number", "get_trial", "_get_trials",
    "_get_best_trial_id", "record_heartbeat", "_get_stale_trial_ids",
)  # fmt: skip
for _name in CALLS:
    setattr(PatientStorage, _name, _patient(getattr(RDBStorage, _name)))


def server_away(error: Exception) -> str | None:
    """Return the reason where an error says that a database's server is away, or that the call can be made again as it was.

    ``None`` for any other error.
    """
    for each in _chain(error):
        if isinstance(each, sqlalchemy.exc.DBAPIError):
            state = getattr(each.orig, "sqlstate", None)
            connecting = isinstance(each, sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError)
            if each.connection_invalidated or (connecting and (state is None or state.startswith(_PASSING))):
                return reason_of(each)
    return None


def file_locked(error: Exception) -> str | None:
    """Return the reason where an error says that another process keeps a SQLite file locked; ``None`` for any other."""
    reason = reason_of(error)
    return reason if "database is locked" in reason else None


def reason_of(error: BaseException) -> str:
    """Return what a database said, in one line."""
    said: object = error
    for each in _chain(error):
        if isinstance(each, sqlalchemy.exc.SQLAlchemyError):  # the one that led to all others comes last
            said = getattr(each, "orig", None) or each
    return str(said).strip().split("\n", maxsplit=1)[0]


def _chain(error: BaseException) -> Iterator[BaseException]:
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__ or each.__context__


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()

"""Types of the values that options take. A refused value is named together with the rule it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from itertools import pairwise
from math import inf, isfinite, nan
from typing import Any, ClassVar

import click

from study.outside.passwords import remember, without_login
from study.outside.printable import short
from study.outside.study_names import check_study_name

#: The most that a whole number may be where nothing else limits it: more is a slip of the hand.
MOST = 1_000_000
#: Numbers that a list may hold.
_LONGEST_LIST = 1_000
#: Characters that a URL may have.
_LONGEST_URL = 4_096
#: The word that leaves a number to the command.
AUTO = "auto"


def nearest(value: str, valid: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` for the valid word nearest to ``value``, or an empty string."""
    words = {word.lower(): word for word in valid}
    found = get_close_matches(value.lower(), words, n=1)
    return f"; did you mean {words[found[0]]}?" if found else ""


class Real(click.ParamType[Any]):
    """A finite number from ``low`` to ``high``, both included; or ``word``, which becomes ``None``."""

    name = "X"
    _noun = "a number"
    _read: Callable[[Any], float] = staticmethod(float)
    _most = inf

    def __init__(self, low: float = -inf, high: float | None = None, word: str | None = None) -> None:
        self.low, self.high, self.word = low, self._most if high is None else high, word

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """Return the number; refuse what is none or lies outside the range."""
        if value == self.word:
            return None
        try:
            number = self._read(value)
        except (ValueError, OverflowError):
            number = nan
        # Compared first: a whole number of 400 digits is no float.
        if not (self.low <= number <= self.high and isfinite(number)):
            word = "" if self.word is None else f"{self.word} or "
            self.fail(f"must be {word}{self._noun}{self._span(number)}, got {short(value)}", param, ctx)
        return number

    def _span(self, number: float) -> str:
        """Say the range; what is the most unless told otherwise is said only to who is beyond it."""
        if isfinite(self.high) and (self.high != self._most or number > self.high):
            return f" from {self.low:.12g} to {self.high:.12g}"
        return f" of {self.low:.12g} or more" if isfinite(self.low) else ""


class Whole(Real):
    """A whole number, likewise; at most ``MOST`` unless told otherwise."""

    name = "N"
    _noun = "a whole number"
    _read = staticmethod(int)
    _most = MOST


class Choice(click.Choice[str]):
    """One of a few words; a wrong one is answered with the nearest."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Name the value, the words that are valid, and the nearest of them."""
        del ctx  # The words do not depend on the context.
        return (
            f"must be one of {', '.join(self.choices)}, got {short(value)}{nearest(str(value), self.choices)}"
        )


class Names(click.ParamType[tuple[str, ...]]):
    """A list of names with commas between, each at most once; becomes a tuple of ``str``.

    Args:
        valid: Returns the names there are; called only when a value is given, so that it may
            import what ``--help`` has no need of.
        every: The word that stands for all of ``valid()``, or None.
    """

    name = "NAME,..."

    def __init__(self, valid: Callable[[], Iterable[str]], every: str | None = None) -> None:
        self.valid, self.every = valid, every

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names as given; refuse an unknown one with the nearest, an empty list, a repeat."""
        if isinstance(value, tuple):
            return value
        valid = list(self.valid())
        if value == self.every:
            return tuple(valid)
        names = tuple(part.strip() for part in str(value).split(",") if part.strip())
        if not names:
            self.fail("must hold at least one name, got none", param, ctx)
        for name in names:
            if name not in valid:
                close = nearest(name, valid) or f"; there are {', '.join(valid)}"
                self.fail(f"unknown name {short(name)}{close}", param, ctx)
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            self.fail(f"each name may stand once, got {repeated} more than once", param, ctx)
        return names


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between, rising; becomes a tuple of ``float``.

    Args:
        low: The least that the first may be.
        high: The most that the last may be.
        whole: Whether they must be whole.
    """

    name = "N,..."

    def __init__(self, low: float, high: float = MOST, *, whole: bool = False) -> None:
        self.low, self.high, self.whole = low, high, whole

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers; refuse a list that is empty, does not rise or begins too low."""
        if isinstance(value, tuple):
            return value
        kind: type[int | float] = int if self.whole else float
        try:
            numbers = tuple(kind(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        rising = all(a < b for a, b in pairwise(numbers))
        within = 0 < len(numbers) <= _LONGEST_LIST and all(self.low <= n <= self.high for n in numbers)
        if not (rising and within):
            what = "whole numbers" if self.whole else "numbers"
            most = f", {self.high:.12g} at most," if any(n > self.high for n in numbers) else ""
            self.fail(
                f"must be rising {what} of {self.low:g} or more{most} with commas between, got "
                f"{short(value)}",
                param, ctx,
            )  # fmt: skip
        return numbers


class Duration(click.ParamType[float]):
    """A time with its unit, ``90s``, ``60m`` or ``2h``; becomes seconds."""

    name = "TIME"
    _SECONDS: ClassVar[dict[str, int]] = {"s": 1, "m": 60, "h": 3600}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds; refuse a number without a unit, which could be any."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            seconds = float(text[:-1]) * self._SECONDS[text[-1:]]
        except (ValueError, KeyError):
            seconds = -inf
        if not (isfinite(seconds) and seconds > 0):
            self.fail(f"must be a time with its unit such as 90s, 60m or 2h, got {short(value)}", param, ctx)
        return seconds


class StudyName(click.ParamType[str]):
    """The name of a study that may be made: no path, nothing that steers a terminal."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; ``InputError`` says what is wrong with another."""
        del param, ctx  # the error names the argument
        return check_study_name(str(value))


class Url(click.ParamType[str]):
    """A database's URL; what is secret in it is shown nowhere."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URL; refuse what could not be shown, such as bytes that are not UTF-8."""
        text = str(value)
        remember(text)
        if not text.isprintable():
            self.fail(f"must be printable text, got {short(ascii(text))}", param, ctx)
        if len(text) > _LONGEST_URL:
            self.fail(f"must have at most {_LONGEST_URL:,} characters, got {len(text):,}", param, ctx)
        return text


class TrackingUri(Url):
    """A database's URL or a server's address, whose user and password go to MLflow's own variables."""

    name = "URI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URI without them."""
        return without_login(super().convert(value, param, ctx))

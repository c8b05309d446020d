"""How a command leaves when it cannot go on: one line, no password, nothing that steers a terminal."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from study.outside.passwords import hidden
from study.outside.printable import LONGEST_LINE, one_line


def refuse(message: str) -> NoReturn:
    """Say what cannot be used, in one line that shows no password, and leave."""
    start = "error: "
    click.echo(start + one_line(hidden(message), LONGEST_LINE - len(start)), err=True)
    sys.exit(2)


def leave(message: str, code: int) -> NoReturn:
    """Say on stderr why a command ends early; what stdout still holds cannot be written any more."""
    with suppress(OSError):
        click.echo(f"error: {one_line(hidden(message))}; the same command continues", err=True)
    for stream in (sys.stdout, sys.stderr):  # else Python tries them again at the exit, and complains
        try:
            stream.flush()
        except OSError:
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def prepare_streams() -> None:
    """Let no character that a terminal lacks end a command, and refuse to run in a folder that is gone."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        Path.cwd()
    except OSError:
        refuse("the folder that this runs in is gone: cd to another")


def said(error: click.ClickException) -> str:
    """Return click's error as one line that names the option, the value and, where known, the fix."""
    if isinstance(error, click.NoSuchOption):
        near = f"; did you mean {error.possibilities[0]}?" if error.possibilities else "; see --help"
        return f"no such option {error.option_name}{near}"
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"{error.param.opts[0]} is needed; see --help"
    if isinstance(error, click.BadParameter) and error.param is not None:
        return f"{error.param.opts[0]}: {_plain(error.message)}"
    return _plain(error.format_message())


def _plain(message: str) -> str:
    """Click's sentences as ours: one line, no capital, no full stop."""
    text = " ".join(message.split()).removesuffix(".")
    return text[:1].lower() + text[1:]

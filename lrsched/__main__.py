"""The catalogue at the terminal.

``python -m lrsched`` lists every schedule. ``python -m lrsched cosine --T_max 20 --plot out.html`` shows one; the options are
its declared fields. ``python -m lrsched "Warmup(Cosine(20), 5)"`` shows what is made of several, in Python's form or as JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from lrsched import picture
from lrsched.catalogue import chart, in_ascii, listing, markdown, searched
from lrsched.compose import Warmup
from lrsched.parameter import Parameter
from lrsched.reading import read
from lrsched.schedule import Schedule, schedule_class


class _Parser(argparse.ArgumentParser):
    """Knows options by their full names only, and reports an error in one line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 for a mistake in the arguments or for what a picture lacks."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without block characters
    try:
        if given and not given[0].startswith("-"):
            _show(given[0], given[1:])
        else:
            _list(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough (`| head`); what is left in the buffer must not be tried again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # a command
        return 2
    return 0


def _list(arguments: list[str]) -> None:
    """List all schedules, or draw them on one sheet."""
    parser = _Parser(
        prog="python -m lrsched",
        description="Learning-rate schedules: list them, draw them all, or show one.",
        epilog='python -m lrsched NAME shows one, and NAME --help tells its options; "Warmup(Cosine(20), 5)", or JSON, '
        "in place of the name shows one made of several.",
    )
    parser.add_argument("--plot", metavar="FILE", help="draw the catalogue on one sheet: .html, .png or .svg")
    parser.add_argument("--markdown", action="store_true", help="print the catalogue as a page of Markdown")
    options = parser.parse_args(arguments)
    if options.plot:
        _write(picture.catalogue(), options.plot)
    elif options.markdown:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # a page for a file, whatever the terminal can show
        print(markdown(), end="")  # noqa: T201  # a command
    else:
        _say(listing(shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
        print("\npython -m lrsched NAME shows one; NAME --help tells its fields")  # noqa: T201  # a command


def _show(what: str, arguments: list[str]) -> None:
    """Print one schedule as a chart, or draw it."""
    written = not what.isidentifier()
    parser = _Parser(prog="python -m lrsched SCHEDULE") if written else _parser(schedule_class(what))
    _add_common(parser)
    options = parser.parse_args(arguments)
    if not 0.0 < options.base_rate < math.inf:
        raise ValueError(f"--base-rate must be a finite number > 0, got {options.base_rate:g}")
    schedule = read(what) if written else _from_options(schedule_class(what), options)
    if options.warm_up:
        schedule = Warmup(schedule, options.warm_up)
    if options.json:
        print(json.dumps(schedule.to_json()))  # noqa: T201  # a command
        return
    span = picture.default_span(schedule) if options.span is None else options.span
    if options.plot:
        _write(picture.draw(schedule, span, options.base_rate), options.plot)
        return
    _say(f"{schedule}\n\n{chart(schedule, span, options.base_rate)}")


def _say(text: str) -> None:
    """Print a text, its blocks and lines in ASCII where the output cannot write them."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = in_ascii(text)
    print(text)  # noqa: T201  # a command


def _write(figure: Any, path: str) -> None:
    """Write a picture, and say so."""
    picture.write(figure, path)
    print(f"wrote {path}")  # noqa: T201  # a command


def _parser(cls: type[Schedule]) -> _Parser:
    """Return a parser whose options are the schedule's declared fields."""
    text = (
        (cls.__doc__ or "").partition("\nAttributes:")[0].replace("``", "").replace("Formula::", "Formula:")
    )
    parser = _Parser(prog=f"python -m lrsched {cls.name}", description=text)
    for declared in _plain_parameters(cls):
        default = declared.example if declared.required else declared.default
        # argparse formats help texts with %.
        meaning = f"{declared.meaning}; {declared.rule} (default: {default!r}; {searched(declared)})"
        kind: dict[str, Any] = {"type": _number, "nargs": "+"} if declared.many else {"type": _number}
        names = [f"--{name}" for name in (declared.name, *declared.also)]
        parser.add_argument(
            *names,
            dest=declared.name,
            default=default,
            help=meaning.replace("%", "%%"),
            metavar="VALUE",
            **kind,
        )
    return parser


def _add_common(parser: _Parser) -> None:
    """Add the options that every schedule has."""
    parser.add_argument(
        "--warm-up", type=float, default=0.0, metavar="TIME", help="length of a linear warm-up"
    )
    parser.add_argument("--base-rate", type=float, default=1.0, metavar="RATE", help="rate at multiplier 1")
    parser.add_argument("--span", type=float, metavar="TIME", help="last time shown")
    parser.add_argument("--plot", metavar="FILE", help="draw it: .html, .png or .svg")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def _from_options(cls: type[Schedule], options: argparse.Namespace) -> Schedule:
    """Return the schedule that the options give; parts and functions, which they cannot give, are the example's."""
    given = {p.name: getattr(options, p.name) for p in _plain_parameters(cls)}
    return cls(**given, **{p.name: p.example for p in cls.parameters() if not p.plain})


def _plain_parameters(cls: type[Schedule]) -> list[Parameter]:
    """Return the fields that can be given at the terminal."""
    return [p for p in cls.parameters() if p.plain]


def _number(text: str) -> Any:
    """Return the number or truth value that a text means, or the text: the field itself will judge it."""
    words = {"True": True, "False": False, "true": True, "false": False}
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return words.get(text, text)


if __name__ == "__main__":
    sys.exit(main())

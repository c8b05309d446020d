"""The catalogue at the terminal.

``python -m lrsched`` lists every schedule with its fields and search ranges. ``python -m lrsched cosine --T_max 20
--plot out.html`` draws one. The options are the schedules' declared fields.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from lrsched import picture
from lrsched.compose import Warmup
from lrsched.parameter import Parameter
from lrsched.schedule import REGISTRY, Schedule, schedule_class


class _Parser(argparse.ArgumentParser):
    """Knows options by their full names only, and reports an error in one line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 for a mistake in the arguments or for what a picture lacks."""
    given = list(sys.argv[1:] if arguments is None else arguments)
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
        description="Learning-rate schedules: list them, or draw them all.",
        epilog="python -m lrsched NAME --help tells the options of one schedule.",
    )
    parser.add_argument("--plot", metavar="FILE", help="draw the catalogue on one sheet: .html, .png or .svg")
    parser.add_argument("--markdown", action="store_true", help="print the catalogue as a page of Markdown")
    options = parser.parse_args(arguments)
    if options.plot:
        picture.write(picture.catalogue(), options.plot)
        return
    if options.markdown:
        print(markdown(), end="")  # noqa: T201  # a command
        return
    for name, cls in sorted(REGISTRY.items()):
        print(f"{name}: {(cls.__doc__ or '').splitlines()[0]}")  # noqa: T201  # a command
        for declared in cls.parameters():
            print(f"    {describe(declared)}")  # noqa: T201  # a command


def _show(name: str, arguments: list[str]) -> None:
    """Print one schedule's values, or draw it."""
    cls = schedule_class(name)
    options = _parser(cls).parse_args(arguments)
    if not 0.0 < options.base_rate < math.inf:
        raise ValueError(f"--base-rate must be a finite number > 0, got {options.base_rate:g}")
    schedule: Schedule = cls(
        **{p.name: getattr(options, p.name) for p in _plain_parameters(cls)}, **_parts(cls)
    )
    if options.warm_up:
        schedule = Warmup(schedule, options.warm_up)
    if options.json:
        print(json.dumps(schedule.to_json()))  # noqa: T201  # a command
        return
    span = picture.default_span(schedule) if options.span is None else options.span
    if options.plot:
        picture.write(picture.draw(schedule, span, options.base_rate), options.plot)
        return
    times, values = picture.curve(schedule, span)
    print(schedule)  # noqa: T201  # a command
    for index in np.linspace(0, len(times) - 1, 21).astype(int):
        print(f"{times[index]:10.4g}  {options.base_rate * values[index]:.6g}")  # noqa: T201  # a command


def _parser(cls: type[Schedule]) -> argparse.ArgumentParser:
    """Return a parser whose options are the schedule's declared fields."""
    parser = _Parser(
        prog=f"python -m lrsched {cls.name}",
        description=(cls.__doc__ or "").partition("\nAttributes:")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for declared in _plain_parameters(cls):
        default = declared.example if declared.required else declared.default
        # argparse formats help texts with %.
        text = f"{declared.meaning}; {declared.rule} (default: {default!r})".replace("%", "%%")
        kind: dict[str, Any] = {"type": _number, "nargs": "+"} if declared.many else {"type": _number}
        parser.add_argument(f"--{declared.name}", default=default, help=text, metavar="VALUE", **kind)
    parser.add_argument(
        "--warm-up", type=float, default=0.0, metavar="TIME", help="length of a linear warm-up"
    )
    parser.add_argument("--base-rate", type=float, default=1.0, metavar="RATE", help="rate at multiplier 1")
    parser.add_argument("--span", type=float, metavar="TIME", help="last time shown")
    parser.add_argument("--plot", metavar="FILE", help="draw it: .html, .png or .svg")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    return parser


def describe(declared: Parameter) -> str:
    """Return a field in one line: name, meaning, domain, default and search range."""
    return f"{declared.name}: {declared.summary}; {searched(declared)}"


def searched(declared: Parameter) -> str:
    """Return where a study looks for a field's value, in words."""
    search = declared.search
    if search is None:
        return "not searched"
    if search.choices is not None:
        return "searched over " + ", ".join(str(c) for c in search.choices)
    if search.low == search.high:
        return "set to the run's length"
    span = f"{search.low:g}..{search.high:g}"
    if search.over_run:
        return f"searched so that the run leaves {span}"
    where = f"searched in {span}{' of the run' if search.of_run else ''}{', log scale' if search.log else ''}"
    return f"{search.count} values {where}" if search.count > 1 else where


def markdown() -> str:
    """Return the catalogue as a page: of each schedule what it is, its formula, and a table of its fields."""
    lines = [
        "# The schedules",
        "",
        "Made by `python -m lrsched --markdown > docs/schedules.md`, from what the code declares. `t` is time in any",
        "unit, and the value is multiplied by the base rate. Before 0 and after its end a schedule does not change.",
        "",
        "![All schedules on one sheet](schedules.png)",
    ]
    for name, cls in sorted(REGISTRY.items()):
        text = (cls.__doc__ or "").replace("``", "`")  # reStructuredText's mark of code
        source = " ".join(text.partition("Source: ")[2].partition("\n\n")[0].split())
        lines += ["", f"## {name}", "", text.partition("\n\nFormula::")[0], ""]
        lines += ["```python", cls.formula(), "```", "", f"Source: {source}"]
        if cls.parameters():
            lines += ["", "| field | meaning | values | default | search |", "|---|---|---|---|---|"]
        for p in cls.parameters():
            default = "required" if p.required else f"`{p.default!r}`"
            lines.append(f"| `{p.name}` | {p.meaning} | {p.rule} | {default} | {searched(p)} |")
    return "\n".join(lines) + "\n"


def _plain_parameters(cls: type[Schedule]) -> list[Parameter]:
    """Return the fields that can be given at the terminal."""
    return [p for p in cls.parameters() if p.plain]


def _parts(cls: type[Schedule]) -> dict[str, Any]:
    """Return the example's parts and functions, which cannot be given at the terminal."""
    return {p.name: p.example for p in cls.parameters() if not p.plain}


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

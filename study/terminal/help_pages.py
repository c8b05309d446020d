"""Help pages: options under the titles of their groups, wrapped at spaces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Any

import click


class HelpFormatter(click.HelpFormatter):
    """Wraps at spaces only: click would also break ``--list-schedules`` at its hyphens."""

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write a list of terms with their explanations, those in a column of its own."""
        rows = list(rows)
        first = min(max(len(term) for term, _ in rows), col_max) + col_spacing
        indent = " " * self.current_indent
        width = max(self.width - first - self.current_indent, 20)
        for term, text in rows:
            lines = wrap(text, width, break_on_hyphens=False, break_long_words=False)
            if len(term) <= first - col_spacing and lines:
                self.write(f"{indent}{term:<{first}}{lines.pop(0)}\n")
            else:
                self.write(f"{indent}{term}\n")
            self.write("".join(f"{indent}{'':<{first}}{line}\n" for line in lines))


class Option(click.Option):
    """An option that belongs to a titled group of the help page, which leaves out its old spelling.

    Where ``goes_with`` is not ``None``, it changes what the command does, and only the options of these names say
    anything about that: others beside it are refused. ``needs`` names an option without which it says nothing, ``excludes`` those
    that say the same otherwise.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        group: str,
        old: str | None,
        goes_with: Sequence[str] | None,
        needs: str | None,
        excludes: Sequence[str],
        **kwargs: Any,
    ) -> None:
        super().__init__([*names, old] if old else names, **kwargs)
        self.group, self.old = group, old
        self.goes_with, self.needs, self.excludes = goes_with, needs, excludes

    def contradiction(self, given: Iterable[str]) -> str | None:
        """Return what is wrong with giving it beside the options of these names; ``None`` if nothing is."""
        others = [name for name in given if name != self.name]
        for other in others:
            if self.goes_with is not None and other not in self.goes_with:
                allowed = ", ".join(f"`{name}`" for name in self.goes_with) or "nothing else"
                return f"`{self.name}` goes with {allowed}, not with `{other}`"
            if other in self.excludes:
                return f"`{self.name}` and `{other}` exclude each other: give one of them"
        if self.needs is not None and self.needs not in others:
            return f"`{self.name}` says nothing without `{self.needs}`: give both, or neither"
        return None

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option's names and its explanation."""
        record = super().get_help_record(ctx)
        return record and (record[0].replace(f", {self.old}", ""), record[1])


class Context(click.Context):
    """A context whose help pages are written by our formatter."""

    formatter_class = HelpFormatter

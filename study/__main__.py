"""``python -m study``, or ``lrstudy``: lists the commands, and runs one.

A command's module is imported when it is called, and then has the process to itself: its errors, its exit
code and what it does when it is stopped are those of ``python -m study.<name>``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from study.terminal.command import Command
from study.terminal.values import nearest

#: The commands, in the order in which a study meets them; each is a module of its own.
COMMANDS = {
    "problem": "Try your own network and data: is it fused, which rates train?",
    "search": "Search for the best schedule: ask, train, report, prune.",
    "confirm": "Train the best again on fresh seeds: who won, or that no difference matters.",
    "report": "Write a study as one page that opens offline.",
    "audit": "Tell what pruning cost, or would have.",
    "archive": "Keep a finished study as small files, or make its databases of them again.",
    "explore": "Answer what the sources leave open, by small sweeps over seeds.",
    "replicate": "Repeat the textbook's own table over several seeds.",
}


class Commands(Command, click.Group):
    """The list of commands."""

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, *rest: Any, **extra: Any
    ) -> Any:
        """Hand over to the command that is named first; without one, show the list."""
        given = list(sys.argv[1:] if args is None else args)
        name = prog_name or "lrstudy"
        if given and given[0] in COMMANDS:
            return self.named(given[0]).main(given[1:], f"{name} {given[0]}", *rest, **extra)
        return super().main(given or ["--help"], name, *rest, **extra)

    @staticmethod
    def named(name: str) -> click.Command:
        """Import a command."""
        found: click.Command = import_module(f"study.{name}").main
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, for the help and for completion in a shell."""
        del ctx  # they are always the same
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name; an unknown one is answered with the nearest."""
        if cmd_name in COMMANDS:
            return self.named(cmd_name)
        close = nearest(cmd_name, COMMANDS) or f"; there are {', '.join(COMMANDS)}"
        raise click.UsageError(f"No such command {cmd_name}{close}", ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        super().format_options(ctx, formatter)


@click.command(
    cls=Commands,
    subcommand_metavar="COMMAND [OPTIONS]",
    context_settings={"help_option_names": ["-h", "--help"]},
)
def main() -> None:
    """Find, and prove, which learning-rate schedule wins.

    COMMAND --help tells a command's options.
    """


if __name__ == "__main__":
    main(prog_name="python -m study")

"""What every command of the study shares: its options, its errors in one line, a clean stop.

Only click is imported here, so that ``--help`` answers at once; commands import what is heavy inside
their own function.

Exit codes: 0 done, 2 the input cannot be used (one line ``error: ...`` on stderr, nothing changed), 3 the machine
ran out of disk, memory or the like (one line; what had ended is kept, and the same command continues),
130 stopped by Ctrl-C, SIGTERM or SIGHUP after the command has put its records in order (see ``core.signals``).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial, wraps
from pathlib import Path
from typing import Any

import click

from study.core.errors import InputError
from study.core.signals import STOPPED, stoppable
from study.core.threads import prepare_environment
from study.outside.memory import require_address_space
from study.outside.shortage import EXIT_CODE, Shortage, shortages
from study.terminal.help_pages import Context, Option
from study.terminal.leaving import leave, prepare_streams, refuse, said
from study.terminal.values import AUTO, Choice, TrackingUri, Url, Whole

Function = Callable[..., Any]

#: Printed when a command that can be continued is stopped.
CONTINUES = "interrupted; the same command continues"

_WIDTH = 100
#: Where a context keeps the words that its command was given.
WORDS = "study.words"


class Command(click.Command):
    """A click command with grouped options, examples, errors in one line and a clean stop.

    Attributes:
        examples: Pairs of what an example does and its arguments after the program's name.
        interrupted: The line printed when a signal stopped the command.
    """

    context_class = Context

    def __init__(
        self,
        *args: Any,
        examples: Sequence[tuple[str, str]] = (),
        interrupted: str = CONTINUES,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.interrupted = interrupted

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in their groups, in the order in which the groups first appear."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(param, "group", "Other"), []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=28)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, one command a line, ready to copy."""
        if self.examples:
            formatter.write_paragraph()
            formatter.write("Examples:\n")
            for meaning, arguments in self.examples:
                formatter.write(f"  # {meaning}\n  {ctx.command_path} {arguments}".rstrip() + "\n")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words as they were given, for who starts the same command again."""
        ctx.meta[WORDS] = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, unless what was given contradicts itself."""
        source = click.core.ParameterSource.COMMANDLINE
        given = {p.name: p for p in self.params if p.name and ctx.get_parameter_source(p.name) is source}
        for param in given.values():
            wrong = param.contradiction(given) if isinstance(param, Option) else None
            if wrong is not None:
                raise InputError(wrong)
        return super().invoke(ctx)

    def with_flags(self, message: str) -> str:
        """Return a message of the library with each `` `argument` `` as this command's flag for it."""
        flags = {param.name: param.opts[0] for param in self.params}
        return re.sub(r"`(\w+)`", lambda found: flags.get(found[1], found[0]), message)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - click's own signature
        **extra: Any,
    ) -> Any:
        """Run the command and leave the process with its exit code (see the module's text).

        Args:
            args: The arguments; by default the process's.
            prog_name: What the help calls the program; by default the command's name.
            complete_var: As click's.
            standalone_mode: ``False`` returns the command's value and lets its exceptions through.
            extra: Passed on to click.
        """
        prepare_environment()  # before a command imports PyTorch
        run: Callable[[], Any] = partial(
            super().main, args, prog_name or self.name, complete_var, standalone_mode=False, **extra
        )
        if not standalone_mode:
            return run()
        prepare_streams()
        try:
            if any(param.name == "device" for param in self.params):
                require_address_space()  # PyTorch is about to be imported
            with stoppable(), shortages():
                code: Any = run()
                sys.stdout.flush()  # a full disk shows here
        except (KeyboardInterrupt, click.Abort):
            click.echo(self.interrupted, err=True)
            sys.exit(STOPPED)
        except Shortage as ran_out:
            leave(str(ran_out), EXIT_CODE)
        except BrokenPipeError:  # the reader has seen enough (`| head`)
            leave("nobody reads what this command prints: it ended", EXIT_CODE)
        except InputError as error:
            refuse(self.with_flags(str(error)))
        except click.ClickException as error:
            refuse(said(error))
        sys.exit(code if isinstance(code, int) else 0)


def command(
    name: str,
    *,
    takes: type | None = None,
    examples: Sequence[tuple[str, str]] = (),
    interrupted: str = CONTINUES,
) -> Callable[[Function], Command]:
    """Make a function the command ``python -m study.<name>``; its docstring is the help's text.

    Args:
        name: Name of the module under ``study`` that holds the command.
        takes: Dataclass that holds the options, the function's only argument; see ``typed``.
        examples: Pairs of what an example does and its arguments, shown at the end of the help.
        interrupted: The line printed when Ctrl-C or SIGTERM stopped the command.
    """

    def decorate(function: Function) -> Command:
        return click.command(
            f"python -m study.{name}",
            cls=Command,
            examples=examples,
            interrupted=interrupted,
            context_settings={
                "max_content_width": _WIDTH,
                "help_option_names": ["-h", "--help"],
                "show_default": True,
            },
        )(function if takes is None else typed(function, takes))

    return decorate


def typed(function: Function, options: type) -> Function:
    """Let a function of one dataclass be called with keyword arguments, as click does.

    Raises:
        TypeError: The dataclass's fields are not the options declared on the function.
    """
    declared = {p.name for p in getattr(function, "__click_params__", ()) if p.expose_value}
    unmatched = declared ^ {field.name for field in fields(options)}
    if unmatched:
        raise TypeError(
            f"options and fields of {options.__name__} must have the same names: {', '.join(sorted(unmatched))}"
        )

    @wraps(function)
    def call(**given: Any) -> Any:
        return function(options(**given))

    return call


def option(
    *names: str,
    group: str = "Options",
    old: str | None = None,
    goes_with: Sequence[str] | None = None,
    needs: str | None = None,
    excludes: Sequence[str] = (),
    **settings: Any,
) -> Callable[[Function], Function]:
    """Declare an option of a command, shown under ``group`` in its help; otherwise as click's.

    Args:
        names: Its flags.
        group: Title that it is shown under.
        old: A flag that it had in an earlier version: still accepted, not shown.
        goes_with: The only options that may be given beside it; ``None`` for any.
        needs: An option that must be given beside it.
        excludes: Options that may not.
        settings: As click's.
    """
    rules = {"goes_with": goes_with, "needs": needs, "excludes": excludes}
    rules = {"goes_with": goes_with, "needs": needs, "excludes": excludes}
    return click.option(*names, cls=Option, group=group, old=old, **rules, **settings)


storage_option = option(
    "--storage",
    metavar="URL",
    type=Url(),
    default="sqlite:///optuna.db",
    group="Records",
    help="Optuna's database. Several machines: postgresql+psycopg://USER@HOST/NAME.",
)
study_option = option(
    "--study",
    metavar="NAME",
    default=None,
    group="Records",
    help="The study's name. Default: the only study in the database, or the latest.",
)
tracking_option = option(
    "--tracking-uri",
    metavar="URI",
    type=TrackingUri(),
    default="sqlite:///mlflow.db",
    envvar="MLFLOW_TRACKING_URI",
    show_envvar=True,
    group="Records",
    help="MLflow's database or server.",
)
data_dir_option = option(
    "--data-dir",
    metavar="DIR",
    type=click.Path(),
    default=None,
    group="Machine",
    help="Folder with Fashion-MNIST's four files. Default: $FASHION_MNIST_DIR, data/, Debian's package.",
)
device_option = option(
    "--device",
    type=Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    group="Machine",
    help="What to train on; auto takes the first of cuda, mps, cpu that is there.",
)
lanes_option = option(
    "--lanes",
    metavar="auto|N",
    type=Whole(1, word=AUTO),
    default=AUTO,
    group="Machine",
    help="Trials trained side by side; auto takes a good number for the device.",
)
workers_option = option(
    "--workers",
    metavar="N",
    type=Whole(1, 64),
    default=1,
    group="Machine",
    help="Processes on this machine, each with its own lanes: a GPU each, or a share of the CPUs.",
)
seed_option = option(
    "--seed",
    metavar="N",
    type=Whole(0, 2**32 - 1),
    default=0,
    group="Study",
    help="Seed of all that is drawn: the same seed on one machine gives the same numbers.",
)


def train_images_option(most: int, *, group: str) -> Callable[[Function], Function]:
    """``--train-images N``: all ``most`` of them unless fewer are asked for."""
    return option(
        "--train-images",
        metavar="N",
        type=Whole(1, most),
        default=most,
        group=group,
        help="Fewer, for a quick look.",
    )


def checkpoints_option(default: str) -> Callable[[Function], Function]:
    """``--checkpoints DIR``: where runs are kept."""
    return option(
        "--checkpoints",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(default),
        group="Records",
        help="Where runs are kept, so that the same command continues.",
    )

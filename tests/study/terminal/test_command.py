"""Laws of every command: one-line refusals with exit code 2, a clean stop with 130, a help that teaches."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from study.core.errors import InputError
from study.terminal.command import (
    Command,
    Function,
    checkpoints_option,
    command,
    data_dir_option,
    device_option,
    lanes_option,
    option,
    seed_option,
    storage_option,
    study_option,
    tracking_option,
    train_images_option,
)
from study.terminal.values import Choice, Names, Real, Whole
from tests.running import started


def ours(seen: dict[str, Any]) -> Command:
    """A command with every shared option; what it is called with goes into ``seen``."""

    @command("sample", examples=[("A quick look", "--trials 12"), ("As it comes", "")])
    @option("--trials", type=Whole(1), default=100, group="Study", help="Total of trials.")
    @option("--share", type=Real(0, 1), default=0.1, group="Study", help="A share.")
    @option("--schedules", type=Names(lambda: ["cosine", "linear"], "all"), group="Study", help="Names.")
    @seed_option
    @study_option
    @storage_option
    @tracking_option
    @data_dir_option
    @device_option
    @lanes_option
    @train_images_option(60_000, group="Study")
    @checkpoints_option("runs/sample")
    def main(**given: Any) -> None:
        """Do the thing."""
        if given["trials"] == 13:
            raise InputError("trials must not be 13,\nsay 14")
        seen.update(given)

    return main


def ran(arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str, dict[str, Any]]:
    seen: dict[str, Any] = {}
    with pytest.raises(SystemExit) as ended:
        ours(seen).main(shlex.split(arguments))
    output = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, output.out, output.err, seen


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--trails 3", "no such option --trails; did you mean --trials?"),
        ("--zzz", "no such option --zzz; see --help"),
        ("--trials 0", "--trials: must be a whole number of 1 or more, got 0"),
        ("--trials -4", "--trials: must be a whole number of 1 or more, got -4"),
        ("--trials 1.5", "--trials: must be a whole number of 1 or more, got 1.5"),
        ("--trials", "option '--trials' requires an argument"),
        ("--share nan", "--share: must be a number from 0 to 1, got nan"),
        ("--share 1.01", "--share: must be a number from 0 to 1, got 1.01"),
        ("--share x", "--share: must be a number from 0 to 1, got x"),
        ("--seed -1", "--seed: must be a whole number from 0 to 4294967295, got -1"),
        ("--lanes 0", "--lanes: must be auto or a whole number of 1 or more, got 0"),
        ("--train-images 60001", "--train-images: must be a whole number from 1 to 60000, got 60001"),
        ("--device gpu", "--device: must be one of auto, cpu, cuda, mps, got gpu; did you mean cpu?"),
        ("--schedules cosin", "--schedules: unknown name cosin; did you mean cosine?"),
        ("--schedules zzz", "--schedules: unknown name zzz; there are cosine, linear"),
        ("--schedules ,", "--schedules: must hold at least one name, got none"),
        ("--schedules cosine,cosine", "--schedules: each name may stand once, got cosine more than once"),
        ("much", "got unexpected extra argument (much)"),
        ("--trials 13", "trials must not be 13, say 14"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err, seen = ran(arguments, capsys)
    assert (code, out, err) == (2, "", f"error: {line}\n")
    assert seen == {}


def test_shared_options_have_their_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, _, seen = ran("", capsys)
    assert code == 0
    assert seen == {
        "trials": 100,
        "share": 0.1,
        "schedules": None,
        "seed": 0,
        "study": None,
        "storage": "sqlite:///optuna.db",
        "tracking_uri": "sqlite:///mlflow.db",
        "data_dir": None,
        "device": "auto",
        "lanes": None,
        "train_images": 60_000,
        "checkpoints": Path("runs/sample"),
    }


def test_given_values_arrive_typed(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = "--lanes 4 --data-dir there --schedules ' linear, cosine' --share 1 --seed 7 --device cpu"
    _, _, _, seen = ran(arguments, capsys)
    assert seen["lanes"] == 4
    assert seen["data_dir"] == "there"
    assert seen["schedules"] == ("linear", "cosine")
    assert seen["share"] == 1.0
    assert (seen["seed"], seen["device"]) == (7, "cpu")


def test_the_word_for_every_name_gives_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("--schedules all", capsys)[3]["schedules"] == ("cosine", "linear")


def test_mlflows_own_variable_is_heeded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert ran("", capsys)[3]["tracking_uri"] == "http://127.0.0.1:5000"
    assert ran("--tracking-uri sqlite:///x.db", capsys)[3]["tracking_uri"] == "sqlite:///x.db"


def test_help_names_program_groups_defaults_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err, _ = ran("--help", capsys)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: python -m study.sample [OPTIONS]\n")
    places = [out.index(title) for title in ("\nStudy:\n", "\nRecords:\n", "\nMachine:\n", "\nExamples:\n")]
    assert places == sorted(places)
    assert "[default: 100]" in out
    assert out.endswith(
        "Examples:\n  # A quick look\n  python -m study.sample --trials 12\n"
        "  # As it comes\n  python -m study.sample\n"
    )
    assert max(map(len, out.splitlines())) <= 100


def test_help_breaks_no_word(capsys: pytest.CaptureFixture[str]) -> None:
    @command("sample")
    @option("--x", help=f"{'Long ' * 9}as --with-many-hyphens shows {'and-so-on ' * 20}.")
    def main(x: str) -> None:
        """Do the thing."""

    with pytest.raises(SystemExit):
        main.main(["--help"])
    words = capsys.readouterr().out.split()
    assert "--with-many-hyphens" in words
    assert words.count("and-so-on") == 20


def test_an_old_flag_is_accepted_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[int] = []

    @command("sample")
    @option("--n-warmup-steps", old="--prune-after", type=Whole(1), default=3, help="Epochs before.")
    def main(n_warmup_steps: int) -> None:
        """Do the thing."""
        seen.append(n_warmup_steps)

    for arguments in (["--prune-after", "5"], ["--n-warmup-steps", "4"], ["--help"]):
        with pytest.raises(SystemExit):
            main.main(arguments)
    assert seen == [5, 4]
    shown = capsys.readouterr().out
    assert "  --n-warmup-steps N  Epochs before." in shown
    assert "--prune-after" not in shown


def test_an_argument_that_the_library_names_becomes_this_commands_flag() -> None:
    """Only what is an argument of the command: other words in backticks stay as they are."""
    said = "`storage` and `tracking_uri` are both 'x'; see `make data` or `workers`"
    assert ours({}).with_flags(said) == (
        "--storage and --tracking-uri are both 'x'; see `make data` or `workers`"
    )


@dataclass(frozen=True)
class Sample:
    """The options of a command in these tests."""

    trials: int
    storage: str


def test_a_command_takes_its_options_as_one_object() -> None:
    seen: list[Sample] = []

    @command("sample", takes=Sample)
    @option("--trials", type=Whole(1), default=100)
    @storage_option
    def main(options: Sample) -> None:
        """Do the thing."""
        seen.append(options)

    with pytest.raises(SystemExit):
        main.main(["--trials", "7"])
    assert seen == [Sample(7, "sqlite:///optuna.db")]
    assert main.help == "Do the thing."


@pytest.mark.parametrize("extra", [seed_option, lambda function: function])
def test_options_that_are_not_the_objects_fields_are_refused(
    extra: Callable[[Function], Function],
) -> None:
    with pytest.raises(TypeError, match=r"fields of Sample must have the same names: (seed|storage)"):

        @command("sample", takes=Sample)
        @option("--trials", type=Whole(1), default=100)
        @extra
        def main(options: Sample) -> None:
            """Never called."""


def test_every_example_is_accepted() -> None:
    sample = ours({})
    for _, arguments in sample.examples:
        assert isinstance(sample.make_context("sample", shlex.split(arguments)), click.Context)


def test_a_choice_without_a_near_word_only_lists_the_words() -> None:
    with pytest.raises(click.BadParameter, match=r"^must be one of a, b, got xyz$"):
        Choice(["a", "b"]).convert("xyz", None, None)


STOPPABLE = """
import signal, time
for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # nohup around the tests ignores one, a shell's & another
    signal.signal(each, signal.SIG_DFL)
from study.terminal.command import command

@command("sample")
def main():
    try:
        print("ready", flush=True)
        time.sleep(300)
    except KeyboardInterrupt:
        print("cleaning up", flush=True)
        input()
        print("in order", flush=True)
        raise

main()
"""


def stopped(*signals: signal.Signals) -> tuple[int, str, str]:
    """Start the command above and send it signals, the first while it works, the others while it cleans up.

    Returns:
        Its exit code, what it printed once it had cleaned up, and its errors.
    """
    with started([sys.executable, "-c", STOPPABLE]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signals[0])
        assert process.stdout.readline() == "cleaning up\n"
        for each in signals[1:]:
            os.kill(process.pid, each)
        out, err = process.communicate("\n", timeout=120)
        return process.returncode, out, err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_the_command_clean_up(sent: signal.Signals) -> None:
    code, out, err = stopped(sent)
    assert (code, out) == (130, "in order\n")
    assert err.split("\n")[-2:] == ["interrupted; the same command continues", ""]
    assert "Traceback" not in err


def test_repeated_termination_does_not_cut_off_the_clean_up() -> None:
    code, out, _ = stopped(signal.SIGTERM, signal.SIGTERM)
    assert (code, out) == (130, "in order\n")


def test_an_unexpected_error_keeps_its_traceback() -> None:
    @command("sample")
    def main() -> None:
        """Fail in a way that no user caused."""
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main.main([])

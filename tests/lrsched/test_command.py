"""``python -m lrsched``: the catalogue, one schedule, and one line for each mistake."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import lrsched
from lrsched.__main__ import main
from tests.running import run_command, run_program, started, words


def test_it_runs_as_a_module() -> None:
    printed = run_command(None, "lrsched", "cosine", "--T_max", "10", "--final", "0.5", "--json")
    assert lrsched.from_json(json.loads(printed)) == lrsched.Cosine(10, 0.5)


def test_values_are_printed_without_plotly() -> None:
    """Only a picture needs it: ``lrsched`` itself is promised to need numpy alone."""
    code = (
        "import sys; sys.modules['plotly'] = None; from lrsched.__main__ import main;"
        "print(main(['cosine']), main(['cosine', '--plot', 'a.html']))"
    )
    ran = run_program([sys.executable, "-c", code])
    assert ran.stdout.splitlines()[-1] == "0 2"
    assert ran.stderr.startswith("error: ")
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["cosine"]])
def test_a_reader_that_has_seen_enough_is_no_error(arguments: list[str]) -> None:
    with started(words("lrsched", *arguments)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


def test_the_list_names_every_schedule_and_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    for name, cls in lrsched.REGISTRY.items():
        assert f"{name}: " in out
        assert all(f"    {p.name}: {p.meaning} ({p.rule}" in out for p in cls.parameters())
    assert "3 values searched in 0.1..1 of the run" in out


def test_values(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--milestones", "4", "8", "--factor", ".5", "--span", "10", "--base-rate", "0.2"]
    assert main(["multi_step", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "MultiStep(milestones=(4, 8), factor=0.5)"
    assert [line.split() for line in (lines[1], lines[9], lines[-1])] == [
        ["0", "0.2"],
        ["4", "0.1"],
        ["10", "0.05"],
    ]


@pytest.mark.parametrize("name", lrsched.REGISTRY)
def test_every_schedule_can_be_asked_for(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 22


@pytest.mark.parametrize("name", lrsched.REGISTRY)
def test_help_tells_each_field(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    out = capsys.readouterr().out
    plain = [p for p in lrsched.REGISTRY[name].parameters() if p.plain]
    assert all(f"--{p.name} VALUE" in out for p in plain)


def test_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "out.html"
    assert main(["cosine", "--T_max", "20", "--warm-up", "5", "--plot", str(page)]) == 0
    assert "Warmup" in page.read_text("utf-8")
    sheet = tmp_path / "sheet.html"
    assert main(["--plot", str(sheet)]) == 0
    assert "warmup_stable_decay" in sheet.read_text("utf-8")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cosin"], "unknown schedule 'cosin': did you mean 'cosine'?"),
        (["cosine", "--T_max", "-1"], "T_max must be a number >= 0, got T_max=-1"),
        (["cosine", "--T_max", "soon"], "T_max must be a number >= 0, got T_max='soon'"),
        (["cosine", "--T_max"], "argument --T_max: expected one argument"),
        (["cosine", "--T", "3"], "unrecognized arguments: --T 3"),
        (["cosine", "20"], "unrecognized arguments: 20"),
        (
            ["multi_step", "--milestones", "8", "4"],
            "milestones must be strictly increasing, got milestones=(8, 4)",
        ),
        (["one_cycle", "--phases", "4"], "phases must be one of 2, 3, got phases=4"),
        (["cosine", "--span", "0"], "span must be a finite number > 0, got span=0"),
        (["cosine", "--span", "inf"], "span must be a finite number > 0, got span=inf"),
        (["plateau", "--span", "inf", "--plot", "a.html"], "span must be a finite number > 0, got span=inf"),
        (["cosine", "--base-rate", "-1"], "--base-rate must be a finite number > 0, got -1"),
        (["cosine", "--base-rate", "nan"], "--base-rate must be a finite number > 0, got nan"),
        (["cosine", "--warm-up", "-2"], "length must be a number >= 0, got length=-2.0"),
        (["cosine", "--plot", "a.pdf"], "the picture must end in .html, .png, .svg, got 'a.pdf'"),
        (["function", "--json"], "is a function and cannot be written as JSON"),
        (["--pot", "a.svg"], "unrecognized arguments: --pot a.svg"),
        (["--plot", "nowhere/a.html"], "No such file or directory"),
    ],
)
def test_mistakes_are_one_line_and_exit_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("error: ")
    assert message in streams.err
    assert len(streams.err.splitlines()) == 1

"""``python -m lrsched``: the catalogue, one schedule, and one line for each mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrsched
from lrsched import picture
from lrsched.__main__ import main
from lrsched.catalogue import chart, listing, round_ticks
from lrsched.reading import read
from tests.running import ROOT, environment, run_command, run_program, started, words


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


def test_the_list_has_one_line_a_schedule_with_its_shape(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    lines = {line.split()[0]: line for line in out.splitlines()[: len(lrsched.REGISTRY)]}
    assert set(lines) == set(lrsched.REGISTRY)
    for name, cls in lrsched.REGISTRY.items():
        shape, says = lines[name].split(maxsplit=2)[1:]
        assert len(shape) == 16
        assert set(shape) <= set("▁▂▃▄▅▆▇█")
        assert says == (cls.__doc__ or "").splitlines()[0].replace("``", "")
    assert lines["constant"].split()[1] == "█" * 16
    assert "``" not in out
    assert len(out.splitlines()) == len(lines) + 2


def test_a_narrow_terminal_gets_lines_that_fit() -> None:
    for width in (60, 80, 100):
        lines = listing(width).splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) == len(lrsched.REGISTRY)
    assert "…" in listing(60)


def test_the_chart_is_the_schedule() -> None:
    """Heights to an eighth of a line, ticks at round times, values exact."""
    lines = chart(lrsched.Linear(20), span=20.0).splitlines()
    assert lines[0].startswith("         1 ┤█")
    heights = [
        sum(len(line) > 12 + column and line[12 + column] == "█" for line in lines[:10])
        for column in (0, 30, 59)
    ]
    assert heights == [10, 4, 0]
    assert lines[11].split() == ["0", "2", "4", "6", "8", "10", "12", "14", "16", "18", "20"]
    assert [line.split() for line in lines[13:15]] == [["0", "1"], ["2", "0.9"]]
    plateau = chart(lrsched.Plateau(0.5, patience=2), span=8.0).splitlines()
    assert [line.split() for line in plateau[-2:]] == [["7", "0.25"], ["8", "0.25"]]


@pytest.mark.parametrize("span", [0.003, 1.0, 7.0, 22.0, 30.0, 33.0, 60_000.0, 1e-9, 3e12])
def test_ticks_are_round_and_a_dozen_at_most(span: float) -> None:
    ticks = round_ticks(span)
    assert 5 <= len(ticks) <= 12
    assert ticks[0] == 0
    assert span - ticks[1] < ticks[-1] <= span
    assert f"{ticks[1]:e}"[0] in "125"


#: What a line of text may say, and the schedule that it names.
READ = {
    "Warmup(Cosine(20), 5)": lrsched.Warmup(lrsched.Cosine(20), 5),
    " cosine( T_max = 20 , final=1e-3 ) ": lrsched.Cosine(20, 1e-3),
    "Join([Linear(5, 0.0, 1.0), Cosine(15)], milestones=(5,))": lrsched.Join(
        (lrsched.Linear(5, 0.0, 1.0), lrsched.Cosine(15)), (5,)
    ),
    "Tanh(20, lower=-3.0)": lrsched.Tanh(20, lower=-3.0),
    "Step(4, gamma=0.5)": lrsched.Step(4, 0.5),
    '{"schedule": "warmup", "inner": {"schedule": "square_root"}, "length": 3}': lrsched.Warmup(
        lrsched.SquareRoot(), 3
    ),
}


@pytest.mark.parametrize("text", READ)
def test_text_and_json_are_read(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([text, "--json"]) == 0
    assert lrsched.from_json(json.loads(capsys.readouterr().out)) == READ[text]


@settings(max_examples=100)
@given(data=st.data())
def test_what_is_written_is_read(data: st.DataObject, kinds: Any) -> None:
    """Law: a schedule's ``repr`` and its JSON are lines that name it."""
    names = tuple(n for n, c in lrsched.REGISTRY.items() if c.searchable())
    schedule = data.draw(kinds.any(names))
    assert read(json.dumps(schedule.to_json())) == schedule
    assert len(repr(schedule)) > 10_000 or read(repr(schedule)) == schedule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Cosin(20)", "unknown schedule 'Cosin': did you mean 'Cosine'?"),
        ("__import__('os').system('true')", "nothing is evaluated"),
        ("Cosine(10 + 10)", "'10 + 10' is no number, word in quotes, list or schedule; nothing is evaluated"),
        ("Cosine(20", "this is no schedule: '(' was never closed at character 7 of 'Cosine(20'"),
        ("Cosine(*[20])", "nothing is evaluated"),
        ("Cosine(**{'T_max': 20})", "nothing is evaluated"),
        ("Cosine(T)", "'T' is no number"),
        ("(20, 5)", "a schedule is expected, such as Cosine(20), got '(20, 5)'"),
        ("Cosine(20, length=3)", "cosine has no field 'length': did you mean 'T_max'?"),
        ("Cosine()", "missing 1 required positional argument: 'T_max'"),
        ("Function(abs)", "'abs' is no number"),
        ('{"schedule": "cosine"', "this is no JSON: "),
        ('{"T_max": 3}', "a schedule is read from a mapping with the key 'schedule'"),
        ("Warmup(" * 3000, "a schedule in one line has at most 10,000 characters, got 21,000"),
        ("(" * 5000 + ")" * 5000, "this is no schedule"),
    ],
)
def test_text_that_is_no_schedule_is_one_line(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([text]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1


def test_values(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--milestones", "4", "8", "--factor", ".5", "--span", "10", "--base-rate", "0.2"]
    assert main(["multi_step", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "MultiStep(milestones=(4, 8), factor=0.5)"
    table = dict(line.split() for line in lines[15:])
    assert [table[t] for t in ("0", "3", "4", "7", "8", "10")] == ["0.2", "0.2", "0.1", "0.1", "0.05", "0.05"]


@pytest.mark.parametrize("name", lrsched.REGISTRY)
def test_every_schedule_can_be_asked_for(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{lrsched.REGISTRY[name].__name__}(")
    assert lines[2].startswith("         1 ┤")


@pytest.mark.parametrize("name", lrsched.REGISTRY)
def test_help_tells_each_field(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    out = capsys.readouterr().out
    plain = [p for p in lrsched.REGISTRY[name].parameters() if p.plain]
    assert all(f"--{p.name} VALUE" in out for p in plain)
    assert all(f"--{other}" in out for p in plain for other in p.also)
    assert "``" not in out


def test_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "out.html"
    assert main(["cosine", "--T_max", "20", "--warm-up", "5", "--plot", str(page)]) == 0
    assert "Warmup" in page.read_text("utf-8")
    sheet = tmp_path / "sheet.html"
    assert main(["--plot", str(sheet)]) == 0
    assert "warmup_stable_decay" in sheet.read_text("utf-8")
    assert capsys.readouterr().out == f"wrote {page}\nwrote {sheet}\n"


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


@pytest.mark.timeout(60)
@pytest.mark.parametrize("span", ["5e-324", "1e-300", "1e18", "1e308"])
@pytest.mark.parametrize("name", lrsched.REGISTRY)
def test_no_span_keeps_anybody_waiting(name: str, span: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A chart, or one line that says what is possible."""
    code = main([name, "--span", span])
    said = capsys.readouterr()
    assert (code, said.err) == (0, "") or (code == 2 and said.err.count("\n") == 1)


def test_a_part_that_is_followed_limits_the_whole() -> None:
    slow = lrsched.Warmup(lrsched.Multiplicative(lambda _: 0.999), 5)
    with pytest.raises(ValueError, match="span must be at most 100,000"):
        picture.curve(slow, 1e18)
    assert picture.curve(slow, 1000.0)[1][-1] == pytest.approx(0.999**1000, rel=1e-3)


def test_the_page_is_whole_where_the_terminal_knows_ascii_only() -> None:
    page = subprocess.run(
        [sys.executable, "-m", "lrsched", "--markdown"],
        env={**environment(), "PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
        capture_output=True,
        check=True,
    ).stdout
    assert page.decode("utf-8") == (ROOT / "docs" / "schedules.md").read_text("utf-8")

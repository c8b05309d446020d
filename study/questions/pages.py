"""A page a question, ``docs/results/<question>.md`` with its picture, built from the sweep's file and nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from study.core.errors import InputError
from study.core.files import write_text
from study.core.records import DEFAULT_PROBLEM, StudyConfig
from study.page.outputs.answer import SECTION
from study.page.outputs.pictures import write_pictures
from study.page.style import TEMPLATE, on_white, safe
from study.questions.answers import Answer, Line, answer
from study.questions.grids import QUESTIONS
from study.questions.sweep import Results, Sweep, read_results
from study.terminal.markdown import Section, markdown_table, plain

#: The page that lists the others.
INDEX = "questions.md"
#: What none of the pages shows, besides other problems.
_NOT_SHOWN = (
    "Whether a difference among many is real: each interval is of its own comparison, and nothing corrects for their number.",
    "The finalists' verdict: these runs train on the search's data, less than `study.confirm` trains on.",
)
_OWN = {
    "warmup": "Whether the schedule's other parameters, tuned with a warm-up of its own, would be others with this one.",
    "exponent": "Exponents at every end and length of the decay: here it ends at 0 with the run.",
    "rate": "A schedule at its best on these seeds: the fixed rate was chosen by them, on the validation data, the schedule before them.",
    "horizon": "What a search at each budget would find: the schedules were tuned at one budget and stretched to the others; "
    "only their base rates are tuned again.",
    "optimizer": "What a search with each optimizer would find: the schedules were tuned for plain SGD; only their base rates are tuned again.",
}
#: Colours of a figure's lines, as many as a legend can be read with.
_COLOURS = ("#3b82c4", "#e08a1e", "#2a9d6f", "#d4553b", "#8e63c7", "#23a6b8", "#d065a6", "#8f9a2b")


def page_text(results: Results) -> str:
    """Return a question's page as Markdown."""
    found, sweep = answer(results), results.sweep
    question = QUESTIONS[sweep.question]
    return (
        "\n\n".join(
            [
                f"# {question.asks}",
                " ".join(plain(sentence) for sentence in found.sentences),
                f"![{plain(_caption(found, sweep.config.metric.name))}]({sweep.question}.png)",
                _reading(sweep.config),
                markdown_table(found.columns, [[plain(cell) for cell in row] for row in found.rows]),
                "## How it was made",
                f"```\npython -m study.explore {sweep.question} --seeds {max(_seeds(results))}{_problem_flag(sweep)}\npython -m study.explore pages\n```",
                _conditions(results),
                "## What it does not show",
                "\n".join(
                    f"- {line}" for line in (_OWN[sweep.question], _elsewhere(sweep.config), *_NOT_SHOWN)
                ),
            ]
        )
        + "\n"
    )


def figure(results: Results) -> go.Figure:
    """Return a question's figure: the mean of each cell's typical runs as a line, but where most fail; every run a point."""
    found = answer(results)
    drawn = go.Figure()
    for number, line in enumerate(found.lines):
        for trace in _traces(line, _COLOURS[number % len(_COLOURS)]):
            drawn.add_trace(trace)
    below = {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.18, "yanchor": "top"}
    drawn.update_layout(template=TEMPLATE, height=480, showlegend=True, legend=below, margin_b=110)
    drawn.update_xaxes(title_text=found.x)
    if found.log and found.lines:
        # Between powers of ten plotly names the first digit alone: name the places where runs are.
        places = found.lines[0].x
        drawn.update_xaxes(type="log", tickvals=places, ticktext=[f"{place:g}" for place in places])
    metric = results.sweep.config.metric
    drawn.update_yaxes(title_text=f"test {metric.name}", tickformat=".3f" if metric.share else None)
    good = [run.test for line in found.lines for cell in line.cells for run in cell.good.values()]
    if good:  # bad runs may lie far below; the table has them
        drawn.update_yaxes(range=[min(good) - metric.noticeable / 5, max(good) + metric.noticeable / 5])
    return on_white(drawn, QUESTIONS[results.sweep.question].asks)


def write_pages(folder: Path, *, figures: bool) -> list[Path]:
    """Write the page of every sweep in a folder, and its picture; return what was written.

    Raises:
        InputError: There is no sweep, one cannot be read, or a file cannot be written.
    """
    found = [read_results(path) for path in files_in(folder)]
    if not found:
        raise InputError(f"`results` {str(folder)!r} holds no sweep: train one first")
    trained = [one for one in found if one.runs]
    texts = {one.path.with_suffix(".md"): page_text(one) for one in trained}
    if trained:
        texts[folder / INDEX] = index_text(trained, confirmed_in(folder))
    for path, text in texts.items():
        write_text(path, text, "`results`")
    written = list(texts)
    if figures and written:
        pictures = {one.path.with_suffix(".png"): figure(one) for one in trained}
        write_pictures(pictures, named="`results`", width=900)
        written.extend(pictures)
    return written


def index_text(found: Sequence[Results], confirmed: Sequence[Path] = ()) -> str:
    """Return the page that lists questions, each with its answer's first sentence, as Markdown.

    Args:
        found: Sweeps that have runs.
        confirmed: Pages whose answer is a study's, as ``study.report --markdown`` writes it.
    """
    lines = [
        f"- [{QUESTIONS[one.sweep.question].asks}]({one.path.stem}.md) {plain(answer(one).sentences[0])}"
        for one in found
    ]
    for page in confirmed:
        title = page.read_text("utf-8").splitlines()[0].removeprefix("# ")
        headline = Section(page, SECTION).read().split("**")[1]
        lines.append(f"- [{title}]({page.name}) {headline}")
    return "# Questions that the sources leave open\n\n" + "\n".join(lines) + "\n"


def confirmed_in(folder: Path) -> list[Path]:
    """Return the pages in a folder whose answer is a confirmed study's."""
    return [page for page in sorted(folder.glob("*.md")) if Section(page, SECTION).read().startswith("**")]


def files_in(folder: Path) -> list[Path]:
    """Return the files of sweeps in a folder, in the order of the questions."""
    return [path for name in QUESTIONS if (path := folder / f"{name}.jsonl").exists()]


def _conditions(results: Results) -> str:
    """Return n, date, device, versions: each as often as it differs."""
    sweep, config, runs = results.sweep, results.sweep.config, results.runs
    seeds = _seeds(results)
    spread = f"{seeds[0]}" if seeds[0] == seeds[-1] else f"{seeds[0]} to {seeds[-1]}"
    dates = sorted({run.when for run in runs})
    versions = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in run.versions.items()) for run in runs
    )
    revisions = dict.fromkeys(run.revision for run in runs)
    few = "" if config.whole else f"**Only {config.train_images:,} {config.noun}.** "
    return (
        f"{few}n = {len(runs)} runs, {spread} seeds a cell, {dates[0]}{'' if len(dates) == 1 else f' to {dates[-1]}'}; "
        f"{config.train_images:,} training {config.noun} in batches of {config.batch_size}, {config.precision}, "
        f"{', '.join(sorted({run.device for run in runs}))}. Schedules: "
        f"{', '.join(plain(f.name) for f in sweep.finalists)} of {plain(sweep.source)}. {'; '.join(versions)}; revision{'s' * (len(revisions) > 1)} {', '.join(revisions)}. "
        f"The runs, one a line: [{results.path.name}]({results.path.name})."
    )


def _seeds(results: Results) -> list[int]:
    """Return how many seeds the cells have, rising."""
    counts: dict[str, int] = {}
    for run in results.runs:
        key = run.cell.key(0)
        counts[key] = counts.get(key, 0) + 1
    return sorted(counts.values())


def _reading(config: StudyConfig) -> str:
    """Return how the sentences and the table are to be read."""
    metric = config.metric
    behind = f"{metric.difference(metric.bad_drop)} {'below' if metric.maximized else 'above'}"
    return (
        f"Best is what the validation {config.noun} say; {metric.name} and differences are of the test {config.noun}, after the "
        "last epoch, with Student's 95 % interval over the seeds that both cells share. A *bad* run diverged, learned nothing or "
        f"ended {behind} the better runs of its cell on the validation {config.noun}; it is counted, and the means are of the others."
    )


def _elsewhere(config: StudyConfig) -> str:
    network = "LeNet on Fashion-MNIST" if config.problem == DEFAULT_PROBLEM else config.problem
    return f"Another network or other data: these runs are {plain(network)}."


def _problem_flag(sweep: Sweep) -> str:
    return f" --problem {shlex.quote(sweep.reference)}" if sweep.reference else ""


def _caption(found: Answer, metric: str) -> str:
    return f"Test {metric} over {found.x}: {', '.join(line.name for line in found.lines)}"


def _traces(line: Line, colour: str) -> Sequence[go.Scatter]:
    points = [(x, run.test) for x, cell in zip(line.x, line.cells, strict=True) for run in cell.runs.values()]
    return (
        go.Scatter(
            x=[x for x, _ in points],
            y=[y for _, y in points],
            mode="markers",
            marker={"color": colour, "size": 5, "opacity": 0.45},
            showlegend=False,
        ),
        go.Scatter(
            x=list(line.x),
            y=[None if cell.fails else cell.test for cell in line.cells],  # its survivors are no typical run
            mode="lines+markers",
            line={"color": colour, "width": 2},
            name=safe(line.name),
        ),
    )

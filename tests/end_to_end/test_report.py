"""``python -m study.report`` as a user runs it, its page opened in a browser that has no network."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
import pandas as pd
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from optuna_dashboard import get_note
from playwright.sync_api import Browser, Page

import lrsched
from study.core.records import EpochMetrics, Outcome, StudyConfig, StudyRecord
from study.page.look.palette import ACCURACY_COLOURS, COLOUR_BINS
from study.page.outputs.publish import ABOUT_IMPORTANCE
from study.stats import certificate
from study.stats.leaderboard import leaderboard
from study.stats.verdict import Plan, verdict
from study.store import lifecycle as life
from study.store import optuna_storage as store
from study.tuning.space import Space
from tests.making import epochs_of, spec_of
from tests.running import run_program, run_python, words

pytestmark = pytest.mark.slow

#: A name that does harm wherever it is not escaped: in HTML, in a script, in a shell, in Markdown.
NASTY = """</script><script>window.harm=1</script> "q" 'x' $(ls) `b` <img src=x onerror=window.harm=2> {{7*7}} ünï"""
EPOCHS = 6
FAMILIES = ("constant", "cosine", "multi_step", "one_cycle", "plateau", "square_root")

#: What is wrong with a figure's div, or nothing.
UNDRAWN = """figures => figures.map(figure => {
    const plot = figure.querySelector('.js-plotly-plot');
    if (!plot) return figure.dataset.figure + ' is not drawn';
    const points = plot.calcdata.reduce((n, trace) => n + trace.length, 0);
    const marks = plot.querySelectorAll('path.js-line, path.point, .points path').length;
    return points && marks ? null : `${figure.dataset.figure}: ${points} points, ${marks} marks`;
}).filter(Boolean)"""


#: Text and marks whose contrast to what they lie on is below what WCAG 2.2 asks for, with the contrast: text by what its element
#: is coloured with, marks by what plotly and the page's own SVG draw them with, opacity and all.
FAINT = """([text, mark]) => {
    const parse = (c) => { const n = (c.match(/[\\d.]+/g) || []).map(Number); return n.length ? [...n.slice(0, 3), n[3] ?? 1] : null; };
    const over = (top, under) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * under[i]);
    const light = (rgb) => rgb.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126729, .7151522, .0721750][i], 0);
    const ground = (e) => {
        for (let at = e; at; at = at.parentElement) {
            const c = parse(getComputedStyle(at).backgroundColor);
            if (c && c[3] === 1) return c.slice(0, 3);
        }
        return [255, 255, 255];
    };
    const opacity = (e) => { let all = 1; for (let at = e; at && at.tagName !== 'svg'; at = at.parentElement) all *= Number(getComputedStyle(at).opacity); return all; };
    const ratio = (e, colour) => {
        const under = ground(e), top = parse(colour);
        const [a, b] = [light(over([...top.slice(0, 3), top[3] * opacity(e)], under)), light(under)];
        return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    };
    const faint = []; let measured = 0;
    const judge = (e, colour, least, said) => {
        measured += 1;
        const found = ratio(e, colour);
        if (found < least - .005) faint.push(`${said}: ${found.toFixed(2)}`);
    };
    for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
        if (!own || !e.getClientRects().length || e.closest('script, noscript, style')) continue;
        const svg = e.namespaceURI.endsWith('svg');
        judge(e, svg ? getComputedStyle(e).fill : getComputedStyle(e).color, text, e.textContent.trim().slice(0, 40));
    }
    // Plotly keeps a colour's opacity beside it.
    const paint = (e, kind) => {
        const style = getComputedStyle(e), colour = style[kind] === 'none' ? null : parse(style[kind]);
        return colour && colour[3] * Number(style[kind + 'Opacity']) > 0
            ? `rgba(${colour.slice(0, 3)}, ${colour[3] * Number(style[kind + 'Opacity'])})` : null;
    };
    const marks = '.points path.point, .points .point path, svg.hue path, rect.hue';
    for (const e of document.querySelectorAll(marks)) judge(e, paint(e, 'fill') || paint(e, 'stroke'), mark, 'mark');
    for (const e of document.querySelectorAll('path.js-line, svg.hue line, svg.hue polyline')) {
        if (paint(e, 'stroke')) judge(e, paint(e, 'stroke'), mark, 'line');
    }
    return { measured, faint: [...new Set(faint)] };
}"""

#: Runs a program and prints its processor seconds and its largest memory. A process of its own, because Linux counts into a
#: program's memory what the process held that started it.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


@pytest.fixture(scope="module")
def config(config_of: Callable[..., StudyConfig]) -> StudyConfig:
    return config_of(
        name="mine", epochs=EPOCHS, schedules=FAMILIES, sampler="random", pruner="median", n_warmup_steps=1
    )


def made_up_epochs(
    rate: float, trained: int, rng: np.random.Generator, outcome: Outcome
) -> list[EpochMetrics]:
    """Curves with the shape of real ones; their numbers mean nothing."""
    final = 0.9 - 0.01 * np.log(rate / 0.3) ** 2 + rng.normal(0, 0.002)
    accuracies = np.clip(final - 0.3 * np.exp(-np.arange(trained)), 0.0, 1.0).tolist()
    loss = float("nan") if outcome == "diverged" else 1.0
    return [
        dataclasses.replace(one, train_loss=loss * (0.3 + np.exp(-e)), val_loss=loss * (0.35 + np.exp(-e)))
        for e, one in enumerate(epochs_of(accuracies, rate=rate))
    ]


def make_study(folder: Path, made: StudyConfig, outcomes: list[Outcome]) -> StudyRecord:
    """Write a study through the store's own doors; its trials trained nothing."""
    study = store.open_study(f"sqlite:///{folder / 'optuna.db'}", made)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    space, rng = Space(made.schedules, EPOCHS), np.random.default_rng(0)
    for number, outcome in enumerate(outcomes):
        study.enqueue_trial({"schedule": FAMILIES[number % len(FAMILIES)]})
        trial = life.ask(study, len(outcomes))
        assert trial is not None
        point = space.suggest(trial)
        spec = spec_of(
            trial.number,
            family=point.family,
            schedule=point.schedule,
            base_rate=point.base_rate,
            params=trial.params,
            epochs=EPOCHS,
            seed=number,
        )
        life.begin(trial, spec)
        trained = {"finished": EPOCHS, "diverged": 1}.get(outcome, 3)
        epochs = made_up_epochs(point.base_rate, trained, rng, outcome)
        for epoch in epochs:
            life.report(trial, epoch.val_accuracy or 0.0, epoch.epoch)
        if outcome in {"finished", "pruned", "diverged"}:
            life.finish(study, trial, epochs, outcome, reprieved_at=2 if number == 0 else None)
    return store.record(study)


def make_certificate(record: StudyRecord, path: Path) -> None:
    """Write a certificate over made-up test accuracies, one finalist with a bad and a diverged run."""
    rows = [row for row in leaderboard(record) if row.best is not None][:3]
    table = 0.9 + np.random.default_rng(1).normal(0, 0.002, (6, len(rows)))
    table[2, 1], table[4, 1] = 0.8, np.nan
    names = [f"{row.family} {NASTY[:40]}" for row in rows]
    finalists = [
        {"name": name, "family": row.family, "score": row.score, "asked": row.best.spec.to_json()}
        for name, row in zip(names, rows, strict=True)
        if row.best is not None and row.best.spec is not None
    ]
    conditions = dataclasses.replace(record.config, train_images=60_000).to_json()
    held = certificate.Conditions(conditions, {"torch": "2"}, record.config.data, None)
    made = certificate.build(held, finalists, table, verdict(table, names, Plan((6,))))
    path.write_text(certificate.to_text(made), "utf-8")


def report(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return run_program(words("study.report", *arguments), folder, more)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, config: StudyConfig) -> Path:
    """A folder with a study under a nasty name, its certificate, and all that the report writes."""
    folder = tmp_path_factory.mktemp("report")
    kinds: list[Outcome] = ["finished", "finished", "pruned", "finished", "finished"]
    record = make_study(
        folder, dataclasses.replace(config, name=NASTY), kinds * 7 + ["diverged", "finished", "finished"]
    )
    make_certificate(record, folder / "certificate.json")
    (folder / "README.md").write_text(
        "before\n<!-- begin answer -->\nstale\n<!-- end answer -->\nafter\n", "utf-8"
    )
    done = report(folder, "--export", "trials.csv", "--figures", "figures", "--markdown", "README.md")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[[Path, int], Page]]:
    """Opens a page without a network and fails on anything that it complains of or asks for."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_page(path: Path, width: int = 1280) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: (
                complaints.append(f"request: {request.url[:80]}") if request.url != path.as_uri() else None
            ),
        )
        page.goto(path.as_uri())
        page.locator("body[data-drawn]").wait_for(timeout=120_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_opens_offline_and_every_figure_is_drawn(
    reported: Path, opened: Callable[[Path, int], Page], width: int
) -> None:
    page = opened(reported / "report.html", width)
    figures = page.locator("figure[data-figure]")
    assert figures.count() > 30
    assert page.locator("body").get_attribute("data-drawn") == str(figures.count())
    assert figures.evaluate_all(UNDRAWN) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "the page is wider than the window"
    )
    page.screenshot(path=reported / f"report-{width}.png", full_page=True)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_stand_out_on_a_light_and_on_a_dark_page(
    reported: Path, opened: Callable[[Path, int], Page], scheme: Literal["light", "dark"]
) -> None:
    page = opened(reported / "report.html", 1280)
    page.emulate_media(color_scheme=scheme)
    page.wait_for_timeout(1_500)
    for details in page.locator("details").all():
        details.evaluate("e => { e.open = true }")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
    found = page.evaluate(FAINT, [4.5, 3.0])
    assert found["measured"] > 1_000
    assert found["faint"] == []
    page.screenshot(path=reported / f"report-{scheme}.png", full_page=True)


@pytest.mark.browser
def test_the_copy_buttons_copy_what_makes_the_leader_again(
    reported: Path, opened: Callable[[Path, int], Page]
) -> None:
    page = opened(reported / "report.html", 1280)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    kept = certificate.read(reported / "certificate.json")
    leader = next(f["asked"] for f in kept["finalists"] if f["name"] == kept["verdict"]["leader"])

    def copied(name: str) -> str:
        page.get_by_role("button", name=name).click()
        page.get_by_role("button", name="Copied").wait_for()
        page.get_by_role("button", name="Copied").wait_for(state="detached")
        text: str = page.evaluate("navigator.clipboard.readText()")
        return text

    made: dict[str, Any] = {}
    exec(f"import lrsched\n{copied('Copy line')}", made)  # noqa: S102 - the page's own line, to see what it makes
    assert made["schedule"] == lrsched.from_json(leader["schedule"])
    assert made["base_rate"] == leader["base_rate"]
    pasted = copied("Copy PyTorch code")
    assert f"lr={leader['base_rate']!r}" in pasted
    assert pasted in page.locator("#torch-code").inner_text()


@pytest.mark.browser
def test_the_first_screen_answers(reported: Path, opened: Callable[[Path, int], Page]) -> None:
    """Headline, four figures, the winner's curve and how sure it is, and the code: above 900 pixels of a laptop's screen."""
    page = opened(reported / "report.html", 1280)
    assert len(page.locator("#verdict strong").inner_text().replace(NASTY[:40], "x").split()) <= 10
    assert page.locator(".tile").count() == 4
    for place in (
        ".verdict strong",
        ".tiles",
        "figure[data-figure=figure-winner-curve]",
        "figure[data-figure=figure-confirmed]",
    ):
        box = page.locator(place).first.bounding_box()
        assert box is not None
        assert box["y"] < 900, place
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    contents = page.get_by_role("navigation", name="Contents").bounding_box()
    assert contents is not None
    assert contents["y"] == 0, "the contents left the screen"
    hrefs = page.locator("nav a[href^='#']").evaluate_all("links => links.map(a => a.hash.slice(1))")
    assert page.evaluate("ids => ids.filter(id => !document.getElementById(id))", hrefs) == []


@pytest.mark.browser
def test_without_a_script_every_figure_is_told_in_words_and_numbers(reported: Path, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((reported / "report.html").as_uri())
    told = [text.strip() for text in page.locator("figure > noscript").all_inner_texts()]
    assert len(told) > 30
    assert all(len(text.split()) >= 8 for text in told), told
    assert page.locator("figure noscript table").count() > 20
    assert page.locator("table.ranked svg.spark").count() == len(FAMILIES)
    context.close()


@pytest.mark.browser
def test_figures_are_whole_on_paper_and_their_scale_is_ink(
    reported: Path, opened: Callable[[Path, int], Page]
) -> None:
    page = opened(reported / "report.html", 390)
    page.emulate_media(color_scheme="dark")
    page.pdf(path=reported / "report.pdf", format="A4")
    pages = re.findall(rb"/Type\s*/Page\b", (reported / "report.pdf").read_bytes())
    assert len(pages) > 5
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(color_scheme="dark", media="print")
    sheet = page.locator("body").bounding_box()
    assert sheet is not None
    assert sheet["width"] <= 720, "wider than A4 between its margins"
    over = "(all, edge) => all.filter(e => e.getBoundingClientRect().right > edge + 1).length"
    edge = sheet["x"] + sheet["width"]
    assert page.locator("figure[data-figure] .main-svg, table, tr").evaluate_all(over, edge) == 0
    unbroken = "figures => figures.filter(f => getComputedStyle(f).breakInside !== 'avoid').length"
    assert page.locator("figure[data-figure]").evaluate_all(unbroken) == 0
    assert page.locator("figure[data-figure]").evaluate_all(UNDRAWN) == []
    fills = page.locator(".scale rect").evaluate_all("bars => bars.map(b => getComputedStyle(b).fill)")
    assert len(set(fills)) == COLOUR_BINS
    assert fills[-1] == ACCURACY_COLOURS[-1].replace(",", ", ").replace("  ", " ")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.evaluate("document.documentElement.classList.contains('printing')")


@pytest.mark.browser
def test_tables_are_cards_on_a_phone(reported: Path, opened: Callable[[Path, int], Page]) -> None:
    page = opened(reported / "report.html", 390)
    row = page.locator("table.ranked tbody tr").first
    assert row.evaluate("e => getComputedStyle(e).display") == "grid"
    label = "e => getComputedStyle(e, '::before').content"
    assert row.locator("td.number").first.evaluate(label).strip('"').strip() == "search score"
    wide = "tables => tables.filter(t => t.scrollWidth > document.documentElement.clientWidth).length"
    assert page.locator("table").evaluate_all(wide) == 0


@pytest.mark.browser
def test_a_nasty_name_is_shown_as_text_and_does_nothing(
    reported: Path, opened: Callable[[Path, int], Page]
) -> None:
    page = opened(reported / "report.html", 1280)
    assert page.evaluate("window.harm") is None
    assert NASTY in page.locator("h1").inner_text()
    assert page.locator("main img").count() == 0
    assert "49" not in page.title()


@pytest.mark.browser
def test_the_logarithmic_switch_and_a_dark_page_keep_every_figure(
    reported: Path, opened: Callable[[Path, int], Page]
) -> None:
    page = opened(reported / "report.html", 1280)
    page.get_by_label("logarithmic rates").check()
    kind = "document.querySelector('figure[data-figure=figure-rates] .plot').layout.yaxis.type"
    page.wait_for_function(f"{kind} === 'log'")
    page.emulate_media(color_scheme="dark")
    assert page.locator("figure[data-figure]").evaluate_all(UNDRAWN) == []


def test_no_trace_in_a_legend_lacks_a_name_and_no_underscore_is_lost(reported: Path) -> None:
    page = (reported / "report.html").read_text(encoding="utf-8")
    figures = re.findall(r'<script type="application/json" id="figure-([^"]+)">(.*?)</script>', page)
    assert len(figures) > 30
    for name, text in figures:
        figure = json.loads(text)
        if figure["layout"]["showlegend"]:
            nameless = [t for t in figure["data"] if t.get("showlegend", True) and not t.get("name")]
            assert not nameless, name
    told = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    for parameter in ("base_rate", "n_warmup_steps", "train_images"):
        assert parameter in told
        assert (
            parameter.replace("_", " ") not in re.sub(r"<th.*?</th>|data-label=\"[^\"]*\"", "", told)
            or parameter == "base_rate"
        )


def test_the_page_says_what_the_records_say(reported: Path) -> None:
    page = (reported / "report.html").read_text(encoding="utf-8")
    record = store.load(f"sqlite:///{reported / 'optuna.db'}")
    for row in leaderboard(record):
        assert row.score is not None
        assert f"{row.score:.4f}" in page
    kept = certificate.read(reported / "certificate.json")
    assert f"{kept['verdict']['finalists'][0]['mean']:.4f}" in page
    assert "1 diverged" in page
    won = kept["verdict"]["winner"] is not None
    assert ("The winner as code" in page) == won
    assert ("The leader as code" in page) == (not won)
    assert "on 60,000 images" in page
    assert "torch.optim.SGD" in page
    assert "python -m study.search" in page
    assert "c59f468a" in page


def test_it_is_one_file_with_one_plotly_under_8_megabytes(reported: Path) -> None:
    page = (reported / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 8e6
    assert page.count("* plotly.js v") == 1
    ours = page[: page.index("* plotly.js v")]
    assert "src=" not in ours.replace("&lt;img src=x", "")
    assert '<link rel="icon" href="data:,">' in ours
    assert ours.count("<link") == 1


def test_the_table_has_one_row_a_trial(reported: Path) -> None:
    assert pd.read_csv(reported / "trials.csv")["number"].tolist() == list(range(38))


def test_every_figure_is_a_picture_as_well(reported: Path) -> None:
    names = {path.stem for path in (reported / "figures").iterdir()}
    assert {
        "confirmed",
        "rates",
        "rates-by-family",
        "accuracy",
        "base-rate",
        "warm-up",
        "expected-best",
    } <= names
    for path in (reported / "figures").iterdir():
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert path.stat().st_size > 5_000


@pytest.mark.browser
@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([], "This study has no trials yet."),
        (["running"] * 3, "This study is still running"),
        (["finished", "running"], "This study is still running"),
        (["diverged"] * 3, "No trial of this study finished"),
        (["pruned", "diverged"], "No trial of this study finished"),
    ],
)
def test_any_state_of_a_study_gives_a_page(
    tmp_path: Path,
    config: StudyConfig,
    opened: Callable[[Path, int], Page],
    outcomes: list[Outcome],
    said: str,
) -> None:
    make_study(tmp_path, config, outcomes)
    done = report(tmp_path)
    assert done.returncode == 0, done.stderr
    page = opened(tmp_path / "report.html", 1280)
    assert said in page.locator("header").inner_text()
    assert "No verdict yet" in page.locator("#verdict").inner_text()
    assert page.locator("figure[data-figure]").evaluate_all(UNDRAWN) == []


def test_the_answer_stands_in_a_document_between_its_marks(reported: Path) -> None:
    """Headline, figures, finalists, code, how to check it; names that do harm are text; pictures beside the certificate."""
    text = (reported / "README.md").read_text("utf-8")
    assert text.startswith("before\n<!-- begin answer -->\n\n**")
    assert text.endswith("\n<!-- end answer -->\nafter\n")
    assert "stale" not in text
    verdict = certificate.judged(certificate.read(reported / "certificate.json"))
    rows = [line for line in text.splitlines() if " of 6 | 6 |" in line]
    assert len(rows) == len(verdict.finalists)
    assert "<script" not in text
    pictures = re.findall(r'<img src="([^"]+)" width="49%" alt="[^"]+">', text)
    assert pictures == ["confirmed.png", "winner-curve.png"]
    assert all((reported / picture).stat().st_size > 10_000 for picture in pictures)
    assert "`python -m study.confirm --check certificate.json`" in text
    assert "As code: `" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--study", "other"], "other"),
        (["--storage", "sqlite:///nothing.db"], "holds no study yet"),
        (["--certificate", "none.json"], "cannot read the certificate"),
        (["--certificate", "others.json"], "is of study 'another'"),
        (["--certificate", "forged.json"], "--certificate 'forged.json' does not hold"),
        (["--out", "no/such/report.html"], "--out 'no/such/report.html': there is no folder 'no/such'"),
        (["--export", "trials.xlsx"], "--export 'trials.xlsx' must end in .csv, .parquet or .json"),
        (["--figures", "report.html/figures"], "--figures 'report.html/figures': "),
        (["--markdown", "trials.csv"], "--markdown trials.csv: needs the lines '<!-- begin answer -->'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(reported: Path, arguments: list[str], said: str) -> None:
    kept = json.loads((reported / "certificate.json").read_text(encoding="utf-8"))
    (reported / "others.json").write_text(
        json.dumps({**kept, "study": {"name": "another"}}), encoding="utf-8"
    )
    forged = json.loads(json.dumps(kept))
    forged["verdict"]["seeds"] = 600
    (reported / "forged.json").write_text(json.dumps(forged), encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in reported.iterdir() if path.suffix != ".json"}
    done = report(reported, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    after = {path: path.stat().st_mtime_ns for path in reported.iterdir() if path.suffix != ".json"}
    assert {k: v for k, v in after.items() if "optuna.db" not in k.name} == {
        k: v for k, v in before.items() if "optuna.db" not in k.name
    }


def test_pictures_without_a_browser_are_refused_in_one_line(reported: Path) -> None:
    done = report(reported, "--figures", "none", "--out", "other.html", BROWSER_PATH="/no/such/browser")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1), done.stderr
    assert "--figures: a picture needs Chromium or Chrome" in done.stderr


def test_publish_puts_the_page_and_the_notes_where_people_browse(tmp_path: Path, config: StudyConfig) -> None:
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.create_experiment("e", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    make_study(tmp_path, config, ["finished"] * 6)
    study = store.existing_study(f"sqlite:///{tmp_path / 'optuna.db'}")
    study.set_user_attr("mlflow_run_id", run)
    done = report(tmp_path, "--publish")
    assert done.returncode == 0, done.stderr
    study = store.existing_study(f"sqlite:///{tmp_path / 'optuna.db'}")
    assert get_note(study).startswith("## No verdict yet")
    assert "rate = base rate" in get_note(optuna.Trial(study, study.trials[0]._trial_id))
    note = client.get_run(run).data.tags["mlflow.note.content"]
    assert get_note(study) == f"{note}\n{ABOUT_IMPORTANCE}"
    kept = tmp_path / "artifacts" / run / "artifacts" / "report.html"
    assert kept.read_text("utf-8") == (tmp_path / "report.html").read_text("utf-8")


def test_a_certificate_of_another_study_that_lies_about_is_left_alone(
    tmp_path: Path, config: StudyConfig
) -> None:
    record = make_study(tmp_path, config, ["finished"] * 6)
    make_certificate(
        dataclasses.replace(record, config=dataclasses.replace(record.config, name="theirs")),
        tmp_path / "certificate.json",
    )
    assert report(tmp_path).returncode == 0
    assert "No verdict yet" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.browser
def test_a_thousand_trials_take_under_20_seconds_and_1_gigabyte_and_open_under_3_seconds(
    tmp_path: Path, config: StudyConfig, browser: Browser
) -> None:
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    made = dataclasses.replace(config, epochs=30)
    study = store.open_study(url, made)
    space, rng = Space(made.schedules, 30), np.random.default_rng(0)
    source = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trials = []
    for number in range(1000):
        drawn = source.ask()
        point = space.suggest(drawn)
        finished = number % 2 == 0
        epochs = made_up_epochs(point.base_rate, 30 if finished else 12, rng, "finished")
        spec = spec_of(
            number,
            family=point.family,
            schedule=point.schedule,
            base_rate=point.base_rate,
            params=drawn.params,
        )
        trials.append(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE if finished else TrialState.PRUNED,
                value=epochs[-1].val_accuracy if finished else None,
                params=drawn.params,
                distributions=drawn.distributions,
                intermediate_values={e.epoch: e.val_accuracy or 0.0 for e in epochs},
                user_attrs={
                    "asked": spec.to_json(),
                    "outcome": "finished" if finished else "pruned",
                    "epochs": [epoch.to_json() for epoch in epochs],
                },
            )
        )
    study.add_trials(trials)
    seconds, kilobytes = run_python("-c", MEASURED, *words("study.report"), folder=tmp_path).split()[-2:]
    # Processor time, so that a busy machine does not decide.
    assert float(seconds) < 20
    assert float(kilobytes) < 1e6
    assert (tmp_path / "report.html").stat().st_size < 8e6
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto((tmp_path / "report.html").as_uri(), wait_until="commit")
    first = page.locator("figure[data-figure=figure-winner-curve] path.js-line").first
    first.wait_for(timeout=120_000, state="attached")
    measured = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    page.locator("body[data-drawn]").wait_for(timeout=240_000)
    assert page.locator("figure[data-figure=figure-rates]").evaluate_all(UNDRAWN) == []
    page.close()
    assert measured["ProcessTime"] < 3

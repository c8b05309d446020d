"""What people see when they open the records of a study in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from playwright.sync_api import BrowserContext, Page, expect

from tests.end_to_end.conftest import serving_dashboard, serving_mlflow
from tests.running import ROOT, run_command

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CARD = "experiment-view-compare-runs-card"

#: Reads what plotly holds and what it has drawn from the chart whose card is given.
DRAWN = """card => {
    const plot = card.querySelector('.js-plotly-plot');
    return {
        traces: plot.data.filter(t => t.y && t.y.length).map(t => ({x: [...t.x], y: [...t.y]})),
        paths: [...plot.querySelectorAll('path.js-line')].map(p => p.getAttribute('d')),
    };
}"""


def finished_children(folder: Path) -> list[Run]:
    """The study's child runs that trained to their end, in MLflow's own words."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments, filter_string="attributes.status = 'FINISHED'")
    return [run for run in runs if "mlflow.parentRunId" in run.data.tags]


def chart(page: Page, metric: str) -> dict[str, Any]:
    """What the chart of ``metric`` shows, once it is drawn."""
    card = page.get_by_test_id(CARD).filter(has=page.get_by_text(metric, exact=True)).first
    card.locator("path.js-line").first.wait_for()
    drawn: dict[str, Any] = card.evaluate(DRAWN)
    return drawn


def test_a_childs_rate_curve_is_drawn_in_mlflow(
    mlflow_ui: str, small_study: Any, window: BrowserContext
) -> None:
    run = next(r for r in finished_children(small_study.folder) if r.data.tags["schedule"] == "cosine")
    page = window.new_page()
    page.goto(f"{mlflow_ui}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/model-metrics")
    drawn = chart(page, "lr")
    page.screenshot(path=small_study.folder / "mlflow-run.png")

    client = MlflowClient(f"sqlite:///{small_study.folder / 'mlflow.db'}")
    recorded = sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, "lr"))
    assert len(recorded) > 2
    assert drawn["traces"][0]["x"] == [step for step, _ in recorded]
    assert drawn["traces"][0]["y"] == pytest.approx([value for _, value in recorded], rel=1e-9)
    assert drawn["paths"][0].count("L") + drawn["paths"][0].count("C") >= 1
    for metric in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
        expect(
            page.get_by_test_id(CARD).filter(has=page.get_by_text(metric, exact=True)).first
        ).to_be_visible()


def test_all_rate_curves_stand_side_by_side_in_mlflow(
    mlflow_ui: str, small_study: Any, window: BrowserContext
) -> None:
    """The very link that the search prints, at its start and its end, shows the rates of its best trials."""
    start, end = re.findall(r"http://127\.0\.0\.1:5000/(#/\S+)", small_study.output)
    assert start == end
    assert small_study.output.index(start) < small_study.output.index("search score")
    page = window.new_page()
    page.goto(f"{mlflow_ui}/{start}")
    drawn = chart(page, "lr")
    page.screenshot(path=small_study.folder / "mlflow-compare.png")
    assert len(drawn["traces"]) >= 10
    expect(
        page.get_by_test_id(CARD).filter(has=page.get_by_text("lr_epoch", exact=True)).first
    ).to_be_visible()


def test_the_dashboard_shows_the_study_and_its_trials(
    dashboard: str, small_study: Any, window: BrowserContext
) -> None:
    page = window.new_page()
    page.goto(f"{dashboard}/")
    page.get_by_text(small_study.name, exact=False).first.click()
    history = page.locator(".js-plotly-plot").first
    history.locator("path.js-line").first.wait_for()
    points = history.locator("path.point").count()
    page.screenshot(path=small_study.folder / "dashboard-study.png")
    assert points >= 6

    page.goto(page.url.rstrip("/") + "/trials")
    expect(page.get_by_text(f"{small_study.trials} Trials")).to_be_visible()
    page.screenshot(path=small_study.folder / "dashboard-trials.png")

    page.goto(f"{page.url}?numbers=3")
    page.get_by_text("owner").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 2000, "an attribute makes the page wide"


def test_the_demo_shows_the_reference_studys_rate_curves(window: BrowserContext, tmp_path: Path) -> None:
    """The databases that ``make demo`` makes of the kept data, in both programs; nothing is trained."""
    said = run_command(tmp_path, "study.archive", "--restore", str(ROOT / "docs" / "reference"))
    assert "nothing was trained here" in said
    (link,) = re.findall(r"http://127\.0\.0\.1:5000/(#/\S+)", said)
    page = window.new_page()
    with serving_mlflow(tmp_path) as url:
        page.goto(f"{url}/{link}")
        drawn = chart(page, "lr")
        page.screenshot(path=tmp_path / "demo-mlflow.png")
        assert len(drawn["traces"]) >= 10
        assert all(len(trace["y"]) > 2 for trace in drawn["traces"])
    with serving_dashboard(tmp_path) as url:
        page.goto(f"{url}/")
        page.get_by_text("lr-schedules", exact=False).first.click()
        page.locator(".js-plotly-plot path.js-line").first.wait_for()
        page.goto(page.url.rstrip("/") + "/trials")
        expect(page.get_by_text("100 Trials")).to_be_visible()


def test_the_reports_links_open_the_very_trial(
    mlflow_ui: str, dashboard: str, small_study: Any, window: BrowserContext
) -> None:
    run_command(small_study.folder, "study.report", "--out", "linked.html")
    page = window.new_page()
    page.goto((small_study.folder / "linked.html").as_uri())
    page.locator("#trials ~ details").evaluate("e => { e.open = true }")
    rows = page.locator("#trials ~ details tbody tr")
    assert rows.count() == small_study.trials
    row = rows.nth(5)
    links = [a.get_attribute("href") or "" for a in row.get_by_role("link").all()]
    number, family = (row.locator("td").nth(place).inner_text().strip() for place in (0, 1))
    in_mlflow, in_dashboard = links
    page.goto(in_mlflow.replace("http://127.0.0.1:5000", mlflow_ui))
    page.get_by_text(f"{number} {family.replace(' ', '_')}").first.wait_for()
    assert len(chart(page, "lr")["traces"][0]["x"]) > 2
    page.goto(in_dashboard.replace("http://127.0.0.1:8080/dashboard", dashboard))
    page.get_by_text(f"Trial {number.removeprefix('#')}").first.wait_for()

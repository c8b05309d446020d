"""Laws of the whole page: every figure tells its finding, names keep their spelling, any metric is called by its own name."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np
import plotly.graph_objects as go
import pytest

import lrsched
from study.core.busy_time import BusyTime
from study.core.metric import Metric
from study.core.records import StudyRecord
from study.page.family_table import Results, family_table
from study.page.gather import Page, gather
from study.page.html import render
from study.page.look.marks import HEIGHT, WIDTH, sparkline
from study.page.plots.best_so_far import progress
from study.page.plots.rate_curves import rate_curves
from study.page.plots.rates.family_rates import draw as draw_families
from study.page.plots.rates.top_rates import BEST
from study.page.plots.rates.winner_curve import spread
from study.page.style import Drawing, on_white
from study.stats.leaderboard import leaderboard
from study.tuning.space import Space

Maker = Callable[..., StudyRecord]


def drawings(page: Page) -> list[Drawing]:
    return [drawing for row in page.drawings.values() for drawing in row]


def told(page: Page) -> str:
    """Return the words of a page, without scripts, styles and tags' names."""
    whole = re.sub(r"<(script|style)\b.*?</\1>", " ", render(page), flags=re.DOTALL)
    labels = " ".join(re.findall(r'aria-label="([^"]*)"', whole))
    return f"{re.sub(r'<[^>]*>', ' ', whole)} {labels}"


def test_every_figure_tells_a_finding_and_has_a_title(made_up: Maker) -> None:
    for drawing in drawings(gather(made_up(200), None)):
        assert len(drawing.description.split()) >= 8, drawing.id
        assert re.search(r"\d", drawing.description), drawing.id
        assert drawing.title, drawing.id


def test_no_trace_in_a_legend_lacks_a_name(made_up: Maker) -> None:
    for trials in (60, 200):
        for drawing in drawings(gather(made_up(trials), None)):
            figure = drawing.on_page
            for trace in figure.data if figure.layout.showlegend else ():
                assert trace.name or trace.showlegend is False, drawing.id


def test_parameters_keep_the_names_that_code_gives_them(made_up: Maker) -> None:
    """T_0 is not T 0: whoever copies a name from the page must find it."""
    families = [name for name, cls in sorted(lrsched.REGISTRY.items()) if cls.searchable()]
    whole = made_up(len(families))
    space = Space(families, 30)
    trials = []
    for trial, family in zip(whole.trials, families, strict=True):
        schedule = lrsched.REGISTRY[family].example()
        params = {"base_rate": 0.1, "warmup": 0.0} | {
            name: 1.0 for name in space.distributions(family) if "." in name
        }
        spec = dataclasses.replace(trial.spec, family=family, schedule=schedule, params=params)
        trials.append(dataclasses.replace(trial, spec=spec, outcome="finished", value=0.9))
    config = dataclasses.replace(whole.config, schedules=tuple(families))
    results = Results(
        StudyRecord(config, tuple(trials)), leaderboard(StudyRecord(config, tuple(trials))), {}, ()
    )
    _, rows = family_table(results)
    for row, ranked in zip(rows, results.leaderboard, strict=True):
        for name in ranked.parameters:
            assert f"{name}\N{NO-BREAK SPACE}" in row[-1]
    assert any("T_0" in row[-1] for row in rows)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_metric_of_the_users_is_called_by_its_name_everywhere(made_up: Maker, direction: str) -> None:
    sign = -1.0 if direction == "minimize" else 1.0
    metric = Metric("perplexity", direction, chance=100.0 if sign < 0 else 0.0)  # type: ignore[arg-type]  # one of two words

    def turned(value: float | None) -> float | None:
        return None if value is None else 60 + sign * 50 * value

    whole = made_up(200)
    trials = tuple(
        dataclasses.replace(
            t,
            metric=metric,
            value=turned(t.value),
            reported={e: turned(v) or 0.0 for e, v in t.reported.items()},
            epochs=tuple(dataclasses.replace(e, val_accuracy=turned(e.val_accuracy)) for e in t.epochs),
        )
        for t in whole.trials
    )
    config = dataclasses.replace(whole.config, metric=metric, problem="mine", optimizer="own")
    record = StudyRecord(config, trials, {"lanes": "lanes are fused"})
    page = gather(record, None)
    words = told(page)
    assert "perplexity" in words
    assert "accurac" not in words.lower()
    assert page.tiles[0].value == metric.value(
        metric.best(t.value for t in record.finished if t.value is not None)
    )
    for drawing in drawings(page):
        texts = [trace.hovertemplate or "" for trace in drawing.figure.data]
        assert not any("accuracy" in text for text in texts), drawing.id


def test_families_stand_by_rank_and_the_best_of_all_is_their_ghost(made_up: Maker) -> None:
    record = made_up(120)
    rows, curves = leaderboard(record), rate_curves(record)
    drawn = draw_families(rows, curves, record.config.epochs)
    assert [drawing.title.split(". ")[1] for drawing in drawn] == [
        row.family.replace("_", " ") for row in rows
    ]
    dotted = [[t for t in d.figure.data if t.line.dash == "dot"] for d in drawn]
    assert [len(traces) for traces in dotted] == [0] + [1] * (len(rows) - 1)
    assert rows[0].best is not None
    assert f"#{rows[0].best.number}" in dotted[1][0].hovertemplate


def test_the_best_twelve_are_in_colour_and_all_others_in_grey(made_up: Maker) -> None:
    record = made_up(120)
    figure = gather(record, None).drawings["top_rates"][0].figure
    grey, *ranked = figure.data
    assert grey.name is None
    best = sorted((t for t in record.finished), key=lambda t: -t.score)[:BEST]
    assert [int(trace.name.split("#")[1]) for trace in reversed(ranked)] == [t.number for t in best]


def test_the_best_so_far_is_that_of_the_trials_that_had_ended(made_up: Maker) -> None:
    record = made_up(60)
    own = progress(record.ended, BusyTime.of(record.ended))
    for count, best in zip(own.ended.tolist(), own.best.tolist(), strict=True):
        values = [t.value for t in record.trials[: int(count)] if t.value is not None]
        assert best == max(values)
    assert (np.diff(own.minutes) >= 0).all()
    assert own.minutes[-1] == 63  # trials of 4 minutes, a minute apart


def test_names_beside_curves_do_not_overlap_and_the_first_of_near_ones_is_lowest() -> None:
    heights = np.array([0.02, 0.0, 0.01, 0.5])
    moved = spread(heights, 0.1)
    assert moved[0] == 0.02
    assert np.diff(np.sort(moved)).min() >= 0.1 - 1e-12
    assert moved[3] == 0.5


def test_a_sparkline_stays_in_its_box_and_keeps_a_jump() -> None:
    times = np.linspace(0, 30, 601)
    points = [
        tuple(map(float, p.split(","))) for p in sparkline(times, np.where(times < 10, 1.0, 0.25), 30).split()
    ]
    assert len(points) == 4
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert points[1][0] == pytest.approx(points[2][0], abs=0.2)
    assert sparkline(np.empty(0), np.empty(0), 30) == ""


def test_a_picture_of_its_own_keeps_the_room_that_its_names_need(made_up: Maker) -> None:
    (winner,) = gather(made_up(60), None).drawings["winner"]
    assert on_white(winner.figure, winner.title).layout.margin.r == winner.figure.layout.margin.r > 24
    cloud = gather(made_up(60), None).drawings["base_rate"][0].figure
    named = go.Figure(cloud).add_scatter(x=[1], y=[1], name="a").add_scatter(x=[1], y=[1], name="b")
    bare = on_white(cloud, "a").layout
    with_legend = on_white(named, "b").layout
    assert with_legend.margin.t > bare.margin.t
    assert with_legend.height - named.layout.height > bare.height - cloud.layout.height

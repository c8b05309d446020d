"""The leads seed by seed: data as judged, a picture that shows them, a description that tells the finding."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from study.page.plots.other_rates import description as rates_description
from study.page.plots.other_rates import other_rates_figure
from study.page.plots.paired_leads import Lead, description, paired_leads, paired_leads_figure
from study.stats.base_rates import BaseRates
from study.stats.verdict import Plan, Verdict, verdict

NAMES = ("cosine #1", "<b>linear</b> #2", "constant #3")


def judged(seed: int = 0) -> tuple[Verdict, dict[str, np.ndarray]]:
    """Two close finalists and one far behind, which is dropped at 10 of 20 seeds at the latest."""
    rng = np.random.default_rng(seed)
    table = 0.9 + (np.array([0.1, 0.0, -4.0]) + 0.25 * rng.normal(size=(20, 3))) / 100
    table[3, 1] = 0.82
    v = verdict(table, NAMES, Plan((5, 10, 20), margin=0.002))
    for f, finalist in enumerate(v.finalists):
        table[finalist.runs :, f] = np.nan
    return v, {name: table[:, f] for f, name in enumerate(NAMES)}


def test_data_are_the_seeds_and_intervals_that_decided_the_closest_first() -> None:
    v, scores = judged()
    leads = paired_leads(v, scores)
    assert [lead.rival for lead in leads] == [n for n in NAMES[:2] if n != v.leader] + [NAMES[2]]
    for lead in leads:
        d = next(d for d in v.differences if d.name == lead.rival)
        assert d.lead is not None
        assert d.low is not None
        assert (lead.lead, lead.low) == pytest.approx((100 * d.lead, 100 * d.low))
        runs = next(f.runs for f in v.finalists if f.name == lead.rival)
        assert lead.seeds == pytest.approx(100 * (scores[v.leader] - scores[lead.rival])[:runs])
    assert leads[1].dropped in {5, 10}
    assert leads[0].dropped is None


def traces(figure: go.Figure, symbol: str) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.marker.symbol == symbol]


def test_every_seed_is_drawn_and_those_beyond_the_picture_stand_at_its_edge() -> None:
    v, scores = judged()
    leads = paired_leads(v, scores)
    figure = paired_leads_figure(leads, 0.2)
    left, right = figure.layout.xaxis.range
    drawn = [x for trace in figure.data if trace.mode == "markers" and trace.text for x in trace.x]
    assert len(drawn) == sum(int(np.isfinite(lead.seeds).sum()) for lead in leads)
    assert all(left <= x <= right for x in drawn)
    beyond = traces(figure, "triangle-right") + traces(figure, "triangle-left")
    assert [text.split(":")[0] for trace in beyond for text in trace.text] == ["seed 4"]
    assert len(traces(figure, "diamond")[0].x) == len(leads)
    assert sorted(line.x0 for line in figure.layout.shapes) == [-0.2, 0, 0.2]


def test_names_cannot_become_markup() -> None:
    figure = paired_leads_figure(paired_leads(*judged()), 0.2)
    assert "<b>" not in figure.to_json()


def test_intervals_that_go_on_are_cut_at_the_edge_and_told_whole() -> None:
    lead = Lead("linear", np.array([0.1, 0.2, 0.0]), 0.1, -90.0, 90.2, (-95.0, 95.2), None)
    figure = paired_leads_figure([lead], 0.1)
    left, right = figure.layout.xaxis.range
    assert right - left < 10
    told = [trace.hovertemplate for trace in figure.data if trace.mode == "lines"]
    assert any("-90.00 to 90.20" in text for text in told)
    assert any("-95.00 to 95.20" in text for text in told)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.05, 0.6, "lies above zero"),
        (-0.2, 0.4, "holds zero"),
        (-0.1, 0.1, "holds zero and lies within the margin"),
    ],
)
def test_the_description_tells_the_finding_first(low: float, high: float, said: str) -> None:
    v, _ = judged()
    lead = Lead("linear", np.zeros(20), (low + high) / 2, low, high, None, None)
    text = description(v, [lead])
    assert text.startswith(f"{v.leader} leads linear by {(low + high) / 2:.2f} points over 20 seeds")
    assert f"{said}. " in text


def test_nobody_to_compare_is_said_and_drawn() -> None:
    v, _ = judged()
    assert description(v, []).startswith("No rival of")
    assert paired_leads_figure([], 0.1).layout.height > 0


def test_other_rates_are_drawn_with_the_point_that_is_judged_by() -> None:
    rates = BaseRates((0.5, 1.0, 2.0), {"cosine #1": np.array([[0.88, 0.9, np.nan]])}, 50_000)
    figure = other_rates_figure(rates)
    assert figure.data[0].y.tolist() == pytest.approx([2.0, 0.0, 80.0])
    assert figure.layout.shapes[0].y0 == 1.0
    assert rates_description(rates).startswith("cosine #1 loses 1 point beyond")

"""The audit as a figure: what each pruner saves against what it loses, and in which families."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from study.page.look.palette import ACCENT
from study.page.style import TEMPLATE, on_white, title_of
from study.stats.replay import Replay

_COLOURS = {
    ("family-median", "val"): "#3b82c4",
    ("family-median", "averaged"): "#2a9d6f",
    ("median", "val"): "#e08a1e",
    ("median", "averaged"): "#8e63c7",
    ("predict", "val"): "#c2445e",
    ("predict", "averaged"): "#5d6b79",
}


def audit_figure(replays: Sequence[Replay], shown: Sequence[Replay], recommended: Replay | None) -> go.Figure:
    """Draw every replayed setting, and the false stops per family of some.

    Args:
        replays: All settings: a point each, epochs saved against the largest loss of any family.
        shown: Settings that get a row of false-stop shares by family, best first.
        recommended: The setting to point out, if any.
    """
    figure = make_subplots(
        rows=2,
        cols=1,
        row_heights=[0.55, 0.45],
        vertical_spacing=0.16,
        subplot_titles=(
            "What pruning saves and what it loses (filled: the winner is kept)",
            "Stopped trials that would have ended above their family's best kept one",
        ),
    )
    for (pruner, signal), colour in _COLOURS.items():
        mine = [r for r in replays if (r.setting.pruner, r.setting.prune_on) == (pruner, signal)]
        if mine:
            figure.add_trace(_points(f"{pruner}, {signal}", mine, colour), row=1, col=1)
    if recommended is not None:
        figure.add_trace(_ring(recommended), row=1, col=1)
    if shown:
        figure.add_trace(_shares(shown), row=2, col=1)
    figure.update_layout(template=TEMPLATE, height=820 + 18 * len(shown), legend_y=1.06)
    figure.update_xaxes(title_text="epochs saved", tickformat=".0%", row=1, col=1)
    figure.update_yaxes(title_text="points lost by the worst family", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(autorange="reversed", row=2, col=1)
    return on_white(figure, "What pruning would have cost this study")


def _points(name: str, replays: Sequence[Replay], colour: str) -> go.Scatter:
    return go.Scatter(
        name=name,
        mode="markers",
        cliponaxis=False,
        x=[r.saved for r in replays],
        y=[r.worst_loss for r in replays],
        marker={
            "color": colour,
            "size": 9,
            "symbol": ["circle" if r.winner_kept else "circle-open" for r in replays],
        },
        text=[f"{r.setting.flags}<br>{r.families_kept} of {r.families} families' best kept" for r in replays],
        hovertemplate="%{text}<br>%{x:.0%} of the epochs saved, worst family loses %{y:.2f} points<extra></extra>",
    )


def _ring(replay: Replay) -> go.Scatter:
    return go.Scatter(
        name="recommended",
        mode="markers",
        cliponaxis=False,
        x=[replay.saved],
        y=[replay.worst_loss],
        marker={"color": ACCENT, "size": 18, "symbol": "circle-open", "line": {"width": 2}},
        hoverinfo="skip",
    )


def _shares(replays: Sequence[Replay]) -> go.Heatmap:
    families = list(dict.fromkeys(f for r in replays for f in r.false_prunes))
    shares = [[r.false_prunes.get(f) for f in families] for r in replays]
    return go.Heatmap(
        x=[title_of(f) for f in families],
        y=[_short_name(r) for r in replays],
        z=shares,
        text=[["" if s is None else f"{s:.0%}" for s in row] for row in shares],
        texttemplate="%{text}",
        zmin=0,
        zmax=1,
        colorscale=[[0, "#eef1f4"], [1, ACCENT]],
        showscale=False,
        xgap=1,
        ygap=1,
        textfont={"color": "#2b2f36"},
        hovertemplate="%{y}<br>%{x}: %{text}<extra></extra>",
    )


def _short_name(replay: Replay) -> str:
    setting, rule = replay.setting, replay.setting.rule
    return (
        f"{setting.pruner} of {setting.prune_on}, after {rule.n_warmup_steps}, every {rule.interval_steps}, "
        f"startup {rule.n_startup_trials}, keep {rule.keep_best}"
    )

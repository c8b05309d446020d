"""Learning rate against time: the curve of a trial, and all of them in one figure, coloured by accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from study.core.metric import ACCURACY, Metric
from study.core.records import StudyRecord, TrialRecord
from study.core.thinning import thin_within
from study.page.look.palette import ACCURACY_COLOURS, GREY
from study.page.plots.learning_curves import Lines, joined
from study.page.style import COLOUR_BAR, AccuracyScale, Drawing, Floats, accuracy_scale, blank, f4, title_of

#: Points an epoch: a jump anywhere in it is drawn over a twentieth of an epoch.
POINTS = 20
#: A rate curve is thinned until it leaves the full one by at most this share of its highest rate.
RATE_TOLERANCE = 0.002
#: The same for curves in grey, which are there to be compared with.
SKETCH_TOLERANCE = 0.01
#: Said before the accuracy of the lowest colour, which whatever ended below it has as well.
AT_MOST, AT_LEAST = "≤ ", "≥ "


@dataclass(frozen=True)
class RateCurve:
    """The learning rate of one trial over its epochs.

    Attributes:
        trial: The trial.
        times: Time in epochs, shape [points].
        rates: Learning rate at those times, shape [points].
    """

    trial: TrialRecord
    times: Floats
    rates: Floats

    @property
    def thinned(self) -> RateCurve:
        """The curve with the fewest points that show its shape and its corners."""
        return self._within(RATE_TOLERANCE)

    @property
    def sketched(self) -> RateCurve:
        """The curve with the points that a thin line among many others needs."""
        return self._within(SKETCH_TOLERANCE)

    def _within(self, tolerance: float) -> RateCurve:
        kept = thin_within(self.times, self.rates, tolerance * float(self.rates.max(initial=0.0)))
        return RateCurve(self.trial, self.times[kept], self.rates[kept])


def rate_curve(trial: TrialRecord) -> RateCurve:
    """Return the learning rate over time, as far as the trial has trained.

    ``rate(t) = base_rate * schedule(t)``. A schedule that is driven by a metric saw each epoch's training
    loss, and sees it again here.

    Returns:
        The curve; empty where the trial has not ended its first epoch. An epoch's last point and the next
        one's first stand at the same time where a metric may move the rate in between.
    """
    trained = trial.epochs_trained
    schedule, base_rate = trial.spec.schedule, trial.spec.base_rate
    if trained == 0 or (schedule.metric_driven and not trial.epochs):
        return RateCurve(trial, np.empty(0), np.empty(0))
    if not schedule.metric_driven:
        times = np.linspace(0.0, trained, POINTS * trained + 1)
        return RateCurve(trial, times, base_rate * schedule(times))
    state, within = schedule.initial(), np.linspace(0.0, 1.0, POINTS + 1)
    parts = []
    for epoch in trial.epochs:
        parts.append(schedule.at(epoch.epoch + within, state))
        state = schedule.observe(state, epoch.train_loss)
    times = np.concatenate([epoch.epoch + within for epoch in trial.epochs])
    return RateCurve(trial, times, base_rate * np.concatenate(parts))


def rate_curves(record: StudyRecord) -> tuple[RateCurve, ...]:
    """Return the rate curve of every trial that has one."""
    return tuple(curve for curve in map(rate_curve, record.trials) if len(curve.times))


def binned(curves: Sequence[RateCurve], scale: AccuracyScale) -> dict[int | None, Lines]:
    """Return the curves by the colour of their accuracy, worst first; ``None``: not trained to the end."""
    groups: dict[int | None, list[RateCurve]] = {}
    for curve in curves:
        value = curve.trial.value
        groups.setdefault(None if value is None else scale.bin(value), []).append(curve)
    ordered = sorted(groups, key=lambda key: -1 if key is None else key)
    return {key: joined((c.trial.number, c.times, c.rates) for c in groups[key]) for key in ordered}


def draw(curves: Sequence[RateCurve], scale: AccuracyScale) -> tuple[Drawing, ...]:
    """Return the figure of all trials; none, before one has ended an epoch."""
    if not curves:
        return ()
    finished = [c for c in curves if c.trial.value is not None]
    best = max(finished, key=lambda c: c.trial.score, default=None)
    said = (
        f"Learning rates of {len(curves)} trials over the epochs, {len(finished)} of them trained to the end."
    )
    if best is not None:
        said = (
            f"The best trial, {_label(best.trial)}, rises to a rate of {best.rates.max():.3g} and ends at "
            f"{best.rates[-1]:.3g}. {said}"
        )
    return (
        Drawing(
            "rates", rate_figure(curves, scale), said, "Every trial, coloured by final validation accuracy"
        ),
    )


def rate_figure(
    curves: Sequence[RateCurve],
    scale: AccuracyScale | None = None,
    *,
    colour_bar: bool = True,
    height: int = 460,
) -> go.Figure:
    """Draw learning rate against time, coloured by accuracy, the best on top.

    Trials that did not train to the end are grey and stop where they stopped.

    Args:
        curves: One a trial.
        scale: Accuracy to colour; by default from the finished curves themselves.
        colour_bar: Show the scale.
        height: Pixels.
    """
    finished = [c.trial.value for c in curves]
    metric = curves[0].trial.metric if curves else ACCURACY
    scale = scale or accuracy_scale(finished, metric)
    figure = blank("epoch", "learning rate", height=height)
    labels = {c.trial.number: _label(c.trial) for c in curves}
    for colour, lines in binned([c.thinned for c in curves], scale).items():
        figure.add_scatter(
            x=f4(lines.x),
            y=f4(lines.y),
            text=[labels[n] for n in lines.numbers.tolist()],
            mode="lines",
            line={
                "color": GREY if colour is None else ACCURACY_COLOURS[colour],
                "width": 0.7 if colour is None else 1.0 + 1.2 * colour / (len(ACCURACY_COLOURS) - 1),
            },
            hovertemplate="%{text}<br>epoch %{x:.1f}: rate %{y:.3g}<extra></extra>",
            showlegend=False,
        )
    if colour_bar and any(a is not None for a in finished):
        figure.add_trace(_colour_bar(scale, metric))
        figure.update_layout(margin_t=64)
    return figure.update_yaxes(rangemode="tozero")


def _label(trial: TrialRecord) -> str:
    accuracy = "" if trial.last_accuracy is None else f": {trial.metric.value(trial.last_accuracy)}"
    ended = "" if trial.outcome == "finished" else f" ({trial.outcome})"
    return f"trial {trial.number}, {title_of(trial.family)}{accuracy}{ended}"


def _colour_bar(scale: AccuracyScale, metric: Metric) -> go.Scatter:
    colours = ACCURACY_COLOURS if metric.maximized else ACCURACY_COLOURS[::-1]
    steps = [[i / (len(colours) - 1), c] for i, c in enumerate(colours)]
    ticks = np.linspace(scale.low, scale.high, 4).tolist()
    return go.Scatter(
        x=[None],
        y=[None],
        name=COLOUR_BAR,
        mode="markers",
        marker={
            "color": [scale.low],
            "cmin": min(scale.low, scale.high),
            "cmax": max(scale.low, scale.high),
            "colorscale": steps,
            "showscale": True,
            "colorbar": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.01,
                "yanchor": "bottom",
                "len": 0.5,
                "thickness": 8,
                "outlinewidth": 0,
                "tickvals": ticks,
                "ticktext": [
                    f"{AT_MOST if metric.maximized else AT_LEAST}{ticks[0]:.3f}",
                    *(f"{tick:.3f}" for tick in ticks[1:]),
                ],
                "title": {"text": "final validation accuracy", "side": "top", "font": {"size": 11}},
            },
        },
        hoverinfo="skip",
        showlegend=False,
    )

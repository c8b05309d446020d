"""A learning-rate range test: raise the rate while training, watch the loss, put everything back.

In a loop of one's own, any that reads the rate from the optimizer::

    with RangeTest(optimizer, model, lowest=1e-6, highest=1.0, steps=100) as test:
        for _, (x, y) in zip(test, batches):
            ...
            optimizer.step()
            test.observe(loss)
    for group in optimizer.param_groups:
        group["lr"] = test.suggest()

or with a function that makes one update and returns its loss::

    test = RangeTest(optimizer, model).run(lambda: train_step(next(batches)))

Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3; the exponential rise, the
smoothing and the stop are those of fastai's ``lr_find`` (Gugger, "How Do You Find A Good Learning Rate", 2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, SupportsFloat

import numpy as np
from torch.optim import Optimizer

from lrsched.arguments import metric_number
from lrsched.groups import base_value, write
from lrsched.snapshot import Snapshot


class RangeTest:
    """Raises the rate from ``lowest`` to ``highest``, exponentially, over ``steps`` updates, and notes each loss.

    Iterating yields the rate of each update, which is in the optimizer's groups by then. It ends after ``steps``, or
    when the smoothed loss is not finite, or ``diverged`` times the lowest so far. On leaving the ``with``
    block, by whatever way, all that was handed over is put back to the last bit, in the same tensors: parameters,
    buffers, gradients and training mode of modules; the optimizer's state and groups; the state of anything else with
    ``state_dict`` or ``get_state`` (a scaler, a scheduler, a data loader's generator); the random numbers of Python,
    numpy and torch.

    Formula::

        rate(i) = lowest · (highest / lowest)^(i / (steps − 1)),  i = 0 … steps − 1

    Groups keep the proportions of their base rates; the one with the largest has the rate itself.

    Args:
        optimizer: Any torch optimizer.
        parts: What else the test changes: the model above all.
        lowest: Rate of the first update, > 0.
        highest: Rate of the last one.
        steps: Updates, at least 2.
        diverged: Multiple of the lowest smoothed loss at which to stop, > 1; infinity: never.
        smoothing: Weight of the past in the mean loss, in [0, 1).

    Raises:
        TypeError: A part cannot be put back.
        ValueError: A number is out of range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *parts: Any,
        lowest: float = 1e-7,
        highest: float = 10.0,
        steps: int = 100,
        diverged: float = 4.0,
        smoothing: float = 0.9,
    ) -> None:
        rules = {
            f"lowest must be > 0 and below highest, got lowest={lowest}, highest={highest}": (
                0.0 < lowest < highest < math.inf
            ),
            f"steps must be a whole number >= 2, got steps={steps}": steps >= 2 and steps == int(steps),
            f"diverged must be > 1, got diverged={diverged}": diverged > 1.0,
            f"smoothing must be in [0, 1), got smoothing={smoothing}": 0.0 <= smoothing < 1.0,
        }
        for rule, holds in rules.items():
            if not holds:
                raise ValueError(rule)
        self.optimizer = optimizer
        self.parts = parts
        self.diverged = diverged
        self.smoothing = smoothing
        self.schedule = np.geomspace(lowest, highest, int(steps))
        #: The rate and the loss of each update that was observed, and the smoothed loss.
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self._mean = 0.0
        self._snapshot: Snapshot | None = None

    def __enter__(self) -> Self:
        """Take note of everything that will be put back."""
        self._snapshot = Snapshot(self.optimizer, *self.parts)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put everything back."""
        if self._snapshot is not None:
            self._snapshot.restore()
        self._snapshot = None

    def __iter__(self) -> Iterator[float]:
        """Set and yield the rate of each update, until the loss diverges.

        Raises:
            RuntimeError: Not inside ``with``, or an update's loss was not observed.
        """
        if self._snapshot is None:
            raise RuntimeError("say `with RangeTest(...) as test:`, so that everything can be put back")
        groups = self.optimizer.param_groups
        bases = [base_value(group, "lr") for group in groups]
        shares = [base / max(bases) if max(bases) > 0.0 else 1.0 for base in bases]
        for done, rate in enumerate(self.schedule.tolist()):
            if len(self.losses) != done:
                raise RuntimeError(
                    f"update {done - 1} was made, but its loss is not known: call observe(loss)"
                )
            self.rates.append(rate)
            for group, share in zip(groups, shares, strict=True):
                write(group, "lr", rate * share)
            yield rate
            if self._over:
                return

    def observe(self, loss: SupportsFloat) -> None:
        """Note the loss of the update that was made with the present rate.

        Raises:
            RuntimeError: There is no rate that lacks a loss.
        """
        if len(self.losses) >= len(self.rates):
            raise RuntimeError("observe(loss) is called once for each rate, after its update")
        self.losses.append(metric_number("loss", loss))
        self._mean = self.smoothing * self._mean + (1.0 - self.smoothing) * self.losses[-1]
        self.smoothed.append(self._mean / (1.0 - self.smoothing ** len(self.losses)))

    def run(self, update: Callable[[], SupportsFloat]) -> Self:
        """Make the whole test with a function that makes one update and returns its loss."""
        with self:
            for _ in self:
                self.observe(update())
        return self

    def suggest(self, rule: str = "steepest") -> float:
        """Return the rate that a rule suggests as the peak rate of a schedule.

        ``"steepest"``: the rate at which the smoothed loss falls fastest over the logarithm of the rate, but for the
        last update (fastai's and Lightning's default of old). ``"minimum"``: a tenth of the rate at which the smoothed
        loss is lowest (Gugger 2018: "one order of magnitude before the minimum"). Both look only at what comes before
        the lowest smoothed loss. They are rules of thumb: look at the picture.

        Raises:
            ValueError: There is no such rule; or the loss never fell, so there is nothing to suggest.
        """
        if rule not in {"steepest", "minimum"}:
            raise ValueError(f"rule must be 'steepest' or 'minimum', got rule={rule!r}")
        finite = [loss for loss in self.smoothed if math.isfinite(loss)]
        lowest = int(np.argmin(finite)) if finite else 0
        # Less than rounding is no fall.
        if lowest < 2 or finite[0] - finite[lowest] <= 1e-9 * abs(finite[0]):
            raise ValueError(
                f"the loss did not fall over {len(self.losses)} updates, so no rate can be suggested: "
                "begin at a lower rate, or make more steps"
            )
        if rule == "minimum":
            return self.rates[lowest] / 10.0
        slopes = np.gradient(self.smoothed[: lowest + 1], np.log(self.rates[: lowest + 1]))
        return self.rates[int(np.argmin(slopes))]

    def figure(self) -> Any:
        """Return a plotly figure: loss and smoothed loss over the rate, and what the rules suggest.

        Raises:
            ImportError: plotly is not installed.
        """
        from plotly import graph_objects as go

        figure = go.Figure()
        figure.add_scatter(x=self.rates, y=self.losses, mode="markers", name="loss", opacity=0.4)
        figure.add_scatter(x=self.rates, y=self.smoothed, mode="lines", name="smoothed loss")
        for rule in ("steepest", "minimum"):
            try:
                rate = self.suggest(rule)
            except ValueError:  # nothing to suggest: the curve says why
                continue
            figure.add_vline(x=rate, line_dash="dot", annotation_text=f"{rule}: {rate:.2g}")
        figure.update_xaxes(type="log", title="learning rate")
        figure.update_yaxes(title="loss")
        return figure

    @property
    def _over(self) -> bool:
        """Whether the last smoothed loss shows that training diverges."""
        if not self.smoothed:
            return False
        lowest = min(self.smoothed)
        # Measured by its size, since a loss may be negative; not finite is over, too.
        return not self.smoothed[-1] - lowest <= (self.diverged - 1.0) * abs(lowest)

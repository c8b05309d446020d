"""A schedule of one's own: declared fields are checked, searched and written as JSON like ours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrsched import Schedule, Warmup, from_json, parameter


class Sawtooth(Schedule, name="sawtooth"):
    """Fall to zero again and again."""

    period: float = parameter("time of one fall", "time", above=True)

    def _value(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1.0 - t % self.period / self.period


schedule = Warmup(Sawtooth(period=4.0), length=2.0)
print([round(schedule(t), 3) for t in range(9)])
print(from_json(schedule.to_json()) == schedule)

"""How much of a lead is owed to which examples (images, say) were tested, beside which seeds were drawn.

Notation: for a leader and a rival, ``d[s, i]`` is the leader's gain minus the rival's with seed s on test
example i (for accuracy 1, 0 or -1); S seeds, I examples. Both are samples, crossed, so that

    d[s, i] = lead + seed effect[s] + example effect[i] + rest[s, i]

and the mean over all has the variance ``v_seeds / S + v_examples / I + v_rest / (S I)``. More seeds shrink the
first and the last part only. The parts are estimated from mean squares (two-way random effects, one
observation a cell; Searle, Casella and McCulloch 1992, chapter 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from study.stats.comparison import Floats


@dataclass(frozen=True)
class ExampleSums:
    """What the scores of a pair add up to: all that the variance over examples needs. Numbers, or ``[R]`` each.

    Attributes:
        examples: Test examples, I.
        seeds: Seeds with which both were typical, S.
        total: Sum of all ``d[s, i]``.
        by_seed: Sum over seeds of the squared sum over examples.
        by_example: Sum over examples of the squared sum over seeds.
        disputed: Sum of the squares: for accuracy, how often exactly one of the two was right.
    """

    examples: Any
    seeds: Any
    total: Any
    by_seed: Any
    by_example: Any
    disputed: Any

    @classmethod
    def of(cls, leader: ArrayLike, rival: ArrayLike) -> ExampleSums:
        """Add up gains of the same seeds on the same examples, ``[S, I]`` or ``[R, S, I]`` each; right or not as well."""
        first, second = np.asarray(leader), np.asarray(rival)
        kind = np.int8 if first.dtype == second.dtype == np.bool_ else np.float64
        d = np.subtract(first, second, dtype=kind)
        whole = np.int32 if kind is np.int8 else kind
        over_images, over_seeds = d.sum(-1, dtype=whole), d.sum(-2, dtype=whole)
        return cls(
            d.shape[-1],
            d.shape[-2],
            over_images.sum(-1, dtype=np.float64),
            np.square(over_images, dtype=np.float64).sum(-1),
            np.square(over_seeds, dtype=np.float64).sum(-1),
            np.square(d).sum((-1, -2), dtype=np.float64),
        )

    def variance(self) -> Any:
        """Return what the examples add to the variance of the mean difference, 0 at least.

        ``(MS_examples - MS_rest) / (S I)``, whose expectation is ``v_examples / I``. The part owed to seeds is
        ``MS_seeds / (S I)``, which is what a paired t-test over seeds divides by.
        """
        s, n = self.seeds, self.examples
        common = np.square(self.total) / (s * n)
        seeds = self.by_seed / n - common
        examples = self.by_example / s - common
        rest = np.maximum(self.disputed - common - seeds - examples, 0.0)
        mean_rest = rest / np.maximum((s - 1) * (n - 1), 1)
        return np.maximum(examples / max(n - 1, 1) - mean_rest, 0.0) / (s * n)


def half_over_both(error: Any, freedom: Any, variance: Any, needed: Any) -> Any:
    """Return half the width of a lead's interval over seeds and examples.

    Student's interval with the standard error ``sqrt(error^2 + variance)`` and Satterthwaite's degrees of
    freedom, those of the examples being as good as infinite; never narrower than the interval over seeds alone.

    Args:
        error: Standard error over seeds.
        freedom: Its degrees of freedom.
        variance: What the examples add, ``ExampleSums.variance``.
        needed: The interval's two-sided level is ``1 - needed``.
    """
    squared = np.square(error)
    both = squared + variance
    share = np.divide(squared, both, out=np.ones_like(np.asarray(both, dtype=np.float64)), where=both > 0)
    effective = freedom / np.maximum(share, 1e-6) ** 2
    alone: Floats = stats.t.isf(np.asarray(needed) / 2, freedom) * error
    return np.maximum(stats.t.isf(np.asarray(needed) / 2, effective) * np.sqrt(both), alone)

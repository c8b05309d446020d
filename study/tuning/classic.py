"""The classic families: what a search samples unless told otherwise."""

from __future__ import annotations

#: In catalogue order; ``lrsched`` has more.
CLASSIC = (
    "constant",
    "square_root",
    "factor",
    "multi_step",
    "polynomial",
    "linear",
    "cosine",
    "cosine_restarts",
    "cyclic",
    "one_cycle",
    "warmup_stable_decay",
    "plateau",
)

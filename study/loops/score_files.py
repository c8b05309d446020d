"""What finalists score on the test data with one seed, kept in a file: numbers and names, nothing that could be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from study.core.errors import InputError
from study.core.files import whole_file
from study.training.evaluation import Scores


def write_scores(file: Path, scores: Mapping[str, Scores]) -> None:
    """Keep the scores of a seed: a bit an example where it is right or not, else a number, or no examples."""
    found: dict[str, Any] = {"names": np.array(list(scores)), "losses": np.array([s.loss for s in scores.values()]),
             "metrics": np.array([s.metric for s in scores.values()])}  # fmt: skip
    each = [score.each for score in scores.values() if score.each is not None]
    if each and all(row.dtype == np.bool_ for row in each):
        found |= {"examples": np.array(len(each[0])), "right": np.packbits(np.stack(each), axis=1)}
    elif each:
        found["each"] = np.stack(each).astype(np.float64)
    with whole_file(file) as part, part.open("wb") as out:
        np.savez(out, **found)


def read_scores(file: Path, names: Sequence[str]) -> dict[str, Scores] | None:
    """Return the scores that an earlier process kept, if it did.

    Raises:
        InputError: The file cannot be read, or is of other runs.
    """
    if not file.exists():
        return None
    try:
        with np.load(file) as kept:
            each: Any = [None] * len(kept["names"])
            if "right" in kept:
                each = np.unpackbits(kept["right"], axis=1, count=int(kept["examples"])).astype(bool)
            elif "each" in kept:
                each = kept["each"]
            # Earlier versions kept scores on images alone: their accuracy is the share that is right.
            metrics = kept["metrics"] if "metrics" in kept else np.mean(each, axis=1)
            found = {str(n): Scores(float(loss), float(metric), row) for n, loss, metric, row
                     in zip(kept["names"], kept["losses"], metrics, each, strict=True)}  # fmt: skip
    except Exception as error:  # numpy and zipfile raise what they like on a damaged file
        raise InputError(f"{file}: damaged, or no scores of ours; remove it") from error
    if list(found) != list(names):
        raise InputError(f"{file}: is of other runs; remove it, or use another folder")
    return found

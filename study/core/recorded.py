"""What a parent run in MLflow can be of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Recorded(Protocol):
    """What a parent run is of: a study, or something else that trains runs with fixed settings."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def train_images(self) -> int:
        """Images trained on."""

    @property
    def data(self) -> Mapping[str, str]:
        """Checksums of the data files, by file name."""

    def to_json(self) -> dict[str, Any]:
        """Return all that was fixed, as plain data."""

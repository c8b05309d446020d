"""What records are of: what a parent run in MLflow can be of, and all that Optuna keeps with a trial."""

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


class Attributed(Protocol):
    """A trial as Optuna keeps it."""

    @property
    def user_attrs(self) -> dict[str, Any]:
        """What is shown of it."""

    @property
    def system_attrs(self) -> dict[str, Any]:
        """What is not."""


def kept(trial: Attributed) -> dict[str, Any]:
    """Return all that is kept with a trial: what is long where optuna-dashboard does not show it.

    Earlier versions kept all of it as user attributes. Each of those is one line of the trial's page in the dashboard,
    however long: the epochs of a trial made it 8,000 pixels wide.
    """
    return {**trial.user_attrs, **trial.system_attrs}

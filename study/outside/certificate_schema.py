"""What a certificate may hold, with limits: it is a file of somebody else's until its figures are computed again.

Fields that are not named here may be there too; nothing is read of them but what a JSON file may hold
(``json_text``), and ``certificate.check`` compares them with what the figures give.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

import lrsched
from study.outside.printable import short

Whole = Annotated[int, Field(ge=0, le=2**63)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Examples = Annotated[int, Field(ge=1, le=10**9)]
Figure = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Sum = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=300)]
Text = Annotated[str, Field(max_length=2_000)]
Runs = Annotated[list[Figure | None], Field(max_length=100_000)]


Tables = Annotated[
    dict[Name, Annotated[list[Runs], Field(min_length=1)]], Field(min_length=1, max_length=100)
]


class _Part(BaseModel):
    """A part of a certificate: types as JSON has them, nothing converted."""

    model_config = ConfigDict(strict=True, extra="allow")


class Asked(_Part):
    """What a finalist was asked to train."""

    number: Whole
    family: Name
    schedule: dict[str, Any]
    base_rate: Positive
    params: Annotated[dict[Name, bool | int | Figure | Text | None], Field(max_length=100)]
    epochs: Epochs
    seed: Whole
    offset: Whole
    lanes: Count

    @field_validator("schedule")
    @classmethod
    def _is_a_schedule(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Read it as whoever uses it will; the error is one of its own lines."""
        try:
            lrsched.from_json(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(short(error, 120)) from None
        return value


class Finalist(_Part):
    """Who was compared."""

    name: Name
    family: Name | None = None
    score: Figure | None = None
    heats: Annotated[list[Figure | None], Field(max_length=1000)] = []
    asked: Asked | None = None


class Study(_Part):
    """The settings that are read of a study."""

    name: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    epochs: Epochs = 1
    batch_size: Count = 1
    train_images: Examples = 1


class Plan(_Part):
    """When finalists were judged."""

    looks: Annotated[list[Count], Field(min_length=1, max_length=100)]
    level: Annotated[float, Field(ge=0.5, lt=1)]
    margin: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class Images(_Part):
    """What the scores of single images add up to, in version 2."""

    by_image: Sum
    disputed: Sum


class Row(_Part):
    """The leader against one other."""

    name: Name | None = None
    images: Images | None = None
    examples: dict[Name, Figure | None] | None = None


class Look(_Part):
    """One look of a plan."""

    differences: Annotated[list[Row], Field(max_length=100)]


class Verdict(_Part):
    """What the certificate says that its figures give."""

    looks: Annotated[list[Look], Field(max_length=100)] = []
    finalists: Annotated[list[dict[str, Any]], Field(max_length=100)] = []
    differences: Annotated[list[dict[str, Any]], Field(max_length=100)] = []


class Rates(_Part):
    """How finalists fare at multiples of their rates."""

    multiples: Annotated[list[Positive], Field(min_length=1, max_length=1_000)]
    accuracies: Tables | None = None
    values: Tables | None = None
    train_images: Examples | None = None
    train_examples: Examples | None = None

    @model_validator(mode="after")
    def _has_a_figure_a_multiple(self) -> Self:
        tables = self.values if self.accuracies is None else self.accuracies
        if tables is None or (self.train_images is None and self.train_examples is None):
            raise ValueError("the values at the multiples, or the number of examples, are missing")
        if any(len(row) != len(self.multiples) for rows in tables.values() for row in rows):
            raise ValueError("each seed needs a figure a multiple")
        return self


class Certificate(_Part):
    """A certificate of any version."""

    format: Annotated[str, Field(max_length=100)]
    version: Annotated[int, Field(ge=1, le=1_000)] = 1
    created: Annotated[str, Field(max_length=100)] = ""
    study: Study = Study()
    versions: Annotated[dict[Name, Text], Field(max_length=1_000)] = {}
    data: Annotated[dict[Name, Text], Field(max_length=1_000)] = {}
    revision: Text | None = None
    finalists: Annotated[list[Finalist], Field(min_length=2, max_length=100)]
    seeds: Annotated[list[Whole], Field(min_length=1, max_length=100_000)]
    accuracies: Annotated[list[Runs], Field(max_length=100_000)] | dict[Name, Runs] | None = None
    values: dict[Name, Runs] | None = None
    metric: dict[Name, Text | Figure | bool | list[Figure | None] | None] | None = None
    plan: Plan | None = None
    test_images: Examples | None = None
    examples: dict[Name, Text | Examples | None] | None = None
    verdict: Verdict
    rates: Rates | None = None

    @model_validator(mode="after")
    def _has_what_its_version_has(self) -> Self:
        """Version 1 kept a verdict's only look in the verdict itself."""
        if self.version == 1 and not {"finalists", "differences"} <= self.verdict.model_fields_set:
            raise ValueError("the verdict of version 1 needs its finalists and differences")
        return self


def fault(data: Any, versions: Container[int]) -> str | None:
    """Return what keeps a certificate of these versions from being read, in one line; ``None`` if nothing does.

    Another version's, and what is no object at all, are left to who knows them.
    """
    if not isinstance(data, dict):
        return None
    version = data.get("version", 1)
    if isinstance(version, int) and version not in versions:
        return None
    try:
        Certificate.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            return f"the field {short(place, 80)!r} is missing"
        return f"{short(place, 80)}: {short(first['msg'], 150)}, got {short(first['input'])}"
    return None

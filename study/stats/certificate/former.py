"""Certificates of earlier versions, read as those of today.

Version 1 held one look at a table that every finalist had finished, without plan and images. Version 2 knew no metric but
accuracy, and no test examples but images. Version 3 was judged by other rules: who fails too often could lead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from study.core.metric import ACCURACY
from study.core.records import ALL_IMAGES
from study.stats.certificate.fields import VERSION
from study.stats.verdict_record import Verdict


def today(certificate: Mapping[str, Any]) -> dict[str, Any]:
    """Return a certificate without misfits with the fields of this version; ``version`` stays what it was."""
    found = dict(certificate)
    if found["version"] == VERSION:
        return found
    if found["version"] < 3:
        found = _any_metric(found)
    looks = [_look_today(look) for look in found["verdict"].get("looks", [])]
    return {**found, "verdict": {**found["verdict"], "looks": looks}}


def _any_metric(found: dict[str, Any]) -> dict[str, Any]:
    """Return a certificate of version 1 or 2 with the fields that came when other metrics did."""
    tested = found.pop("test_images", None)
    trained = found["study"].get("train_images", ALL_IMAGES)
    found["metric"] = ACCURACY.to_json()
    found["examples"] = {"called": "images", "train": trained, "whole": ALL_IMAGES, "test": tested}
    found["values"] = found.pop("accuracies")
    if found["version"] == 1:
        names, rows = [f["name"] for f in found["finalists"]], found["values"]
        found["values"] = {name: [row[column] for row in rows] for column, name in enumerate(names)}
        found["plan"] = {"looks": [len(rows)], "level": found.pop("level"), "margin": found.pop("margin")}
    elif "rates" in found:
        rates = dict(found["rates"])
        rates["values"], rates["train_examples"] = rates.pop("accuracies"), rates.pop("train_images")
        found["rates"] = rates
    return found


def _look_today(look: Mapping[str, Any]) -> dict[str, Any]:
    """Return a look of version 2 or 3 with the names of this one."""
    return {**look, "differences": [_row_today(row) for row in look["differences"]]}


def _row_today(row: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in row.items() if name not in {"images", "examples"}}
    both = row.get("images", row.get("examples"))
    both = both and {("by_example" if name == "by_image" else name): value for name, value in both.items()}
    return {"fails_p": None, **rest, "examples": both}


def as_first_version(again: Verdict) -> dict[str, Any]:
    """Return a verdict with the names that certificates of version 1 give its figures."""
    data = again.to_json()
    outcome = "tie" if again.outcome == "undecided" else again.outcome
    return {**data, "differences": data["looks"][0]["differences"], "outcome": outcome}


def first_version(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is checked of a verdict of version 1: all but its words, its bootstrap and its hint."""
    left_out = {"probability_best", "p_holm", "needed", "ahead", "shared", "examples", "dropped", "fails_p"}
    kept = ("outcome", "winner", "leader", "contenders", "seeds", "finalists", "differences")
    rows = {k: [{n: v for n, v in row.items() if n not in left_out} for row in written[k]] for k in kept[-2:]}
    return {**{k: written.get(k) for k in kept}, **rows}

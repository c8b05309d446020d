"""Certificates of earlier versions, read as those of today.

Version 1 held one look at a table that every finalist had finished, without plan and images. Version 2 knew no metric but
accuracy, and no test examples but images.
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
    looks = found["verdict"].get("looks", [])
    found["verdict"] = {**found["verdict"], "looks": [_look_today(look) for look in looks]}
    return found


def _look_today(look: Mapping[str, Any]) -> dict[str, Any]:
    """Return a look of version 2 with the names of this one."""
    rows = []
    for row in look["differences"]:
        both = row.get("images")
        both = both and {
            ("by_example" if name == "by_image" else name): value for name, value in both.items()
        }
        rows.append({**{name: value for name, value in row.items() if name != "images"}, "examples": both})
    return {**look, "differences": rows}


def as_first_version(again: Verdict) -> dict[str, Any]:
    """Return a verdict with the names that certificates of version 1 give its figures."""
    data = again.to_json()
    outcome = "tie" if again.outcome == "undecided" else again.outcome
    return {**data, "differences": data["looks"][0]["differences"], "outcome": outcome}


def first_version(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is checked of a verdict of version 1: all but its words, its bootstrap and its hint."""
    left_out = {"probability_best", "p_holm", "needed", "ahead", "shared", "examples", "dropped"}
    kept = ("outcome", "winner", "leader", "contenders", "seeds", "finalists", "differences")
    rows = {k: [{n: v for n, v in row.items() if n not in left_out} for row in written[k]] for k in kept[-2:]}
    return {**{k: written.get(k) for k in kept}, **rows}

"""Certificates and checkpoints are files of somebody else's: hostile ones are refused in one line, and run no code."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.outside.printable import LONGEST_LINE
from study.stats import certificate as certificates
from study.stats.base_rates import BaseRates
from study.stats.certificate.fields import VERSION
from study.stats.sequential import Plan
from study.stats.verdict import verdict
from study.terminal.command import Command
from tests.making import config_of, spec_of

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "before"
FIRST: dict[str, Any] = json.loads((FIXTURES / "certificate.json").read_text("utf-8"))


def made() -> dict[str, Any]:
    """Return a certificate of this version: three finalists, two looks, tried at other base rates."""
    generator = np.random.default_rng(0)
    table = 0.9 + np.array([0.0, 0.0005, -0.002]) + generator.normal(0, 0.002, (8, 3))
    names = ["cosine #1", "linear #2", "constant #3"]
    result = verdict(table, names, Plan((5, 8)))
    asked = [spec_of(number).to_json() for number in range(3)]
    finalists = [
        {"name": n, "family": n.split()[0], "score": 0.9, "asked": a}
        for n, a in zip(names, asked, strict=True)
    ]
    rates = BaseRates((0.5, 1.0, 2.0), {name: np.full((2, 3), 0.9) for name in names}, 500)
    conditions = certificates.Conditions(config_of().to_json(), {"torch": "2"}, {"train": "0" * 64}, None)
    return certificates.build(conditions, finalists, table, result, rates=rates.to_json())


WHOLE = made()

Place = tuple[str | int, ...]
#: What a value is replaced by: another type, a limit passed, text that is none.
VALUES: tuple[Any, ...] = (
    None, True, -1, 10**9, 10**18, 1e300, -1e300, "", "text", "x" * 100_000, "\x1b[2Jowned", [], [[]], {}, {"": {}}, [None] * 3,
    {"schedule": "nothing"}, "__import__('os').mkdir('ran')",
)  # fmt: skip
#: In place of a value: there is none.
GONE = object()
#: Text in place of the whole file.
TEXTS = (
    "", "null", "[]", "{}", "1", '"text"', "{", "[" * 100_000, '{"a":' * 5_000 + "1" + "}" * 5_000, '{"version": [1]}',
    '{"version": ' + "9" * 400 + "}", '{"format": {}, "version": {}}', '{"format": "\\ud800"}', "\ufeff{}", "NaN",
    '{"version": NaN}', '{"version": Infinity}', '{"version": 1e999}', '{"version": -1e999}', '{"version": 2.5}',
    json.dumps(WHOLE)[:-10], json.dumps(WHOLE) + "x", json.dumps({**WHOLE, "version": VERSION + 1}), "\x00", "{'a': 1}",
)  # fmt: skip
BYTES = (b"\xff\xfe", b"\x80abc", b"PK\x03\x04", b"\x1f\x8b", json.dumps(WHOLE).encode("utf-16"))


def places(data: Any, at: Place = ()) -> Iterator[Place]:
    """Yield where values stand; of a list its first two entries are enough."""
    if isinstance(data, dict):
        for name, value in data.items():
            yield (*at, name)
            yield from places(value, (*at, name))
    elif isinstance(data, list):
        for index, value in enumerate(data[:2]):
            yield (*at, index)
            yield from places(value, (*at, index))


def put(data: Any, place: Place, value: Any) -> Any:
    """Return a copy of the data with another value at a place."""
    changed = copy.deepcopy(data)
    inner = changed
    for step in place[:-1]:
        inner = inner[step]
    if value is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return changed


def hostile() -> Iterator[tuple[str, str]]:
    """Yield certificates that were tampered with: each value in turn replaced by one of ours, and taken away."""
    for whole in (FIRST, WHOLE):
        for number, place in enumerate(places(whole)):
            about = f"{whole['version']}: {'.'.join(map(str, place))}" if "version" in whole else str(place)
            for value in VALUES[number % 9 :: 9]:
                yield f"{about}={value!r}", json.dumps(put(whole, place, value))
            yield f"{about} left out", json.dumps(put(whole, place, GONE))


def ended(name: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[Any, str, str]:
    command: Command = import_module(f"study.{name}").main
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        command.main(arguments)
    out, err = capsys.readouterr()
    return left.value.code, out, err


def test_a_certificate_that_was_tampered_with_never_ends_in_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused in one line, or its verdict is said not to follow, or what was changed is no claim."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "c.json"
    seen = 0
    for about, text in hostile():
        file.write_text(text, encoding="utf-8")
        code, out, err = ended("confirm", ["--check", "c.json"], capsys)
        assert code in {0, 1, 2}, about
        assert (code == 2) == bool(err), about
        assert len(err) <= LONGEST_LINE + 1, about
        assert err.count("\n") <= 1, about
        assert "\x1b" not in out + err, about
        seen += 1
    assert seen > 400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.json"]


@pytest.mark.parametrize(
    "content", [*(t.encode("utf-8", "surrogatepass") for t in TEXTS), *BYTES], ids=lambda c: ascii(c[:20])
)
def test_a_file_that_is_no_certificate_is_refused(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.json").write_bytes(content)
    code, out, err = ended("confirm", ["--check", "c.json"], capsys)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert len(err) <= LONGEST_LINE + 1


def test_what_a_report_shows_of_a_certificate_is_held_to_the_same(tmp_path: Path) -> None:
    """All that ``check`` lets through can be shown: the page is drawn from it, or it is refused."""
    from study.core.errors import InputError
    from study.page.verdict_text import Confirmation

    file = tmp_path / "c.json"
    shown = 0
    for about, text in hostile():
        file.write_text(text, encoding="utf-8")
        try:
            data = certificates.read(file)
            if certificates.check(data):
                continue
            confirmation = Confirmation.read(data)
        except InputError:
            continue
        assert confirmation.text().headline, about
        assert confirmation.by_family() is not None, about
        shown += 1
    assert shown > 20

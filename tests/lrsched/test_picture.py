"""Pictures: the numbers first, then that each kind of file holds a picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from lrsched import REGISTRY, Constant, Cosine, Plateau, SquareRoot, Warmup, picture


def test_the_curve_is_the_schedule() -> None:
    times, values = picture.curve(Cosine(20, 0.1), 25)
    assert (times[0], times[-1]) == (0, 25)
    assert (values == Cosine(20, 0.1)(times)).all()


def test_a_plateau_is_shown_on_a_metric_that_never_improves() -> None:
    times, values = picture.curve(Warmup(Plateau(0.5, patience=2), 2), 8)
    assert values[times == 0] == 0
    assert set(values[(times >= 2) & (times < 4)]) == {1.0}
    assert set(values[(times >= 4) & (times < 7)]) == {0.5}


def test_the_span_shows_the_whole_schedule() -> None:
    assert picture.default_span(Cosine(20)) == pytest.approx(22)
    assert picture.default_span(Constant()) == picture.default_span(SquareRoot()) == 30


def test_a_notebook_shows_a_small_picture() -> None:
    """One well-formed SVG without plotly, its curve from the top left to the bottom right for a fall."""
    for name, cls in REGISTRY.items():
        text = cls.example()._repr_html_()
        root = ET.fromstring(text)  # noqa: S314  # our own
        assert root.tag.endswith("svg")
        title = root.find("{http://www.w3.org/2000/svg}title")
        assert title is not None
        assert title.text == repr(cls.example()), name
        assert len(text) < 6000
    line = ET.fromstring(Cosine(20)._repr_html_()).find("{http://www.w3.org/2000/svg}polyline")  # noqa: S314
    assert line is not None
    points = [[float(number) for number in p.split(",")] for p in line.attrib["points"].split()]
    assert points[0] == [28, 22]
    assert points[-1] == [314, 102]
    assert [y for _, y in points] == sorted(y for _, y in points)


def test_several_over_each_other() -> None:
    figure = picture.draw({"a": Cosine(20), "b": Warmup(Cosine(20), 5)}, base_rate=0.3)
    assert [trace.name for trace in figure.data] == ["a", "b"]
    assert max(figure.data[0].y) == 0.3
    assert figure.layout.showlegend
    assert not picture.draw(Cosine(20)).layout.showlegend


def test_the_catalogue_shows_every_schedule() -> None:
    figure = picture.catalogue()
    assert len(figure.data) == len(REGISTRY)
    assert {note.text for note in figure.layout.annotations} == set(REGISTRY)
    for trace in figure.data:
        assert np.isfinite(trace.y).all()
        assert 0 <= min(trace.y) <= max(trace.y) <= 1


@pytest.mark.parametrize(
    ("ending", "magic"),
    [
        ("html", b"<!doctype html>"),
        pytest.param("png", b"\x89PNG", marks=pytest.mark.browser),
        pytest.param("svg", b"<svg", marks=pytest.mark.browser),
    ],
)
def test_files(ending: str, magic: bytes, tmp_path: Path) -> None:
    """The page holds its own plotly, so that it opens without a network."""
    path = tmp_path / f"out.{ending}"
    picture.write(picture.draw(Cosine(20)), path)
    content = path.read_bytes()
    assert content.startswith(magic)
    if ending == "html":
        assert b"cdn.plot.ly" not in content.split(b"</script>")[-2]
        assert len(content) > 1_000_000


def test_a_missing_browser_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plotly's own message for it is a plain RuntimeError of several lines."""
    missing = type("ChromeNotFoundError", (Exception,), {})

    def write_image(*_: object) -> None:
        error = RuntimeError("several\nlines")
        error.__context__ = missing()
        raise error

    figure = picture.draw(Cosine(20))
    monkeypatch.setattr(type(figure), "write_image", write_image)
    with pytest.raises(OSError, match=r"^a \.png needs Chromium or Chrome, and none was found"):
        picture.write(figure, tmp_path / "a.png")


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the picture must end in .html, .png, .svg, got 'a.pdf'"):
        picture.write(picture.draw(Cosine(20)), tmp_path / "a.pdf")
    with pytest.raises(ValueError, match="there is no schedule to draw"):
        picture.draw({})
    with pytest.raises(ValueError, match="span must be a finite number > 0, got span=-1"):
        picture.draw(Cosine(20), span=-1)

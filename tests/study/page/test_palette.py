"""The page's colours, measured: contrast to either page, and what readers without a cone can tell apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lrsched
from study.core.records import StudyRecord
from study.page.gather import gather
from study.page.look.marks import DASHES, SYMBOLS
from study.page.look.palette import (
    ACCENT,
    ACCURACY_COLOURS,
    APART,
    BLUE,
    DARK,
    GREY,
    HOVER,
    HUES,
    INK,
    ORANGE,
    PAPER,
)
from study.page.style import family_style
from tests.vision import VISIONS, apart, channels, ciede2000, contrast, lab

Maker = Callable[..., StudyRecord]

#: Pages by name: their background, and what a colour of a figure is on them.
PAGES: dict[str, tuple[str, Callable[[str], str]]] = {
    "light": (PAPER, lambda colour: colour),
    "dark": (DARK[PAPER], lambda colour: DARK.get(colour, colour)),
}
#: Contrast of text and of marks that WCAG 2.2 asks for (1.4.3, 1.4.11).
TEXT, MARK = 4.5, 3.0


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_measure_is_the_published_one(one: Any, other: Any, difference: float) -> None:
    """Pairs from the table of Sharma, Wu and Dalal (2005)."""
    measured = float(ciede2000(np.array(one, dtype=float), np.array(other, dtype=float)))
    assert measured == pytest.approx(difference, abs=1e-4)


def test_contrast_and_deficiencies_are_measured_as_their_sources_say() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert contrast("#000000", "#ffffff", opacity=0.0) == pytest.approx(1)
    for matrix in VISIONS.values():  # grey looks the same to everybody
        assert matrix.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-3)
    assert apart("#d00000", "#7a6a00", "protanopia") < apart("#d00000", "#7a6a00") / 2


@pytest.mark.parametrize("page", PAGES)
def test_every_colour_of_a_mark_stands_out_from_the_page(page: str) -> None:
    paper, shown = PAGES[page]
    for colour in (*HUES, *ACCURACY_COLOURS, GREY, ACCENT, BLUE, ORANGE, INK):
        assert contrast(shown(colour), paper) >= MARK, colour
    for text in (INK, ACCENT):
        assert contrast(shown(text), paper) >= TEXT, text
        assert contrast(shown(text), shown(HOVER)) >= TEXT, text


def families() -> list[str]:
    return sorted(lrsched.REGISTRY)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("page", PAGES)
def test_no_two_families_are_taken_for_each_other(page: str, vision: str) -> None:
    """A line is known by its dash or its hue, a mark by its symbol or its hue, whoever looks, in the whole catalogue."""
    _, shown = PAGES[page]
    for one, other in itertools.combinations(families(), 2):
        a, b = family_style(one), family_style(other)
        difference = apart(shown(a.colour), shown(b.colour), vision)
        assert a.dash != b.dash or difference >= APART, (one, other, difference)
        assert a.symbol != b.symbol or difference >= APART, (one, other, difference)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("page", PAGES)
def test_better_is_stronger_on_either_page_to_everybody(page: str, vision: str) -> None:
    paper, shown = PAGES[page]
    contrasts = [contrast(shown(colour), paper) for colour in ACCURACY_COLOURS]
    assert contrasts == sorted(contrasts)
    assert contrasts[-1] > 3 * contrasts[0]
    lightness = [float(lab(channels(shown(colour))[0], vision)[0]) for colour in ACCURACY_COLOURS]
    steps = np.diff(lightness)
    assert (np.sign(steps) == np.sign(steps[0])).all()


def test_marks_in_html_know_every_dash_and_symbol() -> None:
    styles = [family_style(family) for family in [*families(), *(f"own {n}" for n in range(50))]]
    assert {style.dash for style in styles} <= DASHES.keys()
    assert {style.symbol for style in styles} <= SYMBOLS.keys()


def drawn_colours(value: Any, opacity: float = 1.0) -> list[tuple[str, float]]:
    """Return every colour that a trace is drawn with, and its opacity."""
    found: list[tuple[str, float]] = []
    if isinstance(value, dict):
        own = opacity * float(value.get("opacity", 1.0))
        for key, each in value.items():
            if key in {"color", "fillcolor"} and key != "fillcolor":
                colours = each if isinstance(each, (list, tuple)) else [each]
                found += [(colour, own) for colour in colours if isinstance(colour, str)]
            elif key not in {"template", "colorbar", "hoverlabel", "font", "textfont"}:
                found += drawn_colours(each, own)
    elif isinstance(value, (list, tuple)):
        found += [pair for each in value for pair in drawn_colours(each, opacity)]
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_mark_of_every_figure_stands_out(made_up: Maker, page: str) -> None:
    """As drawn, opacity and all; fills that a line of their own goes around may be faint."""
    paper, shown = PAGES[page]
    figures = [drawing.figure for row in gather(made_up(200), None).drawings.values() for drawing in row]
    assert len(figures) > 25
    measured = 0
    for figure in figures:
        for trace in figure.data:
            for colour, opacity in drawn_colours(trace.to_plotly_json()):
                if channels(colour)[1] == 0:  # hollow
                    continue
                measured += 1
                assert contrast(shown(colour), paper, opacity) >= MARK, (trace.name, colour, opacity)
    assert measured > 100

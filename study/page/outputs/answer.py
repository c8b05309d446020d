"""A confirmed study's answer as a document's first screen, in Markdown: who won or that none did, how sure, what it rests on."""

from __future__ import annotations

import html
import os
import shlex
from pathlib import Path

import plotly.graph_objects as go

from study.core.errors import InputError
from study.core.records import DEFAULT_PROBLEM
from study.page.gather import Page
from study.page.style import Drawing, on_white
from study.page.verdict_text import Confirmation
from study.terminal.markdown import markdown_table, plain
from study.terminal.tables import Column

#: Name of the section in the document.
SECTION = "answer"
#: Figures beside the answer, by the page's section they are of: how sure it is, and the curve it speaks of.
PICTURES = ("verdict", "winner")


def answer(page: Page, certificate: Path, document: Path) -> str:
    """Return the answer as Markdown: headline, what it rests on, pictures, four figures, finalists, code, how to check it.

    Args:
        page: The study's page, with its verdict.
        certificate: File of the verdict; its pictures lie beside it.
        document: File that the text is for; its links lead from there.

    Raises:
        InputError: The page has no verdict.
    """
    confirmed = _confirmed(page)
    headline, *said = (page.verdict.headline, *page.verdict.sentences)
    parts = [
        f"**{plain(headline)}** {_about(page, confirmed)} {' '.join(map(plain, said))}",
        _shown(page, certificate, document),
        markdown_table(
            [Column(tile.label) for tile in page.tiles],
            [
                [f"**{plain(tile.value)}**" for tile in page.tiles],
                [plain(tile.detail) for tile in page.tiles],
            ],
        ),
        _finalists(page),
        *([] if page.code is None else [f"As code: `{page.code.line}`"]),
        _checked(certificate, document),
    ]
    return "\n\n".join(parts)


def answer_pictures(page: Page, certificate: Path) -> dict[Path, go.Figure]:
    """Return the figures beside the answer, by the file that each is kept in."""
    return {certificate.with_name(f"{d.id}.png"): on_white(d.figure, d.title) for d in _drawings(page)}


def _confirmed(page: Page) -> Confirmation:
    if page.confirmation is None:
        raise InputError("`markdown` states a verdict: confirm the study first, and give its `certificate`")
    return page.confirmation


def _drawings(page: Page) -> list[Drawing]:
    return [page.drawings[section][0] for section in PICTURES if page.drawings[section]]


def _about(page: Page, confirmed: Confirmation) -> str:
    """Return what was trained, in a sentence."""
    config = page.results.record.config
    what = "LeNet on Fashion-MNIST" if config.problem == DEFAULT_PROBLEM else plain(config.problem)
    precision = confirmed.study.get("precision", config.precision)
    return (
        f"({what}, {config.epochs} epochs, {len(page.results.record.trials)} trials of {len(config.schedules)} families "
        f"searched; finalists trained on {confirmed.trained:,} {config.noun} in {precision}, judged on the test data.)"
    )


def _shown(page: Page, certificate: Path, document: Path) -> str:
    """Return the pictures side by side, each with what it shows in words."""

    def tag(drawing: Drawing) -> str:
        path = _link(certificate.with_name(f"{drawing.id}.png"), document)
        return f'<img src="{html.escape(path)}" width="49%" alt="{html.escape(drawing.description)}">'

    return "\n".join(map(tag, _drawings(page)))


def _finalists(page: Page) -> str:
    shown = page.verdict
    columns = [Column(name, "right" if place else "left") for place, name in enumerate(shown.columns)]
    return markdown_table(columns, [[plain(cell) for cell in row] for row in shown.rows])


def _checked(certificate: Path, document: Path) -> str:
    """Return the command that checks the certificate, as it is run in the folder that the answer was written in."""
    named = shlex.quote(Path(os.path.relpath(certificate)).as_posix())
    figures = f"[its figures]({_link(certificate, document)})"
    return f"`python -m study.confirm --check {named}` computes the verdict again from {figures}."


def _link(path: Path, document: Path) -> str:
    return Path(os.path.relpath(path, document.parent)).as_posix()

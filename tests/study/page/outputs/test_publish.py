"""Laws of the notes: they say what the records say, and nothing in them is taken for markup."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

import lrsched
from study.core.records import StudyRecord
from study.page.family_table import Results
from study.page.outputs.publish import sparkline, study_note, trial_note
from study.page.plots.rate_curves import rate_curve
from study.page.text import VerdictText, hardly_tried, notices
from study.terminal.markdown import markdown_table, plain
from study.terminal.tables import Column

Maker = Callable[..., StudyRecord]


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([0.0, 0.0], "▁▁"),
        ([0.0, 1.0], "▁█"),
        ([1.0, 0.0], "█▁"),
        ([0.5, 0.5], "██"),
        ([0.0, 0.25, 0.5, 0.75, 1.0], "▁▃▅▆█"),
    ],
)
def test_a_curve_as_a_line_of_bars(values: list[float], drawn: str) -> None:
    assert sparkline(np.array(values)) == drawn


def test_a_long_curve_is_drawn_in_as_many_bars_as_asked() -> None:
    assert len(sparkline(np.linspace(0, 1, 601), width=60)) == 60


def test_markup_is_shown_as_it_stands() -> None:
    assert plain("<img src=x> **b** [a](b) `c` | d_e\n# f") == (
        r"&lt;img src=x&gt; \*\*b\*\* \[a\]\(b\) \`c\` \| d\_e \# f"
    )


def test_a_table_in_markdown_has_a_row_each_and_numbers_to_the_right() -> None:
    table = markdown_table([Column("family"), Column("trials", "right")], [["cosine", "8"], ["linear", "10"]])
    assert table.splitlines() == [
        "| family | trials |",
        "| --- | ---: |",
        "| cosine | 8 |",
        "| linear | 10 |",
    ]


def test_a_trials_note_tells_how_it_ended(made_up: Maker) -> None:
    record = made_up(100)
    for outcome, words in (
        ("finished", "trained to its end"),
        ("pruned", "pruned"),
        ("diverged", "diverged"),
    ):
        trial = next(t for t in record.trials if t.outcome == outcome)
        note = trial_note(trial)
        curve = rate_curve(trial)
        assert words in note
        assert lrsched.REGISTRY[trial.family].formula() in note
        assert f"from {curve.rates.min():.3g} to {curve.rates.max():.3g}" in note
        assert sparkline(curve.rates) in note
        assert f"base rate {trial.spec.base_rate:.4g}" in note


def test_a_family_that_was_hardly_tried_is_named(made_up: Maker) -> None:
    """Four trials or more, of which fewer than two finished above guessing: pruned and dead ones are no trial of it."""
    whole = made_up(60)
    everyone = [dataclasses.replace(t, value=0.9, outcome="finished") for t in whole.trials]
    assert hardly_tried(dataclasses.replace(whole, trials=tuple(everyone))) == ()
    ends = iter([0.9, 0.0955, None, None, None])
    trials = [
        dataclasses.replace(t, value=(end := next(ends)), outcome="pruned" if end is None else "finished")
        if t.family == "one_cycle"
        else t
        for t in everyone
    ]
    record = dataclasses.replace(whole, trials=tuple(trials))
    (sentence,) = hardly_tried(record)
    assert sentence.startswith("one_cycle was hardly tried: of 5 trials 1 learned something and finished.")
    assert sentence in notices(record)
    few = [t for t in trials if t.outcome == "finished"]
    assert hardly_tried(dataclasses.replace(whole, trials=tuple(few))) == ()


def test_a_reprieved_trial_says_so(made_up: Maker) -> None:
    trial = dataclasses.replace(made_up(1).trials[0], reprieved_at=7)  # the epoch's number, from 0
    assert "would have stopped it after 8 epochs" in trial_note(trial)


def test_a_trial_that_trained_nothing_has_no_picture(made_up: Maker) -> None:
    trial = dataclasses.replace(made_up(1).trials[0], epochs=(), reported={})
    assert "Learning rate over epochs" not in trial_note(trial)


def test_the_studys_note_leads_with_the_verdict_and_calls_search_scores_a_shortlist(made_up: Maker) -> None:
    record = made_up(100)
    note = study_note(Results.of(record), VerdictText("winner", "cosine <b>wins</b>.", ("It is ahead.",)))
    assert note.startswith("## cosine &lt;b&gt;wins&lt;/b&gt;.\n")
    assert "It is ahead." in note
    assert note.count("\n| ") == 2 + len(record.config.schedules)
    assert "not a result" in note


def test_an_empty_studys_note_says_that_it_is_empty(made_up: Maker) -> None:
    note = study_note(Results.of(made_up(0)), VerdictText("open", "No verdict yet."))
    assert "no trials yet" in note
    assert "|" not in note

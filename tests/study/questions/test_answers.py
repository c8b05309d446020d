"""What sweeps say: computed from their runs, chosen by validation, stated on the test images with intervals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from study.core.errors import InputError
from study.core.metric import ACCURACY, Metric
from study.questions.answers import answer
from study.questions.grids import QUESTIONS
from study.questions.pages import confirmed_in, figure, files_in, index_text, page_text, write_pages
from study.questions.summaries import Contrast, best, summed_up
from study.questions.sweep import Cell, Results, read_results
from tests.study.questions.made import results_of, run_of, sweep_of

DOCS = Path(__file__).resolve().parents[3] / "docs" / "results"


def jitter(seed: int) -> float:
    """What all runs of a seed have in common, and nothing that tells cells apart."""
    return 0.002 * math.sin(seed)


def test_a_contrast_is_the_paired_t_interval() -> None:
    """Of the seeds on which both ran well: equal to scipy's, a seed's own share cancelled, a bad run left out."""
    one, other = QUESTIONS["warmup"].cells(sweep_of("warmup"))[:2]
    ends = {1: (0.90, 0.89), 2: (0.91, 0.895), 3: (0.905, 0.9), 4: (0.90, 0.10), 5: (math.nan, 0.9)}
    runs = [run_of(cell, seed, pair[k]) for seed, pair in ends.items() for k, cell in enumerate((one, other))]
    first, second = summed_up(runs, ACCURACY)
    found = Contrast.of(first, second)
    differences = [0.01, 0.015, 0.005]
    expected = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((0.01, *expected))
    assert (found.seeds, first.bad, second.bad) == (3, 1, 1)
    assert str(found).startswith("1.00 points (")
    assert str(Contrast(ACCURACY, 0.01, math.nan, math.nan, 1)) == "1.00 points (no interval, 1 seed) above"


def test_nothing_is_chosen_by_the_test_images() -> None:
    """A cell that is better on the test images alone is not the best, nor does a bad test score make a run bad."""
    one, other = QUESTIONS["warmup"].cells(sweep_of("warmup"))[:2]
    runs = [run_of(cell, s, t, v) for s in (1, 2) for cell, t, v in ((one, 0.95, 0.88), (other, 0.5, 0.90))]
    chosen = best(summed_up(runs, ACCURACY))
    assert chosen.place == other.place
    assert (chosen.bad, chosen.test) == (0, 0.5)


def test_the_warm_up_that_is_best_is_said_for_every_multiple() -> None:
    def ends(cell: Cell, seed: int) -> float:
        length, multiple = float(cell.place["warm-up"]), float(cell.place["multiple"])
        if multiple == 4 and length < 2:
            return 0.1 if seed > 1 else 0.89
        return 0.9 - 0.002 * abs(length - multiple) + jitter(seed) + (1e-4 * seed if length else 0)

    said = answer(results_of("warmup", ends)).sentences
    assert len(said) == 3
    assert said[0].startswith(
        "linear #4 at its base rate: a warm-up of 1 of 30 epochs is best and ends 0.22 points (0.20 to 0.24, 3 seeds)"
    )
    assert "above none; 0 of 3 runs failed without a warm-up, 0 of 3 with it." in said[0]
    assert "at 2 times its base rate: a warm-up of 2 of 30" in said[1]
    assert "2 of 3 runs failed without a warm-up, 0 of 3 with it" in said[2]


def test_the_exponent_says_end_and_speed() -> None:
    def ends(cell: Cell, seed: int) -> float:
        off = abs(float(cell.place["power"]) - 2) + abs(float(cell.place["multiple"]) - 1)
        return 0.91 - 0.003 * off + jitter(seed)

    found = answer(results_of("exponent", ends))
    assert found.sentences[0].startswith(
        "Exponent 2 ends best, 0.30 points (0.30 to 0.30, 3 seeds) above exponent 1"
    )
    assert "a validation accuracy of 0.9000 after" in found.sentences[1]
    assert found.columns[-1].title == "epochs to 0.9000"
    assert len(found.rows) == 15
    assert {"30 epochs", "never"} >= {row[-1] for row in found.rows}


def test_the_fixed_rate_is_compared_with_the_schedule_and_an_edge_is_named() -> None:
    def ends(cell: Cell, seed: int) -> float:
        if cell.family != "constant":
            return 0.905 + jitter(seed)
        return 0.89 - 0.01 * abs(math.log(cell.base_rate / 0.15)) + jitter(seed)

    found = answer(results_of("rate", ends)).sentences
    assert found == (
        "The best of 8 fixed rates, 0.15, ends at 0.8913 after 30 epochs; linear #4 ends 1.50 points (1.50 to 1.50, 3 seeds) above it.",
    )
    rising = answer(
        results_of("rate", lambda cell, seed: 0.8 + 0.1 * cell.base_rate + jitter(seed))
    ).sentences
    assert rising[1] == "That is the highest rate tried: a better one may lie beyond it."


def test_a_winner_that_changes_is_said_to_change() -> None:
    """Each schedule at the best of its rates; the same data without the change say that it stays."""

    def changing(cell: Cell, seed: int) -> float:
        ahead = (cell.family == "linear") == (cell.epochs < 20)
        return 0.9 + 0.004 * ahead - 0.001 * abs(float(cell.place["multiple"]) - 1) + jitter(seed)

    short, ends, multiples = answer(results_of("horizon", changing)).sentences
    assert short.startswith(
        "The leader changes with the budget; on the validation data the leaders are linear #4 with 3"
    )
    assert short.endswith(
        " epochs, linear #4 with 10 epochs, one_cycle #7 with 30 epochs and one_cycle #7 with 90 epochs."
    )
    lead = "0.40 points (0.40 to 0.40, 3 seeds) above"
    assert ends.removesuffix(".").replace(": ", "; ").split("; ")[1:] == [
        f"with 3 epochs {lead} one_cycle #7",
        f"with 10 epochs {lead} one_cycle #7",
        f"with 30 epochs {lead} linear #4",
        f"with 90 epochs {lead} linear #4",
    ]
    assert multiples.endswith(" order: linear #4 1, 1, 1, 1; one_cycle #7 1, 1, 1, 1.")

    def noise(cell: Cell, seed: int) -> float:
        return 0.9 + 0.001 * math.sin(7 * seed + cell.epochs * len(cell.family))

    said = answer(results_of("horizon", noise)).sentences
    assert said[0].startswith("These seeds do not tell whether the leader changes with the budget; ")
    assert ", 3 seeds, not told from zero) " in said[1]
    same = answer(results_of("optimizer", lambda c, s: 0.9 - 0.01 * (c.family == "linear") + jitter(s)))
    assert same.sentences[0] == "one_cycle #7 leads with every optimizer."
    assert same.sentences[1].startswith(
        "On the test data the leader ends, against the next: with SGD 1.00 points"
    )
    assert same.sentences[3].startswith("8 of 8 best base rates lie at an end of their grid")


def test_a_leader_by_validation_that_the_test_data_put_behind_is_not_told_to_lead() -> None:
    """Two budgets, two leaders on the validation data, each surely behind on the test data: nothing changes for sure."""
    sweep = sweep_of("horizon")
    runs = []
    for cell in QUESTIONS["horizon"].cells(sweep):
        ahead = 0.004 * ((cell.family == "linear") == (cell.epochs < 20))
        runs += [
            run_of(cell, seed, 0.9 - ahead + jitter(seed), 0.9 + ahead + jitter(seed)) for seed in (1, 2, 3)
        ]
    said = answer(Results(Path("made.jsonl"), sweep, tuple(runs))).sentences
    assert said[0].startswith("These seeds do not tell whether the leader changes")
    assert said[1].count("0.40 points (0.40 to 0.40, 3 seeds) below") == 4


LOSS = Metric("loss", "minimize", chance=2.3, low=0.0)


def test_of_a_loss_the_least_is_best_and_differences_read_as_numbers_do() -> None:
    """The same ends as a share and as what it lacks of 1: the same choice, the same interval, the other side."""

    def ends(cell: Cell, seed: int) -> float:
        if cell.family != "constant":
            return 0.95 + jitter(seed)
        return 0.9 - 0.01 * abs(math.log(cell.base_rate / 0.15)) + jitter(seed) * cell.base_rate

    lacking = Metric("error", "minimize", chance=0.9, low=0.0, high=1.0)
    (share,) = answer(results_of("rate", ends)).sentences
    (error,) = answer(results_of("rate", lambda c, s: 1 - ends(c, s), metric=lacking)).sentences
    found = [each.split("linear #4 ends ")[1].split(", 3 seeds) ") for each in (share, error)]
    assert found[0][0] == found[1][0]
    assert [side for _, side in found] == ["above it.", "below it."]


def test_a_run_is_bad_by_the_metric_of_its_sweep() -> None:
    """A loss far above its siblings is bad, one far below is not; one at chance learned nothing."""
    cell = QUESTIONS["warmup"].cells(sweep_of("warmup"))[0]
    losses = {1: 0.5, 2: 0.51, 3: 0.9, 4: 0.3, 5: 2.3, 6: math.nan}
    (found,) = summed_up([run_of(cell, seed, value) for seed, value in losses.items()], LOSS)
    assert set(found.good) == {1, 2, 4}
    assert found.gain == -found.validation == pytest.approx(-(0.5 + 0.51 + 0.3) / 3)
    text = page_text(results_of("exponent", lambda _, seed: 0.5 + jitter(seed), metric=LOSS))
    assert "accuracy" not in text
    assert "first reaches a validation loss of 0.51 after" in text
    assert "ended 0.05111 above the better runs" in text


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("value", [0.9, 0.1, math.nan])
def test_any_runs_make_a_page_and_a_figure(question: str, value: float) -> None:
    """Good ones, some that learned nothing, diverged ones, one seed alone, or the first batch of a sweep."""
    whole = results_of(question, lambda _, seed: value + jitter(seed), seeds=1)
    for results in (whole, Results(whole.path, whole.sweep, whole.runs[:1])):
        text = page_text(results)
        assert text.startswith(f"# {QUESTIONS[question].asks}\n\n")
        assert "nan" not in text.replace("finance", "")
        assert "n = " in text
        figure(results).to_json()


def test_pages_are_written_beside_their_files_and_are_the_same_again(tmp_path: Path) -> None:
    results = results_of("rate", lambda _, seed: 0.9 + jitter(seed), path=tmp_path / "rate.jsonl")
    Results(results.path, results.sweep, ()).with_runs(results.runs)
    assert write_pages(tmp_path, figures=False) == [tmp_path / "rate.md", tmp_path / "questions.md"]
    (tmp_path / "larger.md").write_text(
        "# And a larger one?\n\n<!-- begin answer -->\n\n**Undecided: a \\#1 leads.** After 5 seeds.\n\n<!-- end answer -->\n"
    )
    (tmp_path / "notes.md").write_text("# No answer\n")
    write_pages(tmp_path, figures=False)
    line, confirmed = (tmp_path / "questions.md").read_text("utf-8").splitlines()[2:]
    assert confirmed == "- [And a larger one?](larger.md) Undecided: a \\#1 leads."
    assert line.startswith("- [What is the best that a fixed rate gives?](rate.md) ")
    written = (tmp_path / "rate.md").read_text("utf-8")
    assert written == page_text(read_results(tmp_path / "rate.jsonl")) == page_text(results)
    assert "python -m study.explore rate --seeds 3" in written
    assert "revision 0123456789ab" in written
    with pytest.raises(InputError, match="holds no sweep"):
        write_pages(tmp_path / "none", figures=False)


@pytest.mark.parametrize("path", files_in(DOCS), ids=lambda path: path.stem)
def test_the_pages_in_docs_are_those_of_their_files(path: Path) -> None:
    """Nobody typed a figure: each page in ``docs/results`` is what its file makes, byte by byte."""
    assert path.with_suffix(".md").read_text("utf-8") == page_text(read_results(path))
    assert path.with_suffix(".png").exists()
    assert {each.stem for each in files_in(DOCS)} == QUESTIONS.keys()
    listed = index_text([read_results(each) for each in files_in(DOCS)], confirmed_in(DOCS))
    assert path.with_name("questions.md").read_text("utf-8") == listed


def test_medians_of_epochs_are_of_whole_runs() -> None:
    cell = QUESTIONS["warmup"].cells(sweep_of("warmup"))[0]
    (found,) = summed_up(
        [run_of(cell, seed, end) for seed, end in enumerate((0.9, 0.6, math.nan), start=1)], ACCURACY
    )
    assert found.epochs_to(0.45) == 23
    assert found.epochs_to(0.7) == math.inf
    assert np.isfinite(found.epochs_to(0.1))

"""The rates of a replication against the sources' rules, written down by hand; what is trained and where."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from study.core.errors import InputError
from study.problems.fashion_mnist import Split
from study.terminal.cells import MISSING
from study.terminal.markdown import Section
from study.textbook.result_tables import as_markdown, tables
from study.textbook.runs import ARTICLE, CHAPTER, SOURCES, Replication, Source, epoch_rates
from study.textbook.statistics import Measured

BOTH = ("as published", "corrected")

# eta_T + (eta_0 - eta_T) / 2 * (1 + cos(pi n / T)) at n = 0 ... 5, worked out by hand:
CHAPTER_COSINE = [
    0.3,
    0.2982148094,
    0.2929031949,
    0.2841959460,
    0.2723074642,
    0.2575304833,
]  # .3 -> .01, T 20
ARTICLE_COSINE = [0.2, 0.1955950865, 0.1828115295, 0.1629006727, 0.1378115295, 0.11]  # .2 -> .02, T 10
AFTER_WARMUP = [0.2, 0.1910871981, 0.1661140822]  # .2 -> .02 over the 7 epochs after a warm-up of 3

#: The first six epochs' rates. As published: the optimizer's rate, then schedule(0), schedule(1), ...
FIRST_SIX: dict[tuple[str, str, str], list[float]] = {
    ("chapter", "constant", "both"): [0.3] * 6,
    ("chapter", "square root", "as published"): [0.1, 0.1, 0.0707106781, 0.0577350269, 0.05, 0.0447213595],
    ("chapter", "square root", "corrected"): [0.1, 0.0707106781, 0.0577350269, 0.05, 0.0447213595, 0.0408248290],
    # The chapter's plot has stepped the scheduler past both milestones: 0.5 * 0.5 * 0.5.
    ("chapter", "multi-factor", "as published"): [0.125] * 6,
    ("chapter", "multi-factor", "corrected"): [0.5] * 6,
    ("chapter", "cosine", "as published"): [0.3, *CHAPTER_COSINE[:5]],
    ("chapter", "cosine", "corrected"): CHAPTER_COSINE,
    ("chapter", "cosine, warm-up", "as published"): [0.3, 0.0, 0.06, 0.12, 0.18, 0.24],
    ("chapter", "cosine, warm-up", "corrected"): [0.0, 0.06, 0.12, 0.18, 0.24, 0.3],
    ("article", "constant", "both"): [0.3] * 6,
    ("article", "square root", "as published"): [0.1, 0.1, 0.0707106781, 0.0577350269, 0.05, 0.0447213595],
    ("article", "square root", "corrected"): [0.1, 0.0707106781, 0.0577350269, 0.05, 0.0447213595, 0.0408248290],
    # Called after epoch 0, the sources' factor schedule decays first and returns 0.48: not late.
    ("article", "factor", "both"): [0.6, 0.48, 0.384, 0.3072, 0.24576, 0.196608],
    ("article", "multi-factor", "both"): [0.5, 0.5, 0.5, 0.25, 0.25, 0.25],
    ("article", "cosine", "as published"): [0.2, *ARTICLE_COSINE[:5]],
    ("article", "cosine", "corrected"): ARTICLE_COSINE,
    ("article", "cosine, warm-up", "as published"): [0.2, 0.0, 0.2 / 3, 0.4 / 3, *AFTER_WARMUP[:2]],
    ("article", "cosine, warm-up", "corrected"): [0.0, 0.2 / 3, 0.4 / 3, *AFTER_WARMUP],
}  # fmt: skip


def replication(
    source: Source = CHAPTER, ways: tuple[str, ...] = BOTH, folder: Path = Path("runs")
) -> Replication:
    """A source's whole runs, with two seeds."""
    return Replication(source, ways, 2, source.epochs, 60_000, "cpu", {"train-images": "c59f"}, folder)


def rates_of(repeated: Replication, name: str, way: str) -> list[float]:
    """The rate of every epoch as the trainer is given it; it is one rate within an epoch."""
    lane = next(i for i, run in enumerate(repeated.runs) if (run.row.name, run.way) == (name, way))
    rates = epoch_rates(repeated.passes[0].runs[lane], steps=7)
    given = []
    for _ in range(repeated.epochs):
        within = rates.current()
        assert within.shape == (7,)
        assert len(set(within.tolist())) == 1
        given.append(float(within[0]))
        rates.observe(1.0)
    return given


@pytest.mark.parametrize(("source", "name", "way"), FIRST_SIX, ids="-".join)
def test_the_first_six_epochs_are_those_written_by_hand(source: str, name: str, way: str) -> None:
    given = rates_of(replication(SOURCES[source]), name, way)
    assert given[:6] == pytest.approx(FIRST_SIX[source, name, way], abs=1e-9)


def test_every_run_of_both_sources_is_written_by_hand() -> None:
    trained = {
        (source.name, run.row.name, run.way)
        for source in (CHAPTER, ARTICLE)
        for run in replication(source).runs
    }
    assert trained == FIRST_SIX.keys()


def test_late_schedules_never_use_their_last_value() -> None:
    """As published, epoch n runs at what epoch n - 1 runs at when corrected, for n > 0."""
    repeated = replication()
    for name in ("square root", "cosine", "cosine, warm-up"):
        late, right = (rates_of(repeated, name, way) for way in BOTH)
        assert late[1:] == right[:-1]
    assert rates_of(repeated, "cosine, warm-up", "corrected")[5] == pytest.approx(0.3)
    assert rates_of(repeated, "cosine, warm-up", "corrected")[20:] == pytest.approx([0.01] * 10)
    assert rates_of(repeated, "multi-factor", "corrected") == [0.5] * 15 + [0.25] * 15


def test_the_chapter_trains_its_multi_factor_run_with_a_spent_scheduler() -> None:
    """The scheduler of torch itself, stepped 30 times to be drawn and then once after each epoch, gives our rates."""
    optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[15, 30], gamma=0.5)
    rates: dict[str, list[float]] = {"drawn": [], "trained": []}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # steps without a gradient
        for stage in rates.values():
            for _ in range(30):
                stage.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                scheduler.step()
    repeated = replication()
    assert rates["drawn"] == rates_of(repeated, "multi-factor", "corrected")
    assert rates["trained"] == rates_of(repeated, "multi-factor", "as published") == [0.125] * 30


def test_what_is_the_same_in_both_ways_is_trained_once() -> None:
    """Nine lanes for the chapter's both ways, five for one; a seed is shared by a whole pass."""
    repeated = replication()
    assert [run.title for run in repeated.runs] == [
        "constant",
        *(f"{name}, {way}" for name in ("square root", "multi-factor", "cosine", "cosine, warm-up") for way in BOTH),
    ]  # fmt: skip
    assert len(replication(ways=("corrected",)).runs) == 5
    passes = repeated.passes
    assert [{run.seed for run in one.runs} for one in passes] == [{0}, {1}]
    assert repeated.label(0, 1)[0] == "constant seed 2"
    assert repeated.label(8, 1)[0] == "cosine, warm-up, corrected seed 2"
    # A lane's label says what its run trains, whatever the seed.
    named = {lane: repeated.label(lane, 1)[1]["run"] for lane in range(9)}
    assert {lane: run.base_rate for lane, run in enumerate(passes[1].runs)} == {
        lane: next(row.base_rate for row in CHAPTER.rows if row.name == name) for lane, name in named.items()
    }


def test_every_replication_has_its_own_folder() -> None:
    """Other ways, epochs, images or sources lie elsewhere; more seeds add to the same place."""
    first = replication()
    others = [
        replication(ways=("corrected",)),
        replication(ARTICLE),
        replace(first, epochs=3),
        replace(first, train_images=100),
    ]
    assert len({r.place for r in [first, *others]}) == 5
    more = replace(first, seeds=5)
    assert [p.checkpoint for p in more.passes[:2]] == [p.checkpoint for p in first.passes]


def test_a_replication_gives_what_its_epochs_gave(few: Split, tmp_path: Path) -> None:
    """The curves are the epochs' figures, seed by seed; a short run is not set beside published figures."""
    repeated = replace(
        replication(ways=("corrected",), folder=tmp_path),
        epochs=2,
        train_images=len(few.train),
        seeds=1,
    )
    (one,) = repeated.passes
    seen: dict[int, list[tuple[float, float, float | None]]] = {}
    one.train(
        repeated.lanes(replace(few, on_test=True), 0),
        lambda lane, epoch, _: seen.setdefault(lane, []).append(
            (epoch.train_loss, epoch.train_accuracy, epoch.test_accuracy)
        ),
    )
    for lane, measured in enumerate(repeated.measured()):
        assert measured.published is None
        assert measured.curves.shape == (1, 2, 3)
        assert measured.curves[0].tolist() == [list(row) for row in seen[lane]]


def test_published_figures_stand_beside_whole_runs_only() -> None:
    whole = replication()
    assert whole.comparable
    assert not replace(whole, epochs=29).comparable
    assert not replace(whole, train_images=50_000).comparable


def some(way: str, shift: float, published: tuple[float, float, float] | None) -> Measured:
    """Two seeds, one epoch."""
    curves = np.array([[[0.2, 0.93, 0.89]], [[0.22, 0.92, 0.88]]]) + shift
    return Measured("cosine", way, published, curves)


def test_tables_are_whole_and_their_markdown_has_a_cell_a_column() -> None:
    found = tables([some("as published", 0.0, (0.21, 0.925, 0.7)), some("corrected", 0.01, None)])
    assert [len(table.rows) for table in found] == [2, 2, 2, 3]
    assert all(len(row) == len(table.columns) for table in found for row in table.rows)
    test = found[2]
    assert test.rows[0][:3] == ("cosine, as published", "0.700", "0.8850")
    assert [row[6] for row in test.rows] == ["OUTSIDE", MISSING]
    assert [row[2] for row in found[3].rows] == ["+0.0100"] * 3
    assert "2 of 3 published figures are inside" in test.sentences[-1]
    lines = [line for line in as_markdown(found).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {9, 7}
    assert len(lines) == 2 * 4 + 9


def test_a_section_is_replaced_and_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    path.write_text("# Title\n<!-- begin b -->\nold\n<!-- end b -->\nlast\n", "utf-8")
    for text in ("new", "newer"):
        Section(path, "b").write(text)
        assert path.read_text("utf-8") == f"# Title\n<!-- begin b -->\n\n{text}\n\n<!-- end b -->\nlast\n"
        assert Section(path, "b").read() == text
    assert Section(path, "c").read() == ""
    fresh = Section(tmp_path / "fresh.md", "b")
    fresh.check()
    fresh.write("x")
    assert fresh.path.read_text("utf-8") == "<!-- begin b -->\n\nx\n\n<!-- end b -->\n"


@pytest.mark.parametrize(
    "text",
    [
        "no marks",
        "<!-- begin b -->",
        "<!-- end b --><!-- begin b -->",
        "<!-- begin b --><!-- end b --><!-- begin b --><!-- end b -->",
    ],
)
def test_a_file_without_its_section_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.md"
    path.write_text(text, "utf-8")
    for attempt in (Section(path, "b").check, lambda: Section(path, "b").write("x")):
        with pytest.raises(InputError, match=r"results\.md: needs the lines '<!-- begin b -->' and"):
            attempt()
    assert path.read_text("utf-8") == text

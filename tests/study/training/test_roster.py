"""Who trains in which lane: keys in order, epochs counted for each, mistakes of the holder named."""

from __future__ import annotations

import pytest

from study.training.roster import Roster


def test_mistakes_of_the_holder_are_named() -> None:
    roster = Roster()
    roster.add(3)
    with pytest.raises(ValueError, match="lane 3 trains already"):
        roster.add(3)
    with pytest.raises(ValueError, match="no lane trains 4"):
        roster.drop(4)
    with pytest.raises(ValueError, match="no lane trains 4"):
        roster.free(4)
    with pytest.raises(ValueError, match="no lane trains 4"):
        roster.row(4)
    assert roster.keys == [3]


def test_a_free_row_is_taken_before_a_new_one() -> None:
    """Rows stay where they are; a free one gives no figures and is not kept for another process."""
    roster = Roster()
    assert [roster.add(key) for key in (5, 6, 7)] == [0, 1, 2]
    assert [roster.free(6), roster.free(5)] == [1, 0]
    assert (len(roster), roster.rows, roster.keys, roster.row(7)) == (3, [2], [7], 2)
    assert [*roster.epoch([[0.5, 0.8]], [0.1], 1.0)] == [7]
    assert roster.state() == [(7, 1)]
    assert [roster.add(key) for key in (8, 6, 9)] == [0, 1, 3]
    assert roster.keys == [8, 6, 7, 9]
    assert roster.drop(6) == [0, 2, 3]
    assert (len(roster), roster.keys, roster.row(9)) == (3, [8, 7, 9], 2)


def test_epochs_are_counted_for_each_lane_from_its_start() -> None:
    """Lanes join and leave; what another process goes on from counts on."""
    roster = Roster()
    roster.add(7)
    roster.add(2)
    assert roster.epoch([[0.5, 0.8], [0.6, 0.7]], [0.1, 0.2], 1.0)[2].epoch == 0
    assert roster.drop(7) == [1]
    roster.add(9)
    again = Roster(roster.state())
    for each in (roster, again):
        found = each.epoch([[0.4, 0.9], [0.3, 0.6]], [0.3, 0.4], 2.0)
        assert {key: (e.epoch, e.rate, e.train_loss, e.train_accuracy) for key, e in found.items()} == {
            2: (1, 0.3, 0.4, 0.9),
            9: (0, 0.4, 0.3, 0.6),
        }


def test_figures_go_where_they_were_measured() -> None:
    """Two figures of training, two of the evaluation, two of the average, of which the accuracy is kept."""
    row = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]

    def given(figures: int, *, on_test: bool) -> tuple[float | None, ...]:
        roster = Roster([(0, 4)])
        e = roster.epoch([row[:figures]], [1.0], 1.0, on_test=on_test)[0]
        return e.val_loss, e.val_accuracy, e.test_loss, e.test_accuracy, e.averaged_accuracy

    assert given(2, on_test=False) == (None, None, None, None, None)
    assert given(4, on_test=False) == (0.3, 0.4, None, None, None)
    assert given(4, on_test=True) == (None, None, 0.3, 0.4, None)
    assert given(6, on_test=False) == (0.3, 0.4, None, None, 0.6)

"""The rule of reasons: an item that adds much to every item of a list is the reason for few of them."""

import numpy as np
import pytest

from jobs.models import reason_lift
from jobs.models.reason_lift import strongest_reasons_by_lift


def chosen(rows):
    return strongest_reasons_by_lift(np.array([rows], np.float64))[0].tolist()


def test_an_item_that_adds_most_everywhere_is_the_reason_where_it_adds_more_than_usual():
    newest, older, oldest = [9, 9, 12, 9], [1, 6, 1, 1], [2, 2, 2, 6]
    assert np.argmax([newest, older, oldest], axis=0).tolist() == [0, 0, 0, 0], "by the largest contribution"
    assert chosen([newest, older, oldest]) == [0, 1, 0, 2]


def test_a_tiny_contribution_does_not_count_more_for_being_the_only_one():
    assert chosen([[5, 5, 5], [0, 0, 0.1]]) == [0, 0, 0]


def test_of_equal_strengths_the_newest_is_the_reason_also_after_rounding():
    assert chosen([[1, 2], [1, 2]]) == [0, 0]
    assert chosen([[0.3], [0.1 + 0.2]]) == [0]


def test_of_one_recommended_item_the_reason_is_what_adds_most():
    assert chosen([[1], [3], [2]]) == [1]


def test_what_adds_nothing_is_no_reason():
    assert chosen([[-3, 0, 1], [-2, 0, 0]]) == [-1, -1, 0]
    assert chosen([[1, 1e-9], [1, 0]]) == [0, -1], "rounding alone"
    assert strongest_reasons_by_lift(np.empty((2, 0, 3))).tolist() == [[-1] * 3] * 2


def test_rows_of_several_lengths_are_judged_apart():
    absent = np.nan
    first, second = [[9.0, 9, 12], [1, 6, 1]], [[4.0, 1]]
    padded = np.array([first, [[4, 1, absent], [absent] * 3]])
    assert strongest_reasons_by_lift(padded).tolist() == [chosen(first), [*chosen(second), -1]]


@pytest.mark.parametrize(("shrinkage", "wanted"), [(0.0, [0, 1, 0]), (1e9, [0, 0, 0])])
def test_shrinkage_leads_from_pure_lift_to_the_largest_contribution(monkeypatch, shrinkage, wanted):
    monkeypatch.setattr(reason_lift, "SHRINKAGE", shrinkage)
    assert chosen([[9, 9, 9], [1, 2, 1]]) == wanted

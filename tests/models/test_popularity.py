"""Popularity against counts by hand."""

import numpy as np
import pytest
from known_answers import ITEMS, fit, fitted, held_out, shop, training

from jobs.core.sequences import Sequences
from jobs.errors import UsageError
from jobs.models.base import FitOptions
from jobs.models.registry import make_model
from jobs.models.scorer import recommend


def test_popularity_orders_by_count_and_equal_counts_by_index():
    rows = [[], [3], [5, 1, 20]]
    counts = np.bincount(training().items, minlength=ITEMS)
    by_count = np.argsort(-counts, kind="stable")
    scores, lists = recommend(fitted("popularity").scorer(shop()), Sequences.from_lists(rows), 10)
    for row, own in enumerate(rows):
        wanted = [item for item in by_count if item not in own][:10]
        assert lists[row].tolist() == wanted
        assert scores[row].tolist() == counts[wanted].tolist()


def test_popularity_counts_a_sequence_once_however_often_it_holds_an_item():
    model = fit("popularity", train=Sequences.from_lists([[2, 5, 2, 2], [5], [5, 1]]))
    assert model.item_scores[[1, 2, 5]].tolist() == [1, 1, 3]


def test_popularity_counts_targets_alone():
    viewed = Sequences.from_lists([[2, 5, 5], [2, 5], [1]])
    bought = Sequences(viewed.items, viewed.offsets, np.array([False, False, True, True, False, False]))
    assert fit("popularity", train=bought).item_scores[[1, 2, 5]].tolist() == [0, 1, 1]


def test_the_newest_sequences_count_where_validation_says_so():
    old, new = [[1, 2]] * 60, [[3, 4]] * 40
    wants_new = held_out([[5, 3], [6, 4]] * 20)
    model = fit("popularity", train=Sequences.from_lists(old + new), validation=wants_new, given={"recency": 0.0})
    assert model.chosen_parameters["newest_share"] < 1
    _, lists = recommend(model.scorer(shop()), Sequences.from_lists([[]]), 4)
    assert lists[0].tolist() == [3, 4, 1, 2]  # what only older sequences hold comes last, and is still there
    wants_old = held_out([[5, 1], [6, 2]] * 20)
    assert (
        fit("popularity", train=Sequences.from_lists(old + new), validation=wants_old).chosen_parameters["newest_share"]
        == 1
    )
    again = model.refit(Sequences.from_lists(old + new), shop(), FitOptions())
    assert again.item_scores.tolist() == model.item_scores.tolist()


def test_what_the_newest_sequences_end_with_counts_more_where_validation_says_so():
    train = Sequences.from_lists([[1, 2, 3]] * 90 + [[2, 1, 4]] * 10)
    wants_last = held_out([[5, 4]] * 40)
    model = fit("popularity", train=train, validation=wants_last, given={"newest_share": 1.0})
    assert model.chosen_parameters["recency"] > 0
    assert fit("popularity", train=train, validation=held_out([[5, 3]] * 40)).chosen_parameters["recency"] == 0


def test_the_share_of_sequences_that_count_is_at_most_all():
    with pytest.raises(UsageError, match="newest_share must be above 0 and at most 1, not"):
        make_model("popularity", {"newest_share": 1.5})

"""Popularity against counts by hand."""

import numpy as np
from known_answers import ITEMS, fit, fitted, shop, training

from jobs.core.sequences import Sequences
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
    assert model.counts[[1, 2, 5]].tolist() == [1, 1, 3]

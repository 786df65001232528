"""SKNN and V-SKNN against sums worked out by hand."""

import numpy as np
import pytest

from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions
from jobs.models.scorer import recommend
from jobs.models.sknn import SKNN, VSKNN

CATALOG = Catalog(np.array(list("abcdef"), np.object_), np.zeros((6, 1), np.float32), np.ones(6, np.bool_))
A, B, C, D, E, F = range(6)
SESSIONS = [[A, B, C], [A, B, B], [B, D], [E, A], [F, C]]  # the newest last
NOTHING = Cases(Sequences.from_lists([]), np.zeros(0, np.int64))


def scorer(family, **parameters):
    model = family(parameters)
    model.fit(Sequences.from_lists(SESSIONS), NOTHING, CATALOG, FitOptions())
    return model.scorer(CATALOG)


def scores_of(found, row, k=6):
    scores, items = recommend(found, Sequences.from_lists([row]), k)
    return {int(item): float(score) for item, score in zip(items[0], scores[0], strict=True) if item >= 0}


def test_sknn_sums_the_cosines_of_the_sessions_that_hold_an_item():
    # cosines of {a, b}: with {a, b, c} 2/√6, {a, b} 1, {b, d} 1/2, {e, a} 1/2
    found = scores_of(scorer(SKNN), [A, B])
    assert found == pytest.approx({C: 2 / 6**0.5, D: 0.5, E: 0.5})
    assert [*found] == [C, D, E], "equal ones by index"


def test_vsknn_weighs_by_age_and_raises_rare_items():
    # a is older than b and weighs 1/2: similarity of {a, b, c} 3/2, {b, d} 1, {e, a} 1/2; c is in 2 of 5 sessions, d
    # and e are in 1
    found = scores_of(scorer(VSKNN), [A, B])
    assert found == pytest.approx({C: 1.5 * (1 + np.log(5 / 2)), D: 1 + np.log(5), E: 0.5 * (1 + np.log(5))})


def test_an_item_counts_once_where_it_occurs_last():
    assert scores_of(scorer(VSKNN), [B, A, B, B]) == scores_of(scorer(VSKNN), [A, B])


def test_only_the_nearest_neighbours_count_and_of_equal_ones_the_newest():
    assert scores_of(scorer(SKNN, neighbours=2), [A, B]) == pytest.approx({C: 2 / 6**0.5})
    assert scores_of(scorer(SKNN, neighbours=3), [A, B]) == pytest.approx({C: 2 / 6**0.5, E: 0.5})


def test_a_sample_is_of_the_newest_sessions_that_share_an_item():
    assert scores_of(scorer(SKNN, sample=2), [A, B]) == pytest.approx({D: 0.5, E: 0.5})


def test_neighbours_may_hold_fewer_items_than_are_asked_for():
    scores, items = recommend(scorer(SKNN), Sequences.from_lists([[F]]), 4)
    assert items.tolist() == [[C, -1, -1, -1]]
    assert scores[0, 1:].tolist() == [-np.inf] * 3


def test_the_reason_is_the_item_that_gives_most_of_the_score():
    items = np.array([[C, D, E, F]], np.int32)
    # c: a contributes 1/2 and b 1, through the session {a, b, c}; no neighbour holds f
    assert scorer(VSKNN).reason_items(Sequences.from_lists([[A, B]]), items).tolist() == [[B, B, A, -1]]
    assert scorer(SKNN).reason_items(Sequences.from_lists([[B, A]]), items).tolist() == [[A, B, A, -1]], (
        "equal: the newest"
    )
    assert scorer(SKNN).reason_items(Sequences.from_lists([[A, B]]), items).tolist() == [[B, B, A, -1]], (
        "equal: the newest"
    )

    # d: a contributes 1/√2 through one session of two items, b 2 / √9 through two sessions of nine items
    rest = [C, E, F, *range(6, 11)]
    model, catalog = SKNN(), Catalog(np.arange(11).astype(np.object_), np.zeros((11, 1), np.float32), np.ones(11, bool))
    model.fit(Sequences.from_lists([[A, D], [B, D, *rest[1:]], [B, D, *rest[1:]]]), NOTHING, catalog, FitOptions())
    found = model.scorer(catalog).reason_items(Sequences.from_lists([[A, B]]), np.array([[D]], np.int32))
    assert found.tolist() == [[A]], "long sessions count less"


def test_items_of_weight_zero_find_no_neighbours():
    assert scores_of(scorer(SKNN, decay="last"), [A, F]) == pytest.approx({C: 0.5**0.5})


def test_an_item_that_the_catalogue_lost_changes_no_other_score():
    model = SKNN()
    model.fit(Sequences.from_lists(SESSIONS), NOTHING, CATALOG, FitOptions())
    without_d = Catalog(CATALOG.item_ids[[A, B, C, E, F]], np.zeros((5, 1), np.float32), np.ones(5, np.bool_))
    assert scores_of(model.scorer(without_d), [A, B]) == pytest.approx(
        {C: 2 / 6**0.5, D: 0.5}
    )  # the new index of e is the old one of d

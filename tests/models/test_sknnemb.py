"""SKNN on embeddings against sums worked out by hand: items are directions in a plane."""

import numpy as np
import pytest

from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions
from jobs.models.scorer import recommend
from jobs.models.sknnemb import SKNNEmb
from jobs.nightly.model_store import model_from_bytes, model_to_bytes

A, B, C, D, E, F = range(6)
# a and b are at right angles, c is half way between them, d is opposite to a, e has no vector; lengths do not matter
VECTORS = np.array([[2, 0], [0, 3], [1, 1], [-1, 0], [0, 0], [0, -1]], np.float32)
CATALOG = Catalog(np.array(list("abcdef"), np.object_), VECTORS, np.ones(6, np.bool_))
SESSIONS = [[A, C], [B, C], [A, D], [A, B, E], [B, F]]  # the newest last
NOTHING = Cases(Sequences.from_lists([]), np.zeros(0, np.int64))
HALF = 0.5**0.5


def fitted(sessions=SESSIONS, catalog=CATALOG, **parameters):
    model = SKNNEmb(parameters)
    model.fit(Sequences.from_lists(sessions), NOTHING, catalog, FitOptions())
    return model


def scores_of(row, catalog=CATALOG, **parameters):
    scores, items = recommend(fitted(catalog=catalog, **parameters).scorer(catalog), Sequences.from_lists([row]), 6)
    return {int(item): float(score) for item, score in zip(items[0], scores[0], strict=True) if item >= 0}


def cosine(left, right):
    return np.dot(left, right) / np.linalg.norm(left) / np.linalg.norm(right)


def test_scores_are_sums_of_the_likenesses_of_sessions_that_share_an_item():
    # similarity to (a): the mean of {a, c} is half way to c, that of {a, d} is zero, that of {a, b} is at 45 degrees
    assert scores_of([A]) == pytest.approx({C: cosine([1, 0], [1 + HALF, HALF]), B: HALF, E: HALF})


def test_dot_takes_the_lengths_of_the_means():
    assert scores_of([A], similarity="dot") == pytest.approx({C: (1 + HALF) / 2, B: 1 / 2, E: 1 / 2})


def test_items_of_the_sequence_weigh_by_age():
    # (a, b) is (1/2, 1) by 1/j: {a, c}, {b, c}, {a, d}, {a, b, e} and {b, f} share an item; the mean of {b, f} is zero
    query = [1 / 2, 1]
    by_a, by_b = cosine(query, [1 + HALF, HALF]), cosine(query, [HALF, 1 + HALF])
    assert scores_of([A, B]) == pytest.approx({C: by_a + by_b, E: cosine(query, [1, 1])})
    last = scores_of([A, B], decay="last")
    assert last == pytest.approx({C: cosine([0, 1], [1 + HALF, HALF]) + cosine([0, 1], [HALF, 1 + HALF]), E: HALF})


def test_items_of_a_training_session_weigh_by_its_own_decay():
    found = scores_of([A], training_decay="last")
    assert found == pytest.approx(
        {C: HALF}
    )  # {a, b, e} is represented by b, its last item with a vector, at right angles to a
    linear = scores_of([A], training_decay="harmonic")
    assert linear == pytest.approx({C: cosine([1, 0], [1 / 2 + HALF, HALF]), B: 1 / 5**0.5, E: 1 / 5**0.5})


def test_dissimilar_sessions_are_no_neighbours():
    assert scores_of([D]) == {}  # the mean of {a, d} is zero
    assert scores_of([D], training_decay="harmonic") == pytest.approx({A: 1})
    assert scores_of([A, D], decay="last", training_decay="harmonic") == pytest.approx({})  # no other session holds d


def test_items_without_a_vector_find_sessions_but_add_nothing_to_the_query():
    assert scores_of([A, E]) == pytest.approx({item: score for item, score in scores_of([A]).items() if item != E})
    assert scores_of([E]) == {}


def test_an_item_counts_once_where_it_occurs_last():
    assert scores_of([B, A, B, B]) == scores_of([A, B])


def test_only_the_nearest_neighbours_count():
    assert scores_of([A], neighbours=1) == pytest.approx({C: cosine([1, 0], [1 + HALF, HALF])})


def test_a_sample_is_of_the_newest_sessions_that_share_an_item():
    assert scores_of([A], sample=1) == pytest.approx({B: HALF, E: HALF})


def test_idf_raises_the_scores_of_rare_items():
    plain, raised = scores_of([A]), scores_of([A], idf=True)
    holders = {C: 2, B: 3, E: 1}
    assert raised == pytest.approx({item: plain[item] * (1 + np.log(5 / holders[item])) for item in plain})


def test_a_cold_item_of_the_sequence_is_read_but_finds_no_session():
    grown = Catalog(
        np.array(list("abcdefg"), np.object_), np.vstack([VECTORS, [[0, 5]]]).astype(np.float32), np.ones(7, np.bool_)
    )
    scorer = fitted().scorer(grown)
    scores, items = recommend(scorer, Sequences.from_lists([[A, 6], [6]]), 6)
    query = [1 / 2, 1]
    assert dict(zip(items[0].tolist(), scores[0].tolist(), strict=True)) == pytest.approx(
        {B: cosine(query, [1, 1]), E: cosine(query, [1, 1]), C: cosine(query, [1 + HALF, HALF]), -1: -np.inf}
    )
    assert (items[1] == -1).all()


def test_an_item_that_the_catalogue_lost_changes_no_other_score():
    without_c = [A, B, D, E, F]
    smaller = Catalog(CATALOG.item_ids[without_c], VECTORS[without_c], np.ones(5, np.bool_))
    model = model_from_bytes("sknnemb", {}, model_to_bytes(fitted(sessions=[[A, C, D], *SESSIONS[1:]]), CATALOG))
    scores, items = recommend(model.scorer(smaller), Sequences.from_lists([[0]]), 3)  # 0 is a, 1 b, 2 d, 3 e
    # the mean of {a, c, d} still points to c
    assert items.tolist() == [[1, 2, 3]]
    assert scores[0].tolist() == pytest.approx([HALF] * 3)


def test_the_reason_is_the_item_that_the_nearest_holders_share():
    items = np.array([[C, E, D, F, -1]], np.int32)
    # c: b contributes more through {b, c} than a through {a, c}; d: {a, d} is no neighbour; e: a and b contribute
    # equally, so the one that contributes less to the rest of the list is the reason; of a list of its own, the newest
    scorer = fitted().scorer(CATALOG)
    assert scorer.reason_items(Sequences.from_lists([[A, B]]), items).tolist() == [[B, A, -1, -1, -1]]
    assert scorer.reason_items(Sequences.from_lists([[B, A]]), items).tolist() == [[A, B, -1, -1, -1]]
    alone = np.array([[E]], np.int32)
    assert scorer.reason_items(Sequences.from_lists([[A, B]]), alone).tolist() == [[B]]
    assert scorer.reason_items(Sequences.from_lists([[B, A]]), alone).tolist() == [[A]]


@pytest.mark.parametrize("reduction", ["pca", "whitening", "random"])
def test_a_reduction_is_kept_with_the_model(reduction):
    model = fitted(reduction=reduction, width=2)
    again = model_from_bytes("sknnemb", model.parameters, model_to_bytes(model, CATALOG))
    rows = Sequences.from_lists([[A], [A, B], [C], [F]])
    before, after = (recommend(chosen.scorer(CATALOG), rows, 6) for chosen in (model, again))
    assert before[0].tolist() == after[0].tolist()
    assert before[1].tolist() == after[1].tolist()
    plain = recommend(fitted().scorer(CATALOG), rows, 6)
    assert before[0].tolist() != plain[0].tolist()

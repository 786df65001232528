"""The features of the reranker, worked out by hand on a few items."""

import numpy as np
import pytest

from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.reranker_features import ITEM_FEATURES, RELATION_FEATURES, FeatureTable, ItemHistory

VECTORS = np.array([[1, 0], [0, 2], [3, 3], [0, 0], [-1, 0]], np.float32)


def small_catalog(**changed):
    columns = {
        "item_ids": np.array(list("abcde"), np.object_),
        "embeddings": VECTORS,
        "available_mask": np.ones(5, np.bool_),
        "categories": np.array(["red", "red", "blue", "", "blue"], np.object_),
        "prices": np.array([1.0, np.e, np.nan, 0.0, 1.0]),
    }
    return Catalog(**{**columns, **changed})


def history(rows=((0, 1), (1,), (1, 2), (0, 0)), catalog=None):
    return ItemHistory.from_sequences(Sequences.from_lists(rows), catalog or small_catalog())


def features(sequence, candidates, catalog=None):
    """The features of candidates for one sequence, each by its name: float32 array (candidates,)."""
    table = FeatureTable(history(), catalog or small_catalog())
    rows = np.zeros(len(candidates), np.int64)
    found = table.features_of_pairs(Sequences.from_lists([sequence]), rows, np.array(candidates))
    return dict(zip((*ITEM_FEATURES, *RELATION_FEATURES, "length"), found.T, strict=True))


def test_popularity_is_a_share_of_the_newest_sequences_and_ages_are_shares_of_all():
    values = dict(zip(ITEM_FEATURES, history().values.T, strict=True))
    np.testing.assert_allclose(values["share of the newest 100% of sequences with it"], [0.5, 0.75, 0.25, 0, 0])
    np.testing.assert_allclose(values["share of the newest 50% of sequences with it"], [0.5, 0.5, 0.5, 0, 0])
    np.testing.assert_allclose(values["sequences since its first, as a share"], [1, 1, 0.5, np.nan, np.nan])
    np.testing.assert_allclose(values["sequences since its last, as a share"], [0.25, 0.5, 0.5, np.nan, np.nan])


def test_only_targets_are_counted():
    rows = Sequences.from_lists([[0, 1], [1]])
    bought = ItemHistory.from_sequences(
        Sequences(rows.items, rows.offsets, np.array([0, 1, 0], np.bool_)), small_catalog()
    )
    assert bought.values[:2, 0].tolist() == [0, 0.5]


def test_values_follow_the_items_to_another_catalogue_and_new_items_are_unseen():
    grown = small_catalog(item_ids=np.array(["_", "a", "b", "d", "e"], np.object_))
    values = history().values_for_catalog(grown)
    np.testing.assert_array_equal(values[1:], history().values[[0, 1, 3, 4]])
    np.testing.assert_array_equal(values[0], history().values[3])  # no sequence holds d either
    restored = ItemHistory.from_state(history().state(), small_catalog())
    np.testing.assert_array_equal(restored.values, history().values)


def test_no_history_at_all_gives_unseen_items():
    values = history(rows=()).values
    assert (values[:, 0] == 0).all()
    assert np.isnan(values[:, -1]).all()


def test_cosines_are_those_with_the_newest_items_and_their_mean_by_age():
    found = features([1, 0], [2, 3, 4])  # a is the newest
    half = np.sqrt(0.5)
    np.testing.assert_allclose(found["cosine with the newest item"], [half, np.nan, -1], rtol=1e-5)
    np.testing.assert_allclose(found["largest cosine"], [half, np.nan, 0], rtol=1e-5)
    np.testing.assert_allclose(found["mean cosine, by age"], [half, np.nan, -2 / 3], rtol=1e-5)


def test_an_item_without_a_vector_counts_in_no_mean():
    found = features([1, 3], [2])
    np.testing.assert_allclose(found["cosine with the newest item"], np.nan)
    np.testing.assert_allclose(found["mean cosine, by age"], np.sqrt(0.5), rtol=1e-5)


def test_the_share_of_a_category_weighs_newer_items_more():
    found = features([0, 4], [1, 2, 3])  # e, which is blue, is the newest
    np.testing.assert_allclose(found["share of its category, by age"], [1 / 3, 2 / 3, np.nan], rtol=1e-5)


def test_prices_are_compared_by_their_logarithms_and_only_where_there_are_any():
    found = features([1, 0, 3], [1, 2, 4])  # the newest item has no price
    mean = (1 * 1 / 3 + 0 * 1 / 2) / (1 / 3 + 1 / 2)
    np.testing.assert_allclose(found["log of its price over the mean, by age"], [1 - mean, np.nan, -mean], rtol=1e-5)


def test_items_of_the_sequence_itself_are_counted_and_dated():
    found = features([0, 1, 0, 2], [0, 1, 4])
    assert found["times in the sequence"].tolist() == [2, 1, 0]
    np.testing.assert_array_equal(found["places since its last in the sequence"], [1, 2, np.nan])
    assert found["length"].tolist() == [4, 4, 4]


@pytest.mark.parametrize("missing", ["categories", "prices"])
def test_a_catalogue_without_a_column_has_features_that_are_not_known(missing):
    empty = {"categories": np.empty(0, np.object_), "prices": np.empty(0)}[missing]
    name = {"categories": "share of its category, by age", "prices": "log of its price over the mean, by age"}[missing]
    assert np.isnan(features([0, 1], [2, 4], small_catalog(**{missing: empty}))[name]).all()


def test_an_empty_sequence_relates_to_nothing():
    found = features([], [0, 1])
    assert all(np.isnan(found[name]).all() for name in RELATION_FEATURES)
    assert found["length"].tolist() == [0, 0]

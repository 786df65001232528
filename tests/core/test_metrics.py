"""Metrics of recommendation lists: answers computed by hand, and properties that hold for all lists."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.metrics import (
    METRICS,
    case_values,
    commonest_reason_shares,
    coverage,
    evaluate,
    intra_list_similarities,
    list_novelties,
    most_popular_items,
    target_ranks,
)

COUNTS = np.array([8, 4, 2, 1, 1])  # of 16: 1, 2, 3, 4 and 4 bits of surprise
LISTS = np.array([[0, 1, 2], [1, 2, -1], [3, 4, 0], [-1, -1, -1]])
TARGETS = np.array([0, 2, 1, 3])


def values(lists, targets, counts=COUNTS, size=None, k=None, **options) -> dict[str, float | None]:
    rows = evaluate(lists, targets, counts, size, [k or np.shape(lists)[1]], resample_count=0, **options)
    return dict(zip(rows["metric"], rows["value"], strict=True))


@st.composite
def cases(draw, least=0):
    size = draw(st.integers(3, 8))
    width = draw(st.integers(1, size))
    one_list = st.lists(st.integers(0, size - 1), unique=True, max_size=width)
    rows = draw(st.lists(one_list, min_size=least, max_size=12))
    lists = np.array([row + [-1] * (width - len(row)) for row in rows], dtype=np.int32).reshape(len(rows), width)
    targets = draw(st.lists(st.integers(-1, size - 1), min_size=len(rows), max_size=len(rows)))
    counts = draw(st.lists(st.integers(0, 50), min_size=size, max_size=size))
    return lists, np.array(targets, dtype=np.int32), np.array(counts)


# --- known answers


def test_all_metrics_by_hand():
    # The targets' ranks are 1, 2, none, none. Item 0 is the most popular, so a hit on it is never serendipitous.
    at_three = values(LISTS, TARGETS, size=10)
    assert at_three == pytest.approx(
        {
            "ndcg": (1 + 1 / math.log2(3)) / 4,
            "hit_rate": 2 / 4,
            "mrr": (1 + 1 / 2) / 4,
            "coverage": 5 / 10,
            "serendipity": 0.0,  # items 0, 1 and 2 are the popular ones at 3
            "novelty": (2 + 5 / 2 + 9 / 3) / 3,  # the empty list has no novelty
        }
    )
    at_two = values(LISTS, TARGETS, k=2)
    assert at_two["serendipity"] == 1 / 4
    assert at_two["coverage"] == 5 / 5
    assert values(LISTS, TARGETS, k=1)["hit_rate"] == 1 / 4


def test_frame_has_a_row_a_metric_and_cut_off():
    rows = evaluate(LISTS, TARGETS, COUNTS, 10, ks=(3, 1, 3))
    assert rows.columns == ["metric", "k", "value", "n", "ci_low", "ci_high"]
    assert list(zip(rows["metric"], rows["k"], strict=True)) == [(m, k) for k in (1, 3) for m in METRICS]
    without_interval = rows.filter(pl.col("ci_low").is_null() | pl.col("ci_high").is_null())
    assert set(without_interval["metric"]) == {"coverage"}
    n = dict(zip(rows["metric"], rows["n"], strict=True))
    assert n == {metric: 3 if metric == "novelty" else 4 for metric in METRICS}


def test_target_ranks():
    assert target_ranks(LISTS, TARGETS).tolist() == [1, 2, 0, 0]
    assert target_ranks(np.array([[1, -1], [-1, -1]]), np.array([-1, -1])).tolist() == [0, 0]
    assert target_ranks(np.empty((2, 0), dtype=np.int32), np.array([0, 1])).tolist() == [0, 0]


def test_popular_items_have_a_total_order():
    assert most_popular_items(np.array([3, 5, 3, 5, 0]), 3).tolist() == [1, 3, 0]
    assert most_popular_items(np.array([3, 0, 3], dtype=np.uint8), 10).tolist() == [0, 2]
    assert most_popular_items(np.array([], dtype=np.int64), 2).tolist() == []


def test_novelty_of_short_empty_and_uncounted_lists():
    lists = np.array([[0, -1], [-1, -1], [0, 2]])
    assert list_novelties(lists, np.array([3, 1, 0])).tolist() == pytest.approx(
        [math.log2(4 / 3), math.nan, (math.log2(4 / 3) + 2) / 2], nan_ok=True
    )
    assert np.isnan(list_novelties(lists, np.zeros(3, dtype=np.int64))).all()


def test_coverage_counts_an_item_once_and_no_padding():
    lists = np.array([[0, 1], [1, -1]])
    assert coverage(lists, 2, 4) == 2 / 4
    assert coverage(lists, 1, 4) == 2 / 4
    assert coverage(np.empty((0, 2), dtype=np.int32), 2, 4) is None
    with pytest.raises(ValueError, match="catalogue only 1"):
        coverage(lists, 2, 1)


# --- edges


def test_no_cases():
    rows = evaluate(np.empty((0, 20), dtype=np.int32), [], COUNTS)
    assert rows["n"].to_list() == [0] * 12
    assert rows["value"].null_count() == rows["ci_low"].null_count() == rows["ci_high"].null_count() == 12


def test_a_single_case_has_an_interval_of_no_width():
    rows = evaluate([[2, 0]], [0], COUNTS, ks=[2]).filter(pl.col("metric") != "coverage")
    assert rows["ci_low"].to_list() == rows["value"].to_list() == rows["ci_high"].to_list()


def test_targets_outside_the_catalogue_are_misses():
    found = values([[1, -1], [0, 1]], [-1, -1])
    assert {found[metric] for metric in ("ndcg", "hit_rate", "mrr", "serendipity")} == {0.0}


def test_all_lists_empty():
    found = values([[-1, -1]], [1])
    assert found["novelty"] is None
    assert found["coverage"] == found["hit_rate"] == 0.0


@pytest.mark.parametrize(
    ("lists", "targets", "counts", "ks", "message"),
    [
        ([[0, 1]], [0, 1], COUNTS, [2], "need lists"),
        ([0, 1], [0, 1], COUNTS, [1], "need lists"),
        ([[0, 5]], [0], COUNTS, [2], "recommended_lists must hold"),
        ([[0, -2]], [0], COUNTS, [2], "recommended_lists must hold"),
        ([[0, 1]], [5], COUNTS, [2], "targets must hold"),
        ([[0, 0]], [0], COUNTS, [2], "twice"),
        ([[-1, 0]], [0], COUNTS, [2], "before an item"),
        ([[0, 1]], [0], -COUNTS, [2], "negative"),
        ([[0.0, 1.0]], [0], COUNTS, [2], "integers"),
        ([[0, 1]], [0], COUNTS, [3], "cut-offs"),
        ([[0, 1]], [0], COUNTS, [0, 1], "cut-offs"),
    ],
)
def test_wrong_input_is_refused_with_its_cause(lists, targets, counts, ks, message):
    with pytest.raises(ValueError, match=message):
        evaluate(lists, targets, counts, ks=ks)


def test_an_interval_does_not_depend_on_the_other_cut_offs():
    two = evaluate(LISTS, TARGETS, COUNTS, ks=(2, 3), seed=9)
    assert two.filter(pl.col("k") == 3).equals(evaluate(LISTS, TARGETS, COUNTS, ks=[3], seed=9))


# --- properties


@given(cases(least=1))
@settings(max_examples=60, deadline=None)
def test_order_between_metrics_and_growth_with_k(case):
    lists, targets, counts = case
    before = None
    for k in range(1, lists.shape[1] + 1):
        found = case_values(lists, targets, counts, k)
        assert (found["mrr"] <= found["ndcg"]).all()
        assert (found["ndcg"] <= found["hit_rate"]).all()
        assert (found["serendipity"] <= found["hit_rate"]).all()
        for metric in ("ndcg", "hit_rate", "mrr"):
            assert before is None or (before[metric] <= found[metric]).all()
        assert coverage(lists, k, len(counts)) >= (coverage(lists, k - 1, len(counts)) if before else 0)
        before = found


@given(cases(least=1))
@settings(max_examples=60, deadline=None)
def test_agrees_with_a_plain_loop(case):
    lists, targets, counts = case
    k = lists.shape[1]
    popular = sorted(range(len(counts)), key=lambda item: (-counts[item], item))[:k]
    gains, surprises = [], []
    for row, target in zip(lists.tolist(), targets.tolist(), strict=True):
        hit = target >= 0 and target in row
        gains.append(1 / math.log2(row.index(target) + 2) if hit else 0.0)
        surprises.append(float(hit and not (target in popular and counts[target] > 0)))
    found = values(lists, targets, counts)
    assert found["ndcg"] == pytest.approx(sum(gains) / len(gains))
    assert found["serendipity"] == pytest.approx(sum(surprises) / len(surprises))


@given(cases(least=1), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_order_of_the_cases_does_not_matter_and_intervals_hold_their_value(case, random):
    lists, targets, counts = case
    order = random.sample(range(len(lists)), len(lists))
    rows = evaluate(lists, targets, counts, ks=[lists.shape[1]])
    again = evaluate(lists[order], targets[order], counts, ks=[lists.shape[1]])
    for column in ("value", "ci_low", "ci_high"):
        assert rows[column].to_list() == pytest.approx(again[column].to_list())
    inside = rows.drop_nulls()
    assert (inside["ci_low"] <= inside["value"] + 1e-9).all()
    assert (inside["value"] <= inside["ci_high"] + 1e-9).all()


def test_the_share_of_the_commonest_reason_counts_items_with_a_reason():
    reasons = np.array([[7, 7, 3, -1], [-1, -1, -1, -1], [5, -1, -1, -1], [1, 2, 3, 4]])
    np.testing.assert_array_equal(commonest_reason_shares(reasons), [2 / 3, np.nan, 1, 1 / 4])


def test_intra_list_similarity_is_the_mean_cosine_of_all_pairs():
    vectors = np.array([[1, 0], [2, 0], [0, 3], [0, 0]], np.float32)
    lists = np.array([[0, 1, 2], [0, 1, 3], [2, 0, -1], [1, 3, -1], [-1, -1, -1]])
    found = intra_list_similarities(lists, vectors)
    np.testing.assert_allclose(found, [(1 + 0 + 0) / 3, 1, 0, np.nan, np.nan])
    rows = evaluate(lists, np.zeros(5, int), np.ones(4, int), ks=[2], resample_count=10, item_vectors=vectors)
    [row] = rows.filter(pl.col("metric") == "intra_list_similarity").to_dicts()
    assert (row["value"], row["n"]) == (pytest.approx((1 + 1 + 0) / 3), 3)
    without = evaluate(lists, np.zeros(5, int), np.ones(4, int), ks=[2], resample_count=10)
    assert without.equals(rows.filter(pl.col("metric") != "intra_list_similarity"))
    alone = evaluate(lists[3:], np.zeros(2, int), np.ones(4, int), ks=[2], resample_count=10, item_vectors=vectors)
    assert "intra_list_similarity" not in alone["metric"].to_list()

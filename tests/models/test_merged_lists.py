"""Merging ranked lists: position scores, merged lists, and the choice of weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.models.merged_lists import MergedLists, choose_part_weights, position_scores, weight_steps

ONE = np.array([[1, 2, 3], [5, -1, -1]], np.int32)
OTHER = np.array([[3, 4, 1], [-1, -1, -1]], np.int32)


def ranked(items, constant=60):
    return items, position_scores(np.zeros(items.shape, np.float32), items, constant)


def test_reciprocal_rank_fusion_by_hand():
    scores, items = MergedLists.from_lists([ranked(ONE), ranked(OTHER)]).top(np.array([1.0, 1.0]), 2, 5)
    # 1: 1/61 + 1/63, 3: 1/63 + 1/61, equal, so by index; then 2 and 4, both 1/62
    assert items.tolist() == [[1, 3, 2, 4, -1], [5, -1, -1, -1, -1]]
    np.testing.assert_allclose(scores[0, :4], [1 / 61 + 1 / 63, 1 / 61 + 1 / 63, 1 / 62, 1 / 62], rtol=1e-6)
    assert scores[1, 1:].tolist() == [-np.inf] * 4


def test_a_part_without_weight_adds_no_item():
    _, items = MergedLists.from_lists([ranked(ONE), ranked(OTHER)]).top(np.array([0.0, 1.0]), 2, 3)
    assert items.tolist() == [[3, 4, 1], [-1, -1, -1]]


def test_scores_are_scaled_within_their_list():
    scores = np.array([[8.0, 6.0, 4.0], [7.0, -np.inf, -np.inf], [2.0, 2.0, -np.inf]], np.float32)
    items = np.array([[0, 1, 2], [3, -1, -1], [4, 5, -1]], np.int32)
    assert position_scores(scores, items, None).tolist() == [[1, 0.5, 0.001], [1, 0, 0], [1, 1, 0]]


@given(st.integers(0, 2**32 - 1))
def test_merging_adds_up_the_scores_item_by_item(seed):
    draw = np.random.default_rng(seed)
    lists = [ranked(np.stack([draw.permutation(9)[:4] for _ in range(3)]).astype(np.int32), 1) for _ in range(3)]
    weights = draw.random(3)
    scores, found = MergedLists.from_lists(lists).top(weights, 3, 9)
    for row in range(3):
        sums = np.zeros(9)
        for weight, (items, list_scores) in zip(weights, lists, strict=True):
            sums[items[row]] += weight * list_scores[row]
        order = np.lexsort((np.arange(9), -sums.astype(np.float32)))
        order = order[sums[order] > 0]
        assert found[row, : len(order)].tolist() == order.tolist()
        np.testing.assert_allclose(scores[row, : len(order)], sums[order], rtol=1e-6)


def test_the_better_part_gets_more_weight_and_equal_parts_get_equal_weights():
    right, wrong = np.array([[9, 1], [9, 2]], np.int32), np.array([[4, 5], [6, 7]], np.int32)
    targets = np.array([1, 2])
    weights = choose_part_weights(MergedLists.from_lists([ranked(wrong), ranked(right)]), targets)
    assert weights[1] > weights[0]
    assert choose_part_weights(MergedLists.from_lists([ranked(right), ranked(right)]), targets).tolist() == [0.5, 0.5]


def test_weights_are_chosen_by_the_fused_lists_including_their_ties():
    wrong, right = np.array([[0]], np.int32), np.array([[5]], np.int32)
    merged, targets = MergedLists.from_lists([ranked(wrong), ranked(right)]), np.array([5])
    weights = choose_part_weights(merged, targets)
    assert merged.top(weights, 1, 1)[1].tolist() == [[5]], "of equal scores the smaller index is listed first"


def parts_with_hit_rates(cases, *rates):
    """Lists of parts, each of which holds the target in a share of the cases, at places drawn at random."""
    draw = np.random.default_rng(3)
    lists = []
    for rate in rates:
        items = np.stack([draw.permutation(60)[:40] + 1 for _ in range(cases)]).astype(np.int32)
        hits = np.flatnonzero(draw.random(cases) < rate)
        items[hits, draw.geometric(0.15, len(hits)).clip(max=40) - 1] = 0
        lists.append(ranked(items, 10))
    return MergedLists.from_lists(lists), np.zeros(cases, np.int64)


def test_weights_of_equal_parts_stay_near_equal_on_few_cases():
    weights = choose_part_weights(*parts_with_hit_rates(87, 0.3, 0.3, 0.3))
    assert np.abs(weights - 1 / 3).max() < 0.2
    assert weights.sum() == pytest.approx(1)


def test_a_worthless_part_is_left_out_on_many_cases_and_weighs_little_on_few():
    assert choose_part_weights(*parts_with_hit_rates(1000, 0.3, 0.3, 0.0))[2] == 0
    assert choose_part_weights(*parts_with_hit_rates(87, 0.3, 0.3, 0.02))[2] < 0.1


def test_a_part_far_better_than_the_others_gets_most_weight_on_many_cases():
    assert choose_part_weights(*parts_with_hit_rates(1000, 0.6, 0.1))[0] > 0.75


@pytest.mark.parametrize(("parts", "steps"), [(2, 10), (7, 10), (8, 8), (15, 4), (200, 1)])
def test_many_parts_have_coarser_weights_so_that_a_fit_ends(parts, steps):
    assert weight_steps(parts) == steps


def test_weights_of_many_parts_add_up_to_one():
    """With 25 equal parts each weight is less than half a tenth, and no part may lose its weight for that."""
    merged, targets = parts_with_hit_rates(4, *[0.5] * 25)
    weights = choose_part_weights(merged, targets)
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).sum() > 1

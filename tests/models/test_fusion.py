"""Fusion: what a place in a list is worth, how lists merge, which weights are chosen, which part gives the reason."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_answers import cases, fit, shop, training, walks

from jobs.core.cases import Cases
from jobs.core.sequences import Sequences
from jobs.errors import UsageError
from jobs.models.base import FitContext
from jobs.models.merging import Entries, best_weights, position_scores
from jobs.models.registry import make
from jobs.models.scorer import recommend
from jobs.nightly.model_store import pack

ONE = np.array([[1, 2, 3], [5, -1, -1]], np.int32)
OTHER = np.array([[3, 4, 1], [-1, -1, -1]], np.int32)


def ranked(items, constant=60):
    return items, position_scores(np.zeros(items.shape, np.float32), items, constant)


def test_reciprocal_rank_fusion_by_hand():
    scores, items = Entries.of([ranked(ONE), ranked(OTHER)]).best(np.array([1.0, 1.0]), 2, 5)
    # 1: 1/61 + 1/63, 3: 1/63 + 1/61, equal, so by index; then 2 and 4, both 1/62
    assert items.tolist() == [[1, 3, 2, 4, -1], [5, -1, -1, -1, -1]]
    np.testing.assert_allclose(scores[0, :4], [1 / 61 + 1 / 63, 1 / 61 + 1 / 63, 1 / 62, 1 / 62], rtol=1e-6)
    assert scores[1, 1:].tolist() == [-np.inf] * 4


def test_a_part_without_weight_adds_no_item():
    _, items = Entries.of([ranked(ONE), ranked(OTHER)]).best(np.array([0.0, 1.0]), 2, 3)
    assert items.tolist() == [[3, 4, 1], [-1, -1, -1]]


def test_scores_are_scaled_within_their_list():
    scores = np.array([[8.0, 6.0, 4.0], [7.0, -np.inf, -np.inf], [2.0, 2.0, -np.inf]], np.float32)
    items = np.array([[0, 1, 2], [3, -1, -1], [4, 5, -1]], np.int32)
    assert position_scores(scores, items, None).tolist() == [[1, 0.5, 0.001], [1, 0, 0], [1, 1, 0]]


@given(st.integers(0, 2**32 - 1))
def test_merging_is_adding_up_item_by_item(seed):
    draw = np.random.default_rng(seed)
    lists = [ranked(np.stack([draw.permutation(9)[:4] for _ in range(3)]).astype(np.int32), 1) for _ in range(3)]
    weights = draw.random(3)
    scores, found = Entries.of(lists).best(weights, 3, 9)
    for row in range(3):
        sums = np.zeros(9)
        for weight, (items, worths) in zip(weights, lists, strict=True):
            sums[items[row]] += weight * worths[row]
        order = np.lexsort((np.arange(9), -sums.astype(np.float32)))
        order = order[sums[order] > 0]
        assert found[row, : len(order)].tolist() == order.tolist()
        np.testing.assert_allclose(scores[row, : len(order)], sums[order], rtol=1e-6)


def test_the_part_that_is_right_gets_the_weight_and_indistinct_ones_get_equal_weights():
    right, wrong = np.array([[9, 1], [9, 2]], np.int32), np.array([[4, 5], [6, 7]], np.int32)
    targets = np.array([1, 2])
    weights = best_weights(Entries.of([ranked(wrong), ranked(right)]), targets)
    assert weights[1] > weights[0]
    assert best_weights(Entries.of([ranked(right), ranked(right)]), targets).tolist() == [0.5, 0.5]


def test_weights_are_judged_by_the_lists_that_they_give_ties_included():
    wrong, right = np.array([[0]], np.int32), np.array([[5]], np.int32)
    entries, targets = Entries.of([ranked(wrong), ranked(right)]), np.array([5])
    weights = best_weights(entries, targets)
    assert entries.best(weights, 1, 1)[1].tolist() == [[5]], "of equal scores the smaller index is listed first"


def test_a_fusion_takes_parts_that_were_fitted_before_and_fits_twins_with_seeds_of_their_own():
    tiny = {"width": 8, "blocks": 1, "heads": 1, "epochs": 1}
    known = fit("sasrec", **tiny)
    parts = {"parts": ["sasrec", "sasrec", "vsknn"], "parameters": {"sasrec": known.parameters}}
    fusion = make("fusion", parts)
    fusion.fit(training(), cases(), shop(), FitContext(0, None, {"sasrec": known}))
    assert fusion.parts[0] is known
    assert (fusion.parts[1].network.table != known.network.table).any()
    other = make("fusion", {**parts, "parameters": {"sasrec": {**known.parameters, "width": 4}}})
    other.fit(training(), cases(), shop(), FitContext(0, None, {"sasrec": known}))
    assert other.parts[0] is not known


def test_a_fusion_fitted_again_is_of_parts_fitted_again_with_the_same_weights():
    fusion = make("fusion", {"parts": ["popularity", "vsknn"]})
    fusion.fit(training(), cases(), shop(), FitContext())
    more = Sequences.from_lists([*training(), *walks(50, seed=3, shortest=3, longest=5)])
    again = fusion.refit(more, shop(), FitContext(0))
    assert again.weights.tolist() == fusion.weights.tolist()
    for before, after in zip(fusion.parts, again.parts, strict=True):
        assert pack(after, shop()) == pack(before.refit(more, shop(), FitContext(0)), shop())
        assert pack(after, shop()) != pack(before, shop())


def test_weights_are_chosen_on_own_items_too_where_lists_hold_them():
    known = training()
    again = Cases(known, np.array([known[row][-1] for row in range(len(known))], np.int64))  # all bought before
    fusion = make("fusion", {"parts": ["popularity", "llmseqsim"]})
    fusion.fit(known, again, shop(), FitContext())
    assert fusion.weights.tolist() == [0.5, 0.5]  # no list holds a target: nothing to choose by
    fusion.fit(known, again, shop(), FitContext(allow_repeats=True))
    assert fusion.weights[1] > fusion.weights[0]


def test_reasons_are_those_of_the_part_that_speaks_most_for_the_item():
    fusion, sequences = make("fusion", {"parts": ["vsknn", "sknn"], "equal_weights": True}), cases().inputs
    fusion.fit(training(), cases(), shop(), FitContext())
    _, items = recommend(fusion.scorer(shop()), sequences, 5)
    given, said = [], []
    for part in fusion.parts:
        _, listed = recommend(part.scorer(shop()), sequences, fusion.parameters["depth"])
        worths = 1 / (fusion.parameters["constant"] + np.arange(1, listed.shape[1] + 1))
        given.append((items[:, :, None] == listed[:, None]) @ worths)
        said.append(part.scorer(shop()).reasons(sequences, items))
    there, first = items >= 0, given[0] >= given[1]
    for most in (first, ~first):
        assert (there & most & (said[0] != said[1])).any()
    found = fusion.scorer(shop()).reasons(sequences, items)
    np.testing.assert_array_equal(found[there], np.where(first, *said)[there])
    alone = make("fusion", {"parts": ["vsknn", "llmseqsim"], "equal_weights": True})
    alone.fit(training(), cases(), shop(), FitContext())
    alone.weights = np.array([0.0, 1.0])
    _, items = recommend(alone.scorer(shop()), sequences, 5)
    np.testing.assert_array_equal(
        alone.scorer(shop()).reasons(sequences, items), alone.parts[1].scorer(shop()).reasons(sequences, items)
    )


def test_items_that_may_not_be_listed_take_no_reasons_away():
    model = make("fusion", {"parts": ["vsknn", "llmseqsim"], "depth": 2})
    model.fit(training(), cases(), shop(), FitContext())
    scorer, sequence = model.scorer(shop()), cases().inputs.take([0])
    _, best = recommend(scorer, sequence, 4)
    allowed = ~np.isin(np.arange(len(shop())), best)
    _, items = recommend(scorer, sequence, 2, allowed=allowed)
    assert (items >= 0).all()
    assert (scorer.reasons(sequence, items, allowed) >= 0).all()


def test_own_items_that_are_recommended_again_have_reasons_too():
    scorer, sequences = fit("fusion").scorer(shop()), cases().inputs
    _, items = recommend(scorer, sequences, 5, allow_repeats=True)
    is_own = np.array([np.isin(listed, own) for listed, own in zip(items, sequences, strict=True)])
    assert is_own.any()
    said = scorer.reasons(sequences, items)
    assert (said[is_own] >= 0).all()
    alone = [scorer.reasons(sequences.take([row]), items[[row]])[0] for row in range(len(items))]
    np.testing.assert_array_equal(said, alone)


def test_the_module_may_be_the_first_that_is_imported():
    subprocess.run([sys.executable, "-c", "import jobs.models.fusion"], check=True)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"parts": ["vsknn"]}, "two families"),
        ({"parts": ["vsknn", "llmseqsin"]}, "llmseqsim"),
        ({"parts": ["vsknn", "fusion"]}, "no family to fuse"),
        ({"method": "borda"}, "one of reciprocal_rank, score, not 'borda'"),
        ({"parameters": {"sasrec": {}}}, "sasrec"),
    ],
)
def test_what_can_not_be_fused_is_named(parameters, said):
    with pytest.raises(UsageError, match=said):
        make("fusion", parameters)

"""Reasons by leaving items out, against answers worked out by hand and by brute force."""

import numpy as np
import pytest
import torch
from known_answers import EXPECTED, INDEX, fitted, shop, walks

from jobs.core.sequences import Sequences
from jobs.models.reason_lift import strongest_reasons_by_lift
from jobs.models.scorer import VectorScorer, recommend
from jobs.models.sequential import reasons as leave_one_out
from jobs.models.sequential.reasons import ScorerWithLeaveOneOutReasons, newest_distinct_items

A, B, C, D, E = range(5)
# A query counts how often b, e and a occur in the sequence, so an item's vector holds what each of these three items
# adds to its score. The model knows a, b, d and e, whose mean vector is (0, 0, 3). Relative to the mean, b adds 2 to a
# and d, -3 to b and -1 to e; e adds 3 to a and -3 to b; a adds 3 to every score, and so nothing relative to the mean.
VECTORS = torch.tensor([[2.0, 3.0, 3.0], [-3.0, -3.0, 3.0], [0.0, 0.0, -99.0], [2.0, 0.0, 3.0], [-1.0, 0.0, 3.0]])
KNOWN = np.array([True, True, False, True, True])


def asked(sequences):
    rows = [sequences[place] for place in range(len(sequences))]
    counts = [[(row == item).sum() for item in (B, E, A)] for row in rows]
    return torch.tensor(counts, dtype=torch.float32).reshape(-1, 3)


def scorer(window=10):
    return ScorerWithLeaveOneOutReasons(asked, VECTORS, KNOWN, max_input_length=window)


def reasons(rows, items, **options):
    return scorer(**options).reason_items(Sequences.from_lists(rows), np.array(items, np.int32)).tolist()


def test_the_reason_can_be_another_item_than_the_nearest():
    rows, items = Sequences.from_lists([[B, E]]), np.array([[D]], np.int32)
    # cosines with d: b's 3 / sqrt(13 * 27) = 0.16, e's 7 / sqrt(13 * 10) = 0.61
    assert VectorScorer(asked, VECTORS, KNOWN).reason_items(rows, items).tolist() == [[E]]
    # d is above the mean by 2 without e, and by 0 without b
    assert reasons([[B, E], [E, B]], [[D], [D]]) == [[B], [B]]


def test_an_item_that_raises_all_scores_alike_is_no_reason():
    # d's score is 2 without a and 3 without b; above the mean it is 2 without a, but 0 without b
    assert reasons([[B, A], [A, B]], [[D], [D]]) == [[B], [B]]


def test_an_item_is_left_out_wherever_it_occurs():
    # a is above the mean by 2 + 3 + 2: by 3 without both b, by 4 without e; by 5 if only one b were left out
    assert reasons([[B, E, B]], [[A]]) == [[B]]


def test_of_equal_candidates_the_newest_is_the_reason():
    # neither a nor d adds anything
    assert reasons([[A, D], [D, A]], [[E], [E]]) == [[D], [A]]


def test_the_only_item_is_the_reason():
    assert reasons([[A], [C, A, A]], [[D, E], [D, -1]]) == [[A, A], [A, -1]]


def test_there_is_no_reason_without_readable_or_recommended_items():
    assert reasons([[], [C], [A, B]], [[D], [D], [-1]]) == [[-1], [-1], [-1]]
    assert reasons([[]], [[D]]) == [[-1]]


def test_only_the_newest_items_that_are_read_are_candidates(monkeypatch):
    row = [B, A, D, E]
    monkeypatch.setattr(leave_one_out, "REASON_CANDIDATES", 3)
    # d is above the mean by 2, because of b alone, which is not among the three newest items: leaving out any of these
    # three changes nothing
    assert reasons([row], [[D]]) == [[E]]
    assert reasons([row], [[D]], window=2) == [[E]]
    monkeypatch.setattr(leave_one_out, "REASON_CANDIDATES", 4)
    assert reasons([row], [[D]]) == [[B]]


def test_newest_items_are_distinct():
    rows = Sequences.from_lists([[A, B, A, D], [], [B, B], [D, B, B, D, A]])
    assert newest_distinct_items(rows, 2).tolist() == [[D, A], [-1, -1], [B, -1], [A, D]]


@pytest.mark.parametrize("family", sorted(family for family, expected in EXPECTED.items() if expected.is_trained))
def test_reasons_equal_those_of_leaving_out_items_one_by_one(family):
    model = fitted(family).scorer(shop())
    rows = [*walks(12, seed=5, shortest=1, longest=6), [int(INDEX[0, 1]), int(INDEX[2, 3]), int(INDEX[0, 2])]]
    _, lists = recommend(model, Sequences.from_lists(rows), 5)
    found = model.reason_items(Sequences.from_lists(rows), lists)
    assert found.dtype == np.int32
    for own, items, named in zip(rows, lists, found, strict=True):
        without = [
            [other for other in own if other != left_out]
            for left_out in own[: -leave_one_out.REASON_CANDIDATES - 1 : -1]
        ]
        scores = model.compute_queries(Sequences.from_lists([own, *without])) @ model.item_vectors.T
        scores -= scores[:, model.recommendable_mask].mean(dim=1, keepdim=True)
        scores = scores[:, torch.from_numpy(items).long()].double().numpy()
        added = scores[:1] - scores[1:]
        added = np.sign(added) * np.sqrt(np.abs(added))
        chosen = strongest_reasons_by_lift(added[None])[0]
        # where no item adds anything, the one without which the score is lowest, of equal ones the newest
        lowest = (added >= added.max(axis=0) - 1e-4).argmax(axis=0)
        chosen = np.where(chosen >= 0, chosen, lowest)
        assert named.tolist() == [own[-1 - int(place)] for place in chosen]


def test_reasons_do_not_depend_on_the_chunks(monkeypatch):
    model = fitted("sasrec").scorer(shop())
    rows = Sequences.from_lists([*walks(20, seed=5, shortest=1, longest=6), [], [4]])
    _, lists = recommend(model, rows, 5)
    wanted = model.reason_items(rows, lists)
    monkeypatch.setattr(leave_one_out, "SEQUENCES_PER_REASON_CHUNK", 3)
    assert model.reason_items(rows, lists).tolist() == wanted.tolist()

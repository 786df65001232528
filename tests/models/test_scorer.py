"""Scorers of vectors: the reasons that they give."""

import numpy as np
import torch
from known_answers import RING, fitted, shop, walks

from jobs.core.cases import Cases
from jobs.core.sequences import Sequences
from jobs.models.scorer import VectorScorer, ndcg_at_20, recommend


def scorer_of(vectors):
    vectors = torch.tensor(vectors)
    return VectorScorer(lambda sequences: torch.ones(len(sequences), 2), vectors, vectors.any(dim=1).numpy())


def test_of_equally_near_items_the_newest_is_the_reason():
    scorer = scorer_of([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [3.0, 0.1]])
    found = scorer.reason_items(Sequences.from_lists([[1, 0, 2], [0, 1, 2]]), np.array([[3], [3]], np.int32))
    assert found.tolist() == [[0], [1]]


def test_items_that_the_model_has_no_vector_for_are_never_a_reason():
    scorer = scorer_of([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    found = scorer.reason_items(Sequences.from_lists([[2, 1], [1], []]), np.array([[0], [0], [0]], np.int32))
    assert found.tolist() == [[2], [-1], [-1]]


def test_reasons_do_not_depend_on_the_size_of_chunks(monkeypatch):
    scorer = fitted("llmseqsim").scorer(shop())
    inputs = Sequences.from_lists([*walks(20, seed=5, shortest=1, longest=6), [], [4]])
    _, lists = recommend(scorer, inputs, RING)
    wanted = scorer.reason_items(inputs, lists)
    monkeypatch.setattr("jobs.models.scorer.SEQUENCES_PER_REASON_CHUNK", 3)
    assert scorer.reason_items(inputs, lists).tolist() == wanted.tolist()


def test_a_list_without_repeats_leaves_out_targets_alone():
    scorer = VectorScorer(lambda sequences: torch.ones(len(sequences), 1), torch.ones(5, 1), np.ones(5, np.bool_))
    rows = Sequences.from_lists([[1, 2, 1], [3]])
    bought = Sequences(rows.items, rows.offsets, np.array([False, True, False, False]))
    assert [listed.tolist() for listed in recommend(scorer, bought, 4)[1]] == [[0, 1, 3, 4], [0, 1, 2, 3]]
    assert recommend(scorer, bought, 5, allow_repeats=True)[1][0].tolist() == [0, 1, 2, 3, 4]
    # a validation case whose target was viewed before
    viewed = Cases(bought, np.array([1, 3]))
    assert ndcg_at_20(scorer, viewed) > 0
    assert ndcg_at_20(scorer, Cases(rows, viewed.targets)) == 0

"""LLMSeqSim against scores worked out item by item in NumPy."""

import math

import numpy as np
import pytest
from known_answers import INDEX, ITEMS, cases, fitted, grown_shop, shop, training, walks

from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions
from jobs.models.llmseqsim import LLMSeqSim
from jobs.models.scorer import recommend
from jobs.models.session_vectors import DECAYS
from jobs.nightly.model_store import model_from_bytes, model_to_bytes

# decay -> weights of four items, the oldest first
WEIGHTS = {
    "last": [0, 0, 0, 1],
    "mean": [1, 1, 1, 1],
    "constant_linear": [0.7, 0.8, 0.9, 1],
    "scaling_linear": [1 / 4, 2 / 4, 3 / 4, 1],
    "scaling_quadratic": [1 / 16, 4 / 16, 9 / 16, 1],
    "scaling_cubic": [1 / 64, 8 / 64, 27 / 64, 1],
    "log": [1 / (1 + math.log(4)), 1 / (1 + math.log(3)), 1 / (1 + math.log(2)), 1],
    "harmonic": [1 / 4, 1 / 3, 1 / 2, 1],
    "squared_harmonic": [1 / 16, 1 / 9, 1 / 4, 1],
}
ROW = [int(INDEX[0, 0]), int(INDEX[2, 1]), int(INDEX[1, 5]), int(INDEX[2, 3])]


def fitted_model(catalog=None, **parameters):
    model = LLMSeqSim(parameters)
    model.fit(training(), cases(), catalog or shop(), FitOptions())
    return model


def likeness(similarity, mean, vector):
    if similarity == "euclidean":
        return -sum((a - b) ** 2 for a, b in zip(mean, vector, strict=True))
    return mean @ vector / (np.linalg.norm(mean) if similarity == "cosine" else 1)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("decay", sorted(DECAYS))
def test_scores_are_likenesses_to_the_decayed_mean(decay, similarity):
    unit = [vector / np.linalg.norm(vector) for vector in shop().embeddings.astype(np.float64)]
    mean = sum(weight * unit[item] for weight, item in zip(WEIGHTS[decay], ROW, strict=True)) / sum(WEIGHTS[decay])
    scorer = fitted_model(decay=decay, similarity=similarity).scorer(shop())
    scores, lists = recommend(scorer, Sequences.from_lists([[], ROW]), ITEMS)
    assert (lists[0] == -1).all()
    assert set(lists[1, :-4]) == set(range(ITEMS)) - set(ROW)
    wanted = [likeness(similarity, mean, unit[item]) for item in lists[1, :-4]]
    np.testing.assert_allclose(scores[1, :-4], wanted, atol=2e-6)


def test_a_linear_decay_gives_every_item_some_weight():
    far = int(INDEX[4, 0])
    row = [far, *[int(INDEX[0, place % 7]) for place in range(30)]]
    scorer = fitted_model(decay="constant_linear", similarity="dot").scorer(shop())
    scores, lists = recommend(scorer, Sequences.from_lists([row, row[1:]]), ITEMS, allow_repeats=True)
    with_far, without = (found[list(items).index(far)] for found, items in zip(scores, lists, strict=True))
    assert with_far == pytest.approx(1e-5 / 5.5, rel=0.01)
    assert without == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("reduction", ["none", "pca"])
def test_similarities_rank_alike(reduction):
    rows = Sequences.from_lists(walks(30, seed=5, shortest=2, longest=6))
    found = [
        recommend(
            fitted_model(similarity=similarity, reduction=reduction, width=6, recency=0.0).scorer(shop()), rows, 5
        )[1]
        for similarity in ("cosine", "dot", "euclidean")
    ]
    # a vector and its mirror image in the ring are equally near, so that rounding decides the order of some items
    assert (found[0] == found[1]).mean() > 0.9
    assert (found[0] == found[2]).mean() > 0.9


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
def test_items_without_a_vector_are_neither_read_nor_recommended(similarity):
    embeddings = shop().embeddings.copy()
    embeddings[[ROW[-1], 0]] = 0
    catalog = Catalog(shop().item_ids, embeddings, shop().available_mask)
    scorer = fitted_model(decay="last", similarity=similarity).scorer(catalog)
    scores, lists = recommend(scorer, Sequences.from_lists([ROW, ROW[:-1], ROW[-1:]]), ITEMS, allow_repeats=True)
    assert lists[0].tolist() == lists[1].tolist()
    assert scores[0].tolist() == scores[1].tolist()
    assert set(lists[0]) == set(range(ITEMS)) - {ROW[-1], 0} | {-1}
    assert (lists[2] == -1).all()


def test_a_reduction_is_kept_and_gives_cold_items_their_vector():
    model = fitted_model(reduction="pca", width=6, decay="last")
    again = model_from_bytes("llmseqsim", model.parameters, model_to_bytes(model, shop()))
    catalog = grown_shop()
    rows = Sequences.from_lists([[place] for place in range(len(catalog))])
    before, after = (recommend(chosen.scorer(catalog), rows, 10) for chosen in (model, again))
    assert before[0].tolist() == after[0].tolist()
    assert before[1].tolist() == after[1].tolist()
    vectors = model.scorer(catalog).item_vectors.numpy()
    assert vectors.shape == (len(catalog), 6)
    wanted = model.projection(catalog.embeddings)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors[catalog.has_embedding_mask], wanted[catalog.has_embedding_mask], atol=1e-6)
    assert not vectors[~catalog.has_embedding_mask].any()


def test_without_any_embedding_a_reduction_recommends_nothing():
    bare = Catalog(shop().item_ids, np.zeros_like(shop().embeddings), shop().available_mask)
    _, lists = recommend(fitted_model(bare, reduction="pca").scorer(bare), Sequences.from_lists([ROW]), 5)
    assert (lists == -1).all()


def test_llmseqsim_explains_an_item_by_its_neighbour_in_the_ring():
    row = [int(INDEX[0, 0]), int(INDEX[1, 2]), int(INDEX[0, 3])]
    items = np.array([[INDEX[1, 3], INDEX[0, 4], INDEX[0, 6]]], np.int32)
    found = fitted("llmseqsim").scorer(shop()).reason_items(Sequences.from_lists([row]), items)
    assert found.tolist() == [[INDEX[1, 2], INDEX[0, 3], INDEX[0, 0]]]

"""Lists under rules equal a reference in plain Python, on catalogues, rules and visitors that hypothesis makes."""

from unittest.mock import patch

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_lists import make_list

from jobs.core.sequences import Sequences
from jobs.models.scorer import VectorScorer
from jobs.placements.candidates import Exclusions, ModelRanking
from jobs.placements.fill import Cap
from jobs.placements.lists import ListRules, fill_lists
from jobs.placements.relevance import Diversity


def fill(rules, vectors, recommendable_mask, available, queries, exclusions, popularity):
    """Fill all visitors' lists; return each as (item, source, score), and which depend on popularity."""
    # a visitor's sequence is the visitor's number, by which the "model" knows the query vector
    sequences = Sequences.from_lists([[visitor] for visitor in range(len(queries))])
    scorer = VectorScorer(
        compute_queries=lambda some: torch.from_numpy(queries[some.items]),
        item_vectors=torch.from_numpy(vectors),
        recommendable_mask=recommendable_mask,
    )
    lists, depends = fill_lists(
        rules,
        ModelRanking(scorer, sequences, available),
        np.arange(len(queries)),
        Exclusions(Sequences.from_lists(exclusions), len(vectors)),
        popularity,
    )
    found = [
        [
            (int(item), int(source), float(score))
            for item, source, score in zip(items, sources, scores, strict=True)
            if item >= 0
        ]
        for items, sources, scores in zip(lists.items, lists.source_codes, lists.scores, strict=True)
    ]
    return found, depends


def reference(rules, vectors, recommendable_mask, available, queries, exclusions, popularity):
    every = [
        None
        if not query.any()
        else [
            float(query @ vector) if known and offered else None
            for vector, known, offered in zip(vectors, recommendable_mask, available, strict=True)
        ]
        for query in queries
    ]
    return [make_list(rules, scores, set(own), popularity) for scores, own in zip(every, exclusions, strict=True)]


@st.composite
def shops(draw):
    count = draw(st.integers(1, 30))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    some = st.sampled_from([0.1, 0.5, 0.95, 1.0])

    def mask():
        return random.random(count) < draw(some)

    vectors = random.integers(-2, 3, (count, 2)).astype(np.float32)  # small whole numbers: many equal scores
    available, recommendable_mask = mask(), mask()
    allowed = mask() & available
    visitors = draw(st.integers(1, 4))
    k = draw(st.integers(1, 8))
    caps = tuple(
        Cap(random.integers(-1, draw(st.integers(1, 6)), count).astype(np.int32), draw(st.integers(1, 3)))
        for _ in range(draw(st.integers(0, 2)))
    )
    boosts = draw(st.sampled_from([None, np.array([0, 0.5, 1, 2, 9.0])]))
    ranks = draw(st.lists(st.integers(1, k), unique=True, max_size=3))
    pinned = random.permutation(count)
    pins = {rank: int(item) for rank, item in zip(ranks[:1], pinned, strict=False)}
    slots = {rank: mask() & allowed for rank in ranks[1:]}
    directions = random.normal(size=(count, 3)) * (random.random(count) < 0.9)[:, None]
    lengths = np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)
    diversity = draw(st.sampled_from([None, 0.2, 0.7, 1.0]))
    rules = ListRules(
        k, allowed, caps, None if boosts is None else random.choice(boosts, count), pins, slots,
        diversity and Diversity(diversity, (directions / lengths).astype(np.float32), draw(st.integers(1, 12))),
        draw(st.booleans()),
    )  # fmt: skip
    popularity = np.where(available, random.integers(0, 4, count), -np.inf).astype(np.float32)
    queries = random.integers(-2, 3, (visitors, 2)).astype(np.float32)
    exclusions = [random.choice(count, draw(st.integers(0, count))).tolist() for _ in range(visitors)]
    return rules, vectors, recommendable_mask, available, queries, exclusions, popularity


@settings(max_examples=120, deadline=None)
@given(shops(), st.sampled_from([1, 4, 256]), st.sampled_from([1, 128]), st.sampled_from([5, 4_000_000]))
def test_lists_equal_the_reference(shop, shared_depth, boosted_depth, at_once):
    with (
        patch("jobs.placements.candidates.SHARED_DEPTH", shared_depth),
        patch("jobs.placements.lists.BOOSTED_DEPTH", boosted_depth),
        patch("jobs.placements.lists.CANDIDATES_AT_ONCE", at_once),
    ):
        found, _ = fill(*shop)
    assert found == reference(*shop)

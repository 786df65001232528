"""Lists of a large k equal those that a full sort makes, whatever thresholds the sample of items gives."""

from unittest.mock import patch

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_topk import check, integers, normal

from jobs.core.large_k_search import search_large_k


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_lists_of_a_large_k_equal_a_stable_sort(data):
    n, size = data.draw(st.integers(0, 12)), data.draw(st.integers(100, 700))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    spread = data.draw(st.sampled_from([1, 4, 100]))  # with 1, most scores are equal
    exclude = [rng.integers(0, size, rng.integers(0, 2 * size)).tolist() for _ in range(n)]
    with patch("jobs.core.large_k_search.LARGE_K", 1):
        check(
            rng.integers(-spread, spread + 1, (n, 3)).astype(np.float32),
            rng.integers(-spread, spread + 1, (size, 3)).astype(np.float32),
            data.draw(st.integers(1, 12)),
            data.draw(st.sampled_from([None, exclude])),
            data.draw(st.sampled_from([None, rng.random(size) < 0.9])),
            data.draw(st.sampled_from([None, integers(1, size, 1)[:, 0]])),
            queries_per_chunk=data.draw(st.sampled_from([5, 15])),
            items_per_chunk=data.draw(st.integers(60, 310)),
        )


def test_few_lists_need_another_search():
    _, are_best = search_large_k(normal(1, 200, 16), normal(2, 4000, 16), None, None, 200, None, 1024)
    assert are_best.mean() > 0.9


def test_a_query_whose_scores_are_all_equal_needs_another_search():
    queries = torch.cat([torch.zeros(1, 16), normal(1, 1, 16)])
    _, are_best = search_large_k(queries, normal(2, 4000, 16), None, None, 200, None, 1024)
    assert are_best.tolist() == [False, True]


def test_scores_below_zero_are_ranked_before_what_the_table_has_left():
    items = np.arange(1, 2001, dtype=np.float32)[:, None]
    check(np.array([[-1.0], [-0.5]], np.float32), items, 200)

"""Exact top-k search against brute force, with ties, exclusions, chunks and biases."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.sequences import Sequences
from jobs.core.topk import top_k


def brute(queries, items, k, exclude=None, allowed=None, bias=None):
    scores = (queries @ items.T).astype(np.float32) + 0.0 + (0 if bias is None else bias)
    if allowed is not None:
        scores[:, ~np.asarray(allowed)] = -np.inf
    for row, banned in enumerate(exclude or []):
        scores[row, list(banned)] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.full((len(queries), k), -np.inf, np.float32)
    best[:, : order.shape[1]] = np.take_along_axis(scores, order, 1)
    indices = np.full((len(queries), k), -1, np.int32)
    indices[:, : order.shape[1]] = order
    indices[best == -np.inf] = -1
    return best, indices


def check(queries, items, k, exclude=None, allowed=None, bias=None, **chunks):
    got = top_k(
        torch.from_numpy(queries),
        torch.from_numpy(items),
        k,
        bias=None if bias is None else torch.from_numpy(bias),
        excluded_items=None if exclude is None else Sequences.from_lists(exclude),
        allowed_mask=allowed,
        **chunks,
    )
    want = brute(queries, items, k, exclude, allowed, bias)
    assert got[0].dtype == np.float32
    assert got[1].dtype == np.int32
    np.testing.assert_array_equal(got[1], want[1])
    np.testing.assert_array_equal(got[0], want[0])


def integers(seed, rows, d, low=-3, high=4):
    return np.random.default_rng(seed).integers(low, high, (rows, d)).astype(np.float32)


def normal(seed, rows, d):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((rows, d), dtype=np.float32))


def test_known_answer():
    queries = torch.tensor([[1.0, 0.0], [0.0, -1.0]])
    items = torch.tensor([[1.0, 5.0], [3.0, 0.0], [2.0, -1.0]])
    scores, indices = top_k(queries, items, 2)
    assert indices.tolist() == [[1, 2], [2, 1]]
    assert scores.tolist() == [[3.0, 2.0], [1.0, 0.0]]


def test_a_bias_is_added_whatever_the_query():
    queries = torch.tensor([[1.0, 0.0], [0.0, -1.0]])
    items = torch.tensor([[1.0, 5.0], [3.0, 0.0], [2.0, -1.0]])
    scores, indices = top_k(queries, items, 2, bias=torch.tensor([4.0, 0.0, 0.5]))
    assert indices.tolist() == [[0, 1], [2, 1]]
    assert scores.tolist() == [[5.0, 3.0], [1.5, 0.0]]


@pytest.mark.parametrize("items_per_chunk", [64, 100, 4096])
def test_all_equal_scores_give_the_first_items(items_per_chunk):
    items = torch.ones(1000, 4)
    scores, indices = top_k(torch.ones(3, 4), items, 20, items_per_chunk=items_per_chunk)
    assert (indices == np.arange(20)).all()
    assert (scores == 4).all()


def test_zeros_of_either_sign_are_equal():
    items = torch.tensor([[-1.0], [1.0], [-1.0]])
    scores, indices = top_k(torch.tensor([[0.0], [-0.0]]), items, 3)
    assert (indices == np.arange(3)).all()
    assert not np.signbit(scores).any()


def test_ties_at_the_last_place_and_across_chunks():
    column = np.ones((600, 1), np.float32)
    column[[130, 599]] = 2
    for items_per_chunk in (1, 64, 130, 131, 599, 600):
        _, indices = top_k(torch.ones(1, 1), torch.from_numpy(column), 4, items_per_chunk=items_per_chunk)
        assert indices.tolist() == [[130, 599, 0, 1]]


@pytest.mark.parametrize("k", [1, 5, 64, 200])
def test_rising_and_falling_scores(k):
    column = np.arange(2000, dtype=np.float32)[:, None] // 3
    check(np.array([[1.0], [-1.0], [0.0]], np.float32), column, k, items_per_chunk=256)


def test_many_chunks_with_ties_exclusions_and_disallowed_items():
    rng = np.random.default_rng(5)
    queries, items = integers(1, 300, 6), integers(2, 3000, 6)
    exclude = [rng.integers(0, 3000, rng.integers(0, 40)).tolist() for _ in queries]
    allowed = rng.random(3000) < 0.7
    for chunks in ({}, {"queries_per_chunk": 77, "items_per_chunk": 501}):
        check(queries, items, 20, exclude, allowed, **chunks)
        check(queries, items, 20, exclude, None, **chunks)
        check(queries, items, 20, None, torch.from_numpy(allowed).numpy(), **chunks)


def test_best_items_excluded():
    items = np.arange(200, dtype=np.float32)[:, None]
    check(np.ones((2, 1), np.float32), items, 5, [range(100, 200), [199, 199, 0]])


def test_fewer_items_left_than_asked_for():
    items = np.arange(5, dtype=np.float32)[:, None]
    allowed = np.array([True, True, False, True, True])
    scores, indices = top_k(
        torch.ones(3, 1),
        torch.from_numpy(items),
        6,
        excluded_items=Sequences.from_lists([[4], [0, 1, 3, 4], []]),
        allowed_mask=torch.from_numpy(allowed),
    )
    assert indices.tolist() == [[3, 1, 0, -1, -1, -1], [-1] * 6, [4, 3, 1, 0, -1, -1]]
    assert (np.isneginf(scores) == (indices == -1)).all()


@pytest.mark.parametrize(("n", "items"), [(0, 5), (4, 0), (0, 0)])
def test_empty(n, items):
    scores, indices = top_k(
        torch.zeros(n, 3),
        torch.zeros(items, 3),
        2,
        excluded_items=Sequences.from_lists([[]] * n),
        allowed_mask=np.ones(items, bool),
    )
    assert scores.shape == indices.shape == (n, 2)
    assert (indices == -1).all()


def test_nothing_allowed():
    _, indices = top_k(torch.ones(2, 3), torch.ones(9, 3), 2, allowed_mask=np.zeros(9, bool))
    assert (indices == -1).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named(bad):
    good, broken = torch.ones(9, 2), torch.ones(9, 2)
    broken[[4, 7], 1] = bad
    with pytest.raises(ValueError, match="query 4 "):
        top_k(broken, good, 2)
    with pytest.raises(ValueError, match="item 4 "):
        top_k(good, broken, 2)
    with pytest.raises(ValueError, match="bias of item 4 "):
        top_k(good, good, 2, bias=broken[:, 1])


def test_wrong_arguments():
    ones = torch.ones(3, 2)
    for call in (
        lambda: top_k(ones, torch.ones(3, 4), 1),
        lambda: top_k(ones, ones.double(), 1),
        lambda: top_k(ones, ones, 0),
        lambda: top_k(ones, ones, 1, items_per_chunk=0),
        lambda: top_k(ones * 1e30, ones * 1e30, 1),
        lambda: top_k(ones, ones, 1, bias=torch.ones(2)),
        lambda: top_k(ones, ones, 1, bias=torch.ones(3).double()),
        lambda: top_k(ones * 1e19, ones * 1e19, 1, bias=torch.full((3,), 3e38)),
        lambda: top_k(ones, ones, 1, allowed_mask=np.ones(4, bool)),
        lambda: top_k(ones, ones, 1, allowed_mask=np.ones(3)),
        lambda: top_k(ones, ones, 1, excluded_items=Sequences.from_lists([[1]])),
        lambda: top_k(ones, ones, 1, excluded_items=Sequences.from_lists([[], [3], []])),
        lambda: top_k(ones, ones, 1, excluded_items=Sequences.from_lists([[], [-1], []])),
    ):
        with pytest.raises(ValueError, match=r"."):
            call()


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_equals_a_stable_sort(data):
    n, size = data.draw(st.integers(0, 12)), data.draw(st.integers(1, 300))
    seed, spread = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.integers(1, 4))
    rng = np.random.default_rng(seed)
    exclude = [rng.integers(0, size, rng.integers(0, 2 * size)).tolist() for _ in range(n)]
    check(
        integers(seed, n, 3, -spread, spread + 1),
        integers(seed + 1, size, 3, -spread, spread + 1),
        data.draw(st.integers(1, 90)),
        data.draw(st.sampled_from([None, exclude])),
        data.draw(st.sampled_from([None, rng.random(size) < 0.5])),
        data.draw(st.sampled_from([None, integers(seed + 2, size, 1)[:, 0]])),
        queries_per_chunk=data.draw(st.integers(1, 15)),
        items_per_chunk=data.draw(st.integers(1, 310)),
    )


@pytest.mark.parametrize(("n", "size", "d"), [(1300, 5000, 48), (1300, 7, 50), (1025, 70, 5)])
def test_a_query_gets_the_same_bits_in_any_company(n, size, d):
    queries, items = normal(1, n, d), normal(2, size, d)
    scores, indices = top_k(queries, items, 20)
    rng = np.random.default_rng(3)
    for count in (1, 2, 3, 7, 255, 257, 1024, n):
        rows = rng.permutation(n)[:count]
        some = top_k(queries[torch.from_numpy(rows)], items, 20)
        np.testing.assert_array_equal(some[0].view(np.int32), scores[rows].view(np.int32))
        np.testing.assert_array_equal(some[1], indices[rows])


def test_equal_items_tie_wherever_they_stand():
    items = normal(4, 35, 100).repeat(150, 1)
    _, indices = top_k(normal(5, 40, 100), items, 150)
    best = indices[:, :1] % 35
    np.testing.assert_array_equal(indices, best + 35 * np.arange(150))


def test_leaves_torch_as_it_was():
    threads = torch.get_num_threads()
    parameter = torch.nn.Parameter(normal(6, 2100, 8))
    top_k(parameter, parameter, 3)
    assert torch.get_num_threads() == threads
    assert parameter.grad is None
    with pytest.raises(ValueError, match="excluded_items has"):
        top_k(parameter, parameter, 3, excluded_items=Sequences.from_lists([[1]]))
    assert torch.get_num_threads() == threads

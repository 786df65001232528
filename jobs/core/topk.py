"""Exact top-k search: each query's items with the largest inner products, computed chunk by chunk."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jobs.core.arrays import Bools, Floats, Ints, Longs
from jobs.core.large_k_search import is_large_k, search_large_k
from jobs.core.score_chunks import BLOCK, QUERY_PAD, round_up
from jobs.core.sequences import Sequences
from jobs.core.small_k_search import search_small_k
from jobs.core.sort_keys import MAX_ITEM_INDEX, decode_sort_keys

# One matrix product has at most QUERIES_PER_CHUNK queries and ITEMS_PER_CHUNK items, so that its scores stay in the
# processor's cache. Larger and smaller numbers were no faster.
QUERIES_PER_CHUNK = 1024
ITEMS_PER_CHUNK = 4096

# search_large_k gets chunks of half as many queries and half as many items. search_small_k can skip most blocks of a
# chunk's items only if the chunk has more than k blocks. For k above 32 its chunks are therefore wider than
# ITEMS_PER_CHUNK: they have BLOCKS_PER_K * k blocks, but at most WIDEST_CHUNK items. The widest have fewer queries.
BLOCKS_PER_K = 2
WIDEST_CHUNK = 65_536


def top_k(
    queries: Tensor,
    item_vectors: Tensor,
    k: int,
    *,
    bias: Tensor | None = None,
    excluded_items: Sequences | None = None,
    allowed_mask: npt.ArrayLike | Tensor | None = None,
    queries_per_chunk: int | None = None,
    items_per_chunk: int | None = None,
) -> tuple[Floats, Ints]:
    """Return each query's ``k`` items with the largest score: inner product plus the item's bias.

    Items are ordered by descending score, equal scores by ascending item index; this order also decides which of
    several items with equal scores takes the k-th place. Beside the result, each of PyTorch's threads needs memory for
    a few times ``queries_per_chunk * items_per_chunk`` floats.

    Parameters
    ----------
    queries : float32 tensor (n, d)
        Query vectors, on any device; the items must be on the same device.
    item_vectors : float32 tensor (N, d)
        Item vectors, fewer than 2**31.
    k : int
        At least 1; may exceed ``N``.
    bias : float32 tensor (N,), optional
        Added to each item's score, for every query.
    excluded_items : Sequences of n rows, optional
        Row ``i`` holds the item indices that query ``i`` must not get, in any order, repeats allowed.
    allowed_mask : bool array or tensor (N,), optional
        False for items that no query may get.
    queries_per_chunk, items_per_chunk : int, optional
        Largest number of queries and of items multiplied at once; by default, numbers that suit ``k`` and a processor.
        A query chunk is one CPU thread's work; on a GPU, larger chunks may be faster.

    Returns
    -------
    scores : float32 array (n, k)
        Descending within each row; -inf past the last item of a shorter list.
    indices : int32 array (n, k)
        Item indices; -1 past the last item of a shorter list.

    Raises
    ------
    ValueError
        If shapes, dtypes, devices or sizes do not fit; if an excluded index is out of range; if a query, an item or
        its bias is not finite (the first such row is named); or if scores could exceed the range of float32.
    """
    queries, item_vectors = queries.detach(), item_vectors.detach()
    bias = None if bias is None else bias.detach()
    allowed_items = _allowed_indices(allowed_mask, len(item_vectors))
    allowed_count = len(item_vectors if allowed_items is None else allowed_items)
    by_sample = queries.device.type == "cpu" and is_large_k(k, allowed_count)
    items_per_sampled_chunk = items_per_chunk or ITEMS_PER_CHUNK // 2
    if items_per_chunk is None:
        items_per_chunk = max(ITEMS_PER_CHUNK, min(BLOCKS_PER_K * k * BLOCK, WIDEST_CHUNK))
    if queries_per_chunk is None:
        is_wide = items_per_chunk > 4 * ITEMS_PER_CHUNK
        queries_per_chunk = QUERIES_PER_CHUNK // (2 if by_sample else 4 if is_wide else 1)
    _require_valid_arguments(queries, item_vectors, bias, k, queries_per_chunk, items_per_chunk)
    n, width = len(queries), min(k, len(item_vectors))
    if excluded_items is not None:
        excluded_items = _renumber_excluded_items(excluded_items, n, len(item_vectors), allowed_items)
    rows = None if allowed_items is None else torch.from_numpy(allowed_items).to(item_vectors.device)
    scores = np.full((n, k), -np.inf, dtype=np.float32)
    indices = np.full((n, k), -1, dtype=np.int32)
    if rows is not None and not len(rows):
        return scores, indices

    thread_count = torch.get_num_threads() if queries.device.type == "cpu" else 1
    is_open = np.ones(n, np.bool_)

    def search_in_threads(
        query_numbers: Longs, search_best_items: Callable[..., tuple[Tensor, Bools]], items_per_chunk: int
    ) -> None:
        """Store the lists of some queries; those for which ``search_best_items`` isn't certain stay open."""

        def search_chunk(start: int, stop: int) -> None:
            numbers = query_numbers[start:stop]
            pairs = None if excluded_items is None else _excluded_pairs(excluded_items.take(numbers))
            chunk = queries[torch.from_numpy(numbers).to(queries.device)]
            keys, is_certain = search_best_items(chunk, item_vectors, bias, rows, width, pairs, items_per_chunk)
            values, positions = (part.cpu().numpy() for part in decode_sort_keys(keys))
            scores[numbers, :width] = values
            indices[numbers, :width] = (
                positions if allowed_items is None else np.where(positions < 0, -1, allowed_items[positions])
            )
            is_open[numbers] = ~is_certain

        run_chunks_in_threads(search_chunk, len(query_numbers), queries_per_chunk, thread_count)

    if by_sample:
        search_in_threads(np.arange(n), search_large_k, items_per_sampled_chunk)
    search_in_threads(np.flatnonzero(is_open), search_small_k, items_per_chunk)
    return scores, indices


def run_chunks_in_threads(
    process_chunk: Callable[[int, int], None], row_count: int, chunk_size: int, thread_count: int
) -> None:
    """Split ``row_count`` rows into chunks, and call ``process_chunk(start, stop)`` for each, in parallel threads.

    In each of up to ``thread_count`` parallel threads, PyTorch uses one thread. Threads that work on separate chunks
    never wait for each other, unlike threads that share every small operation.
    """
    chunk_size = min(chunk_size, round_up(max(1, -(-row_count // thread_count)), QUERY_PAD))
    starts = range(0, row_count, chunk_size)
    stops = [min(start + chunk_size, row_count) for start in starts]
    if thread_count == 1 or len(starts) < 2:
        for start, stop in zip(starts, stops, strict=True):
            process_chunk(start, stop)
        return
    try:
        with ThreadPoolExecutor(thread_count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(process_chunk, starts, stops))
    finally:
        # the pool has set PyTorch's number of threads to 1; without this reset, later threads would inherit the 1
        torch.set_num_threads(thread_count)


def _require_valid_arguments(
    queries: Tensor, item_vectors: Tensor, bias: Tensor | None, k: int, queries_per_chunk: int, items_per_chunk: int
) -> None:
    if queries.ndim != 2 or item_vectors.ndim != 2 or queries.shape[1] != item_vectors.shape[1]:
        raise ValueError(
            f"queries {tuple(queries.shape)} and items {tuple(item_vectors.shape)} must be (n, d) and (N, d)"
        )
    if queries.dtype != torch.float32 or item_vectors.dtype != torch.float32 or queries.device != item_vectors.device:
        raise ValueError("queries and items must be float32 and on one device")
    item_count = len(item_vectors)
    if bias is not None and (bias.shape, bias.dtype, bias.device) != ((item_count,), queries.dtype, queries.device):
        raise ValueError(f"bias must be float32 ({item_count},) and on the items' device")
    if min(k, queries_per_chunk, items_per_chunk) < 1:
        raise ValueError(
            f"k, queries_per_chunk and items_per_chunk must be at least 1: {k}, {queries_per_chunk}, {items_per_chunk}"
        )
    if item_count > MAX_ITEM_INDEX:
        raise ValueError(f"{item_count} items are more than an int32 can number")
    bound = _largest_absolute_value(queries, "query") * _largest_absolute_value(item_vectors, "item") * queries.shape[1]
    bound += 0 if bias is None else _largest_absolute_value(bias[:, None], "the bias of item")
    if bound > torch.finfo(torch.float32).max:
        raise ValueError(f"scores could reach {bound:.3g}, more than float32 can hold")


def _largest_absolute_value(vectors: Tensor, row_name: str) -> float:
    """Return the largest absolute value in a matrix of vectors; raise ValueError if a value is not finite."""
    if not vectors.numel():
        return 0.0
    low, high = (float(end) for end in torch.aminmax(vectors))
    if math.isfinite(low) and math.isfinite(high):
        return max(-low, high)
    row = int((~vectors.isfinite().all(1)).nonzero()[0])
    raise ValueError(f"{row_name} {row} has a value that is not finite")


def _allowed_indices(allowed_mask: npt.ArrayLike | Tensor | None, item_count: int) -> Longs | None:
    """Return the indices of the allowed items, or None if every item is allowed."""
    if allowed_mask is None:
        return None
    mask = allowed_mask.cpu().numpy() if isinstance(allowed_mask, Tensor) else np.asarray(allowed_mask)
    if mask.shape != (item_count,) or mask.dtype != np.bool_:
        raise ValueError(f"allowed_mask must be bool ({item_count},), not {mask.dtype} {mask.shape}")
    return None if mask.all() else np.flatnonzero(mask)


def _renumber_excluded_items(
    excluded_items: Sequences, query_count: int, item_count: int, allowed_items: Longs | None
) -> Sequences:
    """Check the excluded items, and return their positions among the allowed items.

    Excluded items that are not allowed anyway are left out.
    """
    if len(excluded_items) != query_count:
        raise ValueError(f"excluded_items has {len(excluded_items)} rows for {query_count} queries")
    if len(excluded_items.items) and not 0 <= excluded_items.items.min() <= excluded_items.items.max() < item_count:
        raise ValueError(f"excluded_items has an index outside 0..{item_count - 1}")
    if allowed_items is None:
        return excluded_items
    position = np.full(item_count, -1, dtype=np.int32)
    position[allowed_items] = np.arange(len(allowed_items))
    renumbered = position[excluded_items.items]
    before = np.concatenate([[0], (renumbered >= 0).cumsum()])
    return Sequences(renumbered[renumbered >= 0], before[excluded_items.offsets])


def _excluded_pairs(excluded_items: Sequences) -> tuple[Longs, Longs]:
    """Return each query's number with each item that the query must not get, ordered by item.

    Returns
    -------
    query_numbers, items : int64 arrays (pairs,)
    """
    order = excluded_items.items.argsort(kind="stable")
    return excluded_items.row_of_each_item()[order], excluded_items.items[order].astype(np.int64)

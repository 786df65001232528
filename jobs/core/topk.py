"""Exact top-k search: each query's items with the largest inner products, computed chunk by chunk."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jobs.core.arrays import Bools, Floats, Ints, Longs
from jobs.core.long_lists import is_long_list, long_list_keys
from jobs.core.score_chunks import BLOCK, QUERY_PAD, round_up
from jobs.core.score_keys import MAX_INDEX, decode_keys
from jobs.core.sequences import Sequences
from jobs.core.short_lists import short_list_keys

# One matrix product has at most QUERY_CHUNK queries and ITEM_CHUNK items, so that its scores stay in the processor's
# cache. Larger and smaller numbers were no faster.
QUERY_CHUNK = 1024
ITEM_CHUNK = 4096

# Long lists are searched by a sample, in chunks of half as many queries and items. Without a sample, a chunk needs more
# blocks than k for a large k, since only then are most of its blocks passed over: BLOCKS_PER_K * k blocks, but at most
# WIDEST_CHUNK items. With more items at once, there are fewer queries at once.
BLOCKS_PER_K = 2
WIDEST_CHUNK = 65_536


def top_k(
    queries: Tensor,
    items: Tensor,
    k: int,
    *,
    bias: Tensor | None = None,
    excluded_items: Sequences | None = None,
    allowed_mask: npt.ArrayLike | Tensor | None = None,
    query_chunk: int | None = None,
    item_chunk: int | None = None,
) -> tuple[Floats, Ints]:
    """Return each query's ``k`` items with the largest score: inner product plus the item's bias.

    Items are ordered by descending score, equal scores by ascending item index; this order also decides which of
    several items with equal scores takes the k-th place. Beside the result, each of PyTorch's threads needs memory for
    a few times ``query_chunk * item_chunk`` floats.

    Parameters
    ----------
    queries : float32 tensor (n, d)
        Query vectors, on any device; the items must be on the same device.
    items : float32 tensor (N, d)
        Item vectors, fewer than 2**31.
    k : int
        At least 1; may exceed ``N``.
    bias : float32 tensor (N,), optional
        Added to each item's score, for every query.
    excluded_items : Sequences of n rows, optional
        Row ``i`` holds the item indices that query ``i`` must not get, in any order, repeats allowed.
    allowed_mask : bool array or tensor (N,), optional
        False for items that no query may get.
    query_chunk, item_chunk : int, optional
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
    queries, items = queries.detach(), items.detach()
    bias = None if bias is None else bias.detach()
    allowed_items = _allowed_indices(allowed_mask, len(items))
    by_sample = queries.device.type == "cpu" and is_long_list(k, len(items if allowed_items is None else allowed_items))
    sample_item_chunk = item_chunk or ITEM_CHUNK // 2
    if item_chunk is None:
        item_chunk = max(ITEM_CHUNK, min(BLOCKS_PER_K * k * BLOCK, WIDEST_CHUNK))
    if query_chunk is None:
        is_wide = item_chunk > 4 * ITEM_CHUNK
        query_chunk = QUERY_CHUNK // (2 if by_sample else 4 if is_wide else 1)
    _check_arguments(queries, items, bias, k, query_chunk, item_chunk)
    n, width = len(queries), min(k, len(items))
    excluded = None if excluded_items is None else _renumber_excluded(excluded_items, n, len(items), allowed_items)
    rows = None if allowed_items is None else torch.from_numpy(allowed_items).to(items.device)
    scores = np.full((n, k), -np.inf, dtype=np.float32)
    indices = np.full((n, k), -1, dtype=np.int32)
    if rows is not None and not len(rows):
        return scores, indices

    threads = torch.get_num_threads() if queries.device.type == "cpu" else 1
    is_open = np.ones(n, np.bool_)

    def search(some: Longs, find: Callable[..., tuple[Tensor, Bools]], item_chunk: int) -> None:
        """Search for some queries, chunk by chunk; keep the lists of which ``find`` is certain."""

        def search_chunk(start: int, stop: int) -> None:
            numbers = some[start:stop]
            pairs = None if excluded is None else _excluded_pairs(excluded.take(numbers))
            chunk = queries[torch.from_numpy(numbers).to(queries.device)]
            keys, is_certain = find(chunk, items, bias, rows, width, pairs, item_chunk)
            values, positions = (part.cpu().numpy() for part in decode_keys(keys))
            scores[numbers, :width] = values
            indices[numbers, :width] = (
                positions if allowed_items is None else np.where(positions < 0, -1, allowed_items[positions])
            )
            is_open[numbers] = ~is_certain

        run_chunks_in_threads(search_chunk, len(some), query_chunk, threads)

    if by_sample:
        search(np.arange(n), long_list_keys, sample_item_chunk)
    search(np.flatnonzero(is_open), short_list_keys, item_chunk)
    return scores, indices


def run_chunks_in_threads(
    process_chunk: Callable[[int, int], None], row_count: int, chunk_size: int, threads: int
) -> None:
    """Split ``row_count`` rows into chunks, and call ``process_chunk(start, stop)`` for each, in parallel threads.

    In each of up to ``threads`` parallel threads, PyTorch uses one thread: threads that work on separate chunks never
    wait for each other, unlike threads that share every small operation.
    """
    chunk_size = min(chunk_size, round_up(max(1, -(-row_count // threads)), QUERY_PAD))
    starts = range(0, row_count, chunk_size)
    stops = [min(start + chunk_size, row_count) for start in starts]
    if threads == 1 or len(starts) < 2:
        for start, stop in zip(starts, stops, strict=True):
            process_chunk(start, stop)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(process_chunk, starts, stops))
    finally:
        # the pool has set PyTorch's number of threads to 1; without this reset, later threads would inherit the 1
        torch.set_num_threads(threads)


def _check_arguments(
    queries: Tensor, items: Tensor, bias: Tensor | None, k: int, query_chunk: int, item_chunk: int
) -> None:
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise ValueError(f"queries {tuple(queries.shape)} and items {tuple(items.shape)} must be (n, d) and (N, d)")
    if queries.dtype != torch.float32 or items.dtype != torch.float32 or queries.device != items.device:
        raise ValueError("queries and items must be float32 and on one device")
    if bias is not None and (bias.shape, bias.dtype, bias.device) != (items.shape[:1], items.dtype, items.device):
        raise ValueError(f"bias must be float32 ({len(items)},) and on the items' device")
    if min(k, query_chunk, item_chunk) < 1:
        raise ValueError(f"k, query_chunk and item_chunk must be at least 1: {k}, {query_chunk}, {item_chunk}")
    if len(items) > MAX_INDEX:
        raise ValueError(f"{len(items)} items are more than an int32 can number")
    bound = _largest_absolute_value(queries, "query") * _largest_absolute_value(items, "item") * queries.shape[1]
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
        raise ValueError(f"allowed must be bool ({item_count},), not {mask.dtype} {mask.shape}")
    return None if mask.all() else np.flatnonzero(mask)


def _renumber_excluded(
    excluded_items: Sequences, query_count: int, item_count: int, allowed_items: Longs | None
) -> Sequences:
    """Check the excluded items, and return them as positions among the allowed items, without those not allowed."""
    if len(excluded_items) != query_count:
        raise ValueError(f"exclude has {len(excluded_items)} rows for {query_count} queries")
    if len(excluded_items.items) and not 0 <= excluded_items.items.min() <= excluded_items.items.max() < item_count:
        raise ValueError(f"exclude has an index outside 0..{item_count - 1}")
    if allowed_items is None:
        return excluded_items
    position = np.full(item_count, -1, dtype=np.int32)
    position[allowed_items] = np.arange(len(allowed_items))
    renumbered = position[excluded_items.items]
    before = np.concatenate([[0], (renumbered >= 0).cumsum()])
    return Sequences(renumbered[renumbered >= 0], before[excluded_items.offsets])


def _excluded_pairs(excluded: Sequences) -> tuple[Longs, Longs]:
    """Return pairs of row and excluded item, ordered by item.

    Returns
    -------
    rows, items : int64 arrays (pairs,)
    """
    order = excluded.items.argsort(kind="stable")
    return excluded.row_numbers()[order], excluded.items[order].astype(np.int64)

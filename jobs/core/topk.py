"""Exact top-k search: each query's items with the largest inner products, computed chunk by chunk."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jobs.core.arrays import Floats, Ints, Longs
from jobs.core.score_keys import MAX_INDEX, decode_keys, empty_keys, encode_keys
from jobs.core.sequences import Sequences

# One matrix product has at most QUERY_CHUNK queries and ITEM_CHUNK items, so that its scores stay in the processor's
# cache. Larger and smaller numbers were no faster.
QUERY_CHUNK = 1024
ITEM_CHUNK = 4096
# A block has this number of items. Only if its maximum score exceeds the query's threshold are its scores looked at
# one by one.
BLOCK = 64

# Most blocks of a chunk of items can be passed over only if the chunk has more blocks than k. So for a large k a chunk
# has BLOCKS_PER_K * k blocks, but at most WIDEST_CHUNK items, and is multiplied with fewer queries at once.
BLOCKS_PER_K = 2
WIDEST_CHUNK = 65_536

# Query chunks are padded with rows of zeros to a multiple of this number, because BLAS rounds the last rows and columns
# of a matrix product differently. With padding, a score depends neither on the number of queries nor on the position of
# its item.
QUERY_PAD = 256


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
    if item_chunk is None:
        item_chunk = max(ITEM_CHUNK, min(BLOCKS_PER_K * k * BLOCK, WIDEST_CHUNK))
    if query_chunk is None:
        query_chunk = QUERY_CHUNK if item_chunk <= 4 * ITEM_CHUNK else QUERY_CHUNK // 4
    _check_arguments(queries, items, bias, k, query_chunk, item_chunk)
    n, width = len(queries), min(k, len(items))
    allowed_items = _allowed_indices(allowed_mask, len(items))
    excluded = None if excluded_items is None else _renumber_excluded(excluded_items, n, len(items), allowed_items)
    rows = None if allowed_items is None else torch.from_numpy(allowed_items).to(items.device)
    scores = np.full((n, k), -np.inf, dtype=np.float32)
    indices = np.full((n, k), -1, dtype=np.int32)
    if rows is not None and not len(rows):
        return scores, indices

    def search_chunk(start: int, stop: int) -> None:
        pairs = None if excluded is None else _excluded_pairs(excluded, start, stop)
        best = _best_sort_keys(queries[start:stop], items, bias, rows, width, pairs, item_chunk)
        values, positions = (part.cpu().numpy() for part in decode_keys(best))
        scores[start:stop, :width] = values
        indices[start:stop, :width] = (
            positions if allowed_items is None else np.where(positions < 0, -1, allowed_items[positions])
        )

    run_chunks_in_threads(search_chunk, n, query_chunk, torch.get_num_threads() if queries.device.type == "cpu" else 1)
    return scores, indices


def run_chunks_in_threads(
    process_chunk: Callable[[int, int], None], row_count: int, chunk_size: int, threads: int
) -> None:
    """Split ``row_count`` rows into chunks, and call ``process_chunk(start, stop)`` for each, in parallel threads.

    In each of up to ``threads`` parallel threads, PyTorch uses one thread: threads that work on separate chunks never
    wait for each other, unlike threads that share every small operation.
    """
    chunk_size = min(chunk_size, _round_up(max(1, -(-row_count // threads)), QUERY_PAD))
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


def _best_sort_keys(
    queries: Tensor,
    items: Tensor,
    bias: Tensor | None,
    allowed_items: Tensor | None,
    k: int,
    excluded: tuple[Longs, Longs] | None,
    item_chunk: int,
) -> Tensor:
    """Return the sort keys of each query's best ``k`` allowed items: int64 tensor (queries, k), descending.

    In the keys and in ``excluded``, an item is numbered by its position among the allowed items.

    Parameters
    ----------
    allowed_items : int64 tensor (allowed,), optional
        Indices of the allowed items; None if all items are allowed.
    excluded : two int64 arrays (pairs,), optional
        Query numbers and the items that these queries must not get, ordered by item.
    """
    q, size = len(queries), len(items if allowed_items is None else allowed_items)
    if bias is not None:
        queries = torch.nn.functional.pad(queries, (0, 1), value=1)
    queries = _pad_rows(queries, QUERY_PAD)
    best = empty_keys(q, k, queries.device)
    buffer = queries.new_empty(len(queries) * _round_up(min(item_chunk, size), BLOCK))
    for start in range(0, size, item_chunk):
        chunk = _item_vectors(items, bias, allowed_items, start, min(start + item_chunk, size))
        columns = _round_up(len(chunk), BLOCK)
        scores = buffer[: len(queries) * columns].view(len(queries), columns)
        torch.mm(queries, _pad_rows(chunk, BLOCK).T, out=scores)
        scores = scores[:q]
        scores[:, len(chunk) :] = -torch.inf
        if excluded is not None:
            low, high = np.searchsorted(excluded[1], [start, start + len(chunk)])
            row, item = (torch.from_numpy(part[low:high]).to(scores.device) for part in excluded)
            scores[row, item - start] = -torch.inf
        if columns // BLOCK <= k:  # the k best items of a query may be spread over all blocks of the chunk
            _merge_whole_chunk(best, scores, start)
            continue
        # Chunks come in order of item index, so an item of this chunk enters a query's list only if its score is
        # above the query's k-th best score so far.
        kth_best_scores = decode_keys(best[:, -1])[0]
        rows, columns_hit, values = _candidate_scores(scores, kth_best_scores, k)
        _merge_into_best(best, rows, encode_keys(values, columns_hit + start))
    return best


def _item_vectors(items: Tensor, bias: Tensor | None, allowed_items: Tensor | None, start: int, stop: int) -> Tensor:
    """Return the vectors of the allowed items number ``start`` to ``stop``, with the bias as an additional last column.

    The vectors of allowed items are copied chunk by chunk, never all at once. With the bias as a column, the matrix
    product adds it to the scores, which saves a pass over them.
    """

    def rows_of_chunk(item_rows: Tensor) -> Tensor:
        # index_select takes a third of the time of item_rows[allowed_items[start:stop]]
        return item_rows[start:stop] if allowed_items is None else item_rows.index_select(0, allowed_items[start:stop])

    if bias is None:
        return rows_of_chunk(items)
    return torch.cat([rows_of_chunk(items), rows_of_chunk(bias)[:, None]], dim=1)


def _candidate_scores(scores: Tensor, thresholds: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return all scores that are above their row's threshold and among its best ``k``, and possibly some others.

    Parameters
    ----------
    scores : float32 tensor (queries, items of the chunk)
        The number of columns is a multiple of ``BLOCK``.
    thresholds : float32 tensor (queries,)
        A row's scores up to its threshold are not returned.

    Returns
    -------
    rows, columns : int64 tensors (hits,)
        Positions of the returned scores, in ascending order of row.
    values : float32 tensor (hits,)
        The returned scores.
    """
    blocks = scores.shape[1] // BLOCK
    maxima = scores.view(-1, blocks, BLOCK).amax(2)
    passing = maxima > thresholds[:, None]
    crowded = (passing.sum(1) > k).nonzero()[:, 0]
    if len(crowded):
        # A row's best k scores lie in the k blocks with the best maxima (of equal scores or maxima, the one of lower
        # index is better), and no score among the best k is below the k-th best maximum.
        keys = encode_keys(maxima[crowded], torch.arange(blocks, device=scores.device))
        kth, chosen = decode_keys(keys.topk(k, dim=1).values)
        passing[crowded] = torch.zeros_like(passing[crowded]).scatter_(1, chosen.long(), True)
        below = torch.nextafter(kth[:, -1], torch.tensor(-torch.inf, device=scores.device))
        thresholds = thresholds.index_put((crowded,), torch.maximum(thresholds[crowded], below))
    passing_blocks = passing.view(-1).nonzero()[:, 0]  # block b of row r has the number r * blocks + b
    members = scores.view(-1, BLOCK).index_select(0, passing_blocks)
    hit, lane = (members > thresholds[passing_blocks // blocks, None]).nonzero(as_tuple=True)
    block = passing_blocks[hit]
    return block // blocks, block % blocks * BLOCK + lane, members[hit, lane]


def _merge_into_best(best_keys: Tensor, rows: Tensor, new_keys: Tensor) -> None:
    """Merge new sort keys into each row's best keys, in place.

    Parameters
    ----------
    best_keys : int64 tensor (queries, k)
        Each row's best keys so far.
    rows : int64 tensor (new keys,)
        Row of each new key, ascending.
    new_keys : int64 tensor (new keys,)
    """
    if not len(rows):
        return
    k = best_keys.shape[1]
    counts = torch.bincount(rows, minlength=len(best_keys))
    rank = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    touched = counts.nonzero()[:, 0]
    slot = (counts > 0).cumsum(0) - 1
    table = empty_keys(len(touched), k + int(counts.max()), best_keys.device)
    table[:, :k] = best_keys[touched]
    table[slot[rows], k + rank] = new_keys
    best_keys[touched] = table.topk(k, dim=1).values


def _merge_whole_chunk(best_keys: Tensor, scores: Tensor, first_item: int) -> None:
    """Merge all scores of a chunk of items into each query's best keys, in place.

    Parameters
    ----------
    best_keys : int64 tensor (queries, k)
        Each query's best sort keys so far, which stand for scores and items.
    scores : float32 tensor (queries, items of the chunk)
        -inf for items that the query must not get.
    first_item : int
        Index of the chunk's first item.
    """
    nothing = int(empty_keys(1, 1, scores.device))
    numbers = torch.arange(first_item, first_item + scores.shape[1], device=scores.device)
    for start in range(0, len(scores), QUERY_PAD):
        rows = slice(start, start + QUERY_PAD)
        keys = encode_keys(scores[rows], numbers).masked_fill_(scores[rows] == -torch.inf, nothing)
        chunk_best = keys.topk(min(best_keys.shape[1], keys.shape[1]), dim=1).values
        best_keys[rows] = torch.cat([best_keys[rows], chunk_best], dim=1).topk(best_keys.shape[1], dim=1).values


def _round_up(count: int, multiple_of: int) -> int:
    return -(-count // multiple_of) * multiple_of


def _pad_rows(vectors: Tensor, multiple_of: int) -> Tensor:
    """Append rows of zeros until the number of rows is a multiple of ``multiple_of``."""
    missing = -len(vectors) % multiple_of
    return torch.nn.functional.pad(vectors, (0, 0, 0, missing)) if missing else vectors


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


def _excluded_pairs(excluded: Sequences, first_row: int, end_row: int) -> tuple[Longs, Longs]:
    """Return pairs of row and excluded item for the rows from ``first_row`` to ``end_row``, ordered by item.

    The first of these rows has the number 0.

    Returns
    -------
    rows, items : int64 arrays (pairs,)
    """
    items = excluded.items[excluded.offsets[first_row] : excluded.offsets[end_row]].astype(np.int64)
    rows = np.repeat(np.arange(end_row - first_row), np.diff(excluded.offsets[first_row : end_row + 1]))
    order = items.argsort(kind="stable")
    return rows[order], items[order]

"""Search for each query's best items where k is large: all scores above a threshold are collected, and sorted once.

A sample of the items gives each query its threshold: a score that about ``HITS_PER_PLACE * k`` items exceed. One pass
over all scores collects the items above the threshold, which are called hits. A query's list is exact if the query has
at least k hits and they fit into the table of hits. The caller ranks the few other queries in another way.
"""

import math

import numpy as np
import torch
from torch import Tensor

from jobs.core.arrays import Bools, Floats, Longs
from jobs.core.score_chunks import BLOCK, item_vectors_with_bias, padded_queries, round_up, score_chunks
from jobs.core.sort_keys import encode_sort_keys

LARGE_K = 128
"""The least k that counts as large: for a smaller k the sample costs more than it saves."""

HITS_PER_PLACE = 1.5
"""How many items should exceed a query's threshold, for each of the k places of its list."""

SAMPLED_HITS = 48
"""How many of the sampled items should exceed a threshold. The larger this number, the fewer queries get less than k
hits."""

TABLE_WIDTH_PER_PLACE = 2
"""How many hits of a query the table of hits can hold, for each of the k places of its list."""

ITEMS_PER_PLACE = 8
"""How many items there must be, for each of the k places of a list, to make a sample worthwhile."""


def is_large_k(k: int, item_count: int) -> bool:
    """Tell whether :func:`search_large_k` is the faster search: k is large, and there are many times more items."""
    return k >= LARGE_K and item_count >= ITEMS_PER_PLACE * k


def search_large_k(
    queries: Tensor,
    item_vectors: Tensor,
    bias: Tensor | None,
    allowed_items: Tensor | None,
    k: int,
    excluded_pairs: tuple[Longs, Longs] | None,
    items_per_chunk: int,
) -> tuple[Tensor, Bools]:
    """Return the sort keys (:mod:`jobs.core.sort_keys`) of each query's best ``k`` allowed items.

    Each key holds an item and its score. For some queries no keys are found; ``are_best`` is False for these.

    The parameters are those of :func:`jobs.core.score_chunks.score_chunks`.

    Returns
    -------
    keys : int64 tensor (queries, k)
        Descending, on the queries' device; an item is numbered by its position among the allowed items.
    are_best : bool array (queries,)
        Whether the query's keys are those of its best items; if False, the keys are useless.
    """
    count, width = len(queries), TABLE_WIDTH_PER_PLACE * k
    thresholds = _thresholds_from_sampled_items(queries, item_vectors, bias, allowed_items, k)
    best_scores = np.full((count, width), -np.inf, np.float32)
    positions = np.zeros((count, width), np.int32)  # unused places have the score -inf, and so come last
    hit_counts, numbers = np.zeros(count, np.int64), np.arange(count)
    mask = np.empty(count * round_up(items_per_chunk, BLOCK), np.bool_)
    for start, chunk in score_chunks(queries, item_vectors, bias, allowed_items, excluded_pairs, items_per_chunk):
        scores, columns = chunk.cpu().numpy(), chunk.shape[1]
        is_hit = mask[: scores.size].reshape(scores.shape)
        hits = np.flatnonzero(np.greater(scores, thresholds[:, None], out=is_hit))
        counts = np.diff(np.searchsorted(hits, np.arange(count + 1) * columns))
        is_full = hit_counts + counts > width
        if is_full.any():
            hits = hits[~np.repeat(is_full, counts)]
            thresholds[is_full], hit_counts[is_full], counts[is_full] = np.inf, 0, 0
        # hits are in order of row; hit number i of the chunk, if it is in row r, goes to place next_places[r] + i
        next_places = numbers * width + hit_counts - (counts.cumsum() - counts)
        places = np.repeat(next_places, counts) + np.arange(len(hits))
        best_scores.reshape(-1)[places] = scores.reshape(-1)[hits]
        positions.reshape(-1)[places] = hits + np.repeat(start - numbers * columns, counts)
        hit_counts += counts
    table = encode_sort_keys(torch.from_numpy(best_scores), torch.from_numpy(positions)).numpy()
    table.sort(axis=1)
    best = torch.from_numpy(table[:, : -k - 1 : -1].copy()).to(queries.device)
    return best, hit_counts >= k


def _thresholds_from_sampled_items(
    queries: Tensor, item_vectors: Tensor, bias: Tensor | None, allowed_items: Tensor | None, k: int
) -> Floats:
    """Return each query's threshold, a score that about ``HITS_PER_PLACE * k`` allowed items exceed.

    Returns
    -------
    float32 array (queries,)
    """
    size = len(item_vectors if allowed_items is None else allowed_items)
    sample = torch.arange(0, size, max(1, int(HITS_PER_PLACE * k / SAMPLED_HITS)), device=item_vectors.device)
    rows = item_vectors_with_bias(item_vectors, bias, sample if allowed_items is None else allowed_items[sample])
    scores = torch.mm(padded_queries(queries, bias), rows.T)[: len(queries)].cpu().numpy()
    better = math.ceil(HITS_PER_PLACE * k * len(sample) / size)
    scores.partition(len(sample) - 1 - better, axis=1)
    return scores[:, len(sample) - 1 - better].copy()

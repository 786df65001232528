"""Search for each query's best items where k is small: each new score is compared with the k-th best score so far."""

import numpy as np
import torch
from torch import Tensor

from jobs.core.arrays import Bools, Longs
from jobs.core.score_chunks import BLOCK, QUERY_PAD, score_chunks
from jobs.core.sort_keys import decode_sort_keys, encode_sort_keys, matrix_of_lowest_sort_key


def search_small_k(
    queries: Tensor,
    item_vectors: Tensor,
    bias: Tensor | None,
    allowed_items: Tensor | None,
    k: int,
    excluded_pairs: tuple[Longs, Longs] | None,
    items_per_chunk: int,
) -> tuple[Tensor, Bools]:
    """Return the sort keys (:mod:`jobs.core.sort_keys`) of each query's best ``k`` allowed items.

    The parameters and returned arrays are those of :func:`jobs.core.large_k_search.search_large_k`, but here the keys
    are found for every query. Items are grouped into blocks of ``BLOCK``. A block's scores are looked at one by one
    only if their maximum exceeds the query's k-th best score so far.
    """
    best = matrix_of_lowest_sort_key(len(queries), k, queries.device)
    for start, scores in score_chunks(queries, item_vectors, bias, allowed_items, excluded_pairs, items_per_chunk):
        if scores.shape[1] // BLOCK <= k:  # a query's best items may lie in all blocks of the chunk
            _merge_whole_chunk(best, scores, start)
            continue
        # Chunks come in order of item index, so an item of this chunk enters a query's list only if its score is
        # above the query's k-th best score so far.
        kth_best_scores = decode_sort_keys(best[:, -1])[0]
        rows, columns_hit, values = _candidate_scores(scores, kth_best_scores, k)
        _merge_into_best_keys(best, rows, encode_sort_keys(values, columns_hit + start))
    return best, np.ones(len(best), np.bool_)


def _candidate_scores(scores: Tensor, thresholds: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores above their row's threshold: all those among the row's best ``k``, and perhaps some others.

    Parameters
    ----------
    scores : float32 tensor (queries, items of the chunk)
        The number of columns is a multiple of ``BLOCK``.
    thresholds : float32 tensor (queries,)
        The score that a returned score of the row must exceed.

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
        # A row's best k scores lie in the k blocks with the largest maxima, and none of them is below the k-th largest
        # maximum. Of equal scores, and of equal maxima, the one with the lower index counts as larger.
        keys = encode_sort_keys(maxima[crowded], torch.arange(blocks, device=scores.device))
        kth, chosen = decode_sort_keys(keys.topk(k, dim=1).values)
        passing[crowded] = torch.zeros_like(passing[crowded]).scatter_(1, chosen.long(), True)
        below = torch.nextafter(kth[:, -1], torch.tensor(-torch.inf, device=scores.device))
        thresholds = thresholds.index_put((crowded,), torch.maximum(thresholds[crowded], below))
    passing_blocks = passing.view(-1).nonzero()[:, 0]  # block b of row r has the number r * blocks + b
    members = scores.view(-1, BLOCK).index_select(0, passing_blocks)
    hit, lane = (members > thresholds[passing_blocks // blocks, None]).nonzero(as_tuple=True)
    block = passing_blocks[hit]
    return block // blocks, block % blocks * BLOCK + lane, members[hit, lane]


def _merge_into_best_keys(best_keys: Tensor, row_of_new_key: Tensor, new_keys: Tensor) -> None:
    """Merge new sort keys (of items and their scores) into each row's best keys, in place.

    Parameters
    ----------
    best_keys : int64 tensor (queries, k)
        Each row's best keys so far.
    row_of_new_key : int64 tensor (new keys,)
        Row of each new key, ascending.
    new_keys : int64 tensor (new keys,)
    """
    if not len(new_keys):
        return
    k = best_keys.shape[1]
    counts = torch.bincount(row_of_new_key, minlength=len(best_keys))
    rank = torch.arange(len(new_keys), device=new_keys.device) - (counts.cumsum(0) - counts)[row_of_new_key]
    touched = counts.nonzero()[:, 0]
    slot = (counts > 0).cumsum(0) - 1
    table = matrix_of_lowest_sort_key(len(touched), k + int(counts.max()), best_keys.device)
    table[:, :k] = best_keys[touched]
    table[slot[row_of_new_key], k + rank] = new_keys
    best_keys[touched] = table.topk(k, dim=1).values


def _merge_whole_chunk(best_keys: Tensor, scores: Tensor, first_item_number: int) -> None:
    """Merge all scores of a chunk of items into each row's best keys, in place.

    Parameters
    ----------
    best_keys : int64 tensor (queries, k)
    scores : float32 tensor (queries, items of the chunk)
        -inf for excluded items.
    first_item_number : int
        Position of the chunk's first item among the allowed items.
    """
    nothing = int(matrix_of_lowest_sort_key(1, 1, scores.device))
    numbers = torch.arange(first_item_number, first_item_number + scores.shape[1], device=scores.device)
    for start in range(0, len(scores), QUERY_PAD):
        rows = slice(start, start + QUERY_PAD)
        keys = encode_sort_keys(scores[rows], numbers).masked_fill_(scores[rows] == -torch.inf, nothing)
        chunk_best = keys.topk(min(best_keys.shape[1], keys.shape[1]), dim=1).values
        best_keys[rows] = torch.cat([best_keys[rows], chunk_best], dim=1).topk(best_keys.shape[1], dim=1).values

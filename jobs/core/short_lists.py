"""Short lists of best items: each chunk's scores are compared with the last score of every query's list so far."""

import numpy as np
import torch
from torch import Tensor

from jobs.core.arrays import Bools, Longs
from jobs.core.score_chunks import BLOCK, QUERY_PAD, score_chunks
from jobs.core.score_keys import decode_keys, empty_keys, encode_keys


def short_list_keys(
    queries: Tensor,
    items: Tensor,
    bias: Tensor | None,
    allowed_items: Tensor | None,
    k: int,
    excluded_pairs: tuple[Longs, Longs] | None,
    item_chunk: int,
) -> tuple[Tensor, Bools]:
    """Return what :func:`jobs.core.long_lists.long_list_keys` returns: the best keys, here certain for each query.

    Only if the maximum score of a block of ``BLOCK`` items exceeds the query's threshold are the block's scores looked
    at one by one.
    """
    best = empty_keys(len(queries), k, queries.device)
    for start, scores in score_chunks(queries, items, bias, allowed_items, excluded_pairs, item_chunk):
        if scores.shape[1] // BLOCK <= k:  # then a row may need every block
            _merge_whole_chunk(best, scores, start)
            continue
        # Chunks come in order of item index, so an item of this chunk enters a query's list only if its score is
        # above the query's k-th best score so far.
        kth_best_scores = decode_keys(best[:, -1])[0]
        rows, columns_hit, values = _candidate_scores(scores, kth_best_scores, k)
        _merge_into_best(best, rows, encode_keys(values, columns_hit + start))
    return best, np.ones(len(best), np.bool_)


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
    """Merge all scores of a chunk of items into each row's best keys, in place.

    Parameters
    ----------
    best_keys : int64 tensor (queries, k)
    scores : float32 tensor (queries, items of the chunk)
        -inf for items that don't count.
    first_item : int
        Number of the chunk's first item.
    """
    nothing = int(empty_keys(1, 1, scores.device))
    numbers = torch.arange(first_item, first_item + scores.shape[1], device=scores.device)
    for start in range(0, len(scores), QUERY_PAD):
        rows = slice(start, start + QUERY_PAD)
        keys = encode_keys(scores[rows], numbers).masked_fill_(scores[rows] == -torch.inf, nothing)
        chunk_best = keys.topk(min(best_keys.shape[1], keys.shape[1]), dim=1).values
        best_keys[rows] = torch.cat([best_keys[rows], chunk_best], dim=1).topk(best_keys.shape[1], dim=1).values

"""Long lists of best items: every score above a threshold is kept, and sorted once at the end.

A sample of the items tells, for each query, about which score ``HITS_PER_PLACE`` times as many items exceed as the list
has places. One pass over all scores collects those items. Where their number is at least that of the places, and fits
the table, the list is exact; the caller ranks the few other queries in another way.
"""

import math

import numpy as np
import torch
from torch import Tensor

from jobs.core.arrays import Bools, Floats, Longs
from jobs.core.score_chunks import BLOCK, item_vectors_with_bias, padded_queries, round_up, score_chunks
from jobs.core.score_keys import encode_keys

LONG = 128
"""Lists of at least this length are long: for shorter ones the sample costs more than it saves."""

HITS_PER_PLACE = 1.5
"""How many items of a query should exceed its threshold, for each place of its list."""

SAMPLED_HITS = 48
"""How many of these items the sample should hold: with more, fewer queries miss the wanted number."""

TABLE_WIDTH_PER_PLACE = 2
ITEMS_PER_PLACE = 8
"""Catalogues with fewer items for each place of a list aren't worth a sample."""


def is_long_list(k: int, item_count: int) -> bool:
    """Return whether :func:`long_list_keys` should rank lists of ``k`` of the items."""
    return k >= LONG and item_count >= ITEMS_PER_PLACE * k


def long_list_keys(
    queries: Tensor,
    items: Tensor,
    bias: Tensor | None,
    allowed_items: Tensor | None,
    k: int,
    excluded_pairs: tuple[Longs, Longs] | None,
    item_chunk: int,
) -> tuple[Tensor, Bools]:
    """Return the sort keys of each query's best ``k`` allowed items, and whether they are these.

    The parameters are those of :func:`jobs.core.score_chunks.score_chunks`.

    Returns
    -------
    keys : int64 tensor (queries, k)
        Descending, on the queries' device; an item is numbered by its position among the allowed items.
    are_best : bool array (queries,)
        False for a query of whose keys nothing is certain.
    """
    count, width = len(queries), TABLE_WIDTH_PER_PLACE * k
    thresholds = _sample_thresholds(queries, items, bias, allowed_items, k)
    best_scores = np.full((count, width), -np.inf, np.float32)
    positions = np.zeros((count, width), np.int32)  # with the score -inf, each comes behind every hit
    hit_counts, numbers = np.zeros(count, np.int64), np.arange(count)
    mask = np.empty(count * round_up(item_chunk, BLOCK), np.bool_)
    for start, chunk in score_chunks(queries, items, bias, allowed_items, excluded_pairs, item_chunk):
        scores, columns = chunk.cpu().numpy(), chunk.shape[1]
        is_hit = mask[: scores.size].reshape(scores.shape)
        hits = np.flatnonzero(np.greater(scores, thresholds[:, None], out=is_hit))
        counts = np.diff(np.searchsorted(hits, np.arange(count + 1) * columns))
        is_full = hit_counts + counts > width
        if is_full.any():
            hits = hits[~np.repeat(is_full, counts)]
            thresholds[is_full], hit_counts[is_full], counts[is_full] = np.inf, 0, 0
        # hits come in order of row: hit number i of the chunk goes to the place next_places[row] + i
        next_places = numbers * width + hit_counts - (counts.cumsum() - counts)
        places = np.repeat(next_places, counts) + np.arange(len(hits))
        best_scores.reshape(-1)[places] = scores.reshape(-1)[hits]
        positions.reshape(-1)[places] = hits + np.repeat(start - numbers * columns, counts)
        hit_counts += counts
    table = encode_keys(torch.from_numpy(best_scores), torch.from_numpy(positions)).numpy()
    table.sort(axis=1)
    best = torch.from_numpy(table[:, : -k - 1 : -1].copy()).to(queries.device)
    return best, hit_counts >= k


def _sample_thresholds(
    queries: Tensor, items: Tensor, bias: Tensor | None, allowed_items: Tensor | None, k: int
) -> Floats:
    """Return a score for each query that about ``HITS_PER_PLACE * k`` allowed items exceed: float32 (queries,)."""
    size = len(items if allowed_items is None else allowed_items)
    sample = torch.arange(0, size, max(1, int(HITS_PER_PLACE * k / SAMPLED_HITS)), device=items.device)
    rows = item_vectors_with_bias(items, bias, sample if allowed_items is None else allowed_items[sample])
    scores = torch.mm(padded_queries(queries, bias), rows.T)[: len(queries)].cpu().numpy()
    better = math.ceil(HITS_PER_PLACE * k * len(sample) / size)
    scores.partition(len(sample) - 1 - better, axis=1)
    return scores[:, len(sample) - 1 - better].copy()

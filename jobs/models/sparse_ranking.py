"""Ranks items by the scores in a sparse matrix, which has a row for each sequence and a column for each item."""

from typing import Any

import numpy as np

from jobs.core.arrays import Bools, Floats, Ints
from jobs.core.sequences import Sequences

SparseMatrix = Any
"""A sparse array of SciPy, whose sparse arrays have no type hints."""


def top_of_rows(
    item_scores: SparseMatrix, k: int, excluded_items: Sequences | None, allowed_mask: Bools
) -> tuple[Floats, Ints]:
    """Return the ``k`` items with the highest scores for each sequence; fewer where fewer allowed items have a score.

    Parameters
    ----------
    item_scores : sparse float64 array (sequences, items)
        Scores; an item without an entry can't be recommended to the sequence.
    excluded_items : Sequences or None
        Row ``i`` holds the items that sequence ``i`` must not get.
    allowed_mask : bool array (items,)
        False for items that no sequence may get.

    Returns
    -------
    float32 array (sequences, k), int32 array (sequences, k)
        Scores and item indices, best first; -inf and -1 past the last item.
    """
    count = item_scores.shape[0]
    scores = np.full((count, k), -np.inf, np.float32)
    items = np.full((count, k), -1, np.int32)
    eligible = allowed_mask.copy()
    for row in range(count):
        entries = slice(item_scores.indptr[row], item_scores.indptr[row + 1])
        excluded = np.empty(0, np.int32) if excluded_items is None else excluded_items[row]
        eligible[excluded] = False
        is_candidate = eligible[item_scores.indices[entries]]
        eligible[excluded] = allowed_mask[excluded]
        candidates = item_scores.indices[entries][is_candidate]
        values = item_scores.data[entries][is_candidate].astype(np.float32)
        if len(values) > k:  # it saves time to sort only the scores that are at least the k-th highest
            high = values >= np.partition(values, -k)[-k]
            candidates, values = candidates[high], values[high]
        best = np.lexsort((candidates, -values))[:k]
        scores[row, : len(best)], items[row, : len(best)] = values[best], candidates[best]
    return scores, items

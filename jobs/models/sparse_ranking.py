"""Ranking by sparse scores: the best entries of each row of a sparse matrix of sequences and items."""

from typing import Any

import numpy as np

from jobs.core.arrays import Bools, Floats, Ints
from jobs.core.sequences import Sequences

SparseMatrix = Any  # SciPy's sparse arrays have no type hints


def top_of_rows(
    item_scores: SparseMatrix, k: int, excluded_items: Sequences | None, allowed_mask: Bools
) -> tuple[Floats, Ints]:
    """Return the ``k`` best entries of each row; fewer where a row has fewer entries that are allowed.

    Parameters
    ----------
    item_scores : sparse float64 array (sequences, items)
        Scores; an item without an entry can't be recommended to the sequence.
    excluded_items, allowed_mask
        As in :meth:`jobs.models.scorer.Scorer.top`.

    Returns
    -------
    float32 array (sequences, k), int32 array (sequences, k)
        Scores and item indices, as :func:`jobs.models.scorer.recommend` returns them.
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
        if len(values) > k:  # sorting only scores that reach the k-th best saves time
            high = values >= np.partition(values, -k)[-k]
            candidates, values = candidates[high], values[high]
        best = np.lexsort((candidates, -values))[:k]
        scores[row, : len(best)], items[row, : len(best)] = values[best], candidates[best]
    return scores, items

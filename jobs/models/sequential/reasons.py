"""Reasons for the recommendations of trained sequence models, found by leaving out one item of the sequence at a time.

Leaving out an item of the sequence changes the score of a recommended item. The drop of the score is the contribution
of the item that is left out. :mod:`jobs.models.reason_lift` says which contribution makes the reason. The network
computes the scores again for each shortened sequence, since the similarity of item vectors says little about a network
that reads the items in order.

Scores are compared after subtracting the mean score of all items. An input item that raises or lowers all scores
equally changes no list and no softmax probability, so training leaves such a shift to chance. Without the subtraction,
this item would look like a reason for, or against, every recommendation.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from jobs.core.arrays import Bools, Ints
from jobs.core.sequences import Sequences
from jobs.models.scorer import SEQUENCES_PER_REASON_CHUNK, VectorScorer, reasons_among_candidates

# Number of newest items of a sequence that may be a reason; the network runs once without each of them. On UCI Online
# Retail (200 sequences of 5 items or more, SASRec after 4 epochs), 74 % of a list's items have the list's commonest
# reason if the largest contribution of 3 candidates decides, 63 % with the lift of 3 candidates, and 42 % with the lift
# of 6. Five candidates take about twice as long as three. On Beauty, the item of the sequence with the largest
# contribution is among the five candidates for 95 % of the listed items.
REASON_CANDIDATES = 5


@dataclass(frozen=True)
class ScorerWithLeaveOneOutReasons(VectorScorer):
    """Vector scorer that finds reasons for recommendations by leaving out items of the sequence, one at a time.

    Attributes
    ----------
    max_input_length : int
        Number of newest items of a sequence that the model reads.
    """

    max_input_length: int = field(kw_only=True)

    def reason_items(self, sequences: Sequences, recommended_items: Ints, allowed_mask: Bools | None = None) -> Ints:
        """Return the reason for each recommended item: an item of the sequence without which its score is lower.

        Scores are taken relative to the mean score of all recommendable items. Candidates for the reason are the newest
        ``REASON_CANDIDATES`` distinct items that the model reads. A candidate is left out at all its occurrences. Where
        no candidate adds anything, the reason is the one without which the recommended item has the lowest score. If a
        sequence has only one item, this item is the reason.
        """
        reasons = np.full(recommended_items.shape, -1, np.int32)
        for start in range(0, len(sequences), SEQUENCES_PER_REASON_CHUNK):
            rows = np.arange(start, min(start + SEQUENCES_PER_REASON_CHUNK, len(sequences)))
            chunk = sequences.take(rows).keep_items(self.recommendable_mask).keep_last_items(self.max_input_length)
            candidates = newest_distinct_items(chunk, REASON_CANDIDATES)
            row, column = np.nonzero(candidates >= 0)
            if not len(row):
                continue
            queries = self.compute_queries(chunk)
            added = queries.new_zeros(*candidates.shape, queries.shape[1])
            queries_without = self.compute_queries(chunk.take(row).without_one_item_per_row(candidates[row, column]))
            added[row, column] = queries[row] - queries_without
            centred_vectors = self.item_vectors[recommended_items[rows].clip(min=0)] - self._mean_item_vector
            drops = torch.bmm(centred_vectors, added.transpose(1, 2)).cpu().numpy().astype(np.float64)
            # Leaving out the newest item changes scores many times more than leaving out another. Square roots of the
            # changes are compared, so that the newest item isn't the reason for nearly all recommended items.
            contributions = np.sign(drops) * np.sqrt(np.abs(drops))
            reasons[rows] = reasons_among_candidates(contributions, candidates, recommended_items[rows])
        return reasons

    @cached_property
    def _mean_item_vector(self) -> Tensor:
        """Mean vector of the recommendable items: as scores are inner products, it gives the items' mean score."""
        return self.item_vectors[self.recommendable_mask].mean(dim=0)


def newest_distinct_items(sequences: Sequences, count: int) -> Ints:
    """Return the newest ``count`` distinct items of each sequence, newest first: int32 (rows, count), padded by -1."""
    remaining = np.pad(sequences.padded_matrix(-1)[:, ::-1], ((0, 0), (0, 1)), constant_values=-1)
    newest = np.full((len(sequences), count), -1, np.int32)
    for column in range(count):
        newest[:, column] = remaining[np.arange(len(remaining)), (remaining >= 0).argmax(axis=1)]
        remaining[remaining == newest[:, [column]]] = -1
    return newest

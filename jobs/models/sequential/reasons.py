"""Reasons for the recommendations of trained sequence models, found by leaving out one item of the sequence at a time.

The reason is the item without which the recommended item scores lowest. The network computes the scores again for each
shortened sequence, since the similarity of item vectors says little about a network that reads the items in order.

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
from jobs.models.scorer import REASON_CHUNK, VectorScorer

# Number of newest items of a sequence that may be a reason; the network runs once without each of them. On Beauty
# (3,000 sequences of 9 items, SASRec of two blocks after 14 epochs) three candidates take 1.6 times as long as the
# top-20 lists themselves, and for 90 % of the listed items give the same reason as if every item read were a candidate.
# Five candidates take 2.6 times as long and agree for 95 %. Always naming the newest item agrees for 84 %, and always
# naming the item with the nearest vector for 64 %.
REASON_CANDIDATES = 3


@dataclass(frozen=True)
class LeaveOneOutScorer(VectorScorer):
    """Vector scorer that finds reasons for recommendations by leaving out items of the sequence, one at a time.

    Attributes
    ----------
    longest_input : int
        Number of newest items of a sequence that the model reads.
    """

    longest_input: int = field(kw_only=True)

    def reasons(self, sequences: Sequences, items: Ints, allowed_mask: Bools | None = None) -> Ints:
        """Return the reason for each recommended item: the input item without which the recommended item scores lowest.

        Scores are taken relative to the mean score of all recommendable items: the reason explains why the recommended
        item scores above an average item, not why the item ranks above its neighbours in the list.
        Candidates for the reason are the newest ``REASON_CANDIDATES`` distinct items that the model reads. A candidate
        is left out at all its occurrences. If a sequence has only one item, this item is the reason.
        """
        reasons = np.full(items.shape, -1, np.int32)
        for start in range(0, len(sequences), REASON_CHUNK):
            rows = np.arange(start, min(start + REASON_CHUNK, len(sequences)))
            chunk = sequences.take(rows).keep_items(self.recommendable).last_items(self.longest_input)
            candidates = newest_items(chunk, REASON_CANDIDATES)
            row, column = np.nonzero(candidates >= 0)
            if not len(row):
                continue
            queries = self.queries(chunk.take(row).without_items(candidates[row, column]))
            queries_without = queries.new_zeros(*candidates.shape, queries.shape[1])
            queries_without[row, column] = queries
            centred_vectors = self.item_vectors[items[rows].clip(min=0)] - self._mean_vector
            scores = torch.bmm(centred_vectors, queries_without.transpose(1, 2)).cpu().numpy()
            scores = np.where(candidates[:, None, :] >= 0, scores, np.inf)
            # Of scores that differ only by rounding, argmax takes the first score, which the newest candidate has.
            lowest = np.isclose(scores, scores.min(axis=2, keepdims=True), rtol=1e-4, atol=1e-5).argmax(axis=2)
            reasons[rows] = np.where(items[rows] >= 0, np.take_along_axis(candidates, lowest, axis=1), -1)
        return reasons

    @cached_property
    def _mean_vector(self) -> Tensor:
        """Mean vector of the recommendable items: as scores are inner products, it gives the items' mean score."""
        return self.item_vectors[self.recommendable].mean(dim=0)


def newest_items(sequences: Sequences, count: int) -> Ints:
    """Return the newest ``count`` distinct items of each sequence, newest first: int32 (rows, count), padded by -1."""
    remaining = np.pad(sequences.padded_matrix(-1)[:, ::-1], ((0, 0), (0, 1)), constant_values=-1)
    newest = np.full((len(sequences), count), -1, np.int32)
    for column in range(count):
        newest[:, column] = remaining[np.arange(len(remaining)), (remaining >= 0).argmax(axis=1)]
        remaining[remaining == newest[:, [column]]] = -1
    return newest

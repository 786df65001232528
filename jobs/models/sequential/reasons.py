"""Reasons of trained sequence models: the item without which the recommended one would stand out least.

Closeness of item vectors says little about a network that reads them in their order; so the network is asked again.

An item stands out by its score less the mean score of all items. The score alone won't do: whatever lifts or lowers
all scores alike changes no list, nor any probability that softmax makes of them, so training leaves it to chance, and
to leave out an item that does so would look like a reason for, or against, everything.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from jobs.core.arrays import Bools, Ints
from jobs.core.sequences import Sequences
from jobs.models.scorer import REASON_CHUNK, VectorScorer

# Newest items that may be a reason: each costs an encoding of the sequence without it. On Beauty (3,000 sequences of 9
# items, SASRec of two blocks after 14 epochs) three take 1.6 times as long as the top 20 themselves, and for 90 % of
# those items the reason is the one that all items read would give; five take 2.6 times as long, and it is for 95 %. The
# newest is it for 84 %, the one with the nearest vector for 64 %.
CANDIDATES = 3


@dataclass(frozen=True)
class LeaveOneOutScorer(VectorScorer):
    """Scores as :class:`VectorScorer`; a reason is found by leaving items out.

    Attributes
    ----------
    longest_input : int
        How many items of a sequence the model reads, the newest ones.
    """

    longest_input: int = field(kw_only=True)

    def reasons(self, sequences: Sequences, items: Ints, allowed: Bools | None = None) -> Ints:
        """Name the item whose absence leaves the recommended one least above the mean of all recommendable items.

        It says why the item and not an average one, nothing of its neighbours in the list. Compared are the newest
        ``CANDIDATES`` different items that the model reads. An item is left out wherever it occurs; one that is all of
        its sequence is the reason.
        """
        found = np.full(items.shape, -1, np.int32)
        for start in range(0, len(sequences), REASON_CHUNK):
            rows = np.arange(start, min(start + REASON_CHUNK, len(sequences)))
            read = sequences.take(rows).keep(self.recommendable).last(self.longest_input)
            candidates = newest(read, CANDIDATES)
            row, place = np.nonzero(candidates >= 0)
            if not len(row):
                continue
            queries = self.queries(read.take(row).without(candidates[row, place]))
            left_out = queries.new_zeros(*candidates.shape, queries.shape[1])
            left_out[row, place] = queries
            distinct = self.item_vectors[items[rows].clip(min=0)] - self._mean_vector
            scores = torch.bmm(distinct, left_out.transpose(1, 2)).cpu().numpy()
            scores = np.where(candidates[:, None, :] >= 0, scores, np.inf)
            # of those as near as rounding the first, which is the newest
            lowest = np.isclose(scores, scores.min(axis=2, keepdims=True), rtol=1e-4, atol=1e-5).argmax(axis=2)
            found[rows] = np.where(items[rows] >= 0, np.take_along_axis(candidates, lowest, axis=1), -1)
        return found

    @cached_property
    def _mean_vector(self) -> Tensor:
        """Its score is the mean score: scores are inner products."""
        return self.item_vectors[self.recommendable].mean(dim=0)


def newest(sequences: Sequences, count: int) -> Ints:
    """Return each row's newest different items, the newest first: int32 (rows, count), -1 where there are fewer."""
    left = np.pad(sequences.padded(-1)[:, ::-1], ((0, 0), (0, 1)), constant_values=-1)
    chosen = np.full((len(sequences), count), -1, np.int32)
    for place in range(count):
        chosen[:, place] = left[np.arange(len(left)), (left >= 0).argmax(axis=1)]
        left[left == chosen[:, [place]]] = -1
    return chosen

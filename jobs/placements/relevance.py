"""Fills ranks of lists by maximal marginal relevance (Carbonell & Goldstein 1998); pure functions on arrays.

For each rank, from the first on, a list takes the candidate of the largest *marginal relevance*: worth as much as
possible, and as unlike the list's items as possible. Cosines only lower a candidate's value, so that the candidates
that were not looked at can't win where the best of the others has a value of at least what their worth alone gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from jobs.core.arrays import Bools, Floats, Longs
from jobs.placements.fill import RANK_CONSTANT, Candidates, Cap, PartialLists, are_listed, worths_of_ranks

COSINES_AT_ONCE = 2**20
"""The most cosines between candidates that are kept at once; it bounds memory."""

SUPPOSED_COSINE = 0.5
"""The cosine between items of a list from which :meth:`Diversity.first_depth` supposes how many candidates compete."""


@dataclass(frozen=True)
class Diversity:
    """Maximal marginal relevance: a candidate's value is ``(1 - weight) * worth / best worth - weight * cosine``.

    The best worth is that of rank 1 without a boost. The cosine is the candidate's to the nearest item of the list, at
    least 0; items that pins and slots have put at later ranks count too. Only a list's first ``pool`` candidates
    compete; if caps allow none of them, the first allowed candidate behind them is taken. Of candidates with equal
    values, the earlier one wins.

    Attributes
    ----------
    weight : float
        Weight of the cosine, from 0 to 1.
    vectors : float32 array (items, dimensions)
        Embeddings of length 1; zeros for an item without an embedding, whose cosines are 0.
    pool : int
        Number of candidates that compete.
    """

    weight: float
    vectors: Floats
    pool: int

    def first_depth(self, k: int) -> int:
        """Return how many candidates to look at first for a list of ``k``: the others can hardly win a rank."""
        value_of_last = (1 - self.weight) * worths_of_ranks(np.ones(1), 3 * k // 2) - self.weight * SUPPOSED_COSINE * (
            worths_of_ranks(np.ones(1), 1)
        )
        if value_of_last[0] <= 0:
            return self.pool
        return min(self.pool, int((1 - self.weight) / value_of_last[0]) - RANK_CONSTANT)


def fill_by_relevance(
    lists: PartialLists,
    rows: Longs,
    ranks: Sequence[int],
    candidates: Candidates,
    source: int,
    caps: Sequence[Cap],
    diversity: Diversity,
) -> Bools:
    """Fill open ranks of some lists, in place; the parameters are those of :func:`jobs.placements.fill.fill_ranks`.

    Returns
    -------
    bool array (rows,)
        False for a list in which another candidate could have won a rank.
    """
    are_certain = np.ones(len(rows), np.bool_)
    step = max(1, COSINES_AT_ONCE // max(1, min(candidates.items.shape[1], diversity.pool)) ** 2)
    for start in range(0, len(rows), step):
        some = np.arange(start, min(start + step, len(rows)))
        are_certain[some] = _fill(lists, rows[some], ranks, candidates.take(some), source, caps, diversity)
    return are_certain


def _fill(
    lists: PartialLists,
    rows: Longs,
    ranks: Sequence[int],
    candidates: Candidates,
    source: int,
    caps: Sequence[Cap],
    diversity: Diversity,
) -> Bools:
    are_certain = np.ones(len(rows), np.bool_)
    if not candidates.items.shape[1]:
        return are_certain
    taken, numbers = lists.items[rows], np.arange(len(rows))
    state = _Competition(candidates, caps, diversity, taken)
    for rank in ranks:
        is_open = taken[:, rank - 1] < 0
        chosen, is_certain = state.best()
        are_certain &= ~is_open | is_certain
        chosen = np.where(is_open, chosen, -1)
        found = chosen >= 0
        entries = rows[found], rank - 1
        lists.items[entries] = candidates.items[numbers[found], chosen[found]]
        lists.scores[entries] = candidates.scores[numbers[found], chosen[found]]
        lists.sources[entries] = source
        state.enter(chosen)
    return are_certain


class _Competition:
    """Which candidates of some rows may still enter, and which of them is best."""

    def __init__(self, candidates: Candidates, caps: Sequence[Cap], diversity: Diversity, taken: np.ndarray) -> None:
        self._rows = np.arange(len(taken))
        self._items = candidates.items
        self._is_blocked = (candidates.items < 0) | are_listed(taken, candidates.items)
        self._caps = [
            (cap, np.where(self._items >= 0, cap.codes[self._items], -1), np.zeros(self._items.shape, np.int16))
            for cap in caps
        ]
        pooled = candidates.items[:, : diversity.pool]
        self._width, self._weight = pooled.shape[1], diversity.weight
        vectors = diversity.vectors[pooled].astype(np.float64)
        self._cosines = torch.bmm(torch.from_numpy(vectors), torch.from_numpy(vectors).transpose(1, 2)).numpy()
        self._penalties = np.zeros(pooled.shape)
        factor = (1 - diversity.weight) / worths_of_ranks(np.ones(1), 1)
        self._relevance = factor * candidates.worths[:, : diversity.pool]
        # of a pool that is known as a whole, no further candidate competes
        is_whole = candidates.are_all | (np.count_nonzero(pooled >= 0, axis=1) == diversity.pool)
        self._bounds = np.where(is_whole, -np.inf, factor * candidates.next_worths)
        for column in np.flatnonzero((taken >= 0).any(axis=0)):
            is_taken = taken[:, column] >= 0
            of_taken = diversity.vectors[taken[:, column]].astype(np.float64) * is_taken[:, None]
            self._lower_values(np.matmul(vectors, of_taken[:, :, None])[:, :, 0])
            self._count(np.where(is_taken, taken[:, column], -1))

    def _count(self, items: np.ndarray) -> None:
        """Count one more item of each row's list against the caps; -1 for a row that gets none."""
        for cap, codes, counts in self._caps:
            item_codes = np.where(items >= 0, cap.codes[items], -1)
            counts += (codes == item_codes[:, None]) & (item_codes >= 0)[:, None]
            self._is_blocked |= counts >= cap.limit

    def _lower_values(self, cosines: np.ndarray) -> None:
        np.maximum(self._penalties, self._weight * cosines, out=self._penalties)

    def enter(self, chosen: Longs) -> None:
        """Take note of the candidate at a position that enters each row's list; -1 for a row that gets none."""
        found = chosen >= 0
        self._is_blocked[self._rows[found], chosen[found]] = True
        if self._caps:
            self._count(np.where(found, self._items[self._rows, chosen], -1))
        # a candidate behind the pool enters only when nothing of the pool may
        is_pooled = found & (chosen < self._width)
        cosines = self._cosines[self._rows, np.where(is_pooled, chosen, 0)]
        self._lower_values(cosines if is_pooled.all() else cosines * is_pooled[:, None])

    def best(self) -> tuple[Longs, Bools]:
        """Return the position of each row's best candidate, -1 if there is none, and whether it is best for certain."""
        values = self._relevance - self._penalties
        values[self._is_blocked[:, : self._width]] = -np.inf
        best = values.argmax(axis=1)
        best_values = values[self._rows, best]
        if (is_over := best_values == -np.inf).any():  # then the first candidate behind the pool
            first = np.argmin(self._is_blocked, axis=1)
            is_there = ~self._is_blocked[self._rows, first]
            best = np.where(is_over, np.where(is_there, first, -1), best)
        return best, best_values >= self._bounds

"""Fills ranks of lists by maximal marginal relevance (Carbonell & Goldstein 1998); pure functions on arrays.

For each rank, from the first on, a list takes the candidate of the largest *marginal relevance*. It is large for a
candidate that has a large rank score and is unlike the list's items. Likeness only lowers it, so the rank score alone
gives an upper bound. A candidate wins for certain if it reaches the bound of every candidate that was not looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from jobs.core.arrays import Bools, Floats, Longs
from jobs.placements.fill import RANK_CONSTANT, Candidates, Cap, PartialLists, are_listed, rank_scores_of

COSINES_AT_ONCE = 2**20
"""The most cosines between candidates that are kept at once; it bounds memory."""

SUPPOSED_COSINE = 0.5
"""The cosine between items of a list that :meth:`Diversity.initial_depth` assumes, to guess how many candidates to
look at."""


@dataclass(frozen=True)
class Diversity:
    """Maximal marginal relevance: a candidate's value is ``(1 - w) * rank score / best rank score - w * cosine``.

    ``w`` is ``cosine_weight``. The best rank score is that of rank 1 without a boost. The cosine is that of the
    candidate and the nearest item of the list, and at least 0. Items that pins and slots have put at later ranks count
    too. Only a list's first ``pool_size`` candidates compete; if caps allow none of them, the first allowed candidate
    behind them is taken. Of candidates with equal values, the earlier one wins.

    Attributes
    ----------
    cosine_weight : float
        Weight of the cosine, from 0 to 1.
    item_vectors : float32 array (items, dimensions)
        Embeddings of length 1; zeros for an item without an embedding, whose cosines are 0.
    pool_size : int
        Number of candidates that compete.
    """

    cosine_weight: float
    item_vectors: Floats
    pool_size: int

    def initial_depth(self, k: int) -> int:
        """Return how many candidates to look at first for a list of ``k`` items; later ones can hardly enter it."""
        value_of_last = (1 - self.cosine_weight) * rank_scores_of(
            np.ones(1), 3 * k // 2
        ) - self.cosine_weight * SUPPOSED_COSINE * (rank_scores_of(np.ones(1), 1))
        if value_of_last[0] <= 0:
            return self.pool_size
        return min(self.pool_size, int((1 - self.cosine_weight) / value_of_last[0]) - RANK_CONSTANT)


def fill_by_relevance(
    partial_lists: PartialLists,
    list_indices: Longs,
    ranks: Sequence[int],
    candidates: Candidates,
    source_code: int,
    caps: Sequence[Cap],
    diversity: Diversity,
) -> Bools:
    """Fill open ranks of some lists, in place; the parameters are those of :func:`jobs.placements.fill.fill_ranks`.

    Returns
    -------
    bool array (rows,)
        False for a list that another candidate, which was not looked at, could have entered.
    """
    are_certain = np.ones(len(list_indices), np.bool_)
    step = max(1, COSINES_AT_ONCE // max(1, min(candidates.items.shape[1], diversity.pool_size)) ** 2)
    for start in range(0, len(list_indices), step):
        some = np.arange(start, min(start + step, len(list_indices)))
        are_certain[some] = _fill_some_lists(
            partial_lists, list_indices[some], ranks, candidates.take(some), source_code, caps, diversity
        )
    return are_certain


def _fill_some_lists(
    partial_lists: PartialLists,
    list_indices: Longs,
    ranks: Sequence[int],
    candidates: Candidates,
    source_code: int,
    caps: Sequence[Cap],
    diversity: Diversity,
) -> Bools:
    are_certain = np.ones(len(list_indices), np.bool_)
    if not candidates.items.shape[1]:
        return are_certain
    listed_items, numbers = partial_lists.items[list_indices], np.arange(len(list_indices))
    state = _CandidateCompetition(candidates, caps, diversity, listed_items)
    for rank in ranks:
        is_open = listed_items[:, rank - 1] < 0
        chosen, is_certain = state.best_positions()
        are_certain &= ~is_open | is_certain
        chosen = np.where(is_open, chosen, -1)
        found = chosen >= 0
        entries = list_indices[found], rank - 1
        partial_lists.items[entries] = candidates.items[numbers[found], chosen[found]]
        partial_lists.scores[entries] = candidates.scores[numbers[found], chosen[found]]
        partial_lists.source_codes[entries] = source_code
        state.enter_candidates(chosen)
    return are_certain


class _CandidateCompetition:
    """Tracks which candidates may still enter the lists of some rows, and finds the best candidate of each row."""

    def __init__(
        self, candidates: Candidates, caps: Sequence[Cap], diversity: Diversity, listed_items: np.ndarray
    ) -> None:
        self._rows = np.arange(len(listed_items))
        self._items = candidates.items
        self._is_blocked = (candidates.items < 0) | are_listed(listed_items, candidates.items)
        self._caps = [
            (cap, np.where(self._items >= 0, cap.value_codes[self._items], -1), np.zeros(self._items.shape, np.int16))
            for cap in caps
        ]
        pooled = candidates.items[:, : diversity.pool_size]
        self._width, self._weight = pooled.shape[1], diversity.cosine_weight
        vectors = diversity.item_vectors[pooled].astype(np.float64)
        self._cosines = torch.bmm(torch.from_numpy(vectors), torch.from_numpy(vectors).transpose(1, 2)).numpy()
        self._penalties = np.zeros(pooled.shape)
        factor = (1 - diversity.cosine_weight) / rank_scores_of(np.ones(1), 1)
        self._relevance = factor * candidates.rank_scores[:, : diversity.pool_size]
        # where the candidates contain the whole pool, no further candidate competes
        is_whole = candidates.is_complete | (np.count_nonzero(pooled >= 0, axis=1) == diversity.pool_size)
        self._bounds = np.where(is_whole, -np.inf, factor * candidates.max_further_rank_scores)
        for column in np.flatnonzero((listed_items >= 0).any(axis=0)):
            is_taken = listed_items[:, column] >= 0
            of_taken = diversity.item_vectors[listed_items[:, column]].astype(np.float64) * is_taken[:, None]
            self._penalize_similar_candidates(np.matmul(vectors, of_taken[:, :, None])[:, :, 0])
            self._count_against_caps(np.where(is_taken, listed_items[:, column], -1))

    def _count_against_caps(self, entered_items: np.ndarray) -> None:
        """Count an item that has entered each row's list against the caps; -1 stands for a row without a new item."""
        for cap, codes, counts in self._caps:
            item_codes = np.where(entered_items >= 0, cap.value_codes[entered_items], -1)
            counts += (codes == item_codes[:, None]) & (item_codes >= 0)[:, None]
            self._is_blocked |= counts >= cap.limit

    def _penalize_similar_candidates(self, cosines: np.ndarray) -> None:
        np.maximum(self._penalties, self._weight * cosines, out=self._penalties)

    def enter_candidates(self, chosen_positions: Longs) -> None:
        """Record the position of the candidate that enters each row's list; -1 stands for a row without a new item."""
        found = chosen_positions >= 0
        self._is_blocked[self._rows[found], chosen_positions[found]] = True
        if self._caps:
            self._count_against_caps(np.where(found, self._items[self._rows, chosen_positions], -1))
        # no cosine is kept of a candidate behind the pool, which enters only when no candidate of the pool may
        is_pooled = found & (chosen_positions < self._width)
        cosines = self._cosines[self._rows, np.where(is_pooled, chosen_positions, 0)]
        self._penalize_similar_candidates(cosines if is_pooled.all() else cosines * is_pooled[:, None])

    def best_positions(self) -> tuple[Longs, Bools]:
        """Return the position of each row's best candidate, or -1, and whether no unseen candidate could be better."""
        values = self._relevance - self._penalties
        values[self._is_blocked[:, : self._width]] = -np.inf
        best = values.argmax(axis=1)
        best_values = values[self._rows, best]
        if (is_over := best_values == -np.inf).any():  # the pool has no candidate left: take the first one behind it
            first = np.argmin(self._is_blocked, axis=1)
            is_there = ~self._is_blocked[self._rows, first]
            best = np.where(is_over, np.where(is_there, first, -1), best)
        return best, best_values >= self._bounds

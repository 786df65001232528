"""Fills open ranks of lists with the best candidates that caps allow, by pure functions on arrays.

A *cap* limits how many items of a list may have the same value in a column. For each rank, from the first on, a list
takes its best candidate that it lacks and that breaks no cap. With diversity, the best candidate is the one of the
largest *marginal relevance* (Carbonell & Goldstein 1998).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats, Ints, Longs

RANK_CONSTANT = 60
"""Constant in an item's worth, boost / (RANK_CONSTANT + rank), as in reciprocal-rank fusion (Cormack et al. 2009)."""

MODEL, POPULARITY, PIN = 0, 1, 2
"""Sources of an item in a list: the model's ranking, the ranking by popularity, or a pin."""

ROWS_AT_ONCE = 32
"""Number of lists that are filled by marginal relevance at once; it bounds the memory for candidates' embeddings."""


@dataclass(frozen=True)
class Cap:
    """A limit on the items of a list that have the same value in a column.

    Attributes
    ----------
    codes : int32 array (items,)
        A number for the value of each item; -1 for an item without a value, which the cap doesn't limit.
    limit : int
        The most items of a list with the same code.
    """

    codes: Ints
    limit: int


@dataclass(frozen=True)
class PartialLists:
    """Lists while they are filled, one list a row.

    Attributes
    ----------
    items : int32 array (lists, k)
        The item at each rank; -1 where the rank is still open.
    scores : float32 array (lists, k)
    sources : int8 array (lists, k)
        ``MODEL``, ``POPULARITY`` or ``PIN``.
    """

    items: Ints
    scores: Floats
    sources: np.ndarray

    @classmethod
    def empty(cls, count: int, k: int) -> "PartialLists":
        """Return ``count`` lists of ``k`` open ranks."""
        return cls(
            np.full((count, k), -1, np.int32), np.zeros((count, k), np.float32), np.full((count, k), MODEL, np.int8)
        )


@dataclass(frozen=True)
class Candidates:
    """Candidates for some lists, one list a row, best first.

    Attributes
    ----------
    items : int32 array (rows, width)
        -1 past a row's last candidate.
    scores : float32 array (rows, width)
    worths : float64 array (rows, width)
        Worth of each candidate: ``boost / (60 + rank)``.
    are_all : bool array (rows,)
        Whether the list has no candidates besides those in its row.
    """

    items: Ints
    scores: Floats
    worths: Doubles
    are_all: Bools

    def take(self, rows: Longs | Bools) -> "Candidates":
        """Return the candidates of the given rows."""
        return Candidates(self.items[rows], self.scores[rows], self.worths[rows], self.are_all[rows])


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


def worths_of_ranks(boosts: Doubles, ranks: Longs | int) -> Doubles:
    """Return the worth of items by their boosts and ranks: ``boost / (60 + rank)``."""
    return np.asarray(boosts / (RANK_CONSTANT + ranks), dtype=np.float64)


def fill_ranks(
    lists: PartialLists,
    rows: Longs,
    ranks: Sequence[int],
    candidates: Candidates,
    source: int,
    caps: Sequence[Cap],
    diversity: Diversity | None = None,
) -> None:
    """Fill open ranks of some lists, in place.

    Parameters
    ----------
    rows : int64 array (rows,)
        Numbers of the lists in ``lists``; row ``i`` of ``candidates`` belongs to list ``rows[i]``.
    ranks : sequence of int
        The ranks to fill (the first is 1), ascending; ranks that have an item keep it.
    source : int
        Source of the candidates: ``MODEL``, ``POPULARITY`` or ``PIN``.
    """
    step = ROWS_AT_ONCE if diversity else max(len(rows), 1)
    for start in range(0, len(rows), step):
        some = np.arange(start, min(start + step, len(rows)))
        _fill(lists, rows[some], ranks, candidates.take(some), source, caps, diversity)


def _fill(
    lists: PartialLists,
    rows: Longs,
    ranks: Sequence[int],
    candidates: Candidates,
    source: int,
    caps: Sequence[Cap],
    diversity: Diversity | None,
) -> None:
    if not candidates.items.shape[1]:
        return
    taken = lists.items[rows]
    state = _Competition(candidates, caps, diversity)
    for column in np.flatnonzero((taken >= 0).any(axis=0)):
        state.note_chosen_items(taken[:, column])
    for rank in ranks:
        chosen = np.where(taken[:, rank - 1] < 0, state.best(), -1)
        found = chosen >= 0
        items = np.where(found, candidates.items[np.arange(len(rows)), chosen], -1).astype(np.int32)
        lists.items[rows[found], rank - 1] = items[found]
        lists.scores[rows[found], rank - 1] = candidates.scores[found, chosen[found]]
        lists.sources[rows[found], rank - 1] = source
        state.note_chosen_items(items)


class _Competition:
    """The candidates of some lists while the lists are filled: which a list may still take, and which is best."""

    def __init__(self, candidates: Candidates, caps: Sequence[Cap], diversity: Diversity | None) -> None:
        self._candidates = candidates
        self._is_blocked = candidates.items < 0
        self._caps = [(cap, cap.codes[candidates.items], np.zeros(candidates.items.shape, np.int16)) for cap in caps]
        self._diversity = diversity
        if diversity:
            pooled = candidates.items[:, : diversity.pool]
            self._vectors = diversity.vectors[pooled].astype(np.float64)
            self._nearest = np.zeros(pooled.shape)
            best_worth = worths_of_ranks(np.ones(1), 1)
            self._relevance = (1 - diversity.weight) * candidates.worths[:, : diversity.pool] / best_worth

    def note_chosen_items(self, items: Ints) -> None:
        """Count one more item of each list, so that caps and diversity heed it; -1: the list gets no item."""
        got = items >= 0
        self._is_blocked |= (self._candidates.items == items[:, None]) & got[:, None]
        for cap, codes, counts in self._caps:
            item_codes = np.where(got, cap.codes[items], -1)
            counts += (codes == item_codes[:, None]) & (item_codes >= 0)[:, None]
            self._is_blocked |= counts >= cap.limit
        if self._diversity:
            vectors = self._diversity.vectors[items].astype(np.float64) * got[:, None]
            cosines = np.matmul(self._vectors, vectors[:, :, None])[:, :, 0]
            np.maximum(self._nearest, cosines, out=self._nearest)

    def best(self) -> Longs:
        """Return the column of each list's best candidate in its row: int64 (rows,); -1 if it may take none."""
        first = np.argmin(self._is_blocked, axis=1)
        best = np.where(self._is_blocked[np.arange(len(first)), first], -1, first)
        if self._diversity:
            is_blocked = self._is_blocked[:, : self._diversity.pool]
            values = np.where(is_blocked, -np.inf, self._relevance - self._diversity.weight * self._nearest)
            best = np.where(is_blocked.all(axis=1), best, values.argmax(axis=1))
        return np.asarray(best, dtype=np.int64)


def saturated_items(lists: PartialLists, row: int, caps: Sequence[Cap]) -> Bools:
    """Return whether an item is in a list already, or would break a cap of the list: bool array (items,)."""
    items = lists.items[row][lists.items[row] >= 0]
    saturated = np.zeros(len(caps[0].codes), np.bool_)
    saturated[items] = True
    for cap in caps:
        codes, counts = np.unique(cap.codes[items], return_counts=True)
        saturated |= np.isin(cap.codes, codes[(counts >= cap.limit) & (codes >= 0)])
    return saturated

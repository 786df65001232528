"""Fills ranks of lists with the best candidates that caps allow; pure functions on arrays.

A *cap* is the most items of a list that have the same value in a column. Candidates come in the order in which they are
wanted. For each rank, from the first on, a list takes its first candidate that the list lacks and that breaks no cap.
With diversity it takes the candidate of the largest *marginal relevance* instead (Carbonell & Goldstein 1998).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats, Ints, Longs

RANK_CONSTANT = 60
"""An item of rank r is worth boost / (RANK_CONSTANT + r), as in reciprocal-rank fusion (Cormack et al. 2009)."""

MODEL, POPULARITY, PIN = 0, 1, 2
"""Where an entry of a list comes from."""

ROWS_AT_ONCE = 32
"""Number of lists filled by marginal relevance at once; it bounds the memory for the embeddings of their candidates."""


@dataclass(frozen=True)
class Cap:
    """The most items of a list that have the same value.

    Attributes
    ----------
    codes : int32 array (items,)
        Items with the same value have the same code; -1 for an item without a value, which the cap doesn't limit.
    limit : int
    """

    codes: Ints
    limit: int


@dataclass(frozen=True)
class PartialLists:
    """Lists while they are filled, one a row; the item -1 is a rank that is still open.

    Attributes
    ----------
    items : int32 array (lists, k)
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
    """Candidates for the lists of some rows, each row in the order in which the list wants them.

    Attributes
    ----------
    items : int32 array (rows, width)
        -1 past a row's last candidate.
    scores : float32 array (rows, width)
    worths : float64 array (rows, width)
        What each candidate is worth: ``boost / (60 + rank)``.
    are_all : bool array (rows,)
        Whether the row has no further candidate.
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

    The best worth is that of rank 1 without a boost. The cosine is the one to the nearest item of the list, at least 0;
    the list's items at later ranks (pins and slots) count too. Only a list's first ``pool`` candidates compete; if caps
    allow none of them, the first allowed candidate behind them is taken. Of equal values, the earlier candidate wins.

    Attributes
    ----------
    weight : float
        0 to 1.
    vectors : float32 array (items, dimensions)
        Vectors of length 1; zeros for an item without one, whose cosines are 0.
    pool : int
    """

    weight: float
    vectors: Floats
    pool: int


def worths_of_ranks(boosts: Doubles, ranks: Longs | int) -> Doubles:
    """Return ``boost / (60 + rank)``."""
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
        Numbers of the lists; row ``i`` of ``candidates`` belongs to list ``rows[i]``.
    ranks : sequence of int
        The ranks to fill (the first is 1), ascending; those that are taken stay.
    source : int
        Where the candidates come from.
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
    """Which candidates of some rows may still be taken, and which of them is best."""

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
        """Take note of one more item of each row's list, int32 (rows,); -1 for a row that gets none."""
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
        """Return the position of each row's best candidate: int64 (rows,); -1 if there is none."""
        first = np.argmin(self._is_blocked, axis=1)
        best = np.where(self._is_blocked[np.arange(len(first)), first], -1, first)
        if self._diversity:
            is_blocked = self._is_blocked[:, : self._diversity.pool]
            values = np.where(is_blocked, -np.inf, self._relevance - self._diversity.weight * self._nearest)
            best = np.where(is_blocked.all(axis=1), best, values.argmax(axis=1))
        return np.asarray(best, dtype=np.int64)


def saturated_items(lists: PartialLists, row: int, caps: Sequence[Cap]) -> Bools:
    """Return whether each item of the catalogue would break a cap in a list, or is in the list: bool array (items,)."""
    items = lists.items[row][lists.items[row] >= 0]
    saturated = np.zeros(len(caps[0].codes), np.bool_)
    saturated[items] = True
    for cap in caps:
        codes, counts = np.unique(cap.codes[items], return_counts=True)
        saturated |= np.isin(cap.codes, codes[(counts >= cap.limit) & (codes >= 0)])
    return saturated

"""Fills open ranks of lists with the best candidates that caps allow, by pure functions on arrays.

A *cap* is the largest number of items of a list that may have the same value in a column. Candidates come in the order
in which they are wanted. For each rank, from the first on, a list takes its first candidate that the list lacks and
that breaks no cap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats, Ints, Longs

RANK_CONSTANT = 60
"""Constant in a rank score, boost / (RANK_CONSTANT + rank), as in reciprocal-rank fusion (Cormack et al. 2009)."""

MODEL, POPULARITY, PIN = 0, 1, 2
"""Codes of the sources of a list's items: the model's ranking, the ranking by popularity, or a pin."""


@dataclass(frozen=True)
class Cap:
    """A limit on the items of a list that have the same value in a column.

    Attributes
    ----------
    value_codes : int32 array (items,)
        A number for the value of each item; -1 for an item without a value, which the cap doesn't limit.
    limit : int
        The largest number of items with the same code that a list may hold.
    """

    value_codes: Ints
    limit: int


@dataclass(frozen=True)
class PartialLists:
    """Lists while they are filled, one list a row.

    Attributes
    ----------
    items : int32 array (lists, k)
        The item at each rank; -1 where the rank is still open.
    scores : float32 array (lists, k)
    source_codes : int8 array (lists, k)
        ``MODEL``, ``POPULARITY`` or ``PIN``.
    """

    items: Ints
    scores: Floats
    source_codes: np.ndarray

    @classmethod
    def empty(cls, list_count: int, k: int) -> "PartialLists":
        """Return ``list_count`` lists of ``k`` open ranks."""
        return cls(
            np.full((list_count, k), -1, np.int32),
            np.zeros((list_count, k), np.float32),
            np.full((list_count, k), MODEL, np.int8),
        )


@dataclass(frozen=True)
class Candidates:
    """Candidates for some lists, one list a row, best first.

    Attributes
    ----------
    items : int32 array (rows, width)
        -1 past a row's last candidate.
    scores : float32 array (rows, width)
    rank_scores : float64 array (rows, width)
        Rank score of each candidate: ``boost / (60 + rank)``.
    is_complete : bool array (rows,)
        Whether the list has no candidates besides those in its row.
    max_further_rank_scores : float64 array (rows,)
        No further candidate has a larger rank score.
    looked_at_counts : int64 array (rows,)
        Number of items of the row's ranking that were looked at.
    """

    items: Ints
    scores: Floats
    rank_scores: Doubles
    is_complete: Bools
    max_further_rank_scores: Doubles
    looked_at_counts: Longs

    def take(self, rows: Longs | Bools) -> "Candidates":
        """Return the candidates of the given rows."""
        return Candidates(
            self.items[rows],
            self.scores[rows],
            self.rank_scores[rows],
            self.is_complete[rows],
            self.max_further_rank_scores[rows],
            self.looked_at_counts[rows],
        )


def rank_scores_of(boosts: Doubles, ranks: Longs | int) -> Doubles:
    """Return the rank score of items by their boosts and ranks: ``boost / (60 + rank)``."""
    return np.asarray(boosts / (RANK_CONSTANT + ranks), dtype=np.float64)


def fill_ranks(
    partial_lists: PartialLists,
    list_indices: Longs,
    ranks: Sequence[int],
    candidates: Candidates,
    source_code: int,
    caps: Sequence[Cap],
) -> None:
    """Fill open ranks of some lists, in place.

    Parameters
    ----------
    list_indices : int64 array (rows,)
        Numbers of the lists in ``partial_lists``; row ``i`` of ``candidates`` belongs to list ``list_indices[i]``.
    ranks : sequence of int
        The ranks to fill (the first is 1), ascending; ranks that have an item keep it.
    source_code : int
        Code of the source of the candidates: ``MODEL``, ``POPULARITY`` or ``PIN``.
    """
    columns = np.array(ranks) - 1
    listed_items = partial_lists.items[list_indices]
    is_open = listed_items[:, columns] < 0
    open_rank_counts = is_open.sum(axis=1)
    may_enter = (candidates.items >= 0) & ~are_listed(listed_items, candidates.items)
    if caps:
        may_enter = _candidates_within_caps(may_enter, listed_items, candidates.items, open_rank_counts, caps)
    may_enter &= may_enter.cumsum(axis=1, dtype=np.int32) <= open_rank_counts[:, None]
    is_open &= is_open.cumsum(axis=1, dtype=np.int32) <= may_enter.sum(axis=1)[:, None]
    # a row has as many entering candidates as ranks to fill, so the two lists of entries match
    (row, place), (open_row, rank_number) = np.nonzero(may_enter), np.nonzero(is_open)
    entries = list_indices[open_row], columns[rank_number]
    partial_lists.items[entries], partial_lists.scores[entries] = (
        candidates.items[row, place],
        candidates.scores[row, place],
    )
    partial_lists.source_codes[entries] = source_code


def are_listed(listed_items: Ints, candidate_items: Ints) -> Bools:
    """Return a bool array (rows, width): whether the row's list already holds the candidate item."""
    found = np.zeros(candidate_items.shape, np.bool_)
    for column in np.flatnonzero((listed_items >= 0).any(axis=0)):
        found |= (candidate_items == listed_items[:, column, None]) & (listed_items[:, column, None] >= 0)
    return found


def _candidates_within_caps(
    may_enter: Bools, listed_items: Ints, candidate_items: Ints, open_rank_counts: Longs, caps: Sequence[Cap]
) -> Bools:
    """Return a bool array (rows, width): whether the candidate enters its list, if each is tried once, best first.

    A candidate that breaks a cap when it is tried would break it at each later rank too, because lists only grow. So
    one pass over the candidates makes the same list as a search for the first candidate of each rank.
    """
    still_enters = np.ascontiguousarray(may_enter.T)
    filled = np.flatnonzero((listed_items >= 0).any(axis=0))
    # for each cap, an array of value codes with a column for each list: first of listed items, then of candidates
    codes = [
        np.concatenate(
            [
                _value_codes_of(cap, listed_items[:, filled].T),
                np.where(still_enters, _value_codes_of(cap, candidate_items.T), -1),
            ]
        )
        for cap in caps
    ]
    entered = np.zeros(len(candidate_items), np.int64)
    for place in range(len(still_enters)):
        entry = len(filled) + place
        for cap, of_cap in zip(caps, codes, strict=True):
            counts = (of_cap[:entry] == of_cap[entry]).sum(axis=0, dtype=np.int16)
            still_enters[place] &= (of_cap[entry] < 0) | (counts < cap.limit)
        for of_cap in codes:
            of_cap[entry, ~still_enters[place]] = -1
        entered += still_enters[place]
        if (entered >= open_rank_counts).all():
            still_enters[place + 1 :] = False
            break
    return still_enters.T


def _value_codes_of(cap: Cap, item_indices: Ints) -> Ints:
    return np.where(item_indices >= 0, cap.value_codes[item_indices], np.int32(-1))


def items_that_cannot_enter(partial_lists: PartialLists, list_index: int, caps: Sequence[Cap]) -> Bools:
    """Return a bool array (items,): whether an item is in the list already, or would break a cap of the list."""
    items = partial_lists.items[list_index][partial_lists.items[list_index] >= 0]
    saturated = np.zeros(len(caps[0].value_codes), np.bool_)
    saturated[items] = True
    for cap in caps:
        codes, counts = np.unique(cap.value_codes[items], return_counts=True)
        saturated |= np.isin(cap.value_codes, codes[(counts >= cap.limit) & (codes >= 0)])
    return saturated

"""Fills open ranks of lists with the best candidates that caps allow, by pure functions on arrays.

A *cap* is the most items of a list that have the same value in a column. Candidates come in the order in which they are
wanted. For each rank, from the first on, a list takes its first candidate that the list lacks and that breaks no cap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats, Ints, Longs

RANK_CONSTANT = 60
"""Constant in an item's worth, boost / (RANK_CONSTANT + rank), as in reciprocal-rank fusion (Cormack et al. 2009)."""

MODEL, POPULARITY, PIN = 0, 1, 2
"""Sources of an item in a list: the model's ranking, the ranking by popularity, or a pin."""


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
    next_worths : float64 array (rows,)
        No further candidate is worth more.
    depths : int64 array (rows,)
        Number of items of the row's ranking that were looked at.
    """

    items: Ints
    scores: Floats
    worths: Doubles
    are_all: Bools
    next_worths: Doubles
    depths: Longs

    def take(self, rows: Longs | Bools) -> "Candidates":
        """Return the candidates of the given rows."""
        return Candidates(
            self.items[rows],
            self.scores[rows],
            self.worths[rows],
            self.are_all[rows],
            self.next_worths[rows],
            self.depths[rows],
        )


def worths_of_ranks(boosts: Doubles, ranks: Longs | int) -> Doubles:
    """Return the worth of items by their boosts and ranks: ``boost / (60 + rank)``."""
    return np.asarray(boosts / (RANK_CONSTANT + ranks), dtype=np.float64)


def fill_ranks(
    lists: PartialLists, rows: Longs, ranks: Sequence[int], candidates: Candidates, source: int, caps: Sequence[Cap]
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
    columns = np.array(ranks) - 1
    taken = lists.items[rows]
    is_open = taken[:, columns] < 0
    open_counts = is_open.sum(axis=1)
    enters = (candidates.items >= 0) & ~are_listed(taken, candidates.items)
    if caps:
        enters = _heed_caps(enters, taken, candidates.items, open_counts, caps)
    enters &= enters.cumsum(axis=1, dtype=np.int32) <= open_counts[:, None]
    is_open &= is_open.cumsum(axis=1, dtype=np.int32) <= enters.sum(axis=1)[:, None]
    # both have as many entries for each row, the candidates best first
    (row, place), (list_row, rank_number) = np.nonzero(enters), np.nonzero(is_open)
    entries = rows[list_row], columns[rank_number]
    lists.items[entries], lists.scores[entries] = candidates.items[row, place], candidates.scores[row, place]
    lists.sources[entries] = source


def are_listed(taken: Ints, items: Ints) -> Bools:
    """Return whether each row's list holds the items: bool (rows, width), as ``items``."""
    found = np.zeros(items.shape, np.bool_)
    for column in np.flatnonzero((taken >= 0).any(axis=0)):
        found |= (items == taken[:, column, None]) & (taken[:, column, None] >= 0)
    return found


def _heed_caps(enters: Bools, taken: Ints, items: Ints, open_counts: Longs, caps: Sequence[Cap]) -> Bools:
    """Return which candidates enter if each is asked in its turn: bool (rows, width).

    A candidate that breaks a cap in its turn breaks the cap at each later rank too, for lists only grow. So asking the
    candidates in turn makes the same list as asking for each rank's first candidate.
    """
    may_enter = np.ascontiguousarray(enters.T)
    filled = np.flatnonzero((taken >= 0).any(axis=0))
    # codes of the items that the lists hold, and behind them those of the candidates, one row each
    codes = [
        np.concatenate([_codes_of(cap, taken[:, filled].T), np.where(may_enter, _codes_of(cap, items.T), -1)])
        for cap in caps
    ]
    entered = np.zeros(len(items), np.int64)
    for place in range(len(may_enter)):
        entry = len(filled) + place
        for cap, of_cap in zip(caps, codes, strict=True):
            counts = (of_cap[:entry] == of_cap[entry]).sum(axis=0, dtype=np.int16)
            may_enter[place] &= (of_cap[entry] < 0) | (counts < cap.limit)
        for of_cap in codes:
            of_cap[entry, ~may_enter[place]] = -1
        entered += may_enter[place]
        if (entered >= open_counts).all():
            may_enter[place + 1 :] = False
            break
    return may_enter.T


def _codes_of(cap: Cap, items: Ints) -> Ints:
    return np.where(items >= 0, cap.codes[items], np.int32(-1))


def saturated_items(lists: PartialLists, row: int, caps: Sequence[Cap]) -> Bools:
    """Return whether an item is in a list already, or would break a cap of the list: bool array (items,)."""
    items = lists.items[row][lists.items[row] >= 0]
    saturated = np.zeros(len(caps[0].codes), np.bool_)
    saturated[items] = True
    for cap in caps:
        codes, counts = np.unique(cap.codes[items], return_counts=True)
        saturated |= np.isin(cap.codes, codes[(counts >= cap.limit) & (codes >= 0)])
    return saturated

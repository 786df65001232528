"""Candidates for the lists of a chunk of visitors: items in the order of the model, or of their popularity.

One ranking of the first available items of each visitor serves every placement and group whose rules allow enough of
them. For the other visitors the model ranks the allowed items alone. Both give the same candidates.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats, Ints, Longs
from jobs.core.sequences import Sequences
from jobs.models.scorer import Scorer
from jobs.placements.fill import Candidates, worths_of_ranks

SHARED_DEPTH = 640
"""Length of the ranking of all available items that placements share: a rule that allows a tenth of the items finds
64 of them there."""

SIEVE_WIDTH = 1024
"""Number of marks for a visitor's excluded items: an item without a mark isn't excluded."""


@dataclass(frozen=True)
class Exclusions:
    """The items that each visitor of a chunk must not get.

    Attributes
    ----------
    items : Sequences
        The items of each visitor, one row a visitor; items may repeat.
    item_count : int
        Number of items of the catalogue.
    """

    items: Sequences
    item_count: int
    _keys: Longs = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keys", np.unique(self.items.row_numbers() * self.item_count + self.items.items))

    def contain(self, rows: Longs, items: Ints) -> Bools:
        """Return whether a visitor must not get an item: bool (rows, width), as ``items``."""
        numbers = np.repeat(np.arange(len(rows)), items.shape[1])
        return np.asarray(self.contain_pairs(rows, numbers, items.reshape(-1)).reshape(items.shape), np.bool_)

    def contain_pairs(self, rows: Longs, numbers: Longs, items: Ints) -> Bools:
        """Return whether the visitor ``rows[numbers[i]]`` must not get ``items[i]``: bool (pairs,)."""
        own = self.items.take(rows)
        if not len(own.items):
            return np.zeros(len(items), np.bool_)
        is_marked = np.zeros(len(rows) * SIEVE_WIDTH, np.bool_)
        is_marked[own.row_numbers() * SIEVE_WIDTH + own.items % SIEVE_WIDTH] = True
        found = is_marked[numbers * SIEVE_WIDTH + items % SIEVE_WIDTH]
        # a mark may come from another item
        marked = np.flatnonzero(found)
        wanted = rows[numbers[marked]] * self.item_count + items[marked]
        places = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        found[marked] = self._keys[places] == wanted
        return np.asarray(found, np.bool_)


class ModelRanking:
    """The model's ranking of items for a chunk of visitors.

    Parameters
    ----------
    scorer : Scorer
    sequences : Sequences
        The visitors' sequences, one row a visitor.
    available : bool array (items,)
        The items that may be recommended to somebody.
    """

    def __init__(self, scorer: Scorer, sequences: Sequences, available: Bools) -> None:
        self._scorer, self._available = scorer, available & scorer.recommendable
        self._rank = scorer.ranker(sequences)
        depth = min(SHARED_DEPTH, len(available)) if scorer.scores_stand_alone else 0
        self._shared_scores = np.full((len(sequences), depth), -np.inf, np.float32)
        self._shared_items = np.full((len(sequences), depth), -1, np.int32)
        self._is_shared = np.zeros(len(sequences), np.bool_)

    @property
    def recommendable(self) -> Bools:
        """Whether an item is available and the model can score it: bool array (items,)."""
        return self._available

    def prepare(self, rows: Longs, count: int, allowed: Bools) -> bool:
        """Return whether the shared ranking should hold ``count`` allowed items; if so, make it for the rows."""
        depth = self._shared_items.shape[1]
        if depth * self._share(allowed & self._available) < 1.5 * count:
            return False
        missing = rows[~self._is_shared[rows]]
        if len(missing):
            self._shared_scores[missing], self._shared_items[missing] = self._rank(
                missing, depth, None, self._available
            )
            self._is_shared[missing] = True
        return True

    def shared_top(self, rows: Longs, depth: int, allowed: Bools, exclusions: Exclusions) -> tuple[Floats, Ints, Bools]:
        """Return the best items of some visitors, best first, as far as the shared ranking tells them.

        Returns
        -------
        scores : float32 array (rows, depth)
            -inf past the last known item.
        items : int32 array (rows, depth)
            -1 past the last known item.
        are_all : bool array (rows,)
            Whether the row has no further item.
        """
        allowed = np.append(allowed & self._available, False)  # the item index -1 selects the last entry
        whole = self._shared_items.shape[1]
        some = math.ceil((depth + 3 * math.sqrt(depth) + 4) / max(self._share(allowed[:-1]), 1e-9))
        scores, items, are_all = self._look_into_shared(rows, min(some, whole), depth, allowed, exclusions)
        if some < whole and len(short := np.flatnonzero((items[:, -1] < 0) & ~are_all)):
            scores[short], items[short], are_all[short] = self._look_into_shared(
                rows[short], whole, depth, allowed, exclusions
            )
        return scores, items, are_all

    def top(self, rows: Longs, depth: int, allowed: Bools, exclusions: Exclusions) -> tuple[Floats, Ints, Bools]:
        """Return the best items of some visitors as :meth:`shared_top` does, but all of the first ``depth``."""
        allowed = allowed & self._available
        scores, items = self._rank(rows, depth, exclusions.items.take(rows), allowed)
        return scores, items, np.asarray((items[:, -1] < 0) | (depth >= allowed.sum()), dtype=np.bool_)

    def _share(self, allowed: Bools) -> float:
        return float(allowed.sum() / max(self._available.sum(), 1))

    def _look_into_shared(
        self, rows: Longs, width: int, depth: int, allowed: Bools, exclusions: Exclusions
    ) -> tuple[Floats, Ints, Bools]:
        """Return :meth:`shared_top` from the first ``width`` items of the shared ranking."""
        shared = self._shared_items[rows, :width]
        listed = np.flatnonzero(allowed[shared])  # ordered by row
        row_ends = np.arange(1, len(rows) + 1) * width
        numbers = np.repeat(np.arange(len(rows)), np.diff(np.searchsorted(listed, row_ends), prepend=0))
        listed = listed[~exclusions.contain_pairs(rows, numbers, shared.reshape(-1)[listed])]
        ends = np.searchsorted(listed, row_ends)
        counts = np.diff(ends, prepend=0)
        places = (ends - counts)[:, None] + np.arange(depth)
        is_known = np.arange(depth) < counts[:, None]
        entries = listed[np.where(is_known, places, 0)] if len(listed) else np.zeros(places.shape, np.int64)
        scores = np.where(is_known, self._shared_scores[rows, :width].reshape(-1)[entries], np.float32(-np.inf))
        items = np.where(is_known, shared.reshape(-1)[entries], np.int32(-1))
        return scores, items, (shared[:, -1] < 0) & (counts <= depth)


def model_candidates(
    ranking: ModelRanking,
    rows: Longs,
    depth: int,
    allowed: Bools,
    exclusions: Exclusions,
    boosts: Doubles | None,
    is_shared: bool,
) -> Candidates:
    """Return the items that are worth most to some visitors, in the order of their worth: ``boost / (60 + rank)``.

    Only items that no item behind ``depth`` can surpass are returned.

    Parameters
    ----------
    depth : int
        Number of items that are taken from the model's ranking.
    boosts : float64 array (items,), optional
        At least 0.
    is_shared : bool
        Whether to look into the shared ranking alone, which may hold fewer items.
    """
    top = ranking.shared_top if is_shared else ranking.top
    scores, items, are_all = top(rows, depth, allowed, exclusions)
    ranks = np.arange(1, depth + 1)
    # an item that was not looked at is worth at most this; of equal worths the item of the better rank comes first
    depths = (items >= 0).sum(axis=1)
    next_ranks = depths + 1
    if boosts is None:
        worths = np.broadcast_to(worths_of_ranks(np.ones(1), ranks), items.shape)
        return Candidates(items, scores, worths, are_all, worths_of_ranks(np.ones(1), next_ranks), depths)
    next_worths = worths_of_ranks(boosts[allowed].max(initial=0), next_ranks)
    worths = np.where(items >= 0, worths_of_ranks(boosts[items], ranks), -1)
    order = np.argsort(-worths, axis=1, kind="stable")
    items, scores = np.take_along_axis(items, order, 1), np.take_along_axis(scores, order, 1)
    worths = np.take_along_axis(worths, order, 1)
    is_certain = are_all[:, None] | (worths >= next_worths[:, None])
    return Candidates(np.where(is_certain, items, np.int32(-1)), scores, worths, are_all, next_worths, depths)


@dataclass(frozen=True)
class PopularItems:
    """The items that rules allow, in the order of their worth: ``boost / (60 + rank by popularity)``.

    Attributes
    ----------
    items : int32 array (allowed,)
        Indices of the items in the catalogue.
    scores : float32 array (allowed,)
        Popularity of the items.
    worths : float64 array (allowed,)
    """

    items: Ints
    scores: Floats
    worths: Doubles

    @classmethod
    def ranked(cls, popularity: Floats, allowed: Bools, boosts: Doubles | None) -> "PopularItems":
        """Rank the allowed items by popularity, and order them by worth; items of equal worth are ordered by index.

        Parameters
        ----------
        popularity : float32 array (items,)
            -inf for items that may not be recommended.
        """
        items = np.flatnonzero(allowed & np.isfinite(popularity))
        items = items[np.argsort(-popularity[items], kind="stable")]
        own_boosts = np.ones(len(items)) if boosts is None else boosts[items]
        worths = worths_of_ranks(own_boosts, np.arange(1, len(items) + 1))
        order = np.argsort(-worths, kind="stable")
        return cls(items[order].astype(np.int32), popularity[items[order]], worths[order])

    def candidates(self, rows: Longs, depth: int, exclusions: Exclusions) -> Candidates:
        """Return the first ``depth`` of these items for each visitor, without those that the visitor must not get."""
        depth = min(depth, len(self.items))
        excluded = exclusions.contain(rows, np.broadcast_to(self.items[:depth], (len(rows), depth)))
        order = np.argsort(excluded, axis=1, kind="stable")  # excluded items come last
        items = np.where(np.take_along_axis(excluded, order, 1), -1, self.items[:depth][order]).astype(np.int32)
        are_all = np.full(len(rows), depth == len(self.items))
        depths = np.full(len(rows), depth)
        next_worths = np.full(len(rows), 0.0 if depth == len(self.items) else self.worths[depth])
        return Candidates(items, self.scores[:depth][order], self.worths[:depth][order], are_all, next_worths, depths)

"""Candidates for the lists of a chunk of visitors: items in the order of the model, or of their popularity.

A visitor's ranking of all available items serves each placement whose rules allow enough of the ranking's first items.
For other placements the model ranks the allowed items alone. Both ways give the same candidates.
"""

from dataclasses import dataclass, field

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats, Ints, Longs
from jobs.core.sequences import Sequences
from jobs.models.scorer import Scorer
from jobs.placements.fill import Candidates, worths_of_ranks

SHARED_DEPTH = 128
"""Length of a visitor's ranking of all available items, which all placements share."""


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
        """Return whether a visitor must not get an item: bool (rows, width), for the visitors and items given.

        Parameters
        ----------
        rows : int64 array (rows,)
            The visitors' numbers in the chunk.
        items : int32 array (rows, width)
            The items to look up for each visitor.
        """
        if not len(self._keys):
            return np.zeros(items.shape, np.bool_)
        wanted = rows[:, None] * self.item_count + items
        places = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        return np.asarray(self._keys[places] == wanted, dtype=np.bool_)


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

    def top(self, rows: Longs, depth: int, allowed: Bools, exclusions: Exclusions) -> tuple[Floats, Ints]:
        """Return the allowed items that the model ranks highest for some visitors, best first.

        Returns
        -------
        scores : float32 array (rows, depth)
            -inf past the last item, where fewer than ``depth`` items are allowed.
        items : int32 array (rows, depth)
            -1 past the last item.
        """
        allowed = allowed & self._available
        scores, items = np.full((len(rows), depth), -np.inf, np.float32), np.full((len(rows), depth), -1, np.int32)
        is_open = np.ones(len(rows), np.bool_)
        share = allowed.sum() / max(self._available.sum(), 1)
        if self._shared_items.shape[1] * share >= 1.5 * depth:
            shared_scores, shared_items, is_whole = self._take_shared(rows)
            is_listed = (shared_items >= 0) & allowed[shared_items] & ~exclusions.contain(rows, shared_items)
            row, column = np.nonzero(is_listed)
            place = (is_listed.cumsum(axis=1) - 1)[row, column]
            row, column, place = row[place < depth], column[place < depth], place[place < depth]
            scores[row, place], items[row, place] = shared_scores[row, column], shared_items[row, column]
            is_open = ~is_whole & (is_listed.sum(axis=1) < depth)
        if is_open.any():
            excluded = exclusions.items.take(rows[is_open])
            scores[is_open], items[is_open] = self._rank(rows[is_open], depth, excluded, allowed)
        return scores, items

    def _take_shared(self, rows: Longs) -> tuple[Floats, Ints, Bools]:
        """Return the first items of some visitors' ranking of all available items, and whether the ranking ends there.

        Returns
        -------
        float32 array (rows, ``SHARED_DEPTH``), int32 array (rows, ``SHARED_DEPTH``), bool array (rows,)
            Scores, items, and whether the ranking has no further items.
        """
        missing = rows[~self._is_shared[rows]]
        depth = self._shared_items.shape[1]
        if len(missing):
            self._shared_scores[missing], self._shared_items[missing] = self._rank(
                missing, depth, None, self._available
            )
            self._is_shared[missing] = True
        items = self._shared_items[rows]
        return self._shared_scores[rows], items, np.asarray(items[:, -1] < 0, dtype=np.bool_)


def model_candidates(
    ranking: ModelRanking, rows: Longs, depth: int, allowed: Bools, exclusions: Exclusions, boosts: Doubles | None
) -> Candidates:
    """Return the items that are worth most to some visitors, in the order of their worth: ``boost / (60 + rank)``.

    Only items that no item behind ``depth`` can surpass are returned.

    Parameters
    ----------
    depth : int
        Number of items that are taken from the model's ranking.
    boosts : float64 array (items,), optional
        Factors of at least 0; None: all factors are 1.
    """
    scores, items = ranking.top(rows, depth, allowed, exclusions)
    are_all = (items[:, -1] < 0) | (depth >= allowed.sum())
    ranks = np.arange(1, depth + 1)
    if boosts is None:
        worths = np.broadcast_to(worths_of_ranks(np.ones(1), ranks), items.shape)
        return Candidates(items, scores, worths, are_all)
    worths = np.where(items >= 0, worths_of_ranks(boosts[items], ranks), -1)
    # the bound is the most that an item behind `depth` can be worth; of equal worths the better rank comes first
    bound = worths_of_ranks(boosts[allowed].max(initial=0), depth + 1)
    order = np.argsort(-worths, axis=1, kind="stable")
    items, scores = np.take_along_axis(items, order, 1), np.take_along_axis(scores, order, 1)
    worths = np.take_along_axis(worths, order, 1)
    is_certain = are_all[:, None] | (worths >= bound)
    return Candidates(np.where(is_certain, items, -1).astype(np.int32), scores, worths, are_all)


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
        return Candidates(items, self.scores[:depth][order], self.worths[:depth][order], are_all)

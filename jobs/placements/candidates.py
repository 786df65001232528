"""Candidates for the lists of a chunk of visitors: items in the order of the model, or of their popularity.

The *shared ranking* of a visitor holds the items that the model ranks best among all available ones. It serves each
placement whose rules allow enough of these items. Where they allow too few, the model ranks the allowed items alone.
Both ways give the same candidates.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats, Ints, Longs
from jobs.core.sequences import Sequences
from jobs.models.scorer import Scorer
from jobs.placements.fill import Candidates, rank_scores_of

SHARED_DEPTH = 640
"""Length of the ranking of all available items that placements share: a rule that allows a tenth of the items finds
64 of them there."""

SIEVE_WIDTH = 1024
"""Number of marks for a visitor's excluded items. The mark of an item has the number ``item % SIEVE_WIDTH``; an item
whose mark isn't set isn't excluded."""


@dataclass(frozen=True)
class Exclusions:
    """The items that each visitor of a chunk must not get.

    Attributes
    ----------
    excluded_items : Sequences
        The items of each visitor, one row a visitor; items may repeat.
    catalog_size : int
        Number of items of the catalogue.
    """

    excluded_items: Sequences
    catalog_size: int
    _visitor_item_keys: Longs = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self,
            "_visitor_item_keys",
            np.unique(self.excluded_items.row_of_each_item() * self.catalog_size + self.excluded_items.items),
        )

    def are_excluded(self, visitor_indices: Longs, items: Ints) -> Bools:
        """Return a bool array (rows, width): whether the row's visitor must not get that item."""
        positions_in_visitor_indices = np.repeat(np.arange(len(visitor_indices)), items.shape[1])
        return np.asarray(
            self.are_pairs_excluded(visitor_indices, positions_in_visitor_indices, items.reshape(-1)).reshape(
                items.shape
            ),
            np.bool_,
        )

    def are_pairs_excluded(self, visitor_indices: Longs, positions_in_visitor_indices: Longs, items: Ints) -> Bools:
        """Return a bool array (pairs,): whether ``items[i]`` is excluded for the visitor of pair ``i``.

        That visitor is ``visitor_indices[positions_in_visitor_indices[i]]``.
        """
        own = self.excluded_items.take(visitor_indices)
        if not len(own.items):
            return np.zeros(len(items), np.bool_)
        is_marked = np.zeros(len(visitor_indices) * SIEVE_WIDTH, np.bool_)
        is_marked[own.row_of_each_item() * SIEVE_WIDTH + own.items % SIEVE_WIDTH] = True
        found = is_marked[positions_in_visitor_indices * SIEVE_WIDTH + items % SIEVE_WIDTH]
        # another item may have left the mark, as several items share one
        marked = np.flatnonzero(found)
        wanted = visitor_indices[positions_in_visitor_indices[marked]] * self.catalog_size + items[marked]
        places = np.minimum(np.searchsorted(self._visitor_item_keys, wanted), len(self._visitor_item_keys) - 1)
        found[marked] = self._visitor_item_keys[places] == wanted
        return np.asarray(found, np.bool_)


class ModelRanking:
    """The model's ranking of items for a chunk of visitors.

    Parameters
    ----------
    scorer : Scorer
    sequences : Sequences
        The visitors' sequences, one row a visitor.
    available_mask : bool array (items,)
        The items that may be recommended to somebody.
    """

    def __init__(self, scorer: Scorer, sequences: Sequences, available_mask: Bools) -> None:
        self._scorer, self._recommendable_mask = scorer, available_mask & scorer.recommendable_mask
        self._rank = scorer.ranker(sequences)
        depth = min(SHARED_DEPTH, len(available_mask)) if scorer.scores_ignore_allowed_mask_and_k else 0
        self._shared_scores = np.full((len(sequences), depth), -np.inf, np.float32)
        self._shared_items = np.full((len(sequences), depth), -1, np.int32)
        self._is_shared = np.zeros(len(sequences), np.bool_)

    @property
    def recommendable_mask(self) -> Bools:
        """Bool array (items,): whether an item is available and the model can score it."""
        return self._recommendable_mask

    def prepare_shared_ranking(self, visitor_indices: Longs, wanted_count: int, allowed_mask: Bools) -> bool:
        """Make the visitors' missing shared rankings, if each can be expected to hold ``wanted_count`` allowed items.

        Return whether this can be expected.
        """
        depth = self._shared_items.shape[1]
        if depth * self._allowed_share(allowed_mask & self._recommendable_mask) < 1.5 * wanted_count:
            return False
        missing = visitor_indices[~self._is_shared[visitor_indices]]
        if len(missing):
            self._shared_scores[missing], self._shared_items[missing] = self._rank(
                missing, depth, None, self._recommendable_mask
            )
            self._is_shared[missing] = True
        return True

    def top_of_shared_ranking(
        self, visitor_indices: Longs, depth: int, allowed_mask: Bools, exclusions: Exclusions
    ) -> tuple[Floats, Ints, Bools]:
        """Return the best allowed items that the shared ranking of each visitor holds, best first.

        Returns
        -------
        scores : float32 array (rows, depth)
            -inf past a row's last item.
        items : int32 array (rows, depth)
            -1 past a row's last item.
        is_complete : bool array (rows,)
            Whether the visitor has no allowed items besides those in the row.
        """
        allowed_mask = np.append(
            allowed_mask & self._recommendable_mask, False
        )  # the item index -1 selects the last entry
        whole = self._shared_items.shape[1]
        some = math.ceil((depth + 3 * math.sqrt(depth) + 4) / max(self._allowed_share(allowed_mask[:-1]), 1e-9))
        scores, items, is_complete = self._search_shared_ranking(
            visitor_indices, min(some, whole), depth, allowed_mask, exclusions
        )
        if some < whole and len(short := np.flatnonzero((items[:, -1] < 0) & ~is_complete)):
            scores[short], items[short], is_complete[short] = self._search_shared_ranking(
                visitor_indices[short], whole, depth, allowed_mask, exclusions
            )
        return scores, items, is_complete

    def top_of_allowed_items(
        self, visitor_indices: Longs, depth: int, allowed_mask: Bools, exclusions: Exclusions
    ) -> tuple[Floats, Ints, Bools]:
        """Return the best ``depth`` allowed items from a new ranking, in the form of :meth:`top_of_shared_ranking`."""
        allowed_mask = allowed_mask & self._recommendable_mask
        scores, items = self._rank(
            visitor_indices, depth, exclusions.excluded_items.take(visitor_indices), allowed_mask
        )
        return scores, items, np.asarray((items[:, -1] < 0) | (depth >= allowed_mask.sum()), dtype=np.bool_)

    def _allowed_share(self, allowed_mask: Bools) -> float:
        return float(allowed_mask.sum() / max(self._recommendable_mask.sum(), 1))

    def _search_shared_ranking(
        self, visitor_indices: Longs, searched_width: int, depth: int, allowed_mask: Bools, exclusions: Exclusions
    ) -> tuple[Floats, Ints, Bools]:
        """Do what :meth:`top_of_shared_ranking` does, with the first ``searched_width`` items of the shared ranking."""
        shared = self._shared_items[visitor_indices, :searched_width]
        listed = np.flatnonzero(allowed_mask[shared])  # positions in the flat array, ordered by row
        row_ends = np.arange(1, len(visitor_indices) + 1) * searched_width
        numbers = np.repeat(np.arange(len(visitor_indices)), np.diff(np.searchsorted(listed, row_ends), prepend=0))
        listed = listed[~exclusions.are_pairs_excluded(visitor_indices, numbers, shared.reshape(-1)[listed])]
        ends = np.searchsorted(listed, row_ends)
        counts = np.diff(ends, prepend=0)
        places = (ends - counts)[:, None] + np.arange(depth)
        is_known = np.arange(depth) < counts[:, None]
        entries = listed[np.where(is_known, places, 0)] if len(listed) else np.zeros(places.shape, np.int64)
        scores = np.where(
            is_known, self._shared_scores[visitor_indices, :searched_width].reshape(-1)[entries], np.float32(-np.inf)
        )
        items = np.where(is_known, shared.reshape(-1)[entries], np.int32(-1))
        return scores, items, (shared[:, -1] < 0) & (counts <= depth)


def model_candidates(
    model_ranking: ModelRanking,
    visitor_indices: Longs,
    depth: int,
    allowed_mask: Bools,
    exclusions: Exclusions,
    boosts: Doubles | None,
    use_shared_ranking: bool,
) -> Candidates:
    """Return the items of largest rank score for some visitors, best first, by the model's ranking.

    The rank score is ``boost / (60 + rank)``. An item is left out if an item behind the first ``depth`` could have a
    larger rank score.

    Parameters
    ----------
    depth : int
        Number of items that are taken from the model's ranking.
    boosts : float64 array (items,), optional
        Factors of at least 0 for the items' rank scores; None: all factors are 1.
    use_shared_ranking : bool
        Whether the items are taken from the shared ranking, which may hold fewer than ``depth``.
    """
    top = model_ranking.top_of_shared_ranking if use_shared_ranking else model_ranking.top_of_allowed_items
    scores, items, is_complete = top(visitor_indices, depth, allowed_mask, exclusions)
    ranks = np.arange(1, depth + 1)
    # an item at a later rank has at most the rank score of the next rank with the largest boost
    depths = (items >= 0).sum(axis=1)
    next_ranks = depths + 1
    if boosts is None:
        rank_scores = np.broadcast_to(rank_scores_of(np.ones(1), ranks), items.shape)
        return Candidates(items, scores, rank_scores, is_complete, rank_scores_of(np.ones(1), next_ranks), depths)
    max_further_rank_scores = rank_scores_of(boosts[allowed_mask].max(initial=0), next_ranks)
    rank_scores = np.where(items >= 0, rank_scores_of(boosts[items], ranks), -1)
    order = np.argsort(-rank_scores, axis=1, kind="stable")
    items, scores = np.take_along_axis(items, order, 1), np.take_along_axis(scores, order, 1)
    rank_scores = np.take_along_axis(rank_scores, order, 1)
    is_certain = is_complete[:, None] | (rank_scores >= max_further_rank_scores[:, None])
    return Candidates(
        np.where(is_certain, items, np.int32(-1)), scores, rank_scores, is_complete, max_further_rank_scores, depths
    )


@dataclass(frozen=True)
class PopularItems:
    """The items that rules allow, in the order of rank score: ``boost / (60 + rank by popularity)``.

    Attributes
    ----------
    items : int32 array (allowed,)
        Indices of the items in the catalogue.
    scores : float32 array (allowed,)
        Popularity of the items.
    rank_scores : float64 array (allowed,)
    """

    items: Ints
    scores: Floats
    rank_scores: Doubles

    @classmethod
    def rank_allowed_items(cls, popularity: Floats, allowed_mask: Bools, boosts: Doubles | None) -> "PopularItems":
        """Rank the allowed items by popularity, then order them by rank score; index decides between equal scores.

        Parameters
        ----------
        popularity : float32 array (items,)
            -inf for items that may not be recommended.
        """
        items = np.flatnonzero(allowed_mask & np.isfinite(popularity))
        items = items[np.argsort(-popularity[items], kind="stable")]
        own_boosts = np.ones(len(items)) if boosts is None else boosts[items]
        rank_scores = rank_scores_of(own_boosts, np.arange(1, len(items) + 1))
        order = np.argsort(-rank_scores, kind="stable")
        return cls(items[order].astype(np.int32), popularity[items[order]], rank_scores[order])

    def candidates(self, visitor_indices: Longs, depth: int, exclusions: Exclusions) -> Candidates:
        """Return the first ``depth`` of these items for each visitor, without those that the visitor must not get."""
        depth = min(depth, len(self.items))
        excluded = exclusions.are_excluded(
            visitor_indices, np.broadcast_to(self.items[:depth], (len(visitor_indices), depth))
        )
        order = np.argsort(excluded, axis=1, kind="stable")  # excluded items come last
        items = np.where(np.take_along_axis(excluded, order, 1), -1, self.items[:depth][order]).astype(np.int32)
        is_complete = np.full(len(visitor_indices), depth == len(self.items))
        depths = np.full(len(visitor_indices), depth)
        max_further_rank_scores = np.full(
            len(visitor_indices), 0.0 if depth == len(self.items) else self.rank_scores[depth]
        )
        return Candidates(
            items,
            self.scores[:depth][order],
            self.rank_scores[:depth][order],
            is_complete,
            max_further_rank_scores,
            depths,
        )

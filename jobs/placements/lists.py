"""Fills a placement's lists for a group of visitors, under the placement's rules.

A list is filled in this order:

1. *Pins* take their ranks, in the order of rank, where the rules allow the item to the visitor.
2. *Slots* take their ranks, in the order of rank: each takes the best item for which its condition is true.
3. The ranks that are left, from the first on, take the best items; with diversity, those of largest marginal relevance.

No item is listed twice, and each step keeps the caps, which count the items of earlier steps too. The best item is the
one of largest *rank score*, ``boost / (60 + rank)``, where ``rank`` is the item's place in the model's ranking of all
items that the step allows the visitor. Popular items follow only when the model has no item left that may enter the
list; their ``rank`` is their place by popularity among the items that the step allows. Equal rank scores are ordered by
rank, and equal scores by item_id.

The lists are exact: the number of candidates grows until no further candidate could change a list. Candidates first
come from the ranking that placements share. Lists for which it is too short are filled again, from a ranking of the
allowed items alone. Lists that might still get another item are filled again from four times as many candidates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats, Longs
from jobs.placements.candidates import Exclusions, ModelRanking, PopularItems, model_candidates
from jobs.placements.fill import (
    MODEL,
    PIN,
    POPULARITY,
    RANK_CONSTANT,
    Candidates,
    Cap,
    PartialLists,
    fill_ranks,
    items_that_cannot_enter,
)
from jobs.placements.relevance import Diversity, fill_by_relevance

CANDIDATES_AT_ONCE = 2**18
"""The most candidates of all visitors together that are looked at in one step: they stay in the processor's cache."""

BOOSTED_DEPTH = 256
"""The most items that are looked at first where boosts may lift items into a list from ranks behind it."""


@dataclass(frozen=True)
class ListRules:
    """The rules of a placement for one group of visitors, as arrays over items.

    Attributes
    ----------
    k : int
        Length of the lists.
    allowed_mask : bool array (items,)
        True for available items for which the condition ``items`` is true.
    caps : sequence of Cap
    boosts : float64 array (items,), optional
        Factors of at least 0 for the items' rank scores; None: all factors are 1.
    pins : rank -> item index
        The item that has to stand at a rank.
    slots : rank -> bool array (items,)
        The items that may stand at a rank: allowed items for which the slot's condition is true.
    diversity : Diversity, optional
    has_fallback : bool
        Whether popular items fill a list for which the model has too few.
    """

    k: int
    allowed_mask: Bools
    caps: Sequence[Cap] = ()
    boosts: Doubles | None = None
    pins: Mapping[int, int] = field(default_factory=dict)
    slots: Mapping[int, Bools] = field(default_factory=dict)
    diversity: Diversity | None = None
    has_fallback: bool = True


def fill_lists(
    rules: ListRules,
    model_ranking: ModelRanking | None,
    visitor_indices: Longs,
    exclusions: Exclusions,
    popularity: Floats,
) -> tuple[PartialLists, Bools]:
    """Return the filled lists of some visitors of a chunk.

    Parameters
    ----------
    model_ranking : ModelRanking or None
        Ranking by the model; None: there is no model, so lists hold popular items.
    visitor_indices : int64 array (lists,)
        The visitors' row numbers in the chunk.
    popularity : float32 array (items,)
        -inf for items that may not be recommended.

    Returns
    -------
    PartialLists
        A list for each visitor; ranks for which there was no item are at its end.
    bool array (lists,)
        Whether the list depends on popularity, because the model had too few items for it.
    """
    partial_lists = PartialLists.empty(len(visitor_indices), rules.k)
    # the catalogue may be empty, and padding with the item index -1 needs at least one item
    if not len(rules.allowed_mask):
        return partial_lists, np.full(len(visitor_indices), rules.has_fallback, np.bool_)
    filler = _ListFiller(rules, model_ranking, visitor_indices, exclusions, popularity, partial_lists)
    for rank, item in sorted(rules.pins.items()):
        filler.place_pin(rank, item)
    for rank, allowed_mask in sorted(rules.slots.items()):
        filler.fill_open_ranks([rank], allowed_mask, None)
    filler.fill_open_ranks(range(1, rules.k + 1), rules.allowed_mask, rules.diversity)
    _close_gaps(partial_lists)
    return partial_lists, filler.list_depends_on_popularity


def _close_gaps(partial_lists: PartialLists) -> None:
    """Move items up, so that a list's open ranks are at its end: a pin or slot may have filled a rank behind them."""
    order = np.argsort(partial_lists.items < 0, axis=1, kind="stable")
    for part in (partial_lists.items, partial_lists.scores, partial_lists.source_codes):
        part[:] = np.take_along_axis(part, order, 1)


class _ListFiller:
    def __init__(
        self,
        rules: ListRules,
        model_ranking: ModelRanking | None,
        visitor_indices: Longs,
        exclusions: Exclusions,
        popularity: Floats,
        partial_lists: PartialLists,
    ) -> None:
        self._rules, self._model_ranking, self._visitor_indices, self._exclusions = (
            rules,
            model_ranking,
            visitor_indices,
            exclusions,
        )
        self._popularity, self._lists = popularity, partial_lists
        self.list_depends_on_popularity = np.zeros(len(visitor_indices), np.bool_)

    def place_pin(self, rank: int, item: int) -> None:
        """Put a pinned item at its rank in the list of each visitor to whom the rules allow the item."""
        items = np.full((len(self._visitor_indices), 1), item if self._rules.allowed_mask[item] else -1, np.int32)
        items[self._exclusions.are_excluded(self._visitor_indices, items)] = -1
        nothing, ones = np.zeros(items.shape), np.ones(len(items), np.int64)
        candidates = Candidates(items, nothing.astype(np.float32), nothing, ones > 0, nothing[:, 0], ones)
        fill_ranks(self._lists, np.arange(len(items)), [rank], candidates, PIN, self._rules.caps)

    def fill_open_ranks(self, ranks: Sequence[int], allowed_mask: Bools, diversity: Diversity | None) -> None:
        """Fill the ranks that have no item yet with the best items: first by the model, then by popularity."""
        rules, still_open = self._rules, np.arange(len(self._visitor_indices))
        wanted = len(ranks) + len(rules.pins) + len(rules.slots)
        depth = wanted + (len(ranks) + 8 if rules.caps else 0)
        if rules.boosts is not None:
            depth = max(depth, min(BOOSTED_DEPTH, _depth_for_boosts(wanted, rules.boosts[allowed_mask])))
        if diversity:
            depth = max(depth, diversity.initial_depth(wanted))
        if (ranking := self._model_ranking) is not None:
            still_open = self._fill_with_more_and_more_candidates(
                lambda some, deep, is_shared: model_candidates(
                    ranking, self._visitor_indices[some], deep, allowed_mask, self._exclusions, rules.boosts, is_shared
                ),
                still_open, ranks, depth, MODEL, allowed_mask & ranking.recommendable_mask, diversity,
                use_shared_ranking=ranking.prepare_shared_ranking(self._visitor_indices, wanted, allowed_mask),
            )  # fmt: skip
        if rules.has_fallback and len(still_open):
            self.list_depends_on_popularity[still_open] = True
            popular = PopularItems.rank_allowed_items(self._popularity, allowed_mask, rules.boosts)
            self._fill_with_more_and_more_candidates(
                lambda some, deep, _: popular.candidates(self._visitor_indices[some], deep, self._exclusions),
                still_open, ranks, depth, POPULARITY, allowed_mask, diversity, use_shared_ranking=False,
            )  # fmt: skip

    def _fill_with_more_and_more_candidates(
        self,
        find_candidates: Callable[[Longs, int, bool], Candidates],
        list_indices: Longs,
        ranks: Sequence[int],
        depth: int,
        source_code: int,
        enterable_mask: Bools,
        diversity: Diversity | None,
        use_shared_ranking: bool,
    ) -> Longs:
        """Fill ranks from candidates, each time from four times as many, until more candidates can't change a list.

        Return the rows of lists that still have open ranks.
        """
        columns = np.array(ranks) - 1
        before = self._lists.items[:, columns]
        stay_open = [np.empty(0, np.int64)]
        tasks = [(list_indices[(before[list_indices] < 0).any(axis=1)], depth, use_shared_ranking)]
        while tasks:
            pending, depth, use_shared_ranking = tasks.pop()
            unsure, short = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
            rows_at_once = max(1, CANDIDATES_AT_ONCE // depth)
            for start in range(0, len(pending), rows_at_once):
                some = pending[start : start + rows_at_once]
                self._lists.items[some[:, None], columns] = before[some]
                candidates = find_candidates(some, depth, use_shared_ranking)
                is_open, is_unsure = self._fill_with_candidates(
                    some, ranks, candidates, source_code, enterable_mask, diversity
                )
                is_short = is_unsure & use_shared_ranking & (candidates.looked_at_counts < depth)
                unsure.append(some[is_unsure & ~is_short])
                short.append(some[is_short])
                stay_open.append(some[is_open & ~is_unsure])
            # Where a visitor's shared ranking, made once for all conditions, has too few allowed items, the list gets
            # a ranking under its own conditions: looking deeper into the shared one would find no more.
            followers = (np.concatenate(short), depth, False), (np.concatenate(unsure), depth * 4, use_shared_ranking)
            tasks += [task for task in followers if len(task[0])]
        return np.concatenate(stay_open)

    def _fill_with_candidates(
        self,
        list_indices: Longs,
        ranks: Sequence[int],
        candidates: Candidates,
        source_code: int,
        enterable_mask: Bools,
        diversity: Diversity | None,
    ) -> tuple[Bools, Bools]:
        """Fill ranks of some lists; return which lists have open ranks, and which might change with more candidates."""
        caps = self._rules.caps
        if diversity:
            are_certain = fill_by_relevance(self._lists, list_indices, ranks, candidates, source_code, caps, diversity)
        else:
            fill_ranks(self._lists, list_indices, ranks, candidates, source_code, caps)
            are_certain = np.ones(len(list_indices), np.bool_)
        is_open = (self._lists.items[list_indices[:, None], np.array(ranks) - 1] < 0).any(axis=1)
        is_unsure = is_open & ~candidates.is_complete
        for row in np.flatnonzero(is_unsure & are_certain) if caps else ():
            is_unsure[row] = self._could_another_item_enter(
                int(list_indices[row]), candidates.items[row], enterable_mask
            )
        return is_open, is_unsure | ~are_certain

    def _could_another_item_enter(self, list_index: int, candidate_items: np.ndarray, enterable_mask: Bools) -> bool:
        """Return whether an item that is not among the candidates could enter a list with open ranks.

        Parameters
        ----------
        list_index : int
            Number of the list.
        candidate_items : int32 array (width,)
            The list's candidates.
        enterable_mask : bool array (items,)
            The items that the present step may put into lists.
        """
        others = enterable_mask & ~items_that_cannot_enter(self._lists, list_index, self._rules.caps)
        others[candidate_items[candidate_items >= 0]] = False
        others[self._exclusions.excluded_items[int(self._visitor_indices[list_index])]] = False
        return bool(others.any())


def _depth_for_boosts(wanted_count: int, boosts: Doubles) -> int:
    """Return a number of first items of a ranking that likely hold the ``wanted_count`` items of largest rank score.

    The smallest of their rank scores is about the mean boost divided by 60 + ``wanted_count``. Behind the returned
    number of items, even an item of the largest boost has a smaller rank score.
    """
    ratio = boosts.max(initial=0) / max(boosts.mean(), 1e-9) if len(boosts) else 1.0
    return int(min(1.2 * ratio, 1e6) * (RANK_CONSTANT + wanted_count)) - RANK_CONSTANT

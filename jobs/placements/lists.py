"""Fills the lists of a group of visitors under the rules of a placement, exactly.

The order in which a list is made:

1. *Pins* take their ranks, in the order of rank, where the rules allow the item to the visitor.
2. *Slots* take their ranks, in the order of rank: each takes the best item for which its condition is true.
3. The ranks that are left, from the first on, take the best items; with diversity, the most relevant ones.

No item is listed twice, and each step heeds the caps, for all that is listed already. The best item is the one of
largest worth, ``boost / (60 + rank)``: ``rank`` is the item's place in the model's ranking of all items that the step
allows the visitor. Only when the model has no item left that may enter the list, popular items follow; their rank is
their place among the items that the step allows, by popularity. Equal worths are ordered by rank, equal scores by
item_id.

Exactness: as many candidates are looked at as are needed to be certain; lists that might still get another item are
filled again from four times as many.
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
    Candidates,
    Cap,
    Diversity,
    PartialLists,
    fill_ranks,
    saturated_items,
)

CANDIDATES_AT_ONCE = 4_000_000
"""The most candidates of all visitors together that are looked at at once; it bounds memory."""

BOOSTED_DEPTH = 128
"""Number of items looked at first where a boost may lift an item that the model ranks behind the list."""


@dataclass(frozen=True)
class ListRules:
    """What a placement's rules say for a group of visitors.

    Attributes
    ----------
    k : int
    allowed : bool array (items,)
        True for available items for which the condition ``items`` is true.
    caps : sequence of Cap
    boosts : float64 array (items,), optional
        At least 0.
    pins : rank -> item index
    slots : rank -> bool array (items,)
        True for allowed items for which the slot's condition is true.
    diversity : Diversity, optional
    has_fallback : bool
        Whether popular items fill a list for which the model has too few.
    """

    k: int
    allowed: Bools
    caps: Sequence[Cap] = ()
    boosts: Doubles | None = None
    pins: Mapping[int, int] = field(default_factory=dict)
    slots: Mapping[int, Bools] = field(default_factory=dict)
    diversity: Diversity | None = None
    has_fallback: bool = True


def fill_lists(
    rules: ListRules, ranking: ModelRanking | None, rows: Longs, exclusions: Exclusions, popularity: Floats
) -> tuple[PartialLists, Bools]:
    """Return the lists of some visitors of a chunk.

    Parameters
    ----------
    ranking : ModelRanking or None
        None: there is no model, so lists hold popular items.
    rows : int64 array (lists,)
        The visitors' numbers in the chunk.
    popularity : float32 array (items,)
        -inf for items that may not be recommended.

    Returns
    -------
    PartialLists of the visitors, whose open ranks stand at the end
    bool array (lists,)
        Whether the list depends on popularity: the model had too few items.
    """
    lists = PartialLists.empty(len(rows), rules.k)
    if not len(rules.allowed):  # an empty catalogue, without the items that arrays of candidates are padded with
        return lists, np.full(len(rows), rules.has_fallback, np.bool_)
    filler = _Filler(rules, ranking, rows, exclusions, popularity, lists)
    for rank, item in sorted(rules.pins.items()):
        filler.place_pin(rank, item)
    for rank, allowed in sorted(rules.slots.items()):
        filler.fill([rank], allowed, None)
    filler.fill(range(1, rules.k + 1), rules.allowed, rules.diversity)
    _close_gaps(lists)
    return lists, filler.depends_on_popularity


def _close_gaps(lists: PartialLists) -> None:
    """Move entries up, so that each list's open ranks stand at its end: a pin may stand behind a rank left open."""
    order = np.argsort(lists.items < 0, axis=1, kind="stable")
    for part in (lists.items, lists.scores, lists.sources):
        part[:] = np.take_along_axis(part, order, 1)


class _Filler:
    def __init__(
        self,
        rules: ListRules,
        ranking: ModelRanking | None,
        rows: Longs,
        exclusions: Exclusions,
        popularity: Floats,
        lists: PartialLists,
    ) -> None:
        self._rules, self._ranking, self._rows, self._exclusions = rules, ranking, rows, exclusions
        self._popularity, self._lists = popularity, lists
        self.depends_on_popularity = np.zeros(len(rows), np.bool_)

    def place_pin(self, rank: int, item: int) -> None:
        """Put an item at a rank of each list to which the rules allow it."""
        items = np.full((len(self._rows), 1), item if self._rules.allowed[item] else -1, np.int32)
        items[self._exclusions.contain(self._rows, items)] = -1
        nothing = np.zeros(items.shape)
        candidates = Candidates(items, nothing.astype(np.float32), nothing, np.ones(len(items), np.bool_))
        fill_ranks(self._lists, np.arange(len(items)), [rank], candidates, PIN, self._rules.caps)

    def fill(self, ranks: Sequence[int], allowed: Bools, diversity: Diversity | None) -> None:
        """Fill the open ones of some ranks with the best items: the model's, then popular ones."""
        rules, still_open = self._rules, np.arange(len(self._rows))
        prefilled = len(rules.pins) + len(rules.slots)
        depth = min((3 if rules.caps else 1) * len(ranks), rules.k * 3) + prefilled + (8 if rules.caps else 0)
        depth = max(depth, BOOSTED_DEPTH if rules.boosts is not None else 0, diversity.pool if diversity else 0)
        if (ranking := self._ranking) is not None:
            still_open = self._fill_from(
                lambda some, deep: model_candidates(
                    ranking, self._rows[some], deep, allowed, self._exclusions, rules.boosts
                ),
                still_open, ranks, depth, MODEL, allowed & ranking.recommendable, diversity,
            )  # fmt: skip
        if rules.has_fallback and len(still_open):
            self.depends_on_popularity[still_open] = True
            popular = PopularItems.of(self._popularity, allowed, rules.boosts)
            self._fill_from(
                lambda some, deep: popular.candidates(self._rows[some], deep, self._exclusions),
                still_open, ranks, depth, POPULARITY, allowed, diversity,
            )  # fmt: skip

    def _fill_from(
        self,
        candidates_of: Callable[[Longs, int], Candidates],
        rows: Longs,
        ranks: Sequence[int],
        depth: int,
        source: int,
        enterable: Bools,
        diversity: Diversity | None,
    ) -> Longs:
        """Fill ranks from candidates, from more and more of them; return the rows that stay open."""
        columns = np.array(ranks) - 1
        was_open = self._lists.items[:, columns] < 0
        pending, stay_open = rows[was_open[rows].any(axis=1)], [np.empty(0, np.int64)]
        while len(pending):
            unsure = [np.empty(0, np.int64)]
            rows_at_once = max(1, CANDIDATES_AT_ONCE // depth)
            for start in range(0, len(pending), rows_at_once):
                some = pending[start : start + rows_at_once]
                self._lists.items[some[:, None], columns] = np.where(
                    was_open[some], -1, self._lists.items[some[:, None], columns]
                )
                candidates = candidates_of(some, depth)
                fill_ranks(self._lists, some, ranks, candidates, source, self._rules.caps, diversity)
                is_open = (self._lists.items[some[:, None], columns] < 0).any(axis=1)
                is_unsure = is_open & ~candidates.are_all
                pool = diversity.pool if diversity else 0
                lacks_pool = ~candidates.are_all & ((candidates.items >= 0).sum(axis=1) < pool)
                for row in np.flatnonzero(is_unsure & ~lacks_pool) if self._rules.caps else ():
                    is_unsure[row] = self._may_enter(int(some[row]), candidates.items[row], enterable)
                is_unsure |= lacks_pool
                unsure.append(some[is_unsure])
                stay_open.append(some[is_open & ~is_unsure])
            pending, depth = np.concatenate(unsure), depth * 4
        return np.concatenate(stay_open)

    def _may_enter(self, row: int, candidate_items: np.ndarray, enterable: Bools) -> bool:
        """Return whether an item that was not among the candidates could enter an unfinished list."""
        others = enterable & ~saturated_items(self._lists, row, self._rules.caps)
        others[candidate_items[candidate_items >= 0]] = False
        others[self._exclusions.items[int(self._rows[row])]] = False
        return bool(others.any())

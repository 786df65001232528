"""Fills a placement's lists for a group of visitors, under the placement's rules.

A list is filled in this order:

1. *Pins* take their ranks, in the order of rank, where the rules allow the item to the visitor.
2. *Slots* take their ranks, in the order of rank: each takes the best item for which its condition is true.
3. The ranks that are left, from the first on, take the best items; with diversity, those of largest marginal relevance.

No item is listed twice, and each step keeps the caps, which count the items of earlier steps too. The best item is the
one of largest worth, ``boost / (60 + rank)``, where ``rank`` is the item's place in the model's ranking of all items
that the step allows the visitor. Popular items follow only when the model has no item left that may enter the list;
their ``rank`` is their place by popularity among the items that the step allows. Equal worths are ordered by rank, and
equal scores by item_id.

Exactness: as many candidates are looked at as are needed to be certain. Candidates come from the ranking that
placements share first; lists for which it is too short are filled again from a ranking under the rules, and lists that
might still get another item from four times as many candidates.
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
    saturated_items,
)
from jobs.placements.relevance import Diversity, fill_by_relevance

CANDIDATES_AT_ONCE = 2**18
"""The most candidates of all visitors together that are looked at at once: they stay in the processor's cache."""

BOOSTED_DEPTH = 256
"""The most items looked at first where a boost may lift an item that the model ranks behind the list."""


@dataclass(frozen=True)
class ListRules:
    """The rules of a placement for one group of visitors, as arrays over items.

    Attributes
    ----------
    k : int
        Length of the lists.
    allowed : bool array (items,)
        True for available items for which the condition ``items`` is true.
    caps : sequence of Cap
    boosts : float64 array (items,), optional
        Factors of at least 0 for the items' worths; None: all factors are 1.
    pins : rank -> item index
        The item that has to stand at a rank.
    slots : rank -> bool array (items,)
        The items that may stand at a rank: allowed items for which the slot's condition is true.
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
        Ranking by the model; None: there is no model, so lists hold popular items.
    rows : int64 array (lists,)
        The visitors' numbers in the chunk.
    popularity : float32 array (items,)
        -inf for items that may not be recommended.

    Returns
    -------
    PartialLists
        A list for each visitor; ranks that could not be filled stand at its end.
    bool array (lists,)
        Whether the list depends on popularity, because the model had too few items for it.
    """
    lists = PartialLists.empty(len(rows), rules.k)
    if not len(rules.allowed):  # the catalogue is empty, and padding with the item index -1 needs at least one item
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
    """Move items up, so that a list's open ranks stand at its end; a pin or slot may stand behind an open rank."""
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
        """Put a pinned item at its rank in the list of each visitor to whom the rules allow the item."""
        items = np.full((len(self._rows), 1), item if self._rules.allowed[item] else -1, np.int32)
        items[self._exclusions.contain(self._rows, items)] = -1
        nothing, ones = np.zeros(items.shape), np.ones(len(items), np.int64)
        candidates = Candidates(items, nothing.astype(np.float32), nothing, ones > 0, nothing[:, 0], ones)
        fill_ranks(self._lists, np.arange(len(items)), [rank], candidates, PIN, self._rules.caps)

    def fill(self, ranks: Sequence[int], allowed: Bools, diversity: Diversity | None) -> None:
        """Fill those of some ranks that are open with the best items: first by the model, then by popularity."""
        rules, still_open = self._rules, np.arange(len(self._rows))
        wanted = len(ranks) + len(rules.pins) + len(rules.slots)
        depth = wanted + (len(ranks) + 8 if rules.caps else 0)
        if rules.boosts is not None:
            depth = max(depth, min(BOOSTED_DEPTH, _boosted_depth(wanted, rules.boosts[allowed])))
        if diversity:
            depth = max(depth, diversity.first_depth(wanted))
        if (ranking := self._ranking) is not None:
            still_open = self._fill_from(
                lambda some, deep, is_shared: model_candidates(
                    ranking, self._rows[some], deep, allowed, self._exclusions, rules.boosts, is_shared
                ),
                still_open, ranks, depth, MODEL, allowed & ranking.recommendable, diversity,
                is_shared=ranking.prepare(self._rows, wanted, allowed),
            )  # fmt: skip
        if rules.has_fallback and len(still_open):
            self.depends_on_popularity[still_open] = True
            popular = PopularItems.ranked(self._popularity, allowed, rules.boosts)
            self._fill_from(
                lambda some, deep, _: popular.candidates(self._rows[some], deep, self._exclusions),
                still_open, ranks, depth, POPULARITY, allowed, diversity, is_shared=False,
            )  # fmt: skip

    def _fill_from(
        self,
        candidates_of: Callable[[Longs, int, bool], Candidates],
        rows: Longs,
        ranks: Sequence[int],
        depth: int,
        source: int,
        enterable: Bools,
        diversity: Diversity | None,
        is_shared: bool,
    ) -> Longs:
        """Fill ranks from more and more candidates, until more can't help; return the rows of lists with open ranks."""
        columns = np.array(ranks) - 1
        before = self._lists.items[:, columns]
        stay_open = [np.empty(0, np.int64)]
        tasks = [(rows[(before[rows] < 0).any(axis=1)], depth, is_shared)]
        while tasks:
            pending, depth, is_shared = tasks.pop()
            unsure, short = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
            rows_at_once = max(1, CANDIDATES_AT_ONCE // depth)
            for start in range(0, len(pending), rows_at_once):
                some = pending[start : start + rows_at_once]
                self._lists.items[some[:, None], columns] = before[some]
                candidates = candidates_of(some, depth, is_shared)
                is_open, is_unsure = self._fill_some(some, ranks, candidates, source, enterable, diversity)
                is_short = is_unsure & is_shared & (candidates.depths < depth)
                unsure.append(some[is_unsure & ~is_short])
                short.append(some[is_short])
                stay_open.append(some[is_open & ~is_unsure])
            # Where a visitor's shared ranking, made once for all conditions, has too few allowed items, the list gets
            # a ranking under its own conditions: looking deeper into the shared one would find no more.
            followers = (np.concatenate(short), depth, False), (np.concatenate(unsure), depth * 4, is_shared)
            tasks += [task for task in followers if len(task[0])]
        return np.concatenate(stay_open)

    def _fill_some(
        self,
        rows: Longs,
        ranks: Sequence[int],
        candidates: Candidates,
        source: int,
        enterable: Bools,
        diversity: Diversity | None,
    ) -> tuple[Bools, Bools]:
        """Fill ranks of some lists; return which lists stay open, and which might get another item."""
        caps = self._rules.caps
        if diversity:
            are_certain = fill_by_relevance(self._lists, rows, ranks, candidates, source, caps, diversity)
        else:
            fill_ranks(self._lists, rows, ranks, candidates, source, caps)
            are_certain = np.ones(len(rows), np.bool_)
        is_open = (self._lists.items[rows[:, None], np.array(ranks) - 1] < 0).any(axis=1)
        is_unsure = is_open & ~candidates.are_all
        for row in np.flatnonzero(is_unsure & are_certain) if caps else ():
            is_unsure[row] = self._may_enter(int(rows[row]), candidates.items[row], enterable)
        return is_open, is_unsure | ~are_certain

    def _may_enter(self, row: int, candidate_items: np.ndarray, enterable: Bools) -> bool:
        """Return whether an item that the candidates lack could enter a list with open ranks.

        Parameters
        ----------
        row : int
            Number of the list.
        candidate_items : int32 array (width,)
            The list's candidates.
        enterable : bool array (items,)
            The items that the present step may put into lists.
        """
        others = enterable & ~saturated_items(self._lists, row, self._rules.caps)
        others[candidate_items[candidate_items >= 0]] = False
        others[self._exclusions.items[int(self._rows[row])]] = False
        return bool(others.any())


def _boosted_depth(wanted: int, boosts: Doubles) -> int:
    """Return how many items of a ranking should hold the ``wanted`` ones of largest worth.

    The worth of the last of them is about the mean boost divided by 60 + ``wanted``; an item of the largest boost is
    worth less from some rank on.
    """
    ratio = boosts.max(initial=0) / max(boosts.mean(), 1e-9) if len(boosts) else 1.0
    return int(min(1.2 * ratio, 1e6) * (RANK_CONSTANT + wanted)) - RANK_CONSTANT

"""Merges the ranked lists of several models, the parts of a fusion, and chooses the parts' weights.

Source of reciprocal-rank fusion: Cormack, Clarke & Büttcher 2009.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

from jobs.core.arrays import Bools, Doubles, Floats, Ints, Longs
from jobs.core.metrics import case_values_from_ranks
from jobs.models.scorer import validation_list_length

WEIGHT_STEPS = 10
"""The weights tried for a part are multiples of 1 / ``WEIGHT_STEPS``; for many parts, of a larger fraction."""

MOST_TRIED_WEIGHTS = 10_000
"""The most combinations of weights that are tried. Tenths of 7 parts have 8,008, but those of 13 parts have 646,646,
which would take hours."""


@dataclass(frozen=True)
class MergedLists:
    """The union of several parts' ranked lists: each pair of a row and an item, once, with its score in each part.

    A row stands for one sequence, for which each part made a list.

    Attributes
    ----------
    row_numbers, items : int64 arrays (pairs,)
        Row number and item index of each pair, ordered by row and then by item.
    part_scores : float64 array (pairs, parts)
        Position score of the item in each part's list, 0 if the list lacks it.
    """

    row_numbers: Longs
    items: Longs
    part_scores: Doubles

    @classmethod
    def from_lists(cls, lists_of_parts: list[tuple[Ints, Doubles]]) -> "MergedLists":
        """Merge the ranked lists of several parts, each given by two arrays (rows, depth): items, position scores."""
        listed = [np.nonzero(items >= 0) for items, _ in lists_of_parts]
        keys = [
            row_item_keys(rows, items[rows, ranks])
            for (items, _), (rows, ranks) in zip(lists_of_parts, listed, strict=True)
        ]
        distinct, pair = np.unique(np.concatenate(keys), return_inverse=True)
        part_scores = np.zeros((len(distinct), len(lists_of_parts)))
        part = np.repeat(np.arange(len(lists_of_parts)), [len(part_keys) for part_keys in keys])
        part_scores[pair, part] = np.concatenate(
            [scores[cells] for (_, scores), cells in zip(lists_of_parts, listed, strict=True)]
        )
        return cls(distinct >> 32, distinct & 0xFFFFFFFF, part_scores)

    def keep(self, is_kept: Bools) -> "MergedLists":
        """Return the pairs for which ``is_kept``, a bool array (pairs,), is True."""
        return MergedLists(self.row_numbers[is_kept], self.items[is_kept], self.part_scores[is_kept])

    def top(self, part_weights: Doubles, row_count: int, k: int) -> tuple[Floats, Ints]:
        """Return each row's ``k`` largest weighted sums of part scores, and their items.

        Parameters
        ----------
        part_weights : float64 array (parts,)
            Weight of each part.
        row_count : int
            Number of rows of the merged lists.

        Returns
        -------
        float32 array (row_count, k), int32 array (row_count, k)
            Sums in descending order, equal sums by item index; -inf and -1 past the end of a shorter list.
        """
        return self.top_by_scores(self.weighted_sums(part_weights), row_count, k)

    def weighted_sums(self, part_weights: Doubles) -> Floats:
        """Return each pair's weighted sum of part scores, float32 array (pairs,).

        The sum is -inf for a pair that only parts of weight 0 list.

        Parameters
        ----------
        part_weights : float64 array (parts,)
            Weight of each part.
        """
        sums = (self.part_scores @ part_weights).astype(np.float32)
        return np.where(sums > 0, sums, -np.inf).astype(np.float32)

    def top_by_scores(self, pair_scores: Floats, row_count: int, k: int) -> tuple[Floats, Ints]:
        """Return each row's ``k`` best pairs by the given scores, as :meth:`top` does by weighted sums.

        Parameters
        ----------
        pair_scores : float32 array (pairs,)
            The score of each pair; -inf for a pair that must not be listed.
        row_count : int
            Number of rows of the merged lists.
        """
        scores, items = np.full((row_count, k), -np.inf, np.float32), np.full((row_count, k), -1, np.int32)
        order = np.lexsort((self.items, -pair_scores, self.row_numbers))
        order = order[pair_scores[order] > -np.inf]
        row = self.row_numbers[order]
        rank = np.arange(len(order)) - np.searchsorted(row, np.arange(row_count))[row]
        order, row, rank = order[rank < k], row[rank < k], rank[rank < k]
        scores[row, rank], items[row, rank] = pair_scores[order], self.items[order]
        return scores, items

    def part_scores_of(self, items: Ints) -> Doubles:
        """Return every part's score of each given item.

        Parameters
        ----------
        items : int32 array (rows, n)
            Items to look up, each in its own row of the merged lists; -1 for no item.

        Returns
        -------
        float64 array (rows, n, parts)
            0 if the part's list lacks the item.
        """
        row = np.broadcast_to(np.arange(len(items))[:, None], items.shape)
        keys, item_keys = row_item_keys(self.row_numbers, self.items), row_item_keys(row, np.maximum(items, 0))
        pair = np.minimum(np.searchsorted(keys, item_keys), max(len(keys) - 1, 0))
        if not len(keys):
            return np.zeros((*items.shape, self.part_scores.shape[1]))
        is_listed = (keys[pair] == item_keys) & (items >= 0)
        return np.where(is_listed[:, :, None], self.part_scores[pair], 0.0)


def row_item_keys(row_numbers: npt.NDArray[np.integer], items: npt.NDArray[np.integer]) -> Longs:
    """Return an int64 key for each pair of a row number and an item index; keys sort by row, then by item."""
    return (row_numbers.astype(np.int64) << 32) | items.astype(np.int64)


def position_scores(scores: Floats, items: Ints, rank_constant: int | None) -> Doubles:
    """Return the score that each position of a ranked list contributes to a fusion.

    Parameters
    ----------
    scores : float32 array (rows, depth)
        The model's scores in descending order; only read if ``rank_constant`` is None.
    items : int32 array (rows, depth)
        Items of the lists; -1 past the end of a shorter list.
    rank_constant : int or None
        The position score is 1 / (rank_constant + rank). If None, it is the model's score, scaled linearly so that the
        first item of the list has 1 and the last has 0. It is at least 0.001, since being listed at all counts.

    Returns
    -------
    float64 array (rows, depth)
        0 past the end of a list.
    """
    is_listed = items >= 0
    if rank_constant is not None:
        return np.where(is_listed, 1.0 / (rank_constant + np.arange(1, items.shape[1] + 1)), 0.0)
    listed_scores = np.where(is_listed, scores, np.nan).astype(np.float64)
    first = np.max(listed_scores, axis=1, keepdims=True, initial=-np.inf, where=is_listed)
    last = np.min(listed_scores, axis=1, keepdims=True, initial=np.inf, where=is_listed)
    scaled = np.ones(listed_scores.shape)  # if all scores of a list are equal, each is scaled to 1
    np.divide(listed_scores - last, first - last, out=scaled, where=is_listed & (first > last))
    return np.where(is_listed, np.maximum(scaled, 1e-3), 0.0)


def choose_part_weights(merged_lists: MergedLists, targets: Longs) -> Doubles:
    """Return the weights of the parts, of sum 1: a mean of all tried weights, in which better ones count more.

    Equal weights and all multiples of a tenth are tried, by nDCG at :func:`jobs.models.scorer.validation_list_length`.
    With more than 7 parts, the steps are larger than a tenth (:func:`weight_steps`).
    Weights whose mean nDCG is t standard errors below that of the best weights enter the mean with the factor
    exp(-t² / 2). The standard error is that of the difference from the best weights, taken over the cases.

    With few cases the best weights are mostly chance. Then, or where the parts are equally good, many weights are about
    as good as the best, so that the mean is near equal weights. With many cases the mean is near the best weights.
    Even a part that makes the lists worse has some weight in the mean. So a part whose mean weight is less than half a
    tenth, or than half of an equal weight where that is lower, gets none.

    Parameters
    ----------
    merged_lists : MergedLists
        Lists of the validation cases, one row per case.
    targets : int64 array (cases,)
        The item that came next in each case.

    Returns
    -------
    float64 array (parts,)
    """
    parts = merged_lists.part_scores.shape[1]
    equal = np.full(parts, 1 / parts)
    grid = sorted(_weight_grid(parts), key=lambda weights: float(np.abs(weights - equal).sum()))
    candidates = np.array([equal, *grid])
    depth = validation_list_length(len(targets))
    case_scores = np.array(
        [
            case_ndcgs_by_scores(merged_lists, merged_lists.weighted_sums(weights), targets, depth)
            for weights in candidates
        ]
    )
    gaps = case_scores[case_scores.mean(axis=1).argmax()] - case_scores
    # the best weights have no gap to themselves, and a standard error of 0 would divide 0 by 0
    standard_errors = gaps.std(axis=1) / np.sqrt(len(targets)) + 1e-12
    plausibilities = np.exp(-np.square(gaps.mean(axis=1) / standard_errors) / 2)
    weights = plausibilities @ candidates / plausibilities.sum()
    weights[weights < 0.5 / max(WEIGHT_STEPS, parts)] = 0
    return np.asarray(weights / weights.sum())


def case_ndcgs_by_scores(merged_lists: MergedLists, pair_scores: Floats, targets: Longs, depth: int) -> Doubles:
    """Return each case's nDCG at ``depth`` in the merged lists, ordered by the given scores: float64 array (cases,).

    Parameters
    ----------
    merged_lists : MergedLists
        Lists of the cases, one row per case.
    pair_scores : float32 array (pairs,)
        The score of each pair; -inf for a pair that must not be listed.
    targets : int64 array (cases,)
        The item that came next in each case.
    """
    rows, items = merged_lists.row_numbers, merged_lists.items
    is_target = items == targets[rows]
    target_scores = np.full(len(targets), -np.inf, np.float32)
    target_scores[rows[is_target]] = pair_scores[is_target]
    target_score = target_scores[rows]
    # as in MergedLists.top, an item ranks ahead of the target if its score is larger, or equal with a lower index
    is_ahead = (pair_scores > target_score) | ((pair_scores == target_score) & (items < targets[rows]))
    ranks = np.bincount(rows[is_ahead], minlength=len(targets)) + 1
    return case_values_from_ranks(np.where(target_scores > -np.inf, ranks, 0), "ndcg", depth)


def weight_steps(part_count: int) -> int:
    """Return the number n such that the weights to try are multiples of 1 / n: 10, or fewer for more than 7 parts.

    It is the largest number up to ``WEIGHT_STEPS`` with at most ``MOST_TRIED_WEIGHTS`` combinations, at least 1.
    """
    fitting = (
        steps
        for steps in range(WEIGHT_STEPS, 1, -1)
        if comb(steps + part_count - 1, part_count - 1) <= MOST_TRIED_WEIGHTS
    )
    return next(fitting, 1)


def _weight_grid(part_count: int) -> Iterator[Doubles]:
    """Yield all vectors of ``part_count`` weights of sum 1 that are multiples of 1 / :func:`weight_steps`."""
    steps = weight_steps(part_count)
    for bars in combinations(range(steps + part_count - 1), part_count - 1):
        yield (np.diff([-1, *bars, steps + part_count - 1]) - 1) / steps

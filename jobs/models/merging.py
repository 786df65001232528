"""Merging: the lists of several models in one, and the weights with which the merged lists are best.

Reciprocal-rank fusion: Cormack, Clarke & Büttcher 2009.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from jobs.core.arrays import Doubles, Floats, Ints, Longs
from jobs.core.metrics import rank_values

WEIGHT_STEPS = 10  # weights are multiples of a tenth


@dataclass(frozen=True)
class Entries:
    """What lists of several parts hold, each item of a row once, in the order of (row, item).

    Attributes
    ----------
    rows, items : int64 arrays (entries,)
    values : float64 array (entries, parts)
        What each part gives to the item, 0 where its list lacks it.
    """

    rows: Longs
    items: Longs
    values: Doubles

    @classmethod
    def of(cls, lists: list[tuple[Ints, Doubles]]) -> "Entries":
        """Gather the parts' lists."""
        there = [np.nonzero(items >= 0) for items, _ in lists]
        keys = [key_of(rows, items[rows, places]) for (items, _), (rows, places) in zip(lists, there, strict=True)]
        distinct, entry = np.unique(np.concatenate(keys), return_inverse=True)
        values = np.zeros((len(distinct), len(lists)))
        part = np.repeat(np.arange(len(lists)), [len(own) for own in keys])
        values[entry, part] = np.concatenate([worths[at] for (_, worths), at in zip(lists, there, strict=True)])
        return cls(distinct >> 32, distinct & 0xFFFFFFFF, values)

    def best(self, weights: Doubles, rows: int, k: int) -> tuple[Floats, Ints]:
        """Return each row's k largest weighted sums and their items: (rows, k), -inf and -1 where nothing is left."""
        scores, items = np.full((rows, k), -np.inf, np.float32), np.full((rows, k), -1, np.int32)
        fused = (self.values @ weights).astype(np.float32)
        order = np.lexsort((self.items, -fused, self.rows))
        order = order[fused[order] > 0]  # not those of parts without weight alone
        row = self.rows[order]
        place = np.arange(len(order)) - np.searchsorted(row, np.arange(rows))[row]
        order, row, place = order[place < k], row[place < k], place[place < k]
        scores[row, place], items[row, place] = fused[order], self.items[order]
        return scores, items

    def given_to(self, items: Ints) -> Doubles:
        """Return what each part gives to some items (rows, n) of the rows: float64 array (rows, n, parts)."""
        row = np.broadcast_to(np.arange(len(items))[:, None], items.shape)
        keys, wanted = key_of(self.rows, self.items), key_of(row, np.maximum(items, 0))
        place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        if not len(keys):
            return np.zeros((*items.shape, self.values.shape[1]))
        there = (keys[place] == wanted) & (items >= 0)
        return np.where(there[:, :, None], self.values[place], 0.0)


def key_of(rows: npt.NDArray[np.integer], items: npt.NDArray[np.integer]) -> Longs:
    """Return one number for each pair of a row and an item, in the order of (row, item): int64 array."""
    return (rows.astype(np.int64) << 32) | items.astype(np.int64)


def position_scores(scores: Floats, items: Ints, constant: int | None) -> Doubles:
    """Return what each place of lists is worth: float64 array (rows, depth), 0 past a list's end.

    By rank 1 / (constant + rank). With None by score, scaled so that a list's first is 1 and its last next to nothing:
    0.001, for being there counts.
    """
    there = items >= 0
    if constant is not None:
        return np.where(there, 1.0 / (constant + np.arange(1, items.shape[1] + 1)), 0.0)
    known = np.where(there, scores, np.nan).astype(np.float64)
    first = np.max(known, axis=1, keepdims=True, initial=-np.inf, where=there)
    last = np.min(known, axis=1, keepdims=True, initial=np.inf, where=there)
    scaled = np.divide(known - last, first - last, out=np.ones(known.shape), where=there & (first > last))
    return np.where(there, np.maximum(scaled, 1e-3), 0.0)


def best_weights(entries: Entries, targets: Longs) -> Doubles:
    """Return the weights, of sum 1, with which the fused lists have the best nDCG@20: float64 array (parts,).

    All multiples of a tenth are tried. Of equal ones the nearest to equal weights: what the cases can't tell apart
    should not be told apart by chance.
    """
    parts = entries.values.shape[1]
    own = entries.given_to(targets[:, None].astype(np.int32))[:, 0]
    equal = np.full(parts, 1 / parts)
    tried = sorted(_lattice(parts), key=lambda weights: float(np.abs(weights - equal).sum()))

    def ndcg(weights: Doubles) -> float:
        target, fused = (own @ weights).astype(np.float32), (entries.values @ weights).astype(np.float32)
        reached = target[entries.rows]
        ahead = (fused > reached) | ((fused == reached) & (entries.items < targets[entries.rows]))  # as in `best`
        ranks = np.bincount(entries.rows[ahead], minlength=len(targets)) + 1
        return float(rank_values(np.where(target > 0, ranks, 0), "ndcg", 20).mean())

    return max([equal, *tried], key=ndcg)


def _lattice(parts: int) -> Iterator[Doubles]:
    """Yield all weights of sum 1 that are multiples of 1 / WEIGHT_STEPS."""
    for bars in combinations(range(WEIGHT_STEPS + parts - 1), parts - 1):
        yield (np.diff([-1, *bars, WEIGHT_STEPS + parts - 1]) - 1) / WEIGHT_STEPS

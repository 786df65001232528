"""The rule by which models choose the reason for a recommended item, which is an item of the visitor's sequence.

An item of the sequence contributes to the scores of the recommended items. If the largest contribution decided, one
item would often be the reason for the whole list: the newest item weighs most, and an item with a common text is near
to everything. Such a reason says nothing about the single recommendation. So the largest c² / m decides: c is an item's
contribution to this recommended item, and m is the mean of its squared contributions to all items of the list. This is
called contribution times lift.

The lift of an item that contributes little to the whole list is mostly chance. So its m is moved towards the mean m of
all items of the sequence.

``python -m benchmarks.reasons`` measures what share of a list's items have the list's commonest reason, and the cosine
of the texts of item and reason. On lists of LLMSeqSim for Amazon Beauty the share is 50 % and the mean cosine 0.63; if
the largest contribution decided, they would be 90 % and 0.82. On lists of EASE for UCI Online Retail they are 25 % and
0.32; if the largest contribution decided, they would be 62 % and 0.27.
"""

from typing import Final

import numpy as np

from jobs.core.arrays import Doubles, Longs

SHRINKAGE: Final = 0.1
"""How much of the mean of all items of the sequence is added to an item's own mean. The larger it is, the more the
largest contribution decides, and the less the lift."""

EQUAL_TOLERANCE: Final = 1e-4
"""Relative difference that may come from rounding alone. Reasons whose strengths differ by less count as equally
strong, and a contribution that is a smaller share of the list's largest one counts as 0."""


def strongest_reasons_by_lift(contributions: Doubles) -> Longs:
    """Return, for each recommended item, the item of the sequence with the largest contribution times lift.

    Parameters
    ----------
    contributions : float64 array (rows, own items, recommended items)
        What each item of a row's sequence, its own items, adds to the score of each recommended item. Own items are
        ordered newest first. Only contributions above 0 can be reasons. NaN where a row has fewer items.

    Returns
    -------
    int64 array (rows, recommended items)
        Place of the reason among the own items, the first of equally strong ones; -1 where no own item adds anything.
    """
    rows, own, recommended = contributions.shape
    if not own:
        return np.full((rows, recommended), -1)
    known = ~np.isnan(contributions)
    added = np.where(known, contributions, 0.0).clip(min=0)
    added[added < EQUAL_TOLERANCE * added.max(axis=(1, 2), keepdims=True, initial=0.0)] = 0.0
    squares = added * added
    averages = squares.sum(axis=2, keepdims=True) / np.maximum(known.sum(axis=2, keepdims=True), 1)
    own_counts = np.maximum(known.any(axis=2).sum(axis=1), 1)[:, None, None]
    usual = averages + SHRINKAGE * averages.sum(axis=1, keepdims=True) / own_counts
    strengths = np.divide(squares, usual, out=np.zeros_like(squares), where=usual > 0)
    best = strengths.max(axis=1)
    return np.where(best > 0, (strengths >= best[:, None] * (1 - EQUAL_TOLERANCE)).argmax(axis=1), -1)

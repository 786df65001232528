"""The rule by which all models choose reasons: what an item of the sequence adds, relative to what it adds elsewhere.

The item that adds most to a recommended item's score is often the same for the whole list: the newest item weighs most,
and an item in the middle of the catalogue is near to everything. As a reason it says nothing about the one
recommendation. So what counts is an item's contribution times its lift, which is the contribution divided by what the
item adds to the items of the list on average. Contributions enter squared, in the average too.

An item that adds little to the list anywhere has a lift that rests on little. So the average is shrunk towards that of
all items of the sequence. ``python -m benchmarks.reasons`` measures how often one reason fills a list, and how near the
texts of item and reason are. On lists of LLMSeqSim for Amazon Beauty, the commonest reason takes 90 % of a list by what
adds most, with a mean cosine of 0.82, and 50 % here, with 0.63; on lists of EASE for UCI Online Retail 62 % with 0.27,
and 25 % with 0.32.
"""

from typing import Final

import numpy as np

from jobs.core.arrays import Doubles, Longs

SHRINKAGE: Final = 0.1
"""Weight of the average of all items of the sequence, beside the item's own: the larger, the more a reason is what adds
most."""

EQUAL_TOLERANCE: Final = 1e-4
"""Strengths of reasons that differ by less, relatively, count as equal; contributions that are so much smaller than the
largest of the list count as none: rounding alone may tell them apart."""


def strongest_reasons_by_lift(contributions: Doubles) -> Longs:
    """Return, for each recommended item, the item of the sequence with the largest contribution times lift.

    Parameters
    ----------
    contributions : float64 array (rows, own items, recommended items)
        What each item of a sequence adds to the score of each recommended item, own items newest first. Only
        contributions above 0 can be reasons. NaN where a row has fewer own or recommended items.

    Returns
    -------
    int64 array (rows, recommended items)
        Place of an own item: of equal ones the first; -1 where no own item adds anything.
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
